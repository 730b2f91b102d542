"""Gaussian process regression for few rows of many one-hot features."""

from typing import Any

import numpy as np

from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.process import Columns, Hyperparameters, Process, Settings
from predictors.registry import register

MEMBER_STEPS = 10


@register("gp")
class GaussianProcess(Predictor):
    """A `predictors.process.Process` with automatic relevance determination: one relevance per column.

    Plain maximum likelihood would overfit with more relevances than rows. Here log relevances have a normal prior
    around a common value, so that columns differ only as far as the data demand. A fit takes a fraction of a second up
    to some hundred rows.

    Args:
        relevance_spread: standard deviation of that prior, at least 0; 0 gives an isotropic kernel.
        polynomial: whether the kernel has a linear and a quadratic part beside the stationary one.
        max_iter: most steps of the optimisation of the hyper-parameters.
        max_optimised: most rows, drawn at random, for that optimisation, at least 2; the posterior has all rows.
        random_state: of these rows.
    """

    _start: Floats | None = None

    def __init__(
        self,
        relevance_spread: float = 1.0,
        polynomial: bool = False,
        max_iter: int = 30,
        max_optimised: int = 400,
        random_state: int = 0,
    ) -> None:
        """Settings are checked in `fit`."""
        self.relevance_spread = relevance_spread
        self.polynomial = polynomial
        self.max_iter = max_iter
        self.max_optimised = max_optimised
        self.random_state = random_state

    @property
    def hyperparameters_(self) -> Hyperparameters:
        """Hyper-parameters of the fitted process; variances in units of that of the prepared targets."""
        return self._process.hyperparameters

    def _fit(self, X: Floats, z: Floats) -> None:
        if self.relevance_spread < 0.0:
            raise ValueError(f"relevance_spread must not be negative, got {self.relevance_spread}")
        if self.max_optimised < 2:
            raise ValueError(f"max_optimised must be at least 2, got {self.max_optimised}")
        order = np.arange(len(z))
        if len(z) > self.max_optimised:
            order = np.random.default_rng(self.random_state).permutation(order)
        settings = Settings(self.relevance_spread, self.polynomial, self.max_iter, self.max_optimised)
        self._process = Process.fit(X[order], z[order], Columns.alike(X.shape[1]), settings, self._start)

    def _predict(self, X: Floats) -> Estimate:
        mean, std = self._process.predict(X)
        return mean, np.hypot(std, self._process.noise)

    def _mean(self, X: Floats) -> Floats:
        return self._process.mean(X)

    def _member(self) -> "GaussianProcess":
        """An unfitted process whose optimisation starts from this one's hyper-parameters, and takes few steps."""
        settings: dict[str, Any] = self.get_params()
        member = GaussianProcess(**settings | {"max_iter": min(self.max_iter, MEMBER_STEPS)})
        if not self.preparation_.is_constant:
            member._start = self.hyperparameters_.logarithms
        return member
