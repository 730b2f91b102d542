"""NSGA-II on measurements alone, without predictors (Deb et al., 2002)."""

from dataclasses import dataclass

import numpy as np

from search.errors import SearchError
from search.evolution import fittest, offspring, pool_of
from search.history import History
from search.sampling import draw
from search.tactics.base import FEWEST_TO_LEARN, LARGEST_BATCH, Proposal, register


@register("nsga2")
@dataclass(frozen=True)
class Nsga2:
    """(mu + lambda) as a function of the history: the mu fittest of everything measured become parents.

    Args:
        population: mu; None: half of what has been measured, between 10 and 50.
    """

    population: int | None = None

    def __post_init__(self) -> None:
        if self.population is not None and self.population < 2:
            raise SearchError(f"population must be at least 2, got {self.population}")

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        if history.measured.sum() < FEWEST_TO_LEARN:
            return Proposal(draw(history, n, rng))
        pool = pool_of(history)
        mu = self.population or min(LARGEST_BATCH, max(10, len(pool) // 2))
        parents = pool[fittest(pool, mu, rng)]
        children = offspring(history.space, parents, n, set(history.keys), rng, accept=history.problem.admissible)
        if len(children) == n:
            return Proposal(children)
        missing = np.full((len(children), len(history.objectives)), np.nan)
        rest = draw(history.extended(children, missing, batch=0), n - len(children), rng)
        return Proposal(np.concatenate([children, rest]))
