"""Look-up tables from genes to the block in each slot of a network, vectorised and serialisable.

A *slot* is a place in the network, such as "the second block of the third stage". Which block stands there depends on a
few genes: a *state* is one combination of their values, and a *cell* holds the index of the block that belongs to it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from supernet.architecture import Architecture
from supernet.space import Genes, SearchSpace

ABSENT = -1
"""Index of a slot in which an architecture has nothing."""

_MOST_CELLS = 100_000

State = tuple[int, ...]


@dataclass
class Slot:
    """A place in the network.

    Attributes:
        name: of the slot.
        genes: positions of the genes that decide what stands there.
        cells: joint state of these genes -> index of the block, or ABSENT. The state of a gene is the index of its
            value, or the number of its values where it is inactive.
    """

    name: str
    genes: list[int]
    cells: dict[State, int] = field(default_factory=dict)


class Slots:
    """All slots of the networks of a space.

    Args:
        space: the space.
        genes: name of each slot -> positions of the genes that it depends on.
    """

    def __init__(self, space: SearchSpace, genes: Mapping[str, Sequence[int]]) -> None:
        self.space = space
        self.slots = {name: Slot(name, list(positions)) for name, positions in genes.items()}

    def ids(
        self,
        architectures: Sequence[Mapping[str, Any]] | Genes,
        learn: Callable[[Architecture], None] | None = None,
    ) -> NDArray[np.int64]:
        """Index of the block in every slot (or ABSENT), shape (n_architectures, n_slots).

        Args:
            architectures: architectures or canonical genes.
            learn: called with an architecture in which a slot has an unknown state; fills in the cells of its states.

        Raises KeyError for an unknown state where there is no `learn`.
        """
        genes = self.space.genes_of(architectures)
        states = self.states(genes)
        columns = [self._look_up(slot, genes, states[:, slot.genes], learn) for slot in self.slots.values()]
        return np.stack(columns, axis=1) if columns else np.zeros((len(genes), 0), dtype=np.int64)

    def states(self, genes: Genes) -> Genes:
        """The state of every gene: its index, or `n_values` where it is inactive; same shape."""
        return np.where(self.space.active(genes), genes, self.space.n_values)

    def next_unknown(self) -> Architecture | None:
        """An architecture in which as many slots as possible have an unknown state; None where all states are known."""
        fixed: dict[int, int] = {}
        for slot in self.slots.values():
            for state, genes in self._witnesses(slot).items():
                if state not in slot.cells and all(fixed.get(g, value) == value for g, value in genes.items()):
                    fixed.update(genes)
                    break
        if not fixed:
            return None
        row = self.space.n_values - 1
        row[list(fixed)] = list(fixed.values())
        return self.space.decode(row[None])[0]

    def complete(self, learn: Callable[[Architecture], None]) -> None:
        """Calls `learn` as `ids` does until every state is known that occurs in any architecture."""
        while (architecture := self.next_unknown()) is not None:
            learn(architecture)

    def describe(self) -> dict[str, Any]:
        """The tables as JSON-compatible data."""
        return {
            slot.name: {"genes": slot.genes, "states": [list(s) for s in slot.cells], "ids": list(slot.cells.values())}
            for slot in self.slots.values()
        }

    @classmethod
    def from_description(cls, space: SearchSpace, description: Mapping[str, Any]) -> Self:
        """The tables that `describe` described."""
        slots = cls(space, {name: record["genes"] for name, record in description.items()})
        for name, record in description.items():
            slots.slots[name].cells = dict(zip(map(tuple, record["states"]), record["ids"], strict=True))
        return slots

    def _look_up(
        self, slot: Slot, genes: Genes, states: Genes, learn: Callable[[Architecture], None] | None
    ) -> NDArray[np.int64]:
        distinct, first, inverse = _distinct_rows(states)
        found = np.empty(len(distinct), dtype=np.int64)
        for row, state in enumerate(map(tuple, distinct.tolist())):
            if state not in slot.cells:
                architecture = self.space.decode(genes[first[row]][None])[0]
                if learn is None:
                    raise KeyError(f"block {slot.name!r} of {architecture} is not in the table")
                learn(architecture)
            found[row] = slot.cells[state]
        return found[inverse]

    def _witnesses(self, slot: Slot) -> dict[State, dict[int, int]]:
        """For every state of a slot, an example: values of its genes and of those that can switch them off."""
        cached: dict[str, dict[State, dict[int, int]]] = self.__dict__.setdefault("_witness_cache", {})
        if slot.name not in cached:
            cached[slot.name] = self._enumerate(slot)
        return cached[slot.name]

    def _enumerate(self, slot: Slot) -> dict[State, dict[int, int]]:
        involved = self.space.with_controllers(slot.genes)
        values = [range(int(self.space.n_values[g])) for g in involved]
        n_cells = int(np.prod([len(v) for v in values], dtype=float))
        if n_cells > _MOST_CELLS:
            raise ValueError(f"block {slot.name!r} depends on genes with {n_cells} joint values: too many to profile")
        partial = np.zeros((n_cells, self.space.n_genes), dtype=np.int64)
        partial[:, involved] = np.array(list(product(*values)), dtype=np.int64).reshape(n_cells, len(involved))
        canonical = self.space.canonical(partial)
        states = self.states(canonical)[:, slot.genes]
        witnesses: dict[State, dict[int, int]] = {}
        for state, row in zip(map(tuple, states.tolist()), canonical[:, involved].tolist(), strict=True):
            witnesses.setdefault(state, dict(zip(involved, row, strict=True)))
        return witnesses


def _distinct_rows(rows: Genes) -> tuple[Genes, NDArray[np.intp], NDArray[np.intp]]:
    """Distinct rows; for each, the index of its first occurrence; for each row, the index of its distinct one."""
    spans = rows.max(axis=0, initial=0) + 1
    if float(np.prod(spans, dtype=float)) < 2**62:
        codes = np.zeros(len(rows), dtype=np.int64)
        for column, span in zip(rows.T, spans, strict=True):
            codes = codes * span + column
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return rows[first], first, inverse.reshape(-1)
