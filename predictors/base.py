"""What every predictor shares: input checks, scaling, and the data from which nothing can be learnt."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from predictors.threads import one_thread

Floats = NDArray[np.float64]
Estimate = tuple[Floats, Floats]

TARGET_DIGITS = 10  # of standardised targets: else a change of unit could tip ties between equally good tree splits
PREDICTION_ROWS = 8192  # per step, to bound the memory of kernel matrices


class Predictor(BaseEstimator):
    """A scikit-learn estimator whose `predict` gives mean and standard deviation.

    A subclass writes `_fit` and `_predict`, which see only the feature columns that vary in the training data,
    each scaled to 0..1, and targets of mean 0 and standard deviation 1. They are not called when all targets or
    all feature rows are equal: then the predictor answers with mean and standard deviation of the targets
    (0 for a single row: it says nothing about spread).
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from features [n, features] and targets [n], n >= 1.

        Raises ValueError for wrong shapes and, with the row, for NaN or infinity.
        """
        features = _finite("X", _matrix(X))
        targets = _targets(y, len(features))
        self.n_features_in_ = features.shape[1]
        self.y_mean_ = float(targets.mean())
        self.y_scale_ = _deviation(targets)
        self._low = features.min(axis=0)
        self._range = features.max(axis=0) - self._low
        self._columns = np.flatnonzero(self._range)
        self.constant_ = self.y_scale_ == 0.0 or not len(self._columns)
        if not self.constant_:
            standardised = (targets - self.y_mean_) / self.y_scale_
            with one_thread():
                self._fit(self._scaled(features), standardised.round(TARGET_DIGITS))
        return self

    def predict(self, X: ArrayLike) -> Estimate:
        """Mean [n] and standard deviation [n] of a new measurement, in the unit of the targets.

        Raises NotFittedError before `fit`, ValueError for another number of features than in `fit`, NaN or infinity.
        """
        check_is_fitted(self, "constant_")
        features = _finite("X", _matrix(X))
        if features.shape[1] != self.n_features_in_:
            raise ValueError(f"X has {features.shape[1]} features, but fit saw {self.n_features_in_}")
        if self.constant_:
            return np.full(len(features), self.y_mean_), np.full(len(features), self.y_scale_)
        steps = [features[i : i + PREDICTION_ROWS] for i in range(0, len(features), PREDICTION_ROWS)]
        with one_thread():
            means, stds = zip(*(self._predict(self._scaled(step)) for step in steps), strict=True)
        return self.y_mean_ + self.y_scale_ * np.concatenate(means), self.y_scale_ * np.concatenate(stds)

    def _fit(self, X: Floats, z: Floats) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _fit")

    def _predict(self, X: Floats) -> Estimate:
        raise NotImplementedError(f"{type(self).__name__} must define _predict")

    def out_of_fold(self, X: Floats, y: Floats, fold: NDArray[np.int64]) -> Estimate:
        """Estimates for each row by a clone that was fitted on the other folds only; leaves `self` unfitted.

        `fold` [n] holds the number of each row's fold, see `predictors.folds`.
        """
        mean, std = np.empty(len(y)), np.empty(len(y))
        for k in np.unique(fold):
            held_out = fold == k
            mean[held_out], std[held_out] = clone(self).fit(X[~held_out], y[~held_out]).predict(X[held_out])
        return mean, std

    def _scaled(self, features: Floats) -> Floats:
        columns = self._columns
        scaled: Floats = (features[:, columns] - self._low[columns]) / self._range[columns]
        return scaled


def _matrix(X: ArrayLike) -> Floats:
    features = np.asarray(X, dtype=np.float64)
    if features.ndim != 2 or 0 in features.shape:
        raise ValueError(f"X must be a matrix [n, features] of at least one row and column, got {features.shape}")
    return features


def _targets(y: ArrayLike, n_rows: int) -> Floats:
    targets = np.asarray(y, dtype=np.float64)
    if targets.shape != (n_rows,):
        raise ValueError(f"y must have shape ({n_rows},), one target per row of X, got {targets.shape}")
    return _finite("y", targets)


def _finite(name: str, values: Floats) -> Floats:
    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():
        rows = np.flatnonzero(bad)
        raise ValueError(f"{name} is NaN or infinite in {len(rows)} row(s), first in row {rows[0]}: leave them out")
    return values


def _deviation(targets: Floats) -> float:
    """Standard deviation, for targets of any magnitude; 0 for targets that are equal up to rounding."""
    magnitude = float(np.abs(targets).max())
    if np.ptp(targets) <= 1e-13 * magnitude:
        return 0.0
    return magnitude * float((targets / magnitude).std())
