"""Robust regression, for measurements of which a minority was disturbed."""

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.folds import assign_folds
from predictors.registry import create, register

FEWEST_ROWS = 20  # below, a row that stands out may as well be the only one of its kind
MOST_ROUNDS = 5
SETTLED = 0.005  # share of rows about which two rounds may differ
MAD_TO_STD = 1.4826


@register("robust")
class Robust(Predictor):
    """Leaves out rows whose targets are far from what the other rows predict, and learns from the rest.

    For measurements of which a minority was disturbed, as when a machine was slow for an hour: least trimmed squares
    (Rousseeuw 1984) on out-of-fold residuals. Rows whose residual is further from the median than `cut` robust standard
    deviations (by the median absolute deviation) are left out; this is repeated until the choice hardly changes. The
    predicted standard deviation is that of undisturbed measurements.

    Fitted attributes: `kept_` [n], which rows it has learnt from; `left_out_` [n], a prediction of each row by a
    predictor that was not fitted to it, in the unit of the targets.

    Args:
        base: a name that `create` takes.
        cut: in robust standard deviations, greater than 0.
        n_folds: at least 2.
        random_state: of the folds.
    """

    def __init__(self, base: str = "gp", cut: float = 3.5, n_folds: int = 3, random_state: int = 0) -> None:
        """Settings are checked in `fit`."""
        self.base = base
        self.cut = cut
        self.n_folds = n_folds
        self.random_state = random_state

    def _fit(self, X: Floats, z: Floats) -> None:
        if self.cut <= 0.0:
            raise ValueError(f"cut must be positive, got {self.cut}")
        if self.n_folds < 2:
            raise ValueError(f"n_folds must be at least 2, got {self.n_folds}")
        base = create(self.base)
        fold = assign_folds(X, self.n_folds, self.random_state)
        kept, rounds = np.ones(len(z), dtype=bool), MOST_ROUNDS if len(z) >= FEWEST_ROWS else 1
        for _ in range(rounds):
            self.predictor_ = clone(base)
            predicted = self._left_out(X, z, fold, kept)
            self.kept_ = kept
            kept = self._near(z - predicted, kept) if rounds > 1 else kept
            if np.mean(kept != self.kept_) <= SETTLED:
                break
        self.left_out_, _ = self.preparation_.estimate(predicted, np.zeros(len(z)))

    def _predict(self, X: Floats) -> Estimate:
        mean, std = self.predictor_.predict(X)
        return mean, std

    def _mean(self, X: Floats) -> Floats:
        mean: Floats = self.predictor_.predict_mean(X)
        return mean

    def _left_out(self, X: Floats, z: Floats, fold: NDArray[np.int64], kept: NDArray[np.bool_]) -> Floats:
        """Fits to the kept rows, and returns predictions [n], each by a predictor that was not fitted to the row."""
        predicted = np.empty(len(z))
        predicted[kept], _ = self.predictor_.fit_out_of_fold(X[kept], z[kept], fold[kept])
        if not kept.all():
            predicted[~kept], _ = self.predictor_.predict(X[~kept])
        return predicted

    def _near(self, residual: Floats, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        centre = np.median(residual[kept])
        spread = MAD_TO_STD * np.median(np.abs(residual[kept] - centre))
        near: NDArray[np.bool_] = np.abs(residual - centre) <= self.cut * max(float(spread), np.finfo(np.float64).eps)
        return near
