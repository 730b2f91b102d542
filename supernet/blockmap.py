"""Which blocks an architecture is made of, vectorised: the basis of cost counts and latency tables of any family."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from supernet.architecture import Architecture
from supernet.blocks import Memo, Use, capture, count_macs
from supernet.slots import ABSENT, Slots
from supernet.space import Genes

if TYPE_CHECKING:
    from supernet.network import SuperNetwork

REST = "(rest)"
"""Slot of the MACs and parameters that are in no block: functional products, parameters of the model itself."""

WHOLE = "(whole)"
"""Slot of the whole model, where none of its parts is called as a module."""

Run = Callable[[nn.Module, Architecture], nn.Module]


def itself(model: nn.Module, architecture: Architecture) -> nn.Module:
    """A single pass of the model: what `SuperNetwork.inference` is by default."""
    return model


@dataclass(frozen=True)
class Block:
    """A distinct block.

    Attributes:
        key: digest of its structure and the shapes of its inputs.
        slot: where one stands in the network of `architecture`.
        architecture: an architecture that has it.
        count: gives MACs and parameters.
    """

    key: str
    slot: str
    architecture: Architecture
    count: Callable[[], tuple[int, int]] = field(repr=False, compare=False)

    @property
    def macs(self) -> int:
        """Multiply-accumulates within one inference of one sample."""
        return self._counted[0]

    @property
    def params(self) -> int:
        """Learnable values."""
        return self._counted[1]

    @cached_property
    def _counted(self) -> tuple[int, int]:
        return self.count()


class BlockMap:
    """Which blocks an architecture is made of, found by building as few sub-networks as possible.

    Each slot of the network depends on a few genes, which the family declares or which are found by trial. An
    architecture in which some slot has a new combination of them is built once, on the meta device; all others are
    looked up.

    Args:
        net: the super-network.
        run: gives, for a sub-network and its architecture, the module that is called with the example inputs.
        genes: name of each slot -> positions of its genes, as the family declares them; None: they are found by trial.
    """

    def __init__(self, net: "SuperNetwork", run: Run, genes: Mapping[str, Sequence[int]] | None) -> None:
        self._net = net
        self._run = run
        self._declared = genes is not None
        self.slots = Slots(net.space, genes or {})
        self.blocks: list[Block] = []
        self._known: dict[str, int] = {}
        self._macs: dict[str, int] = {}
        self._memo: Memo = {}

    @classmethod
    def of(cls, net: "SuperNetwork", run: Run = itself) -> Self:
        """The map of a super-network, empty as yet.

        Args:
            net: the super-network.
            run: gives, for a sub-network and its architecture, the module that is called with the example inputs; by
                default the sub-network itself.
        """
        declared = net.block_genes()
        if declared is not None:
            labels = net.space.labels
            return cls(net, run, {slot: [labels.index(g) for g in genes] for slot, genes in declared.items()})
        found = cls(net, run, None)
        for base in _bases(net):
            found._look_around(base)
        return found

    def ids(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> NDArray[np.int64]:
        """Index into `blocks` for every slot, -1 where the architecture has none; shape (n_architectures, n_slots)."""
        while True:
            try:
                return self.slots.ids(architectures, self._learn)
            except _Conflict as conflict:
                self._resolve(conflict)

    def costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """Exact `macs` of one sample and `params`, each of shape (n_architectures,)."""
        ids = self.ids(architectures)
        macs = np.array([block.macs for block in self.blocks] + [0], dtype=np.int64)
        params = np.array([block.params for block in self.blocks] + [0], dtype=np.int64)
        return {"macs": macs[ids].sum(axis=1), "params": params[ids].sum(axis=1)}

    def cover(self) -> list[Block]:
        """Finds the blocks of all architectures, without enumerating the space; returns `blocks`."""
        while (architecture := self.slots.next_unknown()) is not None:
            self.ids([architecture])
        return self.blocks

    def uses(self, blocks: Sequence[Block], batch_size: int = 1, place: str = "cpu") -> Iterator[tuple[Block, Use]]:
        """Each block (except the rest) with its weights and the inputs that it gets inside its sub-network.

        Args:
            blocks: of `self.blocks`.
            batch_size: samples of the inputs.
            place: the PyTorch device of weights and inputs.
        """
        wanted = sorted((b for b in blocks if b.slot != REST), key=lambda b: (b.architecture.to_json(), b.slot))
        for architecture, group in groupby(wanted, key=lambda block: block.architecture):
            model = self._net.extract(architecture).to(place)
            inputs = tuple(t.to(place) for t in self._net.example_inputs(architecture, batch_size))
            uses = self._captured(model, self._run(model, architecture), inputs)
            yield from ((block, uses[block.slot]) for block in group)

    def _learn(self, architecture: Architecture) -> None:
        """Builds one sub-network and fills in the cell that it shows of every slot."""
        states = self.slots.states(self._net.space.encode([architecture]))[0]
        records = self._dissect(architecture)
        if undeclared := [name for name in records if name not in self.slots.slots]:
            raise _Conflict(undeclared[0], architecture)
        for slot in self.slots.slots.values():
            index = self._index(records[slot.name], architecture) if slot.name in records else ABSENT
            if slot.cells.setdefault(tuple(states[slot.genes].tolist()), index) != index:
                raise _Conflict(slot.name, architecture)

    def _resolve(self, conflict: "_Conflict") -> None:
        """Finds the genes that were missed. Raises ValueError where the family declared them wrongly."""
        if self._declared:
            raise ValueError(
                f"{self._net.name}.block_genes(): block {conflict.slot!r} is not decided by the genes named for it, "
                f"as {conflict.architecture} shows"
            )
        before = {name: list(slot.genes) for name, slot in self.slots.slots.items()}
        self._look_around(self._net.space.encode([conflict.architecture])[0])
        if before == {name: slot.genes for name, slot in self.slots.slots.items()}:
            raise ValueError(f"{self._net.name}: equal architectures build different networks in {conflict.slot!r}")

    def _look_around(self, base: Genes) -> None:
        """Changes each gene of one architecture to find the slots that it decides; starts the tables anew."""
        genes = {name: set(slot.genes) for name, slot in self.slots.slots.items()}
        before = self._keys(base)
        genes |= {name: set() for name in before if name not in genes}
        for gene, n_values in enumerate(self._net.space.n_values):
            for value in range(n_values):
                changed = base.copy()
                changed[gene] = value
                if (changed := self._net.space.canonical(changed[None])[0]).tolist() == base.tolist():
                    continue
                after = self._keys(changed)
                for name in before.keys() | after.keys():
                    deciding = genes.setdefault(name, set())
                    if before.get(name) != after.get(name):
                        deciding.add(gene)
        order = sorted(genes, key=lambda name: (list(before).index(name) if name in before else len(before), name))
        self.slots = Slots(self._net.space, {name: sorted(genes[name]) for name in order})

    def _keys(self, genes: Genes) -> dict[str, str]:
        architecture = self._net.space.decode(genes[None])[0]
        blocks = self._dissect(architecture)
        for block in blocks.values():
            self._index(block, architecture)
        return {name: block.key for name, block in blocks.items()}

    def _dissect(self, architecture: Architecture) -> dict[str, Block]:
        """The block in every slot of a sub-network."""
        model, run, inputs = self._prepared(architecture)
        with self._explaining(architecture, inputs):
            uses = self._captured(model, run, inputs)
            whole = 0 if self._declared else count_macs(run, inputs)
        blocks = {}
        for name, use in uses.items():
            key = use.key
            blocks[name] = Block(key, name, architecture, self._costs_of(use, key, name, architecture))
        if not self._declared:
            macs = whole - sum(self._macs_of(use, blocks[name].key) for name, use in uses.items())
            params = sum(p.numel() for p in model.parameters()) - sum(use.n_parameters for use in uses.values())
            if macs or params:
                blocks[REST] = Block(f"{REST} {macs} {params}", REST, architecture, lambda: (macs, params))
        return blocks

    def _macs_of(self, use: Use, key: str) -> int:
        if key not in self._macs:
            self._macs[key] = use.count_macs()
        return self._macs[key]

    @contextmanager
    def _explaining(self, architecture: Architecture, inputs: tuple[torch.Tensor, ...]) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
            raise ValueError(
                f"{self._net.name}: the sub-network {architecture.to_json()} cannot run on its example inputs of shape "
                f"{shapes}: set `input_shape` to that of one sample, or override `example_inputs` ({error})"
            ) from error

    def _prepared(self, architecture: Architecture) -> tuple[nn.Module, nn.Module, tuple[torch.Tensor, ...]]:
        """A sub-network without weights, the module that runs it, and what this takes."""
        model = self._net.skeleton(architecture).eval()
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        inputs = tuple(t.to(device) for t in self._net.example_inputs(architecture, 1))
        return model, self._run(model, architecture), inputs

    def _captured(self, model: nn.Module, run: nn.Module, inputs: tuple[torch.Tensor, ...]) -> dict[str, Use]:
        """The blocks at work; the whole model as one where none of its parts is called as a module."""
        memo = self._memo if any(tensor.is_meta for tensor in inputs) else None
        return capture(run, self._net.blocks_of(model), inputs, memo) or capture(run, {WHOLE: [model]}, inputs)

    def _costs_of(self, use: Use, key: str, slot: str, architecture: Architecture) -> Callable[[], tuple[int, int]]:
        """MACs and parameters of a block; counted later, on demand, where the inference has many steps."""
        if self._run is not itself or key in self._known:
            return partial(self._count_again, slot, architecture)
        costs = self._macs_of(use, key), use.n_parameters
        return lambda: costs

    def _count_again(self, slot: str, architecture: Architecture) -> tuple[int, int]:
        use = self._captured(*self._prepared(architecture))[slot]
        return use.count_macs(), use.n_parameters

    def _index(self, record: Block, architecture: Architecture) -> int:
        if record.key not in self._known:
            self._known[record.key] = len(self.blocks)
            self.blocks.append(record)
        return self._known[record.key]


class _Conflict(Exception):  # noqa: N818 - never leaves this module
    """Two architectures agree in the genes of a slot and differ in what stands there."""

    def __init__(self, slot: str, architecture: Architecture) -> None:
        super().__init__(slot)
        self.slot, self.architecture = slot, architecture


def _bases(net: "SuperNetwork") -> Genes:
    """Genes of architectures around which dependencies are looked for, shape (n, n_genes).

    The extremes, some drawn at random, and one for each value of each gene that can switch others off.
    """
    space = net.space
    rng = np.random.default_rng(0)
    drawn = [space.encode([net.smallest, net.largest]), space.sample_genes(min(4, space.size), rng)]
    for gene in space.switches:
        rows = space.sample_genes(min(int(space.n_values[gene]), space.size), rng)
        rows[:, gene] = np.arange(len(rows))
        drawn.append(space.canonical(rows))
    return np.concatenate(drawn)
