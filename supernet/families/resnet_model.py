"""A plain bottleneck ResNet of variant D (arXiv:1812.01187) with any widths, of timm's layers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from timm.layers import ConvNormAct, SelectAdaptivePool2d
from torch import Tensor, nn


@dataclass(frozen=True)
class Stem:
    """Channels inside and after the stem; whether a residual convolution stands in it."""

    middle: int
    width: int
    residual: bool


@dataclass(frozen=True)
class Block:
    """Channels in the middle and after a bottleneck, and its stride."""

    middle: int
    width: int
    stride: int = 1


class ResNet(nn.Module):
    """Stem, stages of bottlenecks, pooling, classifier.

    Args:
        stem: the three convolutions before the max pooling.
        stages: blocks of each stage; the first of each stage has a projection beside it.
        num_classes, in_chans: of the classifier and of the images.
    """

    pretrained_cfg: dict[str, Any]

    def __init__(self, stem: Stem, stages: Sequence[Sequence[Block]], *, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.stem = _Stem(stem, in_chans)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        width = stem.width
        built = []
        for blocks in stages:
            bottlenecks = []
            for i, block in enumerate(blocks):
                bottlenecks.append(_Bottleneck(width, block, projects=i == 0))
                width = block.width
            built.append(nn.Sequential(*bottlenecks))
        self.stages = nn.Sequential(*built)
        self.global_pool = SelectAdaptivePool2d(pool_type="avg", flatten=True)
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images [n, channels, height, width] -> logits [n, classes]."""
        logits: Tensor = self.classifier(self.global_pool(self.stages(self.maxpool(self.stem(x)))))
        return logits


class _Stem(nn.Module):
    """A convolution of stride 2, one with a shortcut around it and its activation, and one that widens."""

    def __init__(self, stem: Stem, in_chans: int) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(in_chans, stem.middle, 3, stride=2)
        self.residual = ConvNormAct(stem.middle, stem.middle, 3) if stem.residual else None
        self.conv2 = ConvNormAct(stem.middle, stem.width, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if self.residual is not None:
            x = x + self.residual(x)
        widened: Tensor = self.conv2(x)
        return widened


class _Bottleneck(nn.Module):
    """1x1, 3x3 (with the stride), 1x1; the shortcut of a projecting block pools by averages before its convolution."""

    def __init__(self, in_width: int, block: Block, *, projects: bool) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(in_width, block.middle, 1)
        self.conv2 = ConvNormAct(block.middle, block.middle, 3, stride=block.stride)
        self.conv3 = ConvNormAct(block.middle, block.width, 1, apply_act=False)
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False) if block.stride > 1 else nn.Identity()
        self.downsample = ConvNormAct(in_width, block.width, 1, apply_act=False) if projects else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.downsample(self.pool(x))
        activated: Tensor = self.act(self.conv3(self.conv2(self.conv1(x))) + shortcut)
        return activated
