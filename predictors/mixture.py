"""A new device as a mixture of known ones: from some ten measurements of it, and all that is known of the others."""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from predictors.arrays import Floats

POWERS = (1.0, 3.0, 8.0)
"""How sources add up: 1 is a sum, infinity the larger one. A network is bound by different things in turn (launches,
arithmetic), partly overlapped, which lies in between."""

N_DRAWN = 300
MOST_SOURCES = 3  # of a mixture
FEWEST_TO_LEAVE_OUT = 4
N_FOLDS = 10

# prior standard deviations of coefficients: of a constant, of the exponent of what sources have in common and of what
# tells them apart, and of a part
_SCALE, _COMMON, _APART, _TILTED = 0.3, 0.2, 0.15, 0.02

_NOISES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)  # at a latency that is typical; larger where less is to be done
_TYPICAL_NOISE, _NOISE_SPREAD = 0.025, 0.8  # median, and standard deviation of the logarithm
_REACH = 1.5  # of the logarithm of a latency, beyond which the noise does not change
_TAILS = ((1.0, 3.0), (3.0, 3.0))  # degrees of freedom: of measurements that were slower than expected, and faster
_STEPS = 5
_NEGLIGIBLE = 1e-4
_TINY = 1e-12

# standard deviations that decide which measurements tell most: of the common scale, of the weight of what sources have
# in common and of what tells them apart, of a part, and of a measurement
_D_SCALE, _D_COMMON, _D_APART, _D_TILTED, _D_NOISE = 5.0, 1.0, 0.3, 0.03, 0.05
_FAR = 1.0  # how much less sources are trusted at a row as far out as rows are on average


@dataclass(frozen=True, eq=False)
class Mixture:
    """Targets as mixtures of positive sources, times powers of the sources and factors of some parts.

    Many mixtures `(sum of weight * source^power)^(1/power)` of a few sources and a constant are drawn at random. Each
    explains the targets together with a linear model of their logarithm (a constant, the logarithms of the sources, the
    parts) that is drawn to 0, under errors of Student's t distribution, whose size and tails are not known and whose
    heavier tail is on the slow side. The prediction is the mean over all of that, weighed by the evidence (Bayesian
    model averaging, Hoeting et al. 1999; each evidence by Laplace's approximation).

    Attributes:
        powers: shape (n_mixtures,).
        weights: shape (n_mixtures, n_sources + 1); the last one is of a constant.
        shares: probability of each mixture, shape (n_mixtures,).
        constant: of the linear model, shape ().
        slopes: of the logarithms of the sources, shape (n_sources,).
        tilts: of the parts, shape (n_parts,).
        left_out: what a fit without a row, and those equal to it, says of it, shape (n,); empty for fewer than four
            distinct rows.
    """

    powers: Floats
    weights: Floats
    shares: Floats
    constant: Floats
    slopes: Floats
    tilts: Floats
    left_out: Floats

    @classmethod
    def fit(cls, sources: Floats, parts: Floats, targets: Floats, seed: int = 0) -> Self:
        """Learns from sources [n, n_sources], parts [n, n_parts] and targets [n], n >= 1; all but parts positive.

        Sources should have a median near 1, and parts mean 0 and standard deviation 1, over all that may be asked for.
        """
        drawn, left_out = _drawn(sources.shape[1], seed), np.zeros(0)
        row = _distinct(np.hstack([sources, parts]))
        if row.max() + 1 >= FEWEST_TO_LEAVE_OUT:
            left_out, fold = np.empty(len(targets)), row % N_FOLDS
            for k in range(fold.max() + 1):
                member = cls._of(drawn, sources[fold != k], parts[fold != k], targets[fold != k])
                left_out[fold == k] = member.predict(sources[fold == k], parts[fold == k])
        return replace(cls._of(drawn, sources, parts, targets), left_out=left_out)

    @classmethod
    def _of(cls, drawn: "_Drawn", sources: Floats, parts: Floats, targets: Floats) -> Self:
        logs = np.log(targets)
        rest = logs[:, None] - _logarithms(sources, *drawn)
        offsets = np.median(rest, axis=0)
        shares, coefficients = _averaged(_basis(sources, parts), (rest - offsets).T, np.log(sources).mean(axis=1))
        kept = shares > _NEGLIGIBLE * shares.max()
        shares = shares / shares[kept].sum()
        constant, common, *others = coefficients * _prior(sources.shape[1], parts.shape[1])
        apart, tilts = np.split(np.array(others), [sources.shape[1]])
        return cls(
            drawn.powers[kept],
            drawn.weights[kept],
            shares[kept],
            np.asarray(constant + shares[kept] @ offsets[kept]),
            apart - apart.mean() + common / len(apart),
            tilts,
            np.zeros(0),
        )

    def predict(self, sources: Floats, parts: Floats) -> Floats:
        """Shape (n,), in the unit of the targets; NaN where a source is NaN."""
        mixed = _logarithms(sources, self.powers, self.weights) @ self.shares
        return np.asarray(np.exp(mixed + self.constant + np.log(sources) @ self.slopes + parts @ self.tilts))

    @property
    def source_shares(self) -> Floats:
        """How much of the mixtures each source is, on average, shape (n_sources,)."""
        relative = self.weights / self.weights.sum(axis=1, keepdims=True)
        return np.asarray(self.shares @ relative[:, :-1])


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
    basis = np.hstack(
        [np.full_like(common, _D_SCALE), _D_COMMON * common, _D_APART * (logs - common), _D_TILTED * parts]
    )
    asked = basis.T @ basis / len(basis)
    rows, posterior = basis[among], np.eye(basis.shape[1])
    far = ((basis - basis.mean(axis=0)) ** 2).sum(axis=1)
    noise = _D_NOISE * np.sqrt(1.0 + _FAR * far[among] / max(far.mean(), _TINY))
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


class _Drawn(NamedTuple):
    powers: Floats
    weights: Floats


def _distinct(rows: Floats) -> NDArray[np.int64]:
    """Number of each row [n], from 0 in order of appearance; equal rows have the same."""
    _, first, group = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[group.reshape(-1)])


def _drawn(n_sources: int, seed: int) -> _Drawn:
    """Mixtures of 1 to `MOST_SOURCES` sources, every other one with a constant."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((N_DRAWN, n_sources + 1))
    for row in weights:
        chosen = rng.permutation(n_sources)[: rng.integers(1, MOST_SOURCES + 1)]
        row[chosen] = np.exp(rng.standard_normal(len(chosen)))
        if rng.random() < 0.5:
            row[-1] = np.exp(rng.standard_normal() - 0.5)
    return _Drawn(np.resize(POWERS, N_DRAWN), weights)


def _logarithms(sources: Floats, powers: Floats, weights: Floats) -> Floats:
    """Of mixtures, shape (n, n_mixtures)."""
    columns = np.column_stack([sources, np.ones(len(sources))])
    logs = np.empty((len(columns), len(powers)))
    for power in np.unique(powers):
        own = powers == power
        logs[:, own] = np.log(np.maximum(columns**power @ weights[own].T, _TINY)) / power
    return logs


def _prior(n_sources: int, n_parts: int) -> Floats:
    return np.concatenate([[_SCALE, _COMMON], np.full(n_sources, _APART), np.full(n_parts, _TILTED)])


def _basis(sources: Floats, parts: Floats) -> Floats:
    """Of the linear model, each column in units of its prior standard deviation, shape (n, 2 + n_sources + n_parts)."""
    logs = np.log(sources)
    common = logs.mean(axis=1, keepdims=True)
    columns = np.hstack([np.ones_like(common), common, logs - common, parts])
    return np.asarray(columns * _prior(sources.shape[1], parts.shape[1]))


def _averaged(basis: Floats, rest: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Probabilities of mixtures [n_mixtures] and mean coefficients, from what each leaves to explain [n_mixtures, n].

    The noise shrinks with the size of a row (the logarithm of a latency): what disturbs takes its time once.
    """
    relative = np.exp(-np.clip(size, -_REACH, _REACH))
    evidence, coefficients = [], []
    for typical in _NOISES:
        prior = -0.5 * (np.log(typical / _TYPICAL_NOISE) / _NOISE_SPREAD) ** 2
        for slower, faster in _TAILS:
            said, found = _explained(basis, rest, typical * relative, slower, faster)
            evidence.append(said + prior)
            coefficients.append(found)
    likelihood = np.exp(np.array(evidence) - np.max(evidence))
    shares = likelihood / likelihood.sum()
    return shares.sum(axis=0), np.einsum("gk,gkm->m", shares, np.array(coefficients))


def _explained(basis: Floats, rest: Floats, noise: Floats, slower: float, faster: float) -> tuple[Floats, Floats]:
    """Log evidence [n_mixtures] and coefficients [n_mixtures, n_columns] of linear models, by reweighted steps."""
    n, n_columns = basis.shape
    trust, squares = np.ones_like(rest), np.einsum("ni,nj->nij", basis, basis).reshape(n, -1)
    for _ in range(_STEPS):
        weighted = trust / noise**2
        precision = np.eye(n_columns) + (weighted @ squares).reshape(-1, n_columns, n_columns)
        found = np.linalg.solve(precision, ((weighted * rest) @ basis)[:, :, None])[:, :, 0]
        residual = rest - found @ basis.T
        tail = np.where(residual < 0.0, faster, slower)
        trust = (tail + 1.0) / (tail + (residual / noise) ** 2)
    log_density = gammaln((tail + 1) / 2) - gammaln(tail / 2) - 0.5 * np.log(tail * np.pi) - np.log(noise)
    log_density -= (tail + 1) / 2 * np.log1p((residual / noise) ** 2 / tail)
    volume = np.linalg.slogdet(precision)[1]
    return log_density.sum(axis=1) - 0.5 * (found**2).sum(axis=1) - 0.5 * volume, found
