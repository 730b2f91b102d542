"""A Gaussian process over grouped columns: the core of the predictor `gp` and of Bayesian search."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, lapack, solve_triangular
from scipy.optimize import minimize

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Normal priors and bounds of the logarithms of (noise variance, variance of the stationary part, of the linear part, of
# the quadratic part, relevance of each level), for targets of variance 1 and columns whose mean squared distance is 1
# per level.
NOISE, SIGNAL, LINEAR, QUADRATIC, RELEVANCE = (-3.5, 1.5), (-0.5, 2.0), (-1.0, 2.0), (-1.5, 1.5), (-1.0, 1.5)
BOUNDS = [(-12.0, 2.0)] + 3 * [(-8.0, 6.0)]  # that of the noise also keeps the Cholesky factor exact
RELEVANCE_BOUND, DEVIATION_BOUND = (-10.0, 4.0), (-5.0, 5.0)
START_LOG_NOISE = (-5.0, -3.5, -2.0, -0.7, 0.0)


@dataclass(frozen=True, eq=False)
class Columns:
    """What is known about columns beforehand.

    Args:
        group: number of the group of each column; the columns of a group share one relevance.
        level: number of the level of each column; relevances of a level are drawn around one common value.
    """

    group: Ints
    level: Ints

    @classmethod
    def alike(cls, n_columns: int) -> Self:
        """Every column is a group, all on one level."""
        return cls(np.arange(n_columns), np.zeros(n_columns, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Settings:
    """How hyper-parameters are found.

    Args:
        spread: standard deviation of the logarithm of a group's relevance around that of its level.
        polynomial: whether a linear and a quadratic part with the same relevances are added.
        max_steps: of L-BFGS; 0 takes the start as it is.
        max_rows: hyper-parameters are found on that many rows, evenly spaced; all rows enter the posterior.
    """

    spread: float = 1.0
    polynomial: bool = True
    max_steps: int = 30
    max_rows: int = 400


@dataclass(frozen=True, eq=False)
class Hyperparameters:
    """Variances in units of the targets' variance; `relevance` [columns] weighs each column's squared distance.

    `logarithms` is the vector that was optimised, from which another fit may start.
    """

    noise: float
    signal: float
    linear: float
    quadratic: float
    relevance: Floats
    logarithms: Floats


@dataclass(frozen=True, eq=False)
class Process:
    """Posterior of f, where targets = f(row) + noise; build it with `fit`.

    The prior covariance of f is a Matérn 5/2 kernel, plus optionally a linear and a quadratic one, with one relevance
    per group of columns (Rasmussen & Williams 2006, 4.2 and 5.1), all by maximum a posteriori with exact gradients.
    """

    hyperparameters: Hyperparameters
    _shift: Floats
    _scale: Floats
    _mean: float
    _unit: float
    _rows: Floats
    _factor: Floats
    _weights: Floats

    @classmethod
    def fit(
        cls,
        rows: Floats,
        targets: Floats,
        columns: Columns,
        settings: Settings | None = None,
        start: Floats | None = None,
    ) -> Self:
        """Posterior given rows [n, columns], n >= 2, not all equal, and targets [n].

        Args:
            rows: of any scale.
            targets: of any scale.
            columns: groups and levels of the columns.
            settings: how hyper-parameters are found.
            start: `Hyperparameters.logarithms` of a fit to similar data; None: the prior's mode, with the likeliest of
                some noise variances, because from too little noise a jagged function would explain the noise.
        """
        settings = settings or Settings()
        shift, mean, unit = rows.mean(axis=0), float(targets.mean()), float(targets.std()) or 1.0
        scale = np.ones(rows.shape[1])
        for level in np.unique(columns.level):
            of_level = columns.level == level
            scale[of_level] = np.sqrt(2.0 * rows[:, of_level].var(axis=0).sum()) or 1.0
        scaled, z = (rows - shift) / scale, (targets - mean) / unit
        part = np.linspace(0, len(z) - 1, min(len(z), settings.max_rows)).round().astype(np.int64)
        found = _optimised(scaled[part], z[part], columns, settings, start)
        covariance = _kernel(scaled, scaled, found)[0]
        covariance[np.diag_indices(len(z))] += found.noise
        factor = cholesky(covariance, lower=True, overwrite_a=True)
        half = solve_triangular(factor, z, lower=True)
        weights = solve_triangular(factor, half, lower=True, trans="T")
        return cls(found, shift, scale, mean, unit, scaled, factor, weights)

    @property
    def noise(self) -> float:
        """Standard deviation of the noise, in units of the targets."""
        return self._unit * float(np.sqrt(self.hyperparameters.noise))

    def predict(self, rows: Floats) -> tuple[Floats, Floats]:
        """Mean [n] and standard deviation [n] of f at some rows, without noise."""
        scaled, cross, solved = self._solved(rows)
        variance = np.maximum(_variance(scaled, self.hyperparameters) - (solved * solved).sum(axis=0), 0.0)
        return self._mean + self._unit * (cross @ self._weights), self._unit * np.sqrt(variance)

    def mean(self, rows: Floats) -> Floats:
        """That of `predict` alone, at a fraction of the cost."""
        _, cross = self._crossed(rows)
        return np.asarray(self._mean + self._unit * (cross @ self._weights))

    def covariance(self, rows: Floats) -> Floats:
        """Posterior covariance [n, n] of f between some rows."""
        scaled, _, solved = self._solved(rows)
        prior = _kernel(scaled, scaled, self.hyperparameters)[0]
        return np.asarray(self._unit**2 * (prior - solved.T @ solved))

    def _crossed(self, rows: Floats) -> tuple[Floats, Floats]:
        scaled = (rows - self._shift) / self._scale
        return scaled, _kernel(scaled, self._rows, self.hyperparameters)[0]

    def _solved(self, rows: Floats) -> tuple[Floats, Floats, Floats]:
        scaled, cross = self._crossed(rows)
        return scaled, cross, solve_triangular(self._factor, cross.T, lower=True)


def _optimised(rows: Floats, z: Floats, columns: Columns, settings: Settings, start: Floats | None) -> Hyperparameters:
    """Stopping at `max_steps` is no failure: later steps change predictions little."""
    prior = _prior(columns, settings)
    if start is None:
        starts = np.tile(prior.mode, (len(START_LOG_NOISE), 1))
        starts[:, 0] = START_LOG_NOISE
        start = min(starts, key=lambda candidate: _negative_log_posterior(candidate, rows, z, prior)[0])
    if settings.max_steps > 0:
        start = minimize(
            _negative_log_posterior,
            start,
            args=(rows, z, prior),
            jac=True,
            method="L-BFGS-B",
            bounds=prior.bounds,
            options={"maxiter": settings.max_steps},
        ).x
    return prior.unpacked(start)


@dataclass(frozen=True, eq=False)
class _Prior:
    """Of the logarithms: four variances, each level's relevance; then each group's deviation, standardised."""

    columns: Columns
    spread: float
    mode: Floats
    deviation: Floats
    bounds: list[tuple[float, float]]
    polynomial: bool

    @property
    def n_common(self) -> int:
        return len(self.deviation)

    def unpacked(self, logarithms: Floats) -> Hyperparameters:
        noise, signal, linear, quadratic = np.exp(logarithms[:4]).tolist()
        if not self.polynomial:
            linear = quadratic = 0.0
        common, deviations = logarithms[4 : self.n_common], logarithms[self.n_common :]
        relevance = np.exp(common[self.columns.level] + self.spread * deviations[self.columns.group])
        return Hyperparameters(noise, signal, linear, quadratic, relevance, logarithms)


def _prior(columns: Columns, settings: Settings) -> _Prior:
    n_levels, n_groups = int(columns.level.max()) + 1, int(columns.group.max()) + 1
    normals = np.array([NOISE, SIGNAL, LINEAR, QUADRATIC] + [RELEVANCE] * n_levels)
    bounds = BOUNDS + [RELEVANCE_BOUND] * n_levels + [DEVIATION_BOUND] * n_groups
    mode = np.concatenate([normals[:, 0], np.zeros(n_groups)])
    return _Prior(columns, settings.spread, mode, normals[:, 1], bounds, settings.polynomial)


def _kernel(a: Floats, b: Floats, hyperparameters: Hyperparameters) -> tuple[Floats, Floats, Floats]:
    """Covariances [len(a), len(b)] without noise; their derivatives by squared distance and by inner product."""
    root = np.sqrt(hyperparameters.relevance)
    a, b = a * root, b * root
    inner = a @ b.T
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * inner
    r = np.sqrt(5.0 * np.maximum(squared, 0.0))
    decay = hyperparameters.signal * np.exp(-r)
    polynomial = hyperparameters.linear + hyperparameters.quadratic * inner
    covariance = (1.0 + r + r * r / 3.0) * decay + polynomial * inner
    return covariance, -(5.0 / 6.0) * (1.0 + r) * decay, polynomial + hyperparameters.quadratic * inner


def _variance(rows: Floats, hyperparameters: Hyperparameters) -> Floats:
    """Diagonal of the covariance of some rows with themselves."""
    inner = rows**2 @ hyperparameters.relevance
    return np.asarray(hyperparameters.signal + (hyperparameters.linear + hyperparameters.quadratic * inner) * inner)


def _negative_log_posterior(logarithms: Floats, rows: Floats, z: Floats, prior: _Prior) -> tuple[float, Floats]:
    """Value up to a constant, and gradient; `rows` [n, columns] have mean squared distance 1 per level."""
    hyper = prior.unpacked(logarithms)
    covariance, slope, tilt = _kernel(rows, rows, hyper)
    diagonal = np.diag_indices(len(z))
    noisy = covariance.copy()
    noisy[diagonal] += hyper.noise
    factor = cholesky(noisy, lower=True, overwrite_a=True)
    inverse = lapack.dpotri(factor, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse @ z
    outer = 0.5 * (inverse - np.outer(weights, weights))  # derivative of the value by the covariance

    by_distance = outer * slope  # sum_ik by_distance_ik (x_ij - x_kj)^2 for all columns j at once:
    by_column = 2.0 * (by_distance.sum(axis=1) @ rows**2 - (rows * (by_distance @ rows)).sum(axis=0))
    by_log_relevance = hyper.relevance * (by_column + (rows * ((outer * tilt) @ rows)).sum(axis=0))
    inner = (rows * hyper.relevance) @ rows.T
    linear = hyper.linear * float((outer * inner).sum())
    quadratic = hyper.quadratic * float((outer * inner**2).sum())
    common, deviations = logarithms[: prior.n_common], logarithms[prior.n_common :]
    off = (common - prior.mode[: prior.n_common]) / prior.deviation

    value = 0.5 * z @ weights + np.log(factor[diagonal]).sum() + 0.5 * off @ off + 0.5 * deviations @ deviations
    signal = float((outer * covariance).sum()) - linear - quadratic
    by_common = np.concatenate(
        [
            [hyper.noise * np.trace(outer), signal, linear, quadratic],
            np.bincount(prior.columns.level, by_log_relevance, minlength=prior.n_common - 4),
        ]
    )
    by_group = np.bincount(prior.columns.group, by_log_relevance, minlength=len(deviations))
    return float(value), np.concatenate([by_common + off / prior.deviation, prior.spread * by_group + deviations])
