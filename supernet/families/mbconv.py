"""What families of inverted residual blocks share, as in Once-for-All (arXiv:1908.09791)."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from timm.layers import make_divisible
from torch import Tensor, nn

from supernet.architecture import Architecture
from supernet.choices import ascending
from supernet.families import ofa
from supernet.families.source import Source
from supernet.layout import Layout
from supernet.network import SuperNetwork
from supernet.sharing import centre_crop, leading_slice
from supernet.space import Choice, Genes, SearchSpace, within_depth
from supernet.tally import Counts, Tally, halved, indices_of

ACTIVATIONS = {"re": nn.ReLU, "re6": nn.ReLU6, "hs": nn.Hardswish}

_GATE_RATIO = 0.25


@dataclass(frozen=True)
class Stage:
    """A run of elastic blocks: output channels, stride of the first, activation, squeeze-and-excitation.

    `depth` is the number of blocks where it does not vary.
    """

    width: int
    stride: int
    activation: str = "hs"
    squeeze_excite: bool = False
    depth: int | None = None


class ElasticMBConv(SuperNetwork):
    """A weight-sharing network of inverted residuals; families say how it begins and ends, and which library builds it.

    Architectures are `{"ks": [...], "e": [...], "d": [...], "r": ...}`: kernel size and expansion ratio of every block,
    depth of every stage, input resolution in pixels. Smaller depth-wise kernels are the centre of the larger ones,
    passed through a learned linear map per block (a chain: 7 -> 5 -> 3), shared by all channels.

    Args:
        stages: the elastic stages; all channel counts are multiples of 8.
        stem_width: channels of the stem.
        num_classes, in_chans: of the classifier and of the images.
        resolutions, kernel_sizes, expand_ratios, depths: what may vary, in any order.
        mean, std: of the input channels, as the network's transforms normalise them.
        family: name in checkpoints and reports.
        width_mult: by which the published channel counts were multiplied, for messages.
    """

    stock: type[nn.Module]
    """The class of timm which builds sub-networks."""
    tail: Sequence[str] = ()
    """Children of the built model that run after its last elastic block and make up the block "head"."""

    def __init__(
        self,
        stages: Sequence[Stage | Mapping[str, Any]],
        *,
        stem_width: int = 16,
        num_classes: int = 1000,
        in_chans: int = 3,
        resolutions: Sequence[int] = (224,),
        kernel_sizes: Sequence[int] = (3, 5, 7),
        expand_ratios: Sequence[int] = (3, 4, 6),
        depths: Sequence[int] = (2, 3, 4),
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        family: str = "mbconv",
        width_mult: float | None = None,
    ) -> None:
        self.family, self.width_mult = family, width_mult
        self.stages = tuple(s if isinstance(s, Stage) else Stage(**s) for s in stages)
        self.stem_width = stem_width
        self.num_classes, self.in_chans = num_classes, in_chans
        self.mean, self.std = tuple(mean), tuple(std)
        self.kernel_sizes = ascending("kernel_sizes", kernel_sizes)
        depths, resolutions = ascending("depths", depths), ascending("resolutions", resolutions)
        ratios = ascending("expand_ratios", expand_ratios)
        possible = [(stage.depth,) if stage.depth else depths for stage in self.stages]
        n_blocks = [max(of_stage) for of_stage in possible]
        self.places = [(s, b) for s, n in enumerate(n_blocks) for b in range(n)]
        exists = within_depth("d", n_blocks)
        self.space = SearchSpace(
            Choice("ks", self.kernel_sizes, len(self.places), exists),
            Choice("e", ratios, len(self.places), exists),
            Choice(
                "d",
                tuple(sorted({d for of_stage in possible for d in of_stage})),
                len(possible),
                allowed=possible.__getitem__,
            ),
            Choice("r", resolutions),
            translate=partial(
                ofa.published,
                fixed_depths=tuple(s.depth for s in self.stages),
                largest={"ks": [self.kernel_sizes[-1]] * len(self.places), "e": [ratios[-1]] * len(self.places)},
            ),
        )
        super().__init__()
        self.kernel_transforms = nn.ParameterDict(self._identity_transforms())

    @property
    def name(self) -> str:
        """The family's name, as in checkpoints and reports."""
        return self.family

    @property
    def title(self) -> str:
        """The family and its width."""
        return self.family if self.width_mult is None else f"{self.family} of width {self.width_mult:g}"

    def build(self, architecture: Architecture) -> nn.Module:
        """A stock timm model; its `pretrained_cfg` names the input size and normalisation that its transforms use."""
        model: Any = self.stock(**self.stock_args(architecture))
        model.pretrained_cfg = model.default_cfg = self.pretrained_cfg(architecture)
        return cast(nn.Module, model)

    def stock_args(self, architecture: Architecture) -> dict[str, Any]:
        """Arguments of timm's class."""
        return {
            "block_args": self.block_args(architecture),
            "num_classes": self.num_classes,
            "in_chans": self.in_chans,
            "stem_size": self.stem_width,
            "round_chs_fn": int,  # channel counts stay as they are given
        }

    def library_code(self, architecture: Architecture) -> str:
        """Python that builds the sub-network with timm alone and loads `model.safetensors`, for deployment bundles."""
        source = Source()
        args = "".join(f"    {k}={source.of(v, '    ')},\n" for k, v in self.stock_args(architecture).items())
        return _LIBRARY_CODE.format(model=source.of(self.stock), args=args, imports=source.imports)

    def block_args(self, architecture: Architecture) -> list[list[dict[str, Any]]]:
        """Block arguments of timm's EfficientNetBuilder for the whole trunk, stage by stage."""
        blocks: list[list[dict[str, Any]]] = [[] for _ in self.stages]
        for index, (s, b) in enumerate(self.places):
            if b < architecture["d"][s]:
                blocks[s].append(self._inverted_residual(architecture, index))
        first = {"block_type": "ds", "stride": 1, "dw_kernel_size": 3, "se_ratio": 0.0, **self.first_block()}
        return [[first], *blocks]

    @abstractmethod
    def first_block(self) -> dict[str, Any]:
        """Arguments of the fixed first block: `out_chs`, `act_layer` and others that timm knows."""

    def example_inputs(self, architecture: Architecture, batch_size: int = 1) -> tuple[Tensor, ...]:
        """Normal images at the architecture's resolution."""
        shape = (batch_size, self.in_chans, architecture["r"], architecture["r"])
        return (torch.randn(shape, generator=torch.Generator().manual_seed(0)),)

    def slice_shared(self, name: str, owner: nn.Module, shape: torch.Size) -> Tensor:
        """Leading slices; depth-wise kernels through the chain of kernel transforms."""
        tensor = self._tensors[name]
        if not name.endswith(".conv_dw.weight") or tensor.shape[-1] == shape[-1]:
            return super().slice_shared(name, owner, shape)
        kernel = leading_slice(tensor, (shape[0],))
        for larger, smaller in self._kernel_steps():
            if smaller < shape[-1] or larger > tensor.shape[-1]:
                continue
            cropped = centre_crop(kernel, (*kernel.shape[:2], smaller, smaller))
            matrix = self.kernel_transforms[_transform_name(name, larger, smaller)]
            kernel = nn.functional.linear(cropped.flatten(2), matrix).unflatten(2, (smaller, smaller))
        return kernel

    def blocks_of(self, model: nn.Module) -> dict[str, list[nn.Module]]:
        """Stem, inverted residuals, and everything behind them."""
        return {
            "stem": [model.get_submodule("conv_stem"), model.get_submodule("bn1")],
            **{
                f"blocks.{i}.{j}": [block]
                for i, stage in model.get_submodule("blocks").named_children()
                for j, block in stage.named_children()
            },
            "head": [module for name, module in model.named_children() if name in self.tail],
        }

    def block_genes(self) -> dict[str, list[str]]:
        """Every block sees the resolution; elastic ones their kernel size and expansion."""
        return {
            "stem": ["r"],
            "blocks.0.0": ["r"],
            **{f"blocks.{s + 1}.{b}": [f"ks[{i}]", f"e[{i}]", "r"] for i, (s, b) in enumerate(self.places)},
            "head": ["r"],
        }

    def costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """Exact `macs` (one sample) and `params` of each architecture, in closed form."""
        genes = self.space.genes_of(architectures)
        at = indices_of(self.space, genes)
        tally = Tally(len(genes))
        size = halved(np.array(self.space.choice("r").values)[at["r"][:, 0]])
        tally.conv(self.in_chans, self.stem_width, size, kernel=3)
        width = self.first_block()["out_chs"]
        tally.conv(1, self.stem_width, size, kernel=3)
        tally.conv(self.stem_width, width, size)
        for index, (s, b) in enumerate(self.places):
            stage, before = self.stages[s], size
            if b == 0 and stage.stride == 2:
                size = halved(size)
            middles = np.array([make_divisible(width * e) for e in self.space.choice("e").values])
            exists = np.array(self.space.choice("d").values_at(s))[at["d"][:, s]] > b
            middle = middles[at["e"][:, index]]
            tally.conv(width, middle, before, when=exists)
            tally.conv(1, middle, size, kernel=np.array(self.kernel_sizes)[at["ks"][:, index]], when=exists)
            if stage.squeeze_excite:
                gate = np.array([make_divisible(m * _GATE_RATIO) for m in middles])[at["e"][:, index]]
                tally.conv(middle, gate, 1, norm=False, bias=True, when=exists)
                tally.conv(gate, middle, 1, norm=False, bias=True, when=exists)
            tally.conv(middle, stage.width, size, when=exists)
            width = stage.width
        self.count_tail(tally, width, size)
        return tally.result()

    def published_blocks(self, architecture: Mapping[str, Any]) -> dict[str, list[str]]:
        """As in Once-for-All's latency tables."""
        r, width = architecture["r"], self.first_block()["out_chs"]
        size = int(halved(np.array(r)))
        skip = self.stem_width == width
        blocks = {"stem": [ofa.table_entry("Conv", (r, self.in_chans), (size, self.stem_width))]}
        first = ofa.MBConv(self.stem_width, width, self.stem_width, 1, 3, 1, skip, False, "re")
        blocks["blocks.0.0"] = [self.published_block(first, size, size)]
        for index, (s, b) in enumerate(self.places):
            if b >= architecture["d"][s]:
                continue
            stage, before, ratio = self.stages[s], size, architecture["e"][index]
            stride = stage.stride if b == 0 else 1
            size = -(-size // stride)
            block = ofa.MBConv(
                width,
                stage.width,
                make_divisible(width * ratio),
                ratio,
                architecture["ks"][index],
                stride,
                stride == 1 and width == stage.width,
                stage.squeeze_excite,
                stage.activation,
            )
            blocks[f"blocks.{s + 1}.{b}"] = [self.published_block(block, before, size)]
            width = stage.width
        return blocks | self.published_tail_blocks(width, size)

    @abstractmethod
    def published_block(self, block: ofa.MBConv, before: int, after: int) -> str:
        """The entry of an inverted residual, from `before` to `after` pixels wide, in the family's latency tables."""

    @abstractmethod
    def published_tail_blocks(self, width: int, size: int) -> dict[str, list[str]]:
        """The entries of every block behind the last elastic one, which gives `width` channels of `size` pixels."""

    @abstractmethod
    def count_tail(self, tally: Tally, width: int, size: Counts) -> None:
        """Adds what is behind the last elastic block, which gives `width` channels of `size` x `size` pixels."""

    def published_layout(self) -> Layout:
        """Once-for-All's."""
        matrices = {
            f"kernel_transforms.{_transform_name(f'blocks.{s + 1}.{b}.conv_dw.weight', larger, smaller)}": (
                f"blocks.{i + 1}.conv.depth_conv.conv.{larger}to{smaller}_matrix"
            )
            for i, (s, b) in enumerate(self.places)
            for larger, smaller in reversed(self._kernel_steps())
        }
        blocks = {f"blocks.{i + 1}": f"blocks.{s + 1}.{b}" for i, (s, b) in enumerate(self.places)}
        return ofa.mobile_layout(self._tensors, blocks, matrices, self.published_tail())

    @abstractmethod
    def published_tail(self) -> dict[str, str]:
        """The authors' name of every module behind the last elastic block."""

    def pretrained_cfg(self, architecture: Architecture) -> dict[str, Any]:
        """What timm's transforms want to know: input size, normalisation."""
        resolution = architecture["r"]
        return {
            "architecture": self.family,
            "input_size": (self.in_chans, resolution, resolution),
            "mean": self.mean,
            "std": self.std,
            "num_classes": self.num_classes,
        }

    # --- internals ---

    def _inverted_residual(self, architecture: Architecture, index: int) -> dict[str, Any]:
        stage, block = self.places[index]
        settings = self.stages[stage]
        return {
            "block_type": "ir",
            "dw_kernel_size": architecture["ks"][index],
            "exp_ratio": architecture["e"][index],
            "out_chs": settings.width,
            "stride": settings.stride if block == 0 else 1,
            "act_layer": ACTIVATIONS[settings.activation],
            "se_ratio": _GATE_RATIO if settings.squeeze_excite else 0.0,
        }

    def _kernel_steps(self) -> list[tuple[int, int]]:
        descending = sorted(self.kernel_sizes, reverse=True)
        return list(zip(descending, descending[1:], strict=False))

    def _identity_transforms(self) -> dict[str, Tensor]:
        elastic = [n for n in self._tensors if n.endswith(".conv_dw.weight") and not n.startswith("blocks.0.")]
        return {
            _transform_name(name, larger, smaller): nn.Parameter(torch.eye(smaller**2))
            for name in elastic
            for larger, smaller in self._kernel_steps()
        }


def _transform_name(weight: str, larger: int, smaller: int) -> str:
    return f"{weight.removesuffix('.conv_dw.weight').replace('.', '_')}_{larger}to{smaller}"


_LIBRARY_CODE = """\
{imports}
from safetensors.torch import load_file

model = {model}(
{args})
model.load_state_dict(load_file("model.safetensors"))
model.eval()
"""
