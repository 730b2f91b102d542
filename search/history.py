"""What a search knows: an immutable value that tactics read."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search.objective import Constraint, Objective
from search.pareto import default_reference, hypervolume, non_dominated
from search.problem import Problem, Values
from supernet.space import Genes, SearchSpace


@dataclass(frozen=True, eq=False)
class History:
    """Evaluated architectures in order.

    Args:
        problem: space, objectives and constraints.
        genes: canonical, shape (n, n_genes).
        values: shape (n, n_objectives), NaN where a measurement failed.
        batches: number of the batch that each was proposed in, shape (n,).
    """

    problem: Problem
    genes: Genes
    values: Values
    batches: NDArray[np.int64]

    @classmethod
    def empty(cls, problem: Problem) -> "History":
        """Before anything is known."""
        genes = np.zeros((0, problem.space.n_genes), dtype=np.int64)
        return cls(problem, genes, np.zeros((0, len(problem.objectives))), np.zeros(0, dtype=np.int64))

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

    def __len__(self) -> int:
        return len(self.genes)

    @cached_property
    def measured(self) -> NDArray[np.bool_]:
        """Which have a value for every objective, shape (n,)."""
        return np.asarray(~np.isnan(self.values).any(axis=1))

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Which are measured and meet every constraint, shape (n,)."""
        return np.asarray(self.measured & (self.problem.violation(self.values) == 0))

    @cached_property
    def pareto(self) -> NDArray[np.bool_]:
        """Which are feasible and dominated by no feasible one, shape (n,)."""
        return non_dominated(np.where(self.feasible[:, None], self.values, np.nan), self.problem.goals)

    @cached_property
    def keys(self) -> frozenset[bytes]:
        """Genes of each, as bytes."""
        return frozenset(row.tobytes() for row in self.genes)

    def seen(self, genes: Genes) -> NDArray[np.bool_]:
        """Which of some canonical genes are in the history, shape (len(genes),)."""
        return np.array([row.tobytes() in self.keys for row in genes.astype(np.int64)], dtype=bool)

    def extended(self, genes: Genes, values: Values, batch: int) -> "History":
        """A history with these rows appended."""
        return replace(
            self,
            genes=np.concatenate([self.genes, genes]),
            values=np.concatenate([self.values, values]),
            batches=np.concatenate([self.batches, np.full(len(genes), batch, dtype=np.int64)]),
        )

    @cached_property
    def reference(self) -> NDArray[np.float64] | None:
        """Reference point of the hypervolume: `default_reference` of the first batch; of all where it failed."""
        first = default_reference(self.values[self.batches == 0], self.problem.goals)
        return default_reference(self.values, self.problem.goals) if first is None else first

    @cached_property
    def hypervolume(self) -> float:
        """Hypervolume of the front from `reference`; 0 while nothing is measured."""
        if self.reference is None:
            return 0.0
        return hypervolume(self.values[self.pareto], self.reference, self.problem.goals)
