"""The history of a search, an immutable value that tactics read: what was evaluated, and what is pending."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.objective import Constraint, Objective
from search.pareto import default_reference, hypervolume, non_dominated
from search.prior import Prior
from search.problem import Problem, Values
from search.rows import row_keys
from supernet.space import Genes, SearchSpace

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class History:
    """Evaluated architectures in order of proposal, and pending ones. Start from `History.empty`.

    Args:
        problem: space, objectives and constraints.
        genes: canonical genes of the evaluated architectures, shape (n, n_genes).
        values: their objectives, shape (n, n_objectives), NaN where a measurement failed.
        batches: number of the batch in which each was proposed, shape (n,); -1 for those of a warm start.
        pending: canonical genes that are proposed but not yet measured, shape (n_pending, n_genes).
        pending_batches: numbers of their batches, shape (n_pending,).
        priors: by expensive objective, measurements from elsewhere; see `search.prior`.
    """

    problem: Problem
    genes: Genes
    values: Values
    batches: Numbers
    pending: Genes
    pending_batches: Numbers
    priors: Mapping[str, tuple[Prior, ...]] = field(default_factory=dict)

    @classmethod
    def empty(cls, problem: Problem) -> "History":
        """A history without any architecture."""
        genes, batches = np.zeros((0, problem.space.n_genes), dtype=np.int64), np.zeros(0, dtype=np.int64)
        return cls(problem, genes, np.zeros((0, len(problem.objectives))), batches, genes, batches)

    @property
    def space(self) -> SearchSpace:
        """The search space of the problem."""
        return self.problem.space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The objectives of the problem: the columns of `values`."""
        return self.problem.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraints of the problem."""
        return self.problem.constraints

    def __repr__(self) -> str:
        names = ", ".join(self.problem.names)
        return f"History({len(self)} architectures, {len(self.pending)} pending, of {names})"

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def n_known_before(self) -> int:
        """Number of architectures that a warm start brought along, beside the budget."""
        return int(np.count_nonzero(self.batches < 0))

    # --- masks ---

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """Which architectures have a value for every objective (of at least one device), shape (n,)."""
        if self.problem.devices:
            return np.asarray(np.any([view.measured for view in self.views], axis=0))
        return np.asarray(~np.isnan(self.values).any(axis=1))

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Which are measured and meet every constraint (of at least one device), shape (n,)."""
        if self.problem.devices:
            return np.asarray(np.any([view.feasible for view in self.views], axis=0))
        return np.asarray(self.measured & (self.problem.violation(self.values) == 0))

    @cached_property
    def pareto(self) -> NDArray[np.bool_]:
        """Which are feasible, and dominated by no feasible one (for at least one device), shape (n,)."""
        if self.problem.devices:
            return np.asarray(np.any([view.pareto for view in self.views], axis=0))
        return non_dominated(np.where(self.feasible[:, None], self.values, np.nan), self.problem.goals)

    @cached_property
    def keys(self) -> frozenset[bytes]:
        """Genes of all architectures, pending ones included, each as bytes."""
        return frozenset(row_keys(self.genes) + row_keys(self.pending))

    def seen(self, genes: Genes) -> NDArray[np.bool_]:
        """Which canonical genes are evaluated or pending, shape (len(genes),)."""
        return np.array([key in self.keys for key in row_keys(genes)], dtype=bool)

    # --- derived histories ---

    def extended(self, genes: Genes, values: Values, batch: int) -> "History":
        """This history with evaluated architectures appended.

        Args:
            genes: canonical, shape (n_new, n_genes).
            values: shape (n_new, n_objectives).
            batch: number of their batch.
        """
        return replace(
            self,
            genes=np.concatenate([self.genes, genes]),
            values=np.concatenate([self.values, values]),
            batches=np.concatenate([self.batches, np.full(len(genes), batch, dtype=np.int64)]),
        )

    def awaiting(self, genes: Genes, batch: int | None = None) -> "History":
        """This history with further pending genes, canonical, of shape (n_new, n_genes); `batch` None: a new batch."""
        number = max([-1, *self.batches, *self.pending_batches]) + 1 if batch is None else batch
        return replace(
            self,
            pending=np.concatenate([self.pending, genes]),
            pending_batches=np.concatenate([self.pending_batches, np.full(len(genes), number, dtype=np.int64)]),
        )

    def view(self, device: str) -> "History":
        """The history of one device: all architectures, with the objectives of its view.

        Raises SearchError naming the devices there are.
        """
        view = self.problem.view(device)
        names = [(view.problem.names[i], self.problem.names[column]) for i, column in enumerate(view.columns)]
        priors = {name: self.priors[whole] for name, whole in names if whole in self.priors}
        return replace(self, problem=view.problem, values=self.values[:, view.columns], priors=priors)

    @cached_property
    def views(self) -> "tuple[History, ...]":
        """The history of each device; this history alone if objectives name no device."""
        return tuple(self.view(device) for device in self.problem.devices) or (self,)

    # --- hypervolume ---

    @cached_property
    def reference(self) -> NDArray[np.float64] | None:
        """Reference point of the hypervolume, shape (n_objectives,); None until the whole first batch is evaluated.

        The `default_reference` of the first batch; if all of it failed, of everything evaluated.
        """
        first = min([0, *self.batches, *self.pending_batches])
        if (self.pending_batches == first).any():
            return None
        reference = default_reference(self.values[self.batches == first], self.problem.goals)
        return default_reference(self.values, self.problem.goals) if reference is None else reference

    @cached_property
    def hypervolume(self) -> float:
        """Hypervolume of the front with respect to `reference`, summed over devices; 0 without a reference."""
        if self.problem.devices:
            return sum(view.hypervolume for view in self.views)
        if self.reference is None:
            return 0.0
        return hypervolume(self.values[self.pareto], self.reference, self.problem.goals)
