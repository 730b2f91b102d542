"""Gaussian process for few rows of many one-hot features."""

from typing import Any

import numpy as np

from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.process import Columns, Hyperparameters, Process, Settings
from predictors.registry import register

MEMBER_STEPS = 10


@register("gp")
class GaussianProcess(Predictor):
    """`predictors.process.Process` with one relevance per column.

    More relevances than rows would overfit under plain marginal likelihood. Here each log relevance is drawn around
    one common value, with standard deviation `relevance_spread`: 0 gives an isotropic kernel, and columns differ only
    as far as the data demand. One start, with exact gradients at the cost of three matrix products, keeps a fit at a
    fraction of a second up to some hundred rows.

    Args:
        relevance_spread: see above.
        polynomial: whether a linear and a quadratic part are added to the stationary one.
        max_iter: steps in search of the hyper-parameters.
        max_optimised: they are found on at most that many random rows; all rows enter the posterior.
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
        """Of the fitted process, in units of the prepared targets' variance."""
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
        """Starts where this one ended, and needs few steps from there."""
        settings: dict[str, Any] = self.get_params()
        member = GaussianProcess(**settings | {"max_iter": min(self.max_iter, MEMBER_STEPS)})
        if not self.preparation_.is_constant:
            member._start = self.hyperparameters_.logarithms
        return member
