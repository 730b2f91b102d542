"""What tactics that predict share: one predictor per expensive objective, fitted to a history."""

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.errors import SearchError
from search.history import History
from search.problem import Problem, Values
from supernet.space import Genes


class Predictor(Protocol):
    """Learns one objective from features; see `predictors`."""

    def fit(self, X: Any, y: Any) -> Any:
        """X: (n, n_features), y: (n,)."""
        ...

    def predict(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation, (n,) each."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """Values of any architecture: exact where they are cheap, else predicted. Made by `fitted`.

    Args:
        problem: space and objectives.
        models: fitted predictors by column of the objective.
    """

    problem: Problem
    models: dict[int, Predictor]

    def __call__(self, genes: Genes) -> tuple[Values, Values]:
        """Values and their standard deviations, 0 where exact; both of shape (n, n_objectives)."""
        values = self.problem.cheap_values(genes)
        std = np.zeros_like(values)
        if self.models and len(genes):
            features = self.problem.space.features(genes)
            for column, model in self.models.items():
                values[:, column], std[:, column] = model.predict(features)
        return values, std

    def values(self, genes: Genes) -> Values:
        """As `__call__`, without the deviations."""
        return self(genes)[0]

    def predicted(self, genes: Genes) -> Values:
        """Predictions alone: NaN in the columns of cheap objectives, as `Proposal` wants them."""
        return np.where(self.problem.expensive, self.values(genes), np.nan)


def fitted(history: History, predictor: Any) -> Fitted:
    """Predictors of the expensive objectives, each fitted where its objective is known.

    Args:
        history: at least a few rows of each objective must be known.
        predictor: see `new_predictor`.
    """
    features = history.space.features(history.genes)
    models: dict[int, Predictor] = {}
    for column in np.flatnonzero(history.problem.expensive).tolist():
        known = ~np.isnan(history.values[:, column])
        models[column] = new_predictor(predictor)
        models[column].fit(features[known], history.values[known, column])
    return Fitted(history.problem, models)


def new_predictor(predictor: Any) -> Predictor:
    """An unfitted predictor from a name, a predictor or a function that makes one. Raises SearchError otherwise."""
    if isinstance(predictor, str):
        import predictors

        try:
            made: Predictor = predictors.create(predictor)
        except ValueError as error:
            raise SearchError(str(error)) from error
        return made
    if not isinstance(predictor, type) and hasattr(predictor, "fit") and hasattr(predictor, "predict"):
        return copy.deepcopy(predictor)  # type: ignore[no-any-return]
    if callable(predictor):
        return predictor()  # type: ignore[no-any-return]
    raise SearchError(f"predictor must be a name, a predictor or a function that makes one, got {predictor!r}")
