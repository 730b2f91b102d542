"""Feature selection: keeps those optional columns that help in cross-validation."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.folds import assign_folds
from predictors.preparation import Preparation
from predictors.registry import create

FEWEST_ROWS = 8  # distinct rows below which every column is kept
MOST_ROWS = 200  # most rows to judge by
CERTAINTY = 0.5  # standard errors by which errors must be worse without a column for it to be kept,
BENEFIT_OF_DOUBT = 20.0  # less this over the number of rows


class Selective(Predictor):
    """A predictor that learns from the last `n_optional` columns only as far as they help in cross-validation.

    Backward elimination from the last column to the first. With many rows, a column is dropped unless the out-of-fold
    squared errors are worse without it by half the standard error of the difference. Folds of few rows say little, so
    below 40 rows a column is dropped only if errors are better without it, by a margin that grows as rows get fewer.
    Errors are those of the predictor `judge`, on up to 200 rows.

    Fitted attributes: `kept_` [n_optional], which optional columns are used; `predictor_`, fitted to what is used.

    Args:
        base: a name that `predictors.create` takes, or an unfitted predictor.
        n_optional: number of columns at the end of X that may be dropped; all others are used.
        judge: a name that `predictors.create` takes; should be quick to fit.
        random_state: of rows and folds.
    """

    def __init__(self, base: Any = "auto", n_optional: int = 0, judge: str = "gp", random_state: int = 0) -> None:
        self.base = base
        self.n_optional = n_optional
        self.judge = judge
        self.random_state = random_state

    def predict(self, X: Any) -> Estimate:
        """As in `Predictor`. Columns that are not used may hold any finite values."""
        self._steps(X)  # checks
        mean, std = self.predictor_.predict(self._columns(X))
        return np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)

    def predict_mean(self, X: Any) -> Floats:
        """As in `Predictor`."""
        self._steps(X)
        quick = getattr(self.predictor_, "predict_mean", None)
        return np.asarray(self.predictor_.predict(self._columns(X))[0] if quick is None else quick(self._columns(X)))

    def _fitted(self, preparation: Preparation, X: Floats, y: Floats) -> "Selective":
        if not 0 <= self.n_optional <= X.shape[1]:
            raise ValueError(f"n_optional must lie between 0 and the {X.shape[1]} features, got {self.n_optional}")
        self.n_features_in_ = X.shape[1]
        self.preparation_ = preparation
        self.kept_ = self._helpful(X, y, preparation)
        self.predictor_ = create(self.base) if isinstance(self.base, str) else clone(self.base, safe=False)
        self.predictor_.fit(self._columns(X), y)
        return self

    def _columns(self, X: Any) -> Floats:
        rows = np.asarray(X, dtype=np.float64)
        return rows[:, np.concatenate([np.ones(rows.shape[1] - self.n_optional, dtype=bool), self.kept_])]

    def _helpful(self, X: Floats, y: Floats, preparation: Preparation) -> NDArray[np.bool_]:
        optional = np.arange(X.shape[1] - self.n_optional, X.shape[1])
        kept = np.ptp(X, axis=0) > 0.0
        rows = np.random.default_rng(self.random_state).permutation(len(y))[:MOST_ROWS]
        if not kept[optional].any() or preparation.is_constant or len(np.unique(X[rows], axis=0)) < FEWEST_ROWS:
            return np.asarray(kept[optional])
        X, z = X[rows], preparation.targets(y[rows])
        fold = assign_folds(X, 10 if len(z) < 40 else 5, self.random_state)
        certainty = CERTAINTY - BENEFIT_OF_DOUBT / len(z)
        errors = self._errors(preparation.columns(X), z, fold)
        for feature in reversed(optional[kept[optional]]):
            left = kept.copy()
            left[feature] = False
            others = self._errors(preparation.columns(np.where(left, X, preparation.low)), z, fold)
            worse = others - errors
            if worse.mean() <= certainty * worse.std() / np.sqrt(len(worse)):
                kept, errors = left, others
        return np.asarray(kept[optional])

    def _errors(self, columns: Floats, z: Floats, fold: NDArray[np.int64]) -> Floats:
        """Squared out-of-fold errors [n] of prepared targets."""
        if not np.ptp(columns, axis=0).any():
            return z**2
        mean, _ = create(self.judge).fit_out_of_fold(columns, z, fold)
        return (z - mean) ** 2
