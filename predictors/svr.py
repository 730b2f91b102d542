"""Support vector regression."""

from itertools import product

import numpy as np
from sklearn.svm import SVR

from predictors.arrays import Floats
from predictors.crossfit import CrossFit
from predictors.folds import assign_folds
from predictors.registry import register

TUNING_FOLDS = 3
TUNING_ROWS = 400  # most rows to tune on


@register("svr")
class SupportVectors(CrossFit):
    """Epsilon-insensitive support vector regression with an RBF kernel, tuned by cross-validation on a small grid.

    Args:
        C: penalties to choose from.
        gammas: kernel coefficients to choose from, in units of one over the mean squared distance between rows.
        epsilon: half width of the insensitive tube, in standard deviations of the targets.
        n_folds: of the cross-fitting, at least 2, see `CrossFit`.
        random_state: of folds and rows.
    """

    def __init__(
        self,
        C: tuple[float, ...] = (1.0, 30.0),
        gammas: tuple[float, ...] = (0.1, 0.3, 0.6, 1.2),
        epsilon: float = 0.01,
        n_folds: int = 5,
        random_state: int = 0,
    ) -> None:
        """Settings are checked in `fit`."""
        self.C = C
        self.gammas = gammas
        self.epsilon = epsilon
        self.n_folds = n_folds
        self.random_state = random_state

    def _model(self, X: Floats, z: Floats, settings: dict[str, float]) -> SVR:
        model = SVR(kernel="rbf", epsilon=self.epsilon, **settings)
        model.random_state = self.random_state  # unused, yet drawn from the global generator where it is None
        return model.fit(X, z)

    def _tuned(self, X: Floats, z: Floats) -> dict[str, float]:
        rows = np.random.default_rng(self.random_state).permutation(len(z))[:TUNING_ROWS]
        X, z = X[rows], z[rows]
        mean_squared_distance = 2.0 * X.var(axis=0).sum() or 1.0
        grid = [{"C": c, "gamma": gamma / mean_squared_distance} for c, gamma in product(self.C, self.gammas)]
        fold = assign_folds(X, TUNING_FOLDS, self.random_state)
        errors = [np.mean((z - self._cross_fitted(X, z, fold, settings)[1]) ** 2) for settings in grid]
        return grid[int(np.argmin(errors))]
