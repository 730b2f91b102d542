"""Evolution on measurements, without predictors: NSGA-II (Deb et al., 2002) and related algorithms."""

from dataclasses import dataclass

import numpy as np

from search.errors import require_count
from search.evolution import fittest, offspring, pool_of
from search.history import History
from search.sampling import draw
from search.survival import require_algorithm
from search.tactics.base import FEWEST_TO_LEARN, LARGEST_BATCH, Proposal, register
from search.tactics.fitting import opening


@register("nsga2")
@dataclass(frozen=True)
class Nsga2:
    """(mu + lambda) evolution: the mu fittest of everything measured are the parents of the next batch.

    Args:
        population: mu, at least 2; None: half of what has been measured, between 10 and 50.
        algorithm: decides who is fittest: "auto" is a genetic algorithm for one objective, NSGA-II for two and
            U-NSGA-III for more; or "ga", "nsga2", "nsga3", "unsga3", "agemoea".

    Raises SearchError naming the setting that is wrong.
    """

    population: int | None = None
    algorithm: str = "auto"

    def __post_init__(self) -> None:
        if self.population is not None:
            require_count("population", self.population, 2)
        require_algorithm(self.algorithm)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        if history.measured.sum() < FEWEST_TO_LEARN:
            return Proposal(opening(history, n, rng))
        pool = pool_of(history)
        mu = self.population or min(LARGEST_BATCH, max(10, len(pool) // 2))
        parents = pool[fittest(pool, mu, rng, self.algorithm)]
        accept = history.problem.admissible
        children = offspring(history.space, parents, n, history.keys, rng, accept, self.algorithm)
        if len(children) == n:
            return Proposal(children)
        rest = draw(history.awaiting(children), n - len(children), rng)
        return Proposal(np.concatenate([children, rest]))
