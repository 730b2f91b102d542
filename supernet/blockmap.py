"""From architectures to blocks, vectorised: what makes cost counts and latency tables quick for any family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from supernet.architecture import Architecture
from supernet.blocks import Call, capture, count_macs
from supernet.space import Genes, SearchSpace

if TYPE_CHECKING:
    from supernet.network import SuperNetwork

REST = "(rest)"
"""Slot of what no block holds: functional products, parameters of the model itself."""

_MOST_CELLS = 100_000


@dataclass(frozen=True)
class Block:
    """A distinct block: what it costs, and where to find one (slot `slot` of `architecture`)."""

    key: str
    macs: int
    params: int
    slot: str
    architecture: Architecture


@dataclass
class _Slot:
    """A place in the network; `cells` maps the joint state of its genes to the block that stands there (-1: none)."""

    name: str
    genes: list[int]
    cells: dict[tuple[int, ...], int] = field(default_factory=dict)


class BlockMap:
    """Which blocks an architecture is made of, found by building as few sub-networks as it takes.

    Each slot of the network depends on a few genes (declared by the family, or found by trial). An architecture whose
    combination in some slot is new is built once, on the meta device; all others are table look-ups.
    """

    def __init__(self, net: "SuperNetwork", slots: Mapping[str, Sequence[int]]) -> None:
        self._net = net
        self._slots = {name: _Slot(name, list(genes)) for name, genes in slots.items()}
        self.blocks: list[Block] = []
        self._known: dict[str, int] = {}

    @classmethod
    def of(cls, net: "SuperNetwork") -> Self:
        """The map of a super-network, empty as yet."""
        labels = net.space.labels
        declared = net.block_genes()
        if declared is None:
            return cls(net, _depended_on(net))
        return cls(net, {slot: [labels.index(label) for label in genes] for slot, genes in declared.items()})

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures this map takes."""
        return self._net.space

    @property
    def slots(self) -> dict[str, list[str]]:
        """Name of each slot -> labels of the genes that decide its block."""
        return {name: [self.space.labels[g] for g in slot.genes] for name, slot in self._slots.items()}

    def ids(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> NDArray[np.int64]:
        """Index into `blocks` for every slot, -1 where the architecture has none; shape (n_architectures, n_slots)."""
        genes = architectures if isinstance(architectures, np.ndarray) else self.space.encode(architectures)
        states = np.where(self.space.active(genes), genes, self.space.n_values)
        columns = [self._look_up(slot, genes, states[:, slot.genes]) for slot in self._slots.values()]
        return np.stack(columns, axis=1)

    def costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """Exact `macs` of one sample and `params`, each of shape (n_architectures,)."""
        ids = self.ids(architectures)
        macs = np.array([block.macs for block in self.blocks] + [0], dtype=np.int64)
        params = np.array([block.params for block in self.blocks] + [0], dtype=np.int64)
        return {"macs": macs[ids].sum(axis=1), "params": params[ids].sum(axis=1)}

    def cover(self) -> list[Block]:
        """Finds every block that any architecture has, without enumerating the space; returns `blocks`."""
        pending = {slot.name: self._witnesses(slot) for slot in self._slots.values()}
        while any(pending.values()):
            self.ids(self.space.encode([self._merged(pending)]))
            pending = {
                name: {state: genes for state, genes in witnesses.items() if state not in self._slots[name].cells}
                for name, witnesses in pending.items()
            }
        return self.blocks

    def cells(self) -> dict[str, dict[tuple[int, ...], int]]:
        """The look-up tables: slot -> joint state of its genes (`n_values` stands for inactive) -> index in `blocks`."""
        return {name: dict(slot.cells) for name, slot in self._slots.items()}

    def call(self, block: Block, batch_size: int = 1) -> Call:
        """The block with real weights and the inputs that it gets inside its sub-network."""
        model = self._net.extract(block.architecture)
        inputs = self._net.example_inputs(block.architecture, batch_size)
        return capture(model, self._net.blocks_of(model), inputs)[block.slot]

    # --- internals ---

    def _look_up(self, slot: _Slot, genes: Genes, states: Genes) -> NDArray[np.int64]:
        codes, first, inverse = _distinct_rows(states)
        found = np.empty(len(codes), dtype=np.int64)
        for row, state in enumerate(map(tuple, codes.tolist())):
            if state not in slot.cells:
                self._learn(self.space.decode(genes[first[row]][None])[0])
            found[row] = slot.cells[state]
        return found[inverse]

    def _learn(self, architecture: Architecture) -> None:
        """Builds one sub-network and fills in the cell of every slot."""
        genes = self.space.encode([architecture])
        states = np.where(self.space.active(genes), genes, self.space.n_values)[0]
        records = dissect(self._net, architecture, set(self._known))
        for name in records:
            if name not in self._slots:
                raise ValueError(f"{self._net.name}.block_genes() does not name block {name!r} of {architecture}")
        for slot in self._slots.values():
            index = self._index(slot.name, records[slot.name], architecture) if slot.name in records else -1
            known = slot.cells.setdefault(tuple(states[slot.genes].tolist()), index)
            if known != index:
                labels = [self.space.labels[g] for g in slot.genes]
                raise ValueError(
                    f"{self._net.name}: block {slot.name!r} depends on more genes than {labels}; "
                    "name them in block_genes()"
                )

    def _index(self, slot: str, record: "Record", architecture: Architecture) -> int:
        if record.key not in self._known:
            self._known[record.key] = len(self.blocks)
            self.blocks.append(Block(record.key, record.macs, record.params, slot, architecture))
        return self._known[record.key]

    def _witnesses(self, slot: _Slot) -> dict[tuple[int, ...], dict[int, int]]:
        """For every joint state that the slot's genes can have, values of them and of the genes that switch them."""
        involved = self.space.with_controllers(slot.genes)
        values = [range(int(self.space.n_values[g])) for g in involved]
        n_cells = int(np.prod([len(v) for v in values], dtype=float))
        if n_cells > _MOST_CELLS:
            raise ValueError(f"block {slot.name!r} depends on genes with {n_cells} joint values: too many to profile")
        partial = np.zeros((n_cells, self.space.n_genes), dtype=np.int64)
        partial[:, involved] = np.array(list(product(*values)), dtype=np.int64).reshape(n_cells, len(involved))
        canonical = self.space.canonical(partial)
        states = np.where(self.space.active(canonical), canonical, self.space.n_values)[:, slot.genes]
        witnesses: dict[tuple[int, ...], dict[int, int]] = {}
        for state, row in zip(map(tuple, states.tolist()), canonical[:, involved].tolist(), strict=True):
            witnesses.setdefault(state, dict(zip(involved, row, strict=True)))
        return {state: genes for state, genes in witnesses.items() if state not in slot.cells}

    def _merged(self, pending: Mapping[str, Mapping[tuple[int, ...], Mapping[int, int]]]) -> Architecture:
        """An architecture that shows one open state of as many slots as agree with each other."""
        fixed: dict[int, int] = {}
        for witnesses in pending.values():
            for genes in witnesses.values():
                if all(fixed.get(g, value) == value for g, value in genes.items()):
                    fixed.update(genes)
                    break
        row = (self.space.n_values - 1).copy()
        row[list(fixed)] = list(fixed.values())
        return self.space.decode(row[None])[0]


@dataclass(frozen=True)
class Record:
    """What `dissect` found in one slot; costs are 0 for keys that were known already."""

    key: str
    macs: int
    params: int


def dissect(net: "SuperNetwork", architecture: Architecture, known: set[str]) -> dict[str, Record]:
    """Key and costs of every block of a sub-network; costs are counted for keys not in `known`."""
    model = net.skeleton(architecture).eval()
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    inputs = tuple(t.to(device) for t in net.example_inputs(architecture, 1))
    calls = capture(model, net.blocks_of(model), inputs)
    records = {}
    for name, call in calls.items():
        key = call.key
        costs = (0, 0) if key in known else (call.count_macs(), call.n_parameters)
        records[name] = Record(key, *costs)
    if net.block_genes() is None:
        macs = count_macs(model, inputs) - sum(call.count_macs() for call in calls.values())
        params = sum(p.numel() for p in model.parameters()) - sum(call.n_parameters for call in calls.values())
        if macs or params:
            records[REST] = Record(f"{REST} {macs} {params}", macs, params)
    return records


def _depended_on(net: "SuperNetwork") -> dict[str, list[int]]:
    """Finds by trial which genes decide each block: flips every gene of a few architectures and looks what changes."""
    space = net.space
    rng = np.random.default_rng(0)
    largest = space.encode([net.largest])
    bases = np.concatenate([largest, space.sample_genes(min(4, space.size), rng)])
    found: dict[str, set[int]] = {}
    for base in bases:
        before = dissect(net, space.decode(base[None])[0], set())
        for name in before:
            found.setdefault(name, set())
        for gene in range(space.n_genes):
            for value in range(int(space.n_values[gene])):
                flipped = base.copy()
                flipped[gene] = value
                after = dissect(net, space.decode(flipped[None])[0], set())
                for name in before.keys() | after.keys():
                    if name not in before or name not in after or before[name].key != after[name].key:
                        found.setdefault(name, set()).add(gene)
    return {name: sorted(genes) for name, genes in found.items()}


def _distinct_rows(rows: Genes) -> tuple[Genes, NDArray[np.intp], NDArray[np.intp]]:
    """Distinct rows, where each first stands, and which one every row is."""
    spans = rows.max(axis=0, initial=0) + 1
    if float(np.prod(spans, dtype=float)) < 2**62:
        codes = np.zeros(len(rows), dtype=np.int64)
        for column, span in zip(rows.T, spans, strict=True):
            codes = codes * span + column
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    else:
        _, first, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return rows[first], first, inverse.reshape(-1)
