"""Gaussian process for few rows of many one-hot features."""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cholesky, lapack, solve_triangular
from scipy.optimize import minimize

from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.registry import register

# Gaussian priors and bounds of the logarithms of (signal variance, noise variance, overall relevance), for targets of
# variance 1 and squared distances whose mean is 1. The bound on the noise also keeps the Cholesky factor exact.
PRIOR_MEAN = np.array([-0.5, -3.5, -1.0])
PRIOR_STD = np.array([2.0, 1.5, 1.5])
START_LOG_NOISE = (-3.5, -2.0, -0.7, 0.0)
BOUNDS = [(-8.0, 6.0), (-12.0, 2.0), (-8.0, 4.0)]
COLUMN_BOUND = (-5.0, 5.0)
MEMBER_ITERATIONS = 10


class Hyperparameters(NamedTuple):
    """Variances in units of the target's variance; `relevance` [columns] weighs each column's squared distance."""

    signal: float
    noise: float
    relevance: Floats


@register("gp")
class GaussianProcess(Predictor):
    """Matérn 5/2 kernel with one relevance per column (Rasmussen & Williams 2006, 5.1), all by maximum a posteriori.

    More relevances than rows would overfit under plain marginal likelihood. Here each log relevance is drawn around
    one common value, with standard deviation `relevance_spread`: 0 gives an isotropic kernel, and columns differ only
    as far as the data demand. One start, with exact gradients at the cost of three matrix products, keeps a fit at a
    fraction of a second up to some hundred rows.

    Above `max_optimised` rows the hyper-parameters are found on that many random ones; all rows enter the posterior.
    """

    _start: Floats | None = None

    def __init__(
        self,
        relevance_spread: float = 1.0,
        max_iter: int = 30,
        max_optimised: int = 400,
        random_state: int = 0,
    ) -> None:
        """Settings are checked in `fit`."""
        self.relevance_spread = relevance_spread
        self.max_iter = max_iter
        self.max_optimised = max_optimised
        self.random_state = random_state

    def _fit(self, X: Floats, z: Floats) -> None:
        if self.relevance_spread < 0.0:
            raise ValueError(f"relevance_spread must not be negative, got {self.relevance_spread}")
        if self.max_optimised < 2:
            raise ValueError(f"max_optimised must be at least 2, got {self.max_optimised}")
        distance_scale = 2.0 * X.var(axis=0).sum() * len(X) / (len(X) - 1)  # mean squared distance of two rows
        self._rows = X / np.sqrt(distance_scale)
        self._column_scale = float(np.sqrt(distance_scale))
        chosen = np.arange(len(z))
        if len(z) > self.max_optimised:
            chosen = np.random.default_rng(self.random_state).permutation(len(z))[: self.max_optimised]
        self._optimum = self._optimised(self._rows[chosen], z[chosen])
        self.hyperparameters_ = _unpacked(self._optimum, self.relevance_spread)
        covariance, _ = _kernel(self._rows, self._rows, self.hyperparameters_)
        covariance[np.diag_indices(len(z))] += self.hyperparameters_.noise
        self._factor = cholesky(covariance, lower=True)
        half = solve_triangular(self._factor, z, lower=True)
        self._weights = solve_triangular(self._factor, half, lower=True, trans="T")

    def _predict(self, X: Floats) -> Estimate:
        signal, noise, _ = self.hyperparameters_
        cross, _ = _kernel(X / self._column_scale, self._rows, self.hyperparameters_)
        explained = (solve_triangular(self._factor, cross.T, lower=True) ** 2).sum(axis=0)
        return cross @ self._weights, np.sqrt(np.maximum(signal - explained, 0.0) + noise)

    def _mean(self, X: Floats) -> Floats:
        cross, _ = _kernel(X / self._column_scale, self._rows, self.hyperparameters_)
        mean: Floats = cross @ self._weights
        return mean

    def _member(self) -> "GaussianProcess":
        """Starts where this one ended, and needs few steps from there."""
        member = GaussianProcess(**{**self.get_params(), "max_iter": min(self.max_iter, MEMBER_ITERATIONS)})
        if not self.preparation_.is_constant:
            member._start = self._optimum
        return member

    def _optimised(self, rows: Floats, z: Floats) -> Floats:
        """L-BFGS from the likeliest of some noise levels, all else at the prior's mode.

        From too little noise it would end where a jagged function explains the noise. Stopping at `max_iter` is no
        failure: later steps change predictions little.
        """
        spread = self.relevance_spread
        starts = np.zeros((len(START_LOG_NOISE), 3 + rows.shape[1]))
        starts[:, :3] = PRIOR_MEAN
        starts[:, 1] = START_LOG_NOISE
        if self._start is not None:
            starts = self._start[None]
        start = min(starts, key=lambda candidate: _negative_log_posterior(candidate, rows, z, spread)[0])
        found = minimize(
            _negative_log_posterior,
            start,
            args=(rows, z, spread),
            jac=True,
            method="L-BFGS-B",
            bounds=BOUNDS + [COLUMN_BOUND] * rows.shape[1],
            options={"maxiter": self.max_iter},
        )
        optimum: Floats = found.x
        return optimum


def _unpacked(parameters: Floats, spread: float) -> Hyperparameters:
    """Layout: the three logarithms of `PRIOR_MEAN`, then each column's deviation in units of `spread`."""
    signal, noise = np.exp(parameters[:2])
    return Hyperparameters(float(signal), float(noise), np.exp(parameters[2] + spread * parameters[3:]))


def _kernel(a: Floats, b: Floats, hyperparameters: Hyperparameters) -> tuple[Floats, Floats]:
    """Covariances [len(a), len(b)] without noise, and their derivative by the weighted squared distance."""
    signal, _, relevance = hyperparameters
    a, b = a * np.sqrt(relevance), b * np.sqrt(relevance)
    squared = np.maximum((a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2.0 * a @ b.T, 0.0)
    r = np.sqrt(5.0 * squared)
    decay = signal * np.exp(-r)
    return (1.0 + r + r * r / 3.0) * decay, -(5.0 / 6.0) * (1.0 + r) * decay


def _negative_log_posterior(parameters: Floats, rows: Floats, z: Floats, spread: float) -> tuple[float, Floats]:
    """Value up to a constant, and gradient [parameters]; `rows` [n, columns] have mean squared distance 1."""
    hyperparameters = _unpacked(parameters, spread)
    covariance, slope = _kernel(rows, rows, hyperparameters)
    diagonal = np.diag_indices(len(z))
    noisy = covariance.copy()
    noisy[diagonal] += hyperparameters.noise
    factor = cholesky(noisy, lower=True)
    inverse = lapack.dpotri(factor, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse @ z
    outer = 0.5 * (inverse - np.outer(weights, weights))  # derivative of the value by the covariance

    by_distance = outer * slope  # sum_ik by_distance_ik (x_ij - x_kj)^2 for all columns j at once:
    by_column = 2.0 * (by_distance.sum(axis=1) @ rows**2 - (rows * (by_distance @ rows)).sum(axis=0))
    by_log_relevance = hyperparameters.relevance * by_column
    common, deviations = parameters[:3], parameters[3:]
    off = (common - PRIOR_MEAN) / PRIOR_STD

    value = 0.5 * z @ weights + np.log(factor[diagonal]).sum() + 0.5 * off @ off + 0.5 * deviations @ deviations
    by_signal = (outer * covariance).sum()
    by_noise = hyperparameters.noise * np.trace(outer)
    by_common = np.array([by_signal, by_noise, by_log_relevance.sum()]) + off / PRIOR_STD
    return float(value), np.concatenate([by_common, spread * by_log_relevance + deviations])
