"""Random search: the baseline that every tactic has to beat."""

from dataclasses import dataclass

import numpy as np

from search.history import History
from search.sampling import draw_by_gene
from search.tactics.base import LARGEST_BATCH, Proposal, register


@register("random")
@dataclass(frozen=True)
class Random:
    """Draws gene by gene: unseen architectures that meet the cheap constraints; see `search.sampling.draw_by_gene`."""

    def batch_size(self, budget: int) -> int:
        """At most 50."""
        return min(LARGEST_BATCH, budget)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        return Proposal(draw_by_gene(history, n, rng))
