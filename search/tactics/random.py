"""Random search: the baseline that every tactic has to beat."""

from dataclasses import dataclass

import numpy as np

from search.history import History
from search.sampling import draw
from search.tactics.base import LARGEST_BATCH, Proposal, register


@register("random")
@dataclass(frozen=True)
class Random:
    """Uniform over the distinct, unseen architectures that meet the cheap constraints."""

    def batch_size(self, budget: int) -> int:
        """At most 50."""
        return min(LARGEST_BATCH, budget)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        return Proposal(draw(history, n, rng))
