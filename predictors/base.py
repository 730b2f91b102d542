"""What every predictor shares: input checks, scaling, and the data from which nothing can be learnt."""

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
    """A scikit-learn estimator whose `predict` gives mean and standard deviation.

    A subclass writes `_fit` and `_predict`, which see prepared data: columns scaled to 0..1, one-hots as steps, warped
    targets of mean 0 and standard deviation 1 (see `Preparation`). They are not called when all targets or all feature
    rows are equal: then the predictor answers with mean and standard deviation of the targets (0 for a single row: it
    says nothing about spread).

    Fitted: `preparation_`, `n_features_in_`.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from features [n, features] and targets [n], n >= 1.

        Raises ValueError for wrong shapes and, with the row, for NaN or infinity.
        """
        features = _finite("X", _matrix(X))
        targets = _targets(y, len(features))
        with one_thread():
            return self._fitted(Preparation.of(features, targets), features, targets)

    def fit_prepared(self, X: Floats, z: Floats) -> Self:
        """Learn from data that another predictor has prepared; predictions are of prepared targets as well."""
        return self._fitted(Preparation.none(X, z), X, z)

    def predict(self, X: ArrayLike) -> Estimate:
        """Mean [n] and standard deviation [n] of a new measurement, in the unit of the targets.

        The mean is the median where the targets are warped. Raises NotFittedError before `fit`, ValueError for another
        number of features than in `fit`, NaN or infinity.
        """
        prepared, steps = self._steps(X)
        if prepared.is_constant:
            n = sum(map(len, steps))
            return np.full(n, prepared.mean), np.full(n, prepared.scale)
        with one_thread():
            means, stds = zip(*(self._predict(prepared.columns(step)) for step in steps), strict=True)
        return prepared.estimate(np.concatenate(means), np.concatenate(stds))

    def predict_mean(self, X: ArrayLike) -> Floats:
        """The mean alone, as in `predict`; for some predictors much cheaper."""
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
        """Learn from prepared data that vary; estimates each row by predictors fitted on the other folds only.

        `fold` [n] holds the number of each row's fold, see `predictors.folds`.
        """
        self.fit_prepared(X, z)
        mean, std = np.empty(len(z)), np.empty(len(z))
        for k in np.unique(fold):
            held_out = fold == k
            member = self._member().fit_prepared(X[~held_out], z[~held_out])
            mean[held_out], std[held_out] = member.predict(X[held_out])
        return mean, std

    def _member(self) -> "Predictor":
        """An unfitted predictor to learn from some of the rows that this one has learnt from."""
        return clone(self)  # type: ignore[no-any-return]

    def _mean(self, X: Floats) -> Floats:
        return self._predict(X)[0]

    def _steps(self, X: ArrayLike) -> tuple[Preparation, list[Floats]]:
        """The preparation, and features to predict for in parts of bounded size."""
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
