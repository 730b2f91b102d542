"""Counts, draws and enumerates the distinct sub-networks of a space whose genes switch each other off."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

_MOST_ASSIGNMENTS = 1_000_000


@dataclass(frozen=True)
class _Component:
    """Genes that depend on each other: *controllers* can switch others off, *leaves* cannot.

    Given the values of the controllers, leaves are independent of each other: a row of `assignments` has
    `weights` members, the product of its `counts`.

    Attributes:
        controllers: positions of these genes.
        leaves: likewise.
        assignments: all joint values of the controllers, shape (n_assignments, n_controllers).
        counts: number of values of each leaf, 1 where it is inactive, shape (n_assignments, n_leaves).
    """

    controllers: list[int]
    leaves: list[int]
    assignments: Indices
    counts: Indices

    @cached_property
    def weights(self) -> list[int]:
        return [math.prod(row) for row in self.counts.tolist()]

    @cached_property
    def size(self) -> int:
        return sum(self.weights)


class Counter:
    """Exact counting and uniform drawing by enumerating, per connected component, what its controlling genes can be.

    Args:
        n_values: per gene, the indices of its distinct values; the first also stands for "inactive".
        parents: per gene, the genes that may switch it off.
        allowed: per gene, the parents' indices under which it is active.
        order: all genes, parents before the genes that they switch.

    Raises ValueError where a component's controllers have more than a million joint values.
    """

    def __init__(
        self,
        n_values: Sequence[Sequence[int]],
        parents: Sequence[tuple[int, ...]],
        allowed: Sequence[frozenset[tuple[int, ...]]],
        order: Sequence[int],
    ) -> None:
        self._values = n_values
        self._parents = parents
        self._allowed = allowed
        self._order = order
        self._components = [self._component(genes) for genes in self._connected()]

    @property
    def size(self) -> int:
        """Number of distinct members (exact)."""
        return math.prod(component.size for component in self._components)

    def draw(self, n: int, rng: np.random.Generator) -> Indices:
        """`n` members, uniform and independent (with replacement), shape (n, n_genes)."""
        genes = np.zeros((n, len(self._values)), dtype=np.int64)
        for component in self._components:
            shares = [weight / component.size for weight in component.weights]
            rows = rng.choice(len(shares), size=n, p=shares)
            counts = component.counts[rows]
            self._fill(genes, component, rows, (rng.random(counts.shape) * counts).astype(np.int64))
        return genes

    def unrank(self, ranks: Indices) -> Indices:
        """The members with these ranks in 0..size-1, shape (n_ranks, n_genes); each rank gives another member."""
        ranks = np.asarray(ranks, dtype=np.int64)
        genes = np.zeros((len(ranks), len(self._values)), dtype=np.int64)
        for component in self._components:
            ranks, rest = np.divmod(ranks, component.size)
            ends = np.cumsum(component.weights)
            rows = np.searchsorted(ends, rest, side="right")
            rest = rest - (ends[rows] - np.array(component.weights)[rows])
            counts = component.counts[rows]
            picks = np.zeros_like(counts)
            for leaf in range(counts.shape[1]):
                rest, picks[:, leaf] = np.divmod(rest, counts[:, leaf])
            self._fill(genes, component, rows, picks)
        return genes

    def _fill(self, genes: Indices, component: _Component, rows: Indices, picks: Indices) -> None:
        genes[:, component.controllers] = component.assignments[rows]
        for column, gene in enumerate(component.leaves):
            genes[:, gene] = np.asarray(self._values[gene])[picks[:, column]]

    def _connected(self) -> list[list[int]]:
        """Connected components; all genes that no rule touches share one."""
        touched = {g for g, parents in enumerate(self._parents) if parents} | {p for ps in self._parents for p in ps}
        group = {g: (g if g in touched else -1) for g in range(len(self._values))}
        for gene, parents in enumerate(self._parents):
            for parent in parents:
                merged, kept = group[gene], group[parent]
                group = {g: kept if label == merged else label for g, label in group.items()}
        return [[g for g in self._order if group[g] == label] for label in dict.fromkeys(group.values())]

    def _component(self, genes: list[int]) -> _Component:
        controlling = {p for g in genes for p in self._parents[g]}
        controllers = [g for g in genes if g in controlling]
        leaves = [g for g in genes if g not in controlling]
        assignments: list[dict[int, int | None]] = [{}]  # gene -> index, None where inactive
        for gene in controllers:
            assignments = [
                {**assignment, gene: value}
                for assignment in assignments
                for value in (self._values[gene] if self._is_active(gene, assignment) else [None])
            ]
            if len(assignments) > _MOST_ASSIGNMENTS:
                raise ValueError(
                    f"gene {gene} and its {len(controllers) - 1} fellow controlling genes have more than "
                    f"{_MOST_ASSIGNMENTS} joint values: let rules depend on fewer genes together"
                )
        indices = [[a[g] or 0 for g in controllers] for a in assignments]
        counts = [[len(self._values[g]) if self._is_active(g, a) else 1 for g in leaves] for a in assignments]
        return _Component(
            controllers,
            leaves,
            np.array(indices, dtype=np.int64).reshape(len(assignments), len(controllers)),
            np.array(counts, dtype=np.int64).reshape(len(assignments), len(leaves)),
        )

    def _is_active(self, gene: int, assignment: dict[int, int | None]) -> bool:
        if not self._parents[gene]:
            return True
        values = tuple(assignment[p] for p in self._parents[gene])
        return None not in values and values in self._allowed[gene]
