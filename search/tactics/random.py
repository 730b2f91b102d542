"""Random search, the baseline for all other tactics."""

from dataclasses import dataclass

import numpy as np

from search.history import History
from search.sampling import draw_by_gene
from search.tactics.base import LARGEST_BATCH, Proposal, register


@register("random")
@dataclass(frozen=True)
class Random:
    """Draws new architectures that meet the constraints on cheap objectives, gene by gene.

    See `search.sampling.draw_by_gene`.
    """

    def batch_size(self, budget: int) -> int:
        """The budget, but at most 50."""
        return min(LARGEST_BATCH, budget)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        return Proposal(draw_by_gene(history, n, rng))
