"""The super-network: a builder of plain sub-networks plus a rule for sharing weights between them."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from supernet import checkpoint
from supernet.architecture import Architecture
from supernet.blockmap import BlockMap
from supernet.building import build_on_meta
from supernet.layout import Layout
from supernet.parts import Part, single
from supernet.places import Place, fill, filled, places_of
from supernet.sharing import default_slice
from supernet.space import Genes, SearchSpace

_MOST_SKELETONS = 128


class SuperNetwork(nn.Module, ABC):
    """One set of weights that holds every sub-network of a search space.

    A family gives `space` and `build`; sharing, extraction, cost counting, latency tables and export follow from them.
    `shared` is the largest sub-network: it owns the weights. A family with settings assigns them (and `space`) before
    it calls `super().__init__()`, which builds the largest sub-network.

    Attributes:
        space: what may vary; the values of each choice ascend, so that the last ones together hold all others.
        input_shape: shape of one sample for families that take one float tensor; or override `example_inputs`.
    """

    space: SearchSpace
    input_shape: tuple[int, ...] = (3, 224, 224)

    def __init__(self) -> None:
        super().__init__()
        if not isinstance(getattr(self, "space", None), SearchSpace):
            raise TypeError(f"{type(self).__name__} has no search space: set `space = SearchSpace(...)` in the class")
        self._skeletons: OrderedDict[Architecture, tuple[nn.Module, list[Place]]] = OrderedDict()
        shared = self.build(self.largest)
        if not isinstance(shared, nn.Module):
            raise TypeError(f"{type(self).__name__}.build must return a module, got {shared!r}")
        self.shared = shared

    @abstractmethod
    def build(self, architecture: Architecture) -> nn.Module:
        """The plain, static sub-network, with fresh weights."""

    # --- what a family may refine ---

    @property
    def name(self) -> str:
        """The family's name, as in checkpoints and reports."""
        return type(self).__name__

    @property
    def title(self) -> str:
        """The name and the settings that decide the shapes of its weights, for messages."""
        return self.name

    @property
    def smallest(self) -> Architecture:
        """The sub-network with the first value of every choice."""
        return self.space.smallest

    @property
    def largest(self) -> Architecture:
        """The sub-network that owns all shared weights: the last value of every choice."""
        return self.space.largest

    def example_inputs(self, architecture: Architecture, batch_size: int = 1) -> tuple[Tensor, ...]:
        """Inputs that a sub-network takes, for tracing, profiling and export."""
        return (torch.randn(batch_size, *self.input_shape, generator=torch.Generator().manual_seed(0)),)

    def inference(self, model: nn.Module, architecture: Architecture) -> nn.Module:
        """What a user waits for, as a module that takes `example_inputs`: its latency is the sub-network's.

        By default one pass of the model; a family whose inference is more than that (translation: encoding, then many
        steps of decoding) gives a module that runs `model` as often as it takes.
        """
        return model

    def parts(self, model: nn.Module, architecture: Architecture) -> Mapping[str, Part]:
        """What a bundle holds of a sub-network, by name; by default one part, "model", with batches of any size."""
        inputs = self.example_inputs(architecture, 2)
        names = ["input", *(f"input_{i}" for i in range(1, len(inputs)))]
        return single(model, dict(zip(names, inputs, strict=True)))

    def slice_shared(self, name: str, owner: nn.Module, shape: torch.Size) -> Tensor:
        """The part of shared tensor `name` that a sub-network with a tensor of this `shape` uses.

        `owner` is the sub-network's module (on the meta device) that holds the tensor.
        """
        return default_slice(owner, self._tensors[name], shape)

    def blocks_of(self, model: nn.Module) -> Mapping[str, Sequence[nn.Module]]:
        """The model as blocks that run one after the other: name -> modules called in this order.

        By default every child; lists of modules and sequences of compound modules count as many blocks.
        """
        return {name: [module] for name, module in _contained(model)}

    def block_genes(self) -> Mapping[str, Sequence[str]] | None:
        """For each block, the labels of the genes that decide its structure and its input; None: found by trial."""
        return None

    def published_layout(self) -> Layout | None:
        """How the family's authors name the tensors of the checkpoints that they publish; None: only as we do.

        By default as the largest sub-network does by itself: a plain `state_dict` of it is a checkpoint.
        """
        return Layout("plain", {name: name.removeprefix("shared.") for name in self.state_dict()})

    def published_blocks(self, architecture: Mapping[str, Any]) -> Mapping[str, Sequence[str]] | None:
        """What each block of a sub-network (see `block_genes`) runs, as the family's authors name it in latency tables.

        A block may run several entries of a table; None: the authors publish no tables. An architecture may have an
        image size that is not of this space.
        """
        return None

    # --- acting as a sub-network ---

    def share(self, architecture: Architecture) -> dict[str, Tensor]:
        """Every parameter and buffer of the sub-network as a view of the shared weights (or computed from them)."""
        _, places = self._cached(architecture)
        if missing := [place.name for place in places if place.name not in self._tensors]:
            raise ValueError(
                f"{self.name}: {missing[0]!r} of the sub-network is not part of the largest one; "
                "build it with the same names, or override `share`"
            )
        shared = {p.name: self.slice_shared(p.name, p.owner, p.shape) for p in places if not p.is_repeated}
        for place in places:
            if not place.is_repeated and shared[place.name].shape != place.shape:
                raise ValueError(
                    f"{self.name}: {place.name!r} of the sub-network has shape {tuple(place.shape)}, but the largest "
                    f"one gives it {tuple(shared[place.name].shape)}: put the values of each choice in ascending "
                    "order, or override `slice_shared`"
                )
        return shared

    def forward(self, *inputs: Any, architecture: Architecture | None = None, **named_inputs: Any) -> Any:
        """The sub-network's function through the shared weights: `net(x, architecture)`; gradients reach them."""
        if architecture is None:
            if not inputs or not isinstance(inputs[-1], Mapping):
                raise TypeError("which sub-network? give its architecture: net(x, architecture)")
            *others, architecture = inputs
            inputs = tuple(others)
        skeleton, places = self._cached(architecture)
        if skeleton.training != self.training:
            skeleton.train(self.training)
        with filled(places, self.share(architecture)):
            return skeleton(*inputs, **named_inputs)

    def extract(self, architecture: Architecture) -> nn.Module:
        """The sub-network as a plain module in eval mode, with its own copy of the weights."""
        architecture = self.space.validate(architecture)
        shared = self.share(architecture)
        copies = {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in shared.items()}
        model, places = self._cached(architecture)
        del self._skeletons[architecture]  # it is the caller's from now on
        fill(places, copies)
        return model.eval()

    def skeleton(self, architecture: Architecture) -> nn.Module:
        """The sub-network without weights, cached: do not change it."""
        return self._cached(architecture)[0]

    # --- costs and blocks ---

    @cached_property
    def block_map(self) -> BlockMap:
        """Which blocks an architecture is made of."""
        return BlockMap.of(self)

    @cached_property
    def inference_map(self) -> BlockMap:
        """Which blocks work, and how often, within one `inference`."""
        single = type(self).inference is SuperNetwork.inference
        return self.block_map if single else BlockMap.of(self, self.inference)

    def costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """Exact `macs` (one sample) and `params` of each architecture (or row of genes), of shape (n_architectures,).

        MACs are those of convolutions, linear layers and matrix products; parameters are all learnable tensors.
        """
        return self.block_map.costs(architectures)

    # --- checkpoints ---

    def load_checkpoint(self, path: str | Path) -> None:
        """Loads weights that `save_checkpoint` wrote, or a checkpoint as the family's authors publish it.

        Of a family of your own, that is what `torch.save(model.state_dict(), path)` wrote of the largest sub-network.

        Raises CheckpointError (a ValueError) for a file that is truncated or would run code, and for one that does not
        fit: it lists missing, unexpected and misshapen tensors, and says what the file looks like.
        """
        checkpoint.load(self, Path(path))

    def save_checkpoint(
        self, path: str | Path, metadata: Mapping[str, str] | None = None, *, layout: str = checkpoint.OWN
    ) -> None:
        """Writes all shared weights.

        Args:
            path: the file; folders are made.
            metadata: kept in the header of a file in our own layout.
            layout: "own": safetensors, with the family's name and the space in the header; or the name of the family's
                published layout ("ofa"), to write a file that the authors' code loads; for one of your own, "plain".

        Raises ValueError for a layout that the family does not have.
        """
        checkpoint.save(self, Path(path), metadata or {}, layout)

    # --- internals ---

    @property
    def _tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers of the largest sub-network, by name."""
        found = self.__dict__.get("_tensor_cache")
        if found is None:
            found = dict(self.shared.named_parameters())
            found.update(self.shared.named_buffers())
            self.__dict__["_tensor_cache"] = found
        return found

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self.__dict__.pop("_tensor_cache", None)  # moving to a device may replace tensors
        return super()._apply(fn, recurse)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """As `nn.Module.load_state_dict`."""
        self.__dict__.pop("_tensor_cache", None)  # assign=True replaces tensors
        return super().load_state_dict(*args, **kwargs)

    def _cached(self, architecture: Architecture) -> tuple[nn.Module, list[Place]]:
        """The skeleton, and where its tensors stand."""
        architecture = self.space.validate(architecture)
        if architecture in self._skeletons:
            self._skeletons.move_to_end(architecture)
        else:
            with torch.inference_mode(False):  # it serves for training, too, wherever it is first asked for
                skeleton = build_on_meta(lambda: self.build(architecture))
            self._skeletons[architecture] = skeleton, places_of(skeleton)
            if len(self._skeletons) > _MOST_SKELETONS:
                self._skeletons.popitem(last=False)
        return self._skeletons[architecture]

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        state["_skeletons"] = OrderedDict()
        state.pop("_tensor_cache", None)
        for derived in ("block_map", "inference_map"):
            state.pop(derived, None)
        return state


def _contained(model: nn.Module, prefix: str = "") -> list[tuple[str, nn.Module]]:
    found: list[tuple[str, nn.Module]] = []
    for name, child in model.named_children():
        compound = any(True for part in child.children() for _ in part.children())
        if type(child) is nn.ModuleList or (type(child) is nn.Sequential and compound):
            found += _contained(child, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", child))
    return found
