"""The protocol of tactics, and what they share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from search.errors import SearchError
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
        return _proposal(tactic, history, n, rng)
    first = len(history) + len(history.pending)
    turns = [views[(first + turn) % len(views)] for turn in range(len(views))]
    shares = [(n + len(views) - 1 - turn) // len(views) for turn in range(len(views))]
    proposals: list[Proposal] = []
    for view, share in zip(turns * 2, [*shares, *[n] * len(views)], strict=True):  # what some lack, the others take on
        share = min(share, n - sum(len(proposal.genes) for proposal in proposals))
        if share > 0:
            proposal = _proposal(tactic, history.view(view.device), share, rng)
            proposals.append(_widened(proposal, view, history.problem))
            history = history.awaiting(proposal.genes)
    return Proposal(
        np.concatenate([proposal.genes for proposal in proposals]),
        np.concatenate([proposal.predicted for proposal in proposals if proposal.predicted is not None]),
    )


def _proposal(tactic: Tactic, history: History, n: int, rng: np.random.Generator) -> Proposal:
    """What a tactic proposes, its genes canonical. Raises SearchError, which names the tactic, for anything else."""
    space, proposed = history.space, tactic.propose(history, n, rng)
    name = f"{type(tactic).__name__}.propose"
    predicted = proposed.predicted if isinstance(proposed, Proposal) else None
    genes = proposed.genes if isinstance(proposed, Proposal) else proposed
    try:
        genes = space.canonical(genes if isinstance(genes, np.ndarray) else space.encode(list(genes)))
    except (TypeError, ValueError) as error:
        raise SearchError(
            f"{name} must return architectures, or genes of shape (n, {space.n_genes}): {error}"
        ) from error
    shape = (len(genes), len(history.objectives))
    if predicted is not None and np.shape(predicted) != shape:
        raise SearchError(f"{name} must predict values of shape {shape}, or None, got shape {np.shape(predicted)}")
    return Proposal(genes, None if predicted is None else np.asarray(predicted, dtype=np.float64))


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
    """Class decorator that makes a tactic known to `create` as `name`.

    Raises SearchError if another class already has the name.
    """

    def add(tactic: _Class) -> _Class:
        if not tactic.__module__.startswith("search.tactics."):
            from search.tactics import available

            available()  # before a name of ours is taken
        known: Any = registered.get(name)
        if known is not None and known.__qualname__ != tactic.__qualname__:
            raise SearchError(f"{name!r} is already {known.__module__}.{known.__qualname__}: choose another name")
        registered[name] = tactic
        return tactic

    return add
