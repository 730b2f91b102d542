"""LINAS: evolution on predictions alternates with measuring its best candidates (arXiv:2205.12116, 2202.12954)."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.errors import SearchError
from search.evolution import Pool, evolve, fittest, pool_of
from search.history import History
from search.problem import Values
from search.sampling import corners, draw
from search.tactics.base import FEWEST_TO_LEARN, Proposal, register
from supernet.space import Genes


class Predictor(Protocol):
    """Learns one objective from features; see `predictors`."""

    def fit(self, X: Any, y: Any) -> Any:
        """X: (n, n_features), y: (n,)."""
        ...

    def predict(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation, (n,) each."""
        ...


@register("linas")
@dataclass(frozen=True)
class Linas:
    """A uniform first batch; then each batch holds the best unseen candidates of NSGA-II on predictions.

    Cheap objectives and constraints on them are exact inside the evolution; constraints on expensive objectives are
    judged by the predicted mean. One predictor per expensive objective is fitted once per batch, on the architectures
    where that objective is known.

    Args:
        predictor: a name for `predictors.create`, a predictor that is copied before each fit, or a function that
            makes one.
        population: of the evolution on predictions.
        generations: of the evolution on predictions.
    """

    predictor: Any = "auto"
    population: int = 100
    generations: int = 40

    def __post_init__(self) -> None:
        if self.population < 2 or self.generations < 1:
            raise SearchError(
                f"population must be at least 2 and generations at least 1, got {self.population}, {self.generations}"
            )
        new_predictor(self.predictor)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        if history.measured.sum() < FEWEST_TO_LEARN:
            return Proposal(draw(history, n, rng))
        predict = self._fitted(history)
        chosen = self._best_unseen(history, predict, n, rng)
        if len(chosen) < n:
            missing = np.full((len(chosen), len(history.objectives)), np.nan)
            rest = draw(history.extended(chosen, missing, batch=0), n - len(chosen), rng)
            chosen = np.concatenate([chosen, rest])
        return Proposal(chosen, np.where(history.problem.expensive, predict(chosen), np.nan))

    def _fitted(self, history: History) -> Callable[[Genes], Values]:
        """A function from canonical genes to values: cheap ones exact, expensive ones predicted."""
        problem = history.problem
        features = problem.space.features(history.genes)
        models = {}
        for column in np.flatnonzero(problem.expensive):
            known = ~np.isnan(history.values[:, column])
            models[column] = new_predictor(self.predictor)
            models[column].fit(features[known], history.values[known, column])

        def predict(genes: Genes) -> Values:
            values = problem.cheap_values(genes)
            for column, model in models.items():
                values[:, column] = model.predict(problem.space.features(genes))[0] if len(genes) else np.nan
            return values

        return predict

    def _best_unseen(
        self, history: History, predict: Callable[[Genes], Values], n: int, rng: np.random.Generator
    ) -> Genes:
        problem, space = history.problem, history.space

        def judge(genes: Genes) -> Pool:
            values = predict(genes)
            return Pool(genes, problem.minimised(values), problem.violation(values))

        measured = pool_of(history)
        elite = measured[fittest(measured, self.population // 2, rng)].genes
        fresh = space.sample_genes(min(self.population, space.size), rng)
        start = np.concatenate([elite, corners(space), fresh])
        found = evolve(space, judge, start, population=self.population, generations=self.generations, rng=rng)
        unseen = found[~history.seen(found.genes)]
        admissible = unseen[problem.admissible(unseen.genes)]
        return admissible[fittest(admissible, n, rng)].genes


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
