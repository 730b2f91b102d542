"""Warped targets: a scale on which effects add up, although latencies multiply and accuracies saturate."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from predictors.arrays import Estimate, Floats

EXPONENTS = np.linspace(-1.0, 1.0, 21)
PRIOR_STD = 0.3
"""Standard deviation of the prior of the exponent around 0 (no warp), which matters for few rows."""

_NOISE_TO_SIGNAL = np.exp(np.linspace(-8.0, 6.0, 15))
_REACH = 3.0
_STRAIGHT = 1e-6


@dataclass(frozen=True)
class Warp:
    """The exponential transformation (Manly 1976) of standardised targets z: (exp(a z) - 1) / a, or z for a = 0.

    It continues as a straight line below `low` and above `high`, so that extrapolations stay bounded.

    Args:
        exponent: a; negative for targets that multiply, positive for targets that saturate towards large values.
        low: where the lower line begins: one standard deviation below the smallest target.
        high: where the upper line begins: one standard deviation above the largest target.
    """

    exponent: float = 0.0
    low: float = -1.0
    high: float = 1.0

    @classmethod
    def of(cls, z: Floats, exponent: float) -> Self:
        """The warp with this exponent for targets z [n] of mean 0 and standard deviation 1."""
        return cls(exponent, float(z.min()) - 1.0, float(z.max()) + 1.0)

    def forward(self, z: Floats) -> Floats:
        """Warped values, same shape."""
        if abs(self.exponent) < _STRAIGHT:
            return z
        inside = np.clip(z, self.low, self.high)
        bent: Floats = np.expm1(self.exponent * inside) / self.exponent
        return bent + np.exp(self.exponent * inside) * (z - inside)

    def backward(self, warped: Floats) -> Floats:
        """Inverse of `forward`."""
        if abs(self.exponent) < _STRAIGHT:
            return warped
        low, high = self.forward(np.array([self.low, self.high]))
        inside = np.clip(warped, low, high)
        growth = 1.0 + self.exponent * inside
        return np.log(growth) / self.exponent + (warped - inside) / growth

    def estimate(self, mean: Floats, std: Floats) -> Estimate:
        """Median and half width of the central 68 % interval of targets whose warped values have this mean and std."""
        return self.backward(mean), 0.5 * (self.backward(mean + std) - self.backward(mean - std))


def evidence(X: Floats, z: Floats) -> Floats:
    """Log posterior, up to a constant, of each of `EXPONENTS` for features X [n, columns] and targets z [n] of mean 0.

    The model of the warped targets is a Gaussian process with a Matérn 5/2 kernel whose length scale is three times the
    typical distance of rows, so nearly additive. The likelihood is maximised over the variance and averaged over the
    share of noise. The Jacobian of the warp cancels, as z sums to zero.
    """
    eigenvalues, vectors = np.linalg.eigh(_centred_kernel(X))
    variances = np.maximum(eigenvalues, 0.0) + _NOISE_TO_SIGNAL[:, None]  # [shares, n]
    # the constant vector has neither variance nor power: its share of the determinant is the noise alone
    volume = np.log(variances).sum(axis=1) - np.log(_NOISE_TO_SIGNAL)
    warped = np.stack([Warp.of(z, exponent).forward(z) for exponent in EXPONENTS])
    power = ((warped - warped.mean(axis=1, keepdims=True)) @ vectors) ** 2  # [exponents, n]
    misfit = (power[:, None] / variances).sum(axis=2)
    log_likelihood = -0.5 * (len(z) - 1) * np.log(misfit) - 0.5 * volume
    posterior: Floats = np.logaddexp.reduce(log_likelihood, axis=1) - 0.5 * (EXPONENTS / PRIOR_STD) ** 2
    return posterior


def _centred_kernel(X: Floats) -> Floats:
    """Covariances [n, n] of a process of variance 1 whose mean over the rows is 0."""
    squared = np.maximum((X * X).sum(axis=1)[:, None] + (X * X).sum(axis=1) - 2.0 * X @ X.T, 0.0)
    r = np.sqrt(5.0 * squared / max(float(squared.mean()), 1e-300)) / _REACH
    kernel = (1.0 + r + r * r / 3.0) * np.exp(-r)
    kernel -= kernel.mean(axis=0)
    kernel -= kernel.mean(axis=1, keepdims=True)
    scaled: Floats = kernel * (len(kernel) / np.trace(kernel))
    return scaled
