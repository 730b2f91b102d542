"""What a search knows: an immutable value that tactics read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.objective import Constraint, Objective
from search.pareto import default_reference, hypervolume, non_dominated
from search.prior import Prior
from search.problem import Problem, Values
from supernet.space import Genes, SearchSpace

Numbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class History:
    """Evaluated architectures in order, and those under measurement. Begin with `History.empty`.

    Args:
        problem: space, objectives and constraints.
        genes: canonical, shape (n, n_genes).
        values: shape (n, n_objectives), NaN where a measurement failed.
        batches: number of the batch that each was proposed in, shape (n,); -1 for what was known before the search.
        pending: genes of what was proposed and is not known yet, shape (n_pending, n_genes): not to be proposed again.
        pending_batches: numbers of their batches, shape (n_pending,).
        priors: what was measured elsewhere, by expensive objective; see `search.prior`.
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
        """Before anything is known."""
        genes, batches = np.zeros((0, problem.space.n_genes), dtype=np.int64), np.zeros(0, dtype=np.int64)
        return cls(problem, genes, np.zeros((0, len(problem.objectives))), batches, genes, batches)

    @property
    def space(self) -> SearchSpace:
        """Of the problem."""
        return self.problem.space

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Of the problem: columns of `values`."""
        return self.problem.objectives

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """Of the problem."""
        return self.problem.constraints

    def __repr__(self) -> str:
        names = ", ".join(self.problem.names)
        return f"History({len(self)} architectures, {len(self.pending)} pending, of {names})"

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def n_known_before(self) -> int:
        """How many were known before the search, and cost it nothing."""
        return int(np.count_nonzero(self.batches < 0))

    # --- which ---

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """Which have a value for every objective, shape (n,)."""
        return np.asarray(~np.isnan(self.values).any(axis=1))

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Which are measured and meet every constraint (of one device at least), shape (n,)."""
        return np.asarray(self.measured & (self.problem.violation(self.values) == 0))

    @cached_property
    def pareto(self) -> NDArray[np.bool_]:
        """Which are feasible and dominated by no feasible one, for one device at least; shape (n,)."""
        if self.problem.devices:
            return np.asarray(np.any([view.pareto for view in self.views], axis=0))
        return non_dominated(np.where(self.feasible[:, None], self.values, np.nan), self.problem.goals)

    @cached_property
    def keys(self) -> frozenset[bytes]:
        """Genes of each, pending ones included, as bytes."""
        return frozenset(row.tobytes() for genes in (self.genes, self.pending) for row in genes)

    def seen(self, genes: Genes) -> NDArray[np.bool_]:
        """Which of some canonical genes are evaluated or pending, shape (len(genes),)."""
        return np.array([row.tobytes() in self.keys for row in genes.astype(np.int64)], dtype=bool)

    # --- other histories ---

    def extended(self, genes: Genes, values: Values, batch: int) -> "History":
        """A history with these rows appended."""
        return replace(
            self,
            genes=np.concatenate([self.genes, genes]),
            values=np.concatenate([self.values, values]),
            batches=np.concatenate([self.batches, np.full(len(genes), batch, dtype=np.int64)]),
        )

    def awaiting(self, genes: Genes, batch: int | None = None) -> "History":
        """A history with these pending too; by default in a batch of their own."""
        number = max([-1, *self.batches, *self.pending_batches]) + 1 if batch is None else batch
        return replace(
            self,
            pending=np.concatenate([self.pending, genes]),
            pending_batches=np.concatenate([self.pending_batches, np.full(len(genes), number, dtype=np.int64)]),
        )

    def believing(self, predict: Callable[[Genes], Values]) -> "History":
        """A history in which what is pending has been measured to be what is predicted: genes -> values."""
        if not len(self.pending):
            return self
        batches = np.concatenate([self.batches, self.pending_batches])
        believed = self.extended(self.pending, predict(self.pending), 0)
        return replace(believed, batches=batches, pending=self.pending[:0], pending_batches=self.pending_batches[:0])

    def view(self, device: str) -> "History":
        """The same architectures as one device sees them. Raises SearchError naming the devices there are."""
        view = self.problem.view(device)
        names = [(view.problem.names[i], self.problem.names[column]) for i, column in enumerate(view.columns)]
        priors = {name: self.priors[whole] for name, whole in names if whole in self.priors}
        return replace(self, problem=view.problem, values=self.values[:, view.columns], priors=priors)

    @cached_property
    def views(self) -> "tuple[History, ...]":
        """As each device sees the search; where there are none, this history alone."""
        return tuple(self.view(device) for device in self.problem.devices) or (self,)

    # --- hypervolume ---

    @cached_property
    def reference(self) -> NDArray[np.float64] | None:
        """Reference point of the hypervolume, once the whole first batch is known; shape (n_objectives,).

        It is the `default_reference` of the first batch; of everything known where all of that failed.
        """
        first = min([0, *self.batches, *self.pending_batches])
        if (self.pending_batches == first).any():
            return None
        reference = default_reference(self.values[self.batches == first], self.problem.goals)
        return default_reference(self.values, self.problem.goals) if reference is None else reference

    @cached_property
    def hypervolume(self) -> float:
        """Hypervolume of the front from `reference`, 0 while there is none; summed over devices."""
        if self.problem.devices:
            return sum(view.hypervolume for view in self.views)
        if self.reference is None:
            return 0.0
        return hypervolume(self.values[self.pareto], self.reference, self.problem.goals)
