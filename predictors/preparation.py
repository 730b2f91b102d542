"""Preparation of features and targets for predictors, and the way back for their estimates."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from predictors.arrays import Estimate, Floats
from predictors.steps import one_hot_runs, step_matrix
from predictors.warp import EXPONENTS, Warp, evidence

TARGET_DIGITS = 10  # of standardised targets, so that a change of unit does not change ties between tree splits
FEWEST_ROWS = 5  # fewest rows from which coding and warp are chosen
MOST_ROWS = 128  # most rows from which they are chosen; more are no better
SHARE = 1.0 / 3.0  # variance of each number beside one-hots, relative to that of all one-hots


@dataclass(frozen=True)
class Preparation:
    """How to prepare features and targets, as chosen from the training data.

    Columns are scaled to 0..1, and left out if they do not vary. One-hots become steps ("at least the second value") if
    a simple model of the targets has more evidence with them. Numbers beside one-hots, such as costs, are scaled to a
    third of the variance of all one-hots each. Targets are standardised and warped.

    Attributes:
        low: smallest value of each feature [features].
        width: range of each feature, 1 where it does not vary.
        matrix: [features, columns], from scaled features to columns.
        mean: mean of the targets.
        scale: standard deviation of the targets; 0 if they are equal.
        warp: transformation of the standardised targets.
        offset: mean of the warped targets.
        stretch: standard deviation of the warped targets.
    """

    low: Floats
    width: Floats
    matrix: Floats
    mean: float
    scale: float
    warp: Warp = Warp()
    offset: float = 0.0
    stretch: float = 1.0

    @classmethod
    def of(cls, X: Floats, y: Floats) -> Self:
        """Chooses the preparation for features X [n, features] and targets y [n]."""
        low, width = X.min(axis=0), np.ptp(X, axis=0)
        plain = np.eye(X.shape[1])[:, width > 0.0]
        width = np.where(width > 0.0, width, 1.0)
        mean, scale = float(y.mean()), _deviation(y)
        if scale == 0.0 or not plain.size:
            return cls(low, width, plain, mean, scale)
        z = (y - mean) / scale
        matrix, exponent = _chosen((X - low) / width, z, plain, _numbers(X))
        warp = Warp.of(z, exponent)
        warped = warp.forward(z)
        return cls(low, width, matrix, mean, scale, warp, float(warped.mean()), float(warped.std()))

    @classmethod
    def none(cls, X: Floats, z: Floats) -> Self:
        """The preparation that leaves features X [n, columns] and targets z [n], prepared already, as they are."""
        n = X.shape[1]
        if _deviation(z) == 0.0 or not np.ptp(X, axis=0).any():
            return cls(np.zeros(n), np.ones(n), np.empty((n, 0)), float(z.mean()), _deviation(z))
        return cls(np.zeros(n), np.ones(n), np.eye(n), 0.0, 1.0)

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to learn: all targets, or all rows of features, are equal."""
        return self.scale == 0.0 or not self.matrix.shape[1]

    def columns(self, X: Floats) -> Floats:
        """Prepared features [n, columns] of features X [n, features]."""
        columns: Floats = ((X - self.low) / self.width) @ self.matrix
        return columns

    def targets(self, y: Floats) -> Floats:
        """Prepared targets [n] of targets y [n]; on the training data of mean 0 and standard deviation 1."""
        warped = self.warp.forward((y - self.mean) / self.scale)
        return ((warped - self.offset) / self.stretch).round(TARGET_DIGITS)

    def estimate(self, mean: Floats, std: Floats) -> Estimate:
        """Estimates of prepared targets (mean and standard deviation, [n] each) in the unit of the targets."""
        middle, spread = self.warp.estimate(self.offset + self.stretch * mean, self.stretch * std)
        return self.mean + self.scale * middle, self.scale * spread


def _chosen(X: Floats, z: Floats, plain: Floats, numbers: NDArray[np.bool_]) -> tuple[Floats, float]:
    """Matrix [features, columns] from scaled features X [n, features] to columns, and the exponent of the warp.

    The coding is the one with more evidence; the exponent is its posterior mean under that coding. `numbers` [features]
    says which features are no one-hots.
    """
    one_hots = np.where(numbers, 0.5, X)  # a number that takes two values is still none
    numbers = numbers & bool(one_hot_runs(one_hots))
    steps = step_matrix(one_hots)
    steps = _balanced(steps[:, np.ptp(X @ steps, axis=0) > 0.0], X, numbers)
    if len(z) < FEWEST_ROWS:
        return steps, 0.0
    plain = _balanced(plain, X, numbers)
    rows = np.random.default_rng(0).permutation(len(z))[:MOST_ROWS]
    z = z[rows] - z[rows].mean()
    codings = [steps] if steps.shape == plain.shape and (steps == plain).all() else [steps, plain]
    logs = [evidence(X[rows] @ coding, z) for coding in codings]
    best = int(np.argmax([np.logaddexp.reduce(log) for log in logs]))
    weights = np.exp(logs[best] - logs[best].max())
    return codings[best], float(weights @ EXPONENTS / weights.sum())


def _numbers(X: Floats) -> NDArray[np.bool_]:
    """Which features [features] are numbers: they vary, and have other values than 0 and 1."""
    numbers: NDArray[np.bool_] = ((X != 0.0) & (X != 1.0)).any(axis=0) & (np.ptp(X, axis=0) > 0.0)
    return numbers


def _balanced(matrix: Floats, X: Floats, numbers: NDArray[np.bool_]) -> Floats:
    """The coding, with each number scaled to `SHARE` of the variance of all one-hots; unchanged without either.

    Args:
        matrix: [features, columns]; each number has a column of its own.
        X: scaled features [n, features].
        numbers: which features are no one-hots [features].
    """
    variance = (X @ matrix).var(axis=0)
    of_numbers = matrix[numbers].any(axis=0)
    if not of_numbers.any() or of_numbers.all():
        return matrix
    scales = np.ones(len(variance))
    scales[of_numbers] = np.sqrt(SHARE * variance[~of_numbers].sum() / variance[of_numbers])
    balanced: Floats = matrix * scales
    return balanced


def _deviation(targets: Floats) -> float:
    """Standard deviation without overflow; 0 for targets that are equal up to rounding."""
    magnitude = float(np.abs(targets).max())
    if np.ptp(targets) <= 1e-13 * magnitude:
        return 0.0
    return magnitude * float((targets / magnitude).std())
