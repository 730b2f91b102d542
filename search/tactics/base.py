"""The protocol of tactics, how the driver asks them, and their registry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from search.errors import SearchError
from search.history import History
from search.problem import Problem, Values, View
from supernet.names import Registry
from supernet.space import Genes

LARGEST_BATCH = 50
FEWEST_TO_LEARN = 4
"""Number of measured architectures below which neither evolution nor a predictor is of use."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """Architectures to measure.

    Args:
        genes: shape (n, n_genes).
        predicted: objective values predicted for them, shape (n, n_objectives), NaN where there is no prediction; None:
            no predictions at all.
    """

    genes: Genes
    predicted: Values | None = None


@runtime_checkable
class Tactic(Protocol):
    """Decides what to measure next. Best a frozen dataclass: its fields are the settings that tell studies apart.

    An optional method `batch_size(budget)` gives the number of architectures per proposal. An optional attribute
    `sees_devices = True` says that it reads `Problem.views` of a search for several devices itself, see `ask`.
    """

    def propose(
        self, history: History, n: int, rng: np.random.Generator
    ) -> Proposal | Genes | Sequence[Mapping[str, Any]]:
        """Proposes up to `n` architectures, or their genes, as a function of its arguments and settings alone.

        The driver drops those that are evaluated or pending already, and those that violate a constraint on a cheap
        objective; if nothing is left, the search ends.

        Args:
            history: everything known so far.
            n: architectures asked for, at least 1; of more than these the first `n` that can be used are taken.
            rng: for all that is drawn.
        """
        ...


def ask(tactic: Tactic, history: History, n: int, rng: np.random.Generator) -> Proposal:
    """Asks a tactic for up to about `n` architectures, in a search for one device or several.

    With several devices, a tactic that has no attribute `sees_devices = True` is asked for a share of the architectures
    for each device in turn, with the history of that device, in which earlier shares are pending. Devices take turns at
    being first, as the first ones get the larger shares.

    Raises SearchError, naming the tactic, for proposals that are no architectures of the space.
    """
    views = history.problem.views
    if len(views) == 1 or getattr(tactic, "sees_devices", False):
        return _proposal(tactic, history, n, rng)
    first = len(history) + len(history.pending)
    turns = [views[(first + turn) % len(views)] for turn in range(len(views))]
    shares = [(n + len(views) - 1 - turn) // len(views) for turn in range(len(views))]
    proposals: list[Proposal] = []
    for view, share in zip(turns * 2, [*shares, *[n] * len(views)], strict=True):  # then fill what is lacking
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
    """A proposal for one device with predictions for all objectives of the problem, NaN for other devices'."""
    predicted = np.full((len(proposal.genes), len(problem.objectives)), np.nan)
    if proposal.predicted is not None:
        predicted[:, view.columns] = proposal.predicted
    return Proposal(proposal.genes, predicted)


def default_batch_size(budget: int) -> int:
    """A fifth of the budget, at least 4 and at most 50 (the published population)."""
    return max(FEWEST_TO_LEARN, min(LARGEST_BATCH, budget // 5))


registry: Registry[Callable[..., Tactic]] = Registry("tactic", package="search.tactics")
_Class = TypeVar("_Class", bound=type)


def register(name: str) -> Callable[[_Class], _Class]:
    """Class decorator that makes a tactic known to `create` as `name`.

    Raises ValueError if another class already has the name.
    """
    return registry.register(name)
