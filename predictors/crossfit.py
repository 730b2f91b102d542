"""Standard deviations by cross-fitting, for models without an uncertainty estimate of their own."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.arrays import Estimate, Floats
from predictors.base import Predictor
from predictors.folds import assign_folds
from predictors.preparation import Preparation


class CrossFit(Predictor):
    """Base of predictors around a model that has no uncertainty estimate.

    The mean is that of a model of all rows. The variance is the mean squared out-of-fold residual (noise and typical
    error of the model) plus the variance between the models of the folds at the row to predict.
    A subclass defines `_model`, and `_tuned` if its model has settings to choose.

    Fitted attributes: `model_`, `members_` (one model per fold), `residual_` (root mean square) and `settings_`.
    """

    n_folds: int
    random_state: int

    def _model(self, X: Floats, z: Floats, settings: dict[str, float]) -> Any:
        """A fitted model: an object whose `predict` maps rows to means."""
        raise NotImplementedError(f"{type(self).__name__} must define _model")

    def _tuned(self, X: Floats, z: Floats) -> dict[str, float]:
        return {}

    def _fit(self, X: Floats, z: Floats) -> None:
        if self.n_folds < 2:
            raise ValueError(f"n_folds must be at least 2, got {self.n_folds}")
        self._fit_members(X, z, assign_folds(X, self.n_folds, self.random_state))

    def _predict(self, X: Floats) -> Estimate:
        spread = np.std([member.predict(X) for member in self.members_], axis=0)
        return self.model_.predict(X), np.hypot(self.residual_, spread)

    def fit_out_of_fold(self, X: Floats, z: Floats, fold: NDArray[np.int64]) -> Estimate:
        """As in `Predictor`, but settings are tuned once, on all rows, and all rows have the same standard deviation.

        To tune a handful of settings on all rows biases the estimates little, and saves a nested cross-validation.
        """
        self.n_features_in_, self.preparation_ = X.shape[1], Preparation.none(X, z)
        return self._fit_members(X, z, fold), np.full(len(z), self.residual_)

    def _fit_members(self, X: Floats, z: Floats, fold: NDArray[np.int64]) -> Floats:
        """Fits a model to all rows and one to all but each fold; returns the out-of-fold predictions [n]."""
        self.settings_ = self._tuned(X, z)
        self.members_, predicted = self._cross_fitted(X, z, fold, self.settings_)
        self.residual_ = float(np.sqrt(np.mean((z - predicted) ** 2)))
        self.model_ = self._model(X, z, self.settings_)
        return predicted

    def _cross_fitted(
        self, X: Floats, z: Floats, fold: NDArray[np.int64], settings: dict[str, float]
    ) -> tuple[list[Any], Floats]:
        """One model per fold, fitted on the others, and their out-of-fold predictions [n]."""
        models, predicted = [], np.empty(len(z))
        for k in np.unique(fold):
            held_out = fold == k
            models.append(self._model(X[~held_out], z[~held_out], settings))
            predicted[held_out] = models[-1].predict(X[held_out])
        return models, predicted
