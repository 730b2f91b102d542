"""LINAS: evolution on predictions alternates with measuring its best candidates (arXiv:2205.12116, 2202.12954)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from search.errors import SearchError, require_count
from search.evolution import fittest
from search.history import History
from search.sampling import draw
from search.survival import require_algorithm
from search.tactics.base import FEWEST_TO_LEARN, Proposal, register
from search.tactics.fitting import fitted, new_predictor, opening, reranked, unseen_candidates


@register("linas")
@dataclass(frozen=True)
class Linas:
    """A random first batch; every other batch holds the best new candidates of an evolution on predicted objectives.

    One predictor per expensive objective is fitted for each batch, to the architectures where that objective is known.
    Cheap objectives, and constraints on them, are exact in the evolution. Cheap descriptors are among the predictors'
    features where they help; expensive ones, where they help, are used to choose among the best candidates.

    Args:
        predictor: a name for `predictors.create`, a predictor that is copied before each fit, or a function that
            makes one.
        population: of the evolution, at least 2.
        generations: of the evolution, at least 1.
        algorithm: of the evolution: "auto" (by the number of objectives), "ga", "nsga2", "nsga3", "unsga3", "agemoea".
        confidence: probability in (0, 1) with which a predicted objective must meet a constraint; 0.5: by its mean.

    Raises SearchError naming the setting that is wrong.
    """

    predictor: Any = "auto"
    population: int = 100
    generations: int = 40
    algorithm: str = "auto"
    confidence: float = 0.5

    def __post_init__(self) -> None:
        require_count("population", self.population, 2)
        require_count("generations", self.generations, 1)
        if not 0 < self.confidence < 1:
            raise SearchError(f"confidence must be a probability between 0 and 1, got {self.confidence}")
        require_algorithm(self.algorithm)
        new_predictor(self.predictor)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        if history.measured.sum() < FEWEST_TO_LEARN:
            return Proposal(opening(history, n, rng))
        predict = fitted(history, self.predictor)
        candidates = unseen_candidates(
            history,
            predict,
            rng,
            self.population,
            self.generations,
            algorithm=self.algorithm,
            confidence=self.confidence,
        )
        if len(history.problem.descriptors) > history.problem.descriptors.n_cheap:
            better = reranked(history, candidates, self.predictor, n, rng, self.algorithm, self.confidence)
            predict, candidates = better or (predict, candidates)
        chosen = candidates[fittest(candidates, n, rng, self.algorithm)].genes
        if len(chosen) < n:
            rest = draw(history.awaiting(chosen), n - len(chosen), rng)
            chosen = np.concatenate([chosen, rest])
        return Proposal(chosen, predict.predicted(chosen))
