"""Other tools' ways to predict accuracies, rebuilt from scikit-learn for comparison. They give no uncertainty."""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.svm import SVR

Floats = NDArray[np.float64]


class Searched:
    """The best of some estimators with grids of settings, by five-fold cross-validation of standardised targets."""

    def __init__(self, *searched: tuple[Any, dict[str, list[float]]], scoring: str) -> None:
        self.searches = [GridSearchCV(model, grid, scoring=scoring) for model, grid in searched]

    def fit(self, X: Floats, y: Floats) -> Self:
        """Tunes and learns."""
        for search in self.searches:
            search.fit(X, y / 10.0)
        self.best = max(self.searches, key=lambda search: float(search.best_score_))
        return self

    def predict(self, X: Floats) -> tuple[Floats, Floats]:
        """Means, and deviations that are not known."""
        mean = 10.0 * self.best.predict(X)
        return mean, np.full(len(mean), np.nan)


class Perceptrons:
    """The mean of three multi-layer perceptrons of two hidden layers of 64, as predictor-based searches use them."""

    def fit(self, X: Floats, y: Floats) -> Self:
        """Learns standardised targets by L-BFGS, with a little weight decay."""
        self.mean, self.scale = float(y.mean()), float(y.std()) or 1.0
        self.models = [
            MLPRegressor(hidden_layer_sizes=(64, 64), solver="lbfgs", alpha=1.0, max_iter=200, random_state=seed)
            for seed in range(3)
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for model in self.models:
                model.fit(X, (y - self.mean) / self.scale)
        return self

    def predict(self, X: Floats) -> tuple[Floats, Floats]:
        """Means, and deviations that are not known."""
        mean = self.mean + self.scale * np.mean([model.predict(X) for model in self.models], axis=0)
        return mean, np.full(len(mean), np.nan)


def dynast() -> Searched:
    """As DyNAS-T 1.6 predicts (ridge or support vectors, by cross-validated MAPE), on a coarser grid of settings."""
    costs = [1.0, 3.0, 10.0, 30.0, 100.0]
    return Searched(
        (Ridge(), {"alpha": [0.1, 0.3, 1.0, 3.0, 10.0]}),
        (SVR(gamma="auto", epsilon=0.0), {"C": costs}),
        scoring="neg_mean_absolute_percentage_error",
    )


def support_vectors() -> Searched:
    """RBF support vectors, penalty and width by cross-validation."""
    grid = {"C": [1.0, 10.0, 100.0], "gamma": [0.003, 0.01, 0.03]}
    return Searched((SVR(epsilon=0.002), grid), scoring="neg_mean_squared_error")
