"""ResNet-50 super-networks as in Once-for-All (arXiv:1908.09791): elastic depth, expansion, width, resolution."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from timm.layers import make_divisible
from torch import Tensor, nn

from supernet.architecture import Architecture
from supernet.choices import ascending
from supernet.families import ofa
from supernet.families.resnet_model import Block, ResNet, Stem
from supernet.layout import Layout
from supernet.network import SuperNetwork
from supernet.registry import register
from supernet.space import Choice, Genes, SearchSpace, within_depth
from supernet.tally import Tally, halved, indices_of

STEM_WIDTH = 64
STAGE_WIDTHS = (256, 512, 1024, 2048)
BASE_DEPTHS = (2, 2, 4, 2)

_KEEPS_RESIDUAL = 2  # the only depth of the stem with which it has its residual convolution
_BLOCK_PARTS = ("conv1", "conv2", "conv3", "downsample")


class ElasticResNet(SuperNetwork):
    """A weight-sharing bottleneck ResNet (variant D) with elastic depth, middle widths and widths.

    Architectures are `{"d": [...], "e": [...], "w": [...], "r": ...}`: `d[0]` is 2 where the stem has a residual
    convolution (0 and 1: it has none), `d[1:]` are the blocks that each stage has beyond its base depth, `e` the ratio
    of a block's middle width to its output, `w` indices into `width_mults` for the stem's inner and outer width and for
    each stage, `r` the resolution in pixels.

    Args:
        depths, expand_ratios, width_mults: what may vary, in any order; `w` counts widths from the smallest.
        resolutions: likewise, in pixels.
        num_classes, in_chans: of the classifier and of the images.
        base_depths: blocks that each stage always has.
        stem_width, stage_widths: channels at width 1.
        mean, std: of the input channels, as the network's transforms normalise them.
        family: name in checkpoints and reports.
    """

    def __init__(
        self,
        *,
        depths: Sequence[int] = (0, 1, 2),
        expand_ratios: Sequence[float] = (0.2, 0.25, 0.35),
        width_mults: Sequence[float] = (0.65, 0.8, 1.0),
        resolutions: Sequence[int] = (224,),
        num_classes: int = 1000,
        in_chans: int = 3,
        base_depths: Sequence[int] = BASE_DEPTHS,
        stem_width: int = STEM_WIDTH,
        stage_widths: Sequence[int] = STAGE_WIDTHS,
        mean: Sequence[float] = ofa.MEAN,
        std: Sequence[float] = ofa.STD,
        family: str = "resnet",
    ) -> None:
        self.family = family
        self.num_classes, self.in_chans = num_classes, in_chans
        self.mean, self.std = tuple(mean), tuple(std)
        depths, resolutions = ascending("depths", depths), ascending("resolutions", resolutions)
        self.width_mults = width_mults = ascending("width_mults", width_mults)
        self.base_depths = tuple(base_depths)
        self.stem_widths = [ofa.scaled(stem_width, w) for w in width_mults]
        self.stem_middles = [int(make_divisible(width // 2, 8)) for width in self.stem_widths]
        self.stage_widths = [[ofa.scaled(width, w) for w in width_mults] for width in stage_widths]
        n_blocks = [base + max(depths) for base in base_depths]
        self.places = [(s, b) for s, n in enumerate(n_blocks) for b in range(n)]
        self.space = SearchSpace(
            Choice("d", depths, 1 + len(n_blocks), aliases=partial(_stem_depths, depths)),
            Choice(
                "e",
                ascending("expand_ratios", expand_ratios),
                len(self.places),
                within_depth("d", n_blocks, self.base_depths, first=1),
            ),
            Choice(
                "w", tuple(range(len(self.width_mults))), 2 + len(n_blocks), aliases=partial(_equal, self.stem_middles)
            ),
            Choice("r", resolutions),
            translate=ofa.published,
        )
        super().__init__()

    @property
    def name(self) -> str:
        """The family's name, as in checkpoints and reports."""
        return self.family

    @property
    def title(self) -> str:
        """The family and its largest width."""
        return f"{self.family} of width {self.width_mults[-1]:g}"

    def build(self, architecture: Architecture) -> ResNet:
        """A plain network of timm's layers; `pretrained_cfg` names its input size and normalisation."""
        w = architecture["w"]
        stem = Stem(self.stem_middles[w[0]], self.stem_widths[w[1]], architecture["d"][0] == _KEEPS_RESIDUAL)
        stages: list[list[Block]] = [[] for _ in self.stage_widths]
        for index, (s, b) in enumerate(self.places):
            if b < self.base_depths[s] + architecture["d"][1 + s]:
                width = self.stage_widths[s][w[2 + s]]
                middle = self._middle(width, architecture["e"][index])
                stages[s].append(Block(middle, width, stride=2 if b == 0 and s > 0 else 1))
        model = ResNet(stem, stages, num_classes=self.num_classes, in_chans=self.in_chans)
        resolution = architecture["r"]
        model.pretrained_cfg = {
            "architecture": self.family,
            "input_size": (self.in_chans, resolution, resolution),
            "mean": self.mean,
            "std": self.std,
            "num_classes": self.num_classes,
        }
        return model

    def example_inputs(self, architecture: Architecture, batch_size: int = 1) -> tuple[Tensor, ...]:
        """Normal images at the architecture's resolution."""
        shape = (batch_size, self.in_chans, architecture["r"], architecture["r"])
        return (torch.randn(shape, generator=torch.Generator().manual_seed(0)),)

    def blocks_of(self, model: nn.Module) -> dict[str, list[nn.Module]]:
        """Stem with pooling, bottlenecks, and the classifier with its pooling."""
        return {
            "stem": [model.get_submodule("stem"), model.get_submodule("maxpool")],
            **{
                f"stages.{i}.{j}": [block]
                for i, stage in model.get_submodule("stages").named_children()
                for j, block in stage.named_children()
            },
            "head": [model.get_submodule("global_pool"), model.get_submodule("classifier")],
        }

    def block_genes(self) -> dict[str, list[str]]:
        """A block sees its stage's width and expansion; the first of a stage also the width before it."""
        genes = {"stem": ["d[0]", "w[0]", "w[1]", "r"]}
        for index, (s, b) in enumerate(self.places):
            before = [f"w[{1 + s}]"] if b == 0 else []
            genes[f"stages.{s}.{b}"] = [*before, f"w[{2 + s}]", f"e[{index}]", "r"]
        return genes | {"head": [f"w[{1 + len(self.stage_widths)}]", "r"]}

    def costs(self, architectures: Sequence[Mapping[str, Any]] | Genes) -> dict[str, NDArray[np.int64]]:
        """Exact `macs` (one sample) and `params` of each architecture, in closed form."""
        genes = self.space.genes_of(architectures)
        at = indices_of(self.space, genes)
        depths = np.array(self.space.choice("d").values)[at["d"]]
        tally = Tally(len(genes))
        size = halved(np.array(self.space.choice("r").values)[at["r"][:, 0]])
        middle, width = np.array(self.stem_middles)[at["w"][:, 0]], np.array(self.stem_widths)[at["w"][:, 1]]
        tally.conv(self.in_chans, middle, size, kernel=3)
        tally.conv(middle, middle, size, kernel=3, when=depths[:, 0] == _KEEPS_RESIDUAL)
        tally.conv(middle, width, size, kernel=3)
        size = halved(size)
        for index, (s, b) in enumerate(self.places):
            before, exists = size, b < self.base_depths[s] + depths[:, 1 + s]
            if b == 0 and s > 0:
                size = halved(size)
            outputs = np.array(self.stage_widths[s])[at["w"][:, 2 + s]]
            middles = [[self._middle(w, e) for e in self.space.choice("e").values] for w in self.stage_widths[s]]
            middle = np.array(middles)[at["w"][:, 2 + s], at["e"][:, index]]
            tally.conv(width, middle, before, when=exists)
            tally.conv(middle, middle, size, kernel=3, when=exists)
            tally.conv(middle, outputs, size, when=exists)
            if b == 0:
                tally.conv(width, outputs, size)
            width = outputs
        tally.linear(width, self.num_classes)
        return tally.result()

    @staticmethod
    def _middle(width: int, expand_ratio: float) -> int:
        return int(make_divisible(round(width * expand_ratio), 8))

    def published_layout(self) -> Layout:
        """Once-for-All's."""
        modules: dict[str, str] = {}
        for own, theirs in (("conv1", "0"), ("residual", "1.conv"), ("conv2", "2")):
            modules |= _conv_and_norm(f"stem.{own}", f"input_stem.{theirs}")
        for index, (s, b) in enumerate(self.places):
            for part in _BLOCK_PARTS:
                modules |= _conv_and_norm(f"stages.{s}.{b}.{part}", f"blocks.{index}.{part}")
        return ofa.layout(self._tensors, modules | {"classifier": "classifier.linear.linear"})


def _conv_and_norm(own: str, theirs: str) -> Mapping[str, str]:
    return {f"{own}.conv": f"{theirs}.conv.conv", f"{own}.bn": f"{theirs}.bn.bn"}


def _stem_depths(depths: tuple[int, ...], position: int) -> Mapping[Any, Any]:
    """The stem has its residual convolution or not: all other depths build the same network."""
    without = [depth for depth in depths if depth != _KEEPS_RESIDUAL]
    return {depth: without[0] for depth in without} if position == 0 else {}


def _equal(widths: list[int], position: int) -> Mapping[Any, Any]:
    """Indices of equal inner widths of the stem build the same network."""
    return {index: widths.index(width) for index, width in enumerate(widths)} if position == 0 else {}


@register("ofa_resnet50")
def ofa_resnet50(
    resolutions: Sequence[int] = tuple(range(128, 257, 4)),
    num_classes: int = 1000,
    in_chans: int = 3,
) -> ElasticResNet:
    """Once-for-All's ResNet-50 (`ofa_resnet50_d=0+1+2_e=0.2+0.25+0.35_w=0.65+0.8+1.0`)."""
    return ElasticResNet(resolutions=resolutions, num_classes=num_classes, in_chans=in_chans, family="ofa_resnet50")
