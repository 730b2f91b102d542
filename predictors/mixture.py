"""A new device as a mixture of known ones: from some ten measurements of it, and all that is known of the others."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from predictors.arrays import Floats

POWER = 3.0
"""How sources add up: 1 is a sum, infinity the larger one. A network is bound by different things in turn (launches,
arithmetic), partly overlapped, which lies in between."""

TILT = 0.02
"""Standard deviation of what a part (see `Mixture`) typically adds to the logarithm of the target."""

FEWEST_TO_LEAVE_OUT = 4

_SLOWER, _FASTER = 1.0, 3.0  # degrees of freedom of Student's t: what disturbs a measurement mostly makes it slower
_LEAST_NOISE = 0.02
_FIRST_NOISE = 0.05
_STEPS = 20
_MAD_TO_STD = 1.4826
_TINY = 1e-12

# standard deviations that decide which measurements tell most: of the common scale, of the weight of what sources have
# in common and of what tells them apart, of a part, and of a measurement
_SCALE, _COMMON, _APART, _TILTED, _NOISE = 5.0, 1.0, 0.3, 0.03, 0.05
_FAR = 1.0  # how much less sources are trusted at a row as far out as rows are on average


@dataclass(frozen=True, eq=False)
class Mixture:
    """Targets as a mixture of positive sources, tilted along parts: `(sum of weight * source^p)^(1/p) * e^(tilt part)`.

    Weights are not negative (non-negative least squares, Lawson & Hanson 1974), so few sources are left, and no
    difference of two is taken that their noise would dominate; tilts are drawn to 0. The loss is Student's t of
    relative errors, by iterated reweighting. From four rows on, the logarithm of the prediction is the mean over fits
    that leave out one row each, which steadies the choice of sources, and tells the error.

    Attributes:
        weights: shape (n_fits, n_sources + 1); the last one is of a constant.
        tilts: shape (n_fits, n_parts).
        left_out: what the fit without a row says of it, shape (n,); empty for fewer than four rows.
    """

    weights: Floats
    tilts: Floats
    left_out: Floats

    @classmethod
    def fit(cls, sources: Floats, parts: Floats, targets: Floats) -> Self:
        """Learns from sources [n, n_sources], parts [n, n_parts] and targets [n], n >= 1; all but parts positive.

        Sources should have a median near 1, and parts mean 0 and standard deviation 1, over all that may be asked for.
        """
        n, unit = len(targets), float(np.median(targets))
        columns, relative = _with_constant(sources), targets / unit
        if n < FEWEST_TO_LEAVE_OUT:
            subsets = [np.ones(n, dtype=bool)]
        else:
            subsets = [np.arange(n) != i for i in range(n)]
        fits = [_solved(columns[rows], parts[rows], relative[rows]) for rows in subsets]
        weights, tilts = (np.array(values) for values in zip(*fits, strict=True))
        left_out = np.zeros(0)
        if len(fits) > 1:
            left_out = unit * np.exp(np.diag(_logarithms(columns, parts, weights, tilts)))
        return cls(weights * unit**POWER, tilts, left_out)

    def predict(self, sources: Floats, parts: Floats) -> Floats:
        """Shape (n,), in the unit of the targets; NaN where a source that counts is NaN."""
        used = np.append(self.used, True)
        columns = _with_constant(sources)[:, used]
        predicted: Floats = np.exp(_logarithms(columns, parts, self.weights[:, used], self.tilts).mean(axis=1))
        return predicted

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which sources have a weight in some fit, shape (n_sources,)."""
        return np.asarray((self.weights[:, :-1] > 0.0).any(axis=0))


def most_telling(sources: Floats, parts: Floats, n: int, among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which `n` rows to measure, in order of importance, so that a mixture predicts all rows best; indices of rows.

    Greedy I-optimal design (Atkinson, Donev & Tobias 2007, 10.6): each step takes the row that reduces the mean
    variance over all rows most, for the linear model of logarithms around equal weights. Rows far out count as measured
    less well: there the sources themselves, fitted to other rows, are often wrong.

    Args:
        sources: shape (n_rows, n_sources), a fair sample of what will be asked for.
        parts: shape (n_rows, n_parts).
        n: at most `len(among)`.
        among: indices of rows that can be measured.
    """
    logs = np.log(sources)
    logs = logs - logs.mean(axis=0)
    common = logs.mean(axis=1, keepdims=True)
    basis = np.hstack([np.full_like(common, _SCALE), _COMMON * common, _APART * (logs - common), _TILTED * parts])
    asked = basis.T @ basis / len(basis)
    rows, posterior = basis[among], np.eye(basis.shape[1])
    far = ((basis - basis.mean(axis=0)) ** 2).sum(axis=1)
    noise = _NOISE * np.sqrt(1.0 + _FAR * far[among] / far.mean())
    chosen: list[int] = []
    for _ in range(n):
        projected = rows @ posterior
        variance = noise**2 + (projected * rows).sum(axis=1)
        gain = ((projected @ asked) * projected).sum(axis=1) / variance
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        posterior = posterior - np.outer(projected[best], projected[best]) / variance[best]
    return among[chosen]


def _with_constant(sources: Floats) -> Floats:
    return np.column_stack([sources, np.ones(len(sources))])


def _logarithms(columns: Floats, parts: Floats, weights: Floats, tilts: Floats) -> Floats:
    """Shape (n, n_fits)."""
    logs: Floats = np.log(np.maximum(columns**POWER @ weights.T, _TINY)) / POWER + parts @ tilts.T
    return logs


def _solved(columns: Floats, parts: Floats, targets: Floats) -> tuple[Floats, Floats]:
    """Weights and tilts: Gauss-Newton steps on logarithms, each a non-negative least squares problem."""
    n_sources, n_parts = columns.shape[1], parts.shape[1]
    relative = (columns / targets[:, None]) ** POWER
    unit = np.median(relative, axis=0)
    relative = relative / unit
    solution = np.concatenate([np.full(n_sources, 1.0 / n_sources), np.zeros(2 * n_parts)])
    trust, noise = np.ones(len(targets)), _FIRST_NOISE
    tilted = POWER * np.hstack([parts, -parts])  # a tilt is the difference of two numbers that are not negative
    for _ in range(_STEPS):
        mixed = np.maximum(relative @ solution[:n_sources], _TINY)
        design = np.hstack([relative / mixed[:, None], tilted])
        pull = POWER * noise / TILT * np.eye(n_parts)
        penalty = np.hstack([np.zeros((n_parts, n_sources)), pull, -pull])
        root = np.sqrt(trust)
        wanted = np.concatenate([root * (1.0 - np.log(mixed)), np.zeros(n_parts)])
        step, _ = nnls(np.vstack([design * root[:, None], penalty]), wanted)
        solution = 0.5 * (solution + step)
        mixed = relative @ solution[:n_sources]
        residual = (np.log(np.maximum(mixed, _TINY)) + tilted @ solution[n_sources:]) / POWER
        noise = max(_MAD_TO_STD * float(np.median(np.abs(residual))), _LEAST_NOISE)
        tail = np.where(residual < 0.0, _SLOWER, _FASTER)
        trust = (tail + 1.0) / (tail + (residual / noise) ** 2)
    weights, plus, minus = np.split(solution, [n_sources, n_sources + n_parts])
    return weights / unit, plus - minus
