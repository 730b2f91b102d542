"""The protocol of tactics, and what they share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from search.history import History
from search.problem import Values
from supernet.space import Genes

LARGEST_BATCH = 50
FEWEST_TO_LEARN = 4
"""Architectures below which neither evolution nor a predictor has anything to go by."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Canonical genes (n, n_genes), and the values predicted for them (n, n_objectives), NaN where none were."""

    genes: Genes
    predicted: Values | None = None


@runtime_checkable
class Tactic(Protocol):
    """Decides what to measure next; a frozen dataclass, whose fields are its settings."""

    def propose(
        self, history: History, n: int, rng: np.random.Generator
    ) -> Proposal | Genes | Sequence[Mapping[str, Any]]:
        """Up to `n` architectures, or their genes, depending on nothing but the arguments and the settings.

        The driver drops what was seen before and what violates a cheap constraint; nothing left ends the search.
        """
        ...


def default_batch_size(budget: int) -> int:
    """A fifth of the budget, at least 4 and at most 50 (the published population)."""
    return max(FEWEST_TO_LEARN, min(LARGEST_BATCH, budget // 5))


registered: dict[str, Callable[..., Tactic]] = {}
_Class = TypeVar("_Class", bound=type)


def register(name: str) -> Callable[[_Class], _Class]:
    """Class decorator that makes a tactic known to `create` by name."""

    def add(tactic: _Class) -> _Class:
        registered[name] = tactic
        return tactic

    return add
