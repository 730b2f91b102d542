"""The base class of all predictors: input checks, preparation of the data, constant targets or features."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from predictors.arrays import Estimate, Floats
from predictors.preparation import Preparation
from predictors.threads import one_thread

PREDICTION_ROWS = 8192  # per step, to bound the memory of kernel matrices


class Predictor(BaseEstimator):
    """A scikit-learn estimator whose `predict` returns mean and standard deviation.

    A subclass defines `_fit` and `_predict`, which get prepared data: columns scaled to 0..1, one-hots turned into
    steps, warped targets of mean 0 and standard deviation 1 (see `Preparation`). They are not called if all targets, or
    all rows of features, are equal: predictions are then mean and standard deviation of the targets (0 for one row).

    Fitted attributes: `preparation_`, `n_features_in_`.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learns from features X [n, features] and targets y [n], n >= 1.

        Raises ValueError for other shapes, and for NaN or infinity, naming the row.
        """
        features = _finite("X", _matrix(X))
        targets = _targets(y, len(features))
        with one_thread():
            return self._fitted(Preparation.of(features, targets), features, targets)

    def fit_prepared(self, X: Floats, z: Floats) -> Self:
        """Learns from features X [n, columns] and targets z [n] as another predictor's preparation left them.

        Predictions are then of prepared targets, too.
        """
        return self._fitted(Preparation.none(X, z), X, z)

    def predict(self, X: ArrayLike) -> Estimate:
        """Mean [n] and standard deviation [n] (noise included) of measurements for features X [n, features], n >= 1.

        In the unit of the targets; where these are warped, the mean is the median. Raises NotFittedError before `fit`,
        ValueError for another number of features than in `fit`, NaN or infinity.
        """
        prepared, steps = self._steps(X)
        if prepared.is_constant:
            n = sum(map(len, steps))
            return np.full(n, prepared.mean), np.full(n, prepared.scale)
        with one_thread():
            means, stds = zip(*(self._predict(prepared.columns(step)) for step in steps), strict=True)
        return prepared.estimate(np.concatenate(means), np.concatenate(stds))

    def predict_mean(self, X: ArrayLike) -> Floats:
        """The mean [n] of `predict`; some predictors compute it much faster alone."""
        prepared, steps = self._steps(X)
        if prepared.is_constant:
            return np.full(sum(map(len, steps)), prepared.mean)
        with one_thread():
            means = np.concatenate([self._mean(prepared.columns(step)) for step in steps])
        return prepared.estimate(means, np.zeros(len(means)))[0]

    def _fit(self, X: Floats, z: Floats) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _fit")

    def _predict(self, X: Floats) -> Estimate:
        raise NotImplementedError(f"{type(self).__name__} must define _predict")

    def fit_out_of_fold(self, X: Floats, z: Floats, fold: NDArray[np.int64]) -> Estimate:
        """Learns from prepared data, and returns out-of-fold mean [n] and standard deviation [n] of the same rows.

        Args:
            X: prepared features [n, columns], not all rows equal.
            z: prepared targets [n], not all equal.
            fold: number of the fold [n] of each row, see `predictors.folds`; a row is estimated by a predictor that is
                fitted to the other folds.
        """
        self.fit_prepared(X, z)
        mean, std = np.empty(len(z)), np.empty(len(z))
        for k in np.unique(fold):
            held_out = fold == k
            member = self._member().fit_prepared(X[~held_out], z[~held_out])
            mean[held_out], std[held_out] = member.predict(X[held_out])
        return mean, std

    def _member(self) -> "Predictor":
        """An unfitted predictor with these settings, for a subset of the rows that this one has learnt from."""
        return clone(self)  # type: ignore[no-any-return]

    def _mean(self, X: Floats) -> Floats:
        return self._predict(X)[0]

    def _steps(self, X: ArrayLike) -> tuple[Preparation, list[Floats]]:
        """The preparation, and the features to predict in parts of bounded size."""
        check_is_fitted(self, "preparation_")
        features = _finite("X", _matrix(X))
        if features.shape[1] != self.n_features_in_:
            raise ValueError(f"X has {features.shape[1]} features, but fit saw {self.n_features_in_}")
        return self.preparation_, [features[i : i + PREDICTION_ROWS] for i in range(0, len(features), PREDICTION_ROWS)]

    def _fitted(self, preparation: Preparation, X: Floats, y: Floats) -> Self:
        self.n_features_in_ = X.shape[1]
        self.preparation_ = preparation
        if not preparation.is_constant:
            self._fit(preparation.columns(X), preparation.targets(y))
        return self


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
