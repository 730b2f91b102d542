"""The protocol of tactics, and what they share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from search.history import History
from search.problem import Problem, Values, View
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


def asked(tactic: Tactic, history: History, n: int, rng: np.random.Generator) -> Proposal:
    """What a tactic proposes, as genes, for all devices of the problem.

    A tactic that looks at `Problem.views` itself says so with an attribute `sees_devices = True`. Any other is asked
    for one device after the other, each time as if that were all, with what it proposed before pending. Devices take
    turns at being first, which has the odd architectures.
    """
    views = history.problem.views
    if len(views) == 1 or getattr(tactic, "sees_devices", False):
        return _as_proposal(tactic.propose(history, n, rng), history)
    first = len(history) + len(history.pending)
    turns = [views[(first + turn) % len(views)] for turn in range(len(views))]
    shares = [(n + len(views) - 1 - turn) // len(views) for turn in range(len(views))]
    proposals: list[Proposal] = []
    for view, share in zip(turns * 2, [*shares, *[n] * len(views)], strict=True):  # what some lack, the others take on
        if share := min(share, n - sum(len(proposal.genes) for proposal in proposals)):
            seen = history.view(view.device)
            proposals.append(_widened(_as_proposal(tactic.propose(seen, share, rng), seen), view, history.problem))
            history = history.awaiting(history.space.canonical(proposals[-1].genes))
    return Proposal(
        np.concatenate([proposal.genes for proposal in proposals]),
        np.concatenate([proposal.predicted for proposal in proposals if proposal.predicted is not None]),
    )


def _as_proposal(given: Any, history: History) -> Proposal:
    if isinstance(given, Proposal):
        return given
    return Proposal(given if isinstance(given, np.ndarray) else history.space.encode(list(given)))


def _widened(proposal: Proposal, view: View, problem: Problem) -> Proposal:
    """With predictions for all objectives of the problem, NaN for other devices'."""
    predicted = np.full((len(proposal.genes), len(problem.objectives)), np.nan)
    if proposal.predicted is not None:
        predicted[:, view.columns] = proposal.predicted
    return Proposal(proposal.genes, predicted)


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
