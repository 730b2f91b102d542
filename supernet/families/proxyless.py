"""ProxylessNAS super-networks as in Once-for-All (arXiv:1908.09791, arXiv:1812.00332): no gates, ReLU6 everywhere."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from timm.models.efficientnet import EfficientNet
from torch import nn

from supernet.architecture import Architecture
from supernet.families import ofa
from supernet.families.mbconv import ElasticMBConv, Stage
from supernet.registry import register
from supernet.tally import Counts, Tally


class ElasticProxylessNAS(ElasticMBConv):
    """A weight-sharing ProxylessNAS whose sub-networks are stock `timm.models.efficientnet.EfficientNet` models.

    Args:
        stages: the elastic stages; all channel counts are multiples of 8.
        first_width: channels of the fixed first block, which has no shortcut.
        head_width: channels of the last convolution, before pooling.
        bn_eps: what batch norm adds to the variance.
        settings: further arguments of `ElasticMBConv`.
    """

    stock = EfficientNet
    tail = ("conv_head", "bn2", "global_pool", "classifier")

    def __init__(
        self,
        stages: Sequence[Stage | Mapping[str, Any]],
        *,
        first_width: int = 16,
        head_width: int = 1280,
        bn_eps: float = 1e-3,
        **settings: Any,
    ) -> None:
        self.first_width, self.head_width, self.bn_eps = first_width, head_width, bn_eps
        super().__init__(stages, **{"family": "proxylessnas"} | settings)

    def stock_args(self, architecture: Architecture) -> dict[str, Any]:
        """As in all families, with ReLU6 everywhere."""
        return super().stock_args(architecture) | {
            "num_features": self.head_width,
            "act_layer": nn.ReLU6,
            "norm_layer": partial(nn.BatchNorm2d, eps=self.bn_eps),
        }

    def first_block(self) -> dict[str, Any]:
        """Narrower than the stem, without a shortcut."""
        return {"out_chs": self.first_width, "act_layer": nn.ReLU6, "noskip": True}

    def count_tail(self, tally: Tally, width: int, size: Counts) -> None:
        """The last convolution and the classifier."""
        tally.conv(width, self.head_width, size)
        tally.linear(self.head_width, self.num_classes)

    def published_block(self, block: ofa.MBConv, before: int, after: int) -> str:
        """Tells the expansion ratio; there are no gates."""
        return ofa.block_entry(block, before, after, expand=block.ratio)

    def published_tail_blocks(self, width: int, size: int) -> dict[str, list[str]]:
        """The last convolution, then pooling and the classifier."""
        return {
            "head": [
                ofa.table_entry("Conv_1", (size, width), (size, self.head_width)),
                ofa.table_entry("Logits", (size, self.head_width), (self.num_classes,)),
            ]
        }

    def published_tail(self) -> dict[str, str]:
        """The authors' names behind the last elastic block."""
        return {
            "conv_head": "feature_mix_layer.conv",
            "bn2": "feature_mix_layer.bn",
            "classifier": "classifier.linear",
        }


_WIDTHS_AND_STRIDES = ((24, 2), (40, 2), (80, 2), (96, 1), (192, 2), (320, 1))


@register("ofa_proxyless")
def ofa_proxyless(
    width_mult: float = 1.3,
    resolutions: Sequence[int] = ofa.RESOLUTIONS,
    num_classes: int = 1000,
    in_chans: int = 3,
) -> ElasticProxylessNAS:
    """Once-for-All's ProxylessNAS (`ofa_proxyless_d234_e346_k357_w1.3`); the depth of its sixth stage is always 1."""
    scaled = partial(ofa.scaled, width_mult=width_mult)
    last = len(_WIDTHS_AND_STRIDES) - 1
    return ElasticProxylessNAS(
        [
            Stage(scaled(width), stride, "re6", depth=1 if i == last else None)
            for i, (width, stride) in enumerate(_WIDTHS_AND_STRIDES)
        ],
        stem_width=scaled(32),
        first_width=scaled(16),
        head_width=scaled(1280),
        num_classes=num_classes,
        in_chans=in_chans,
        resolutions=resolutions,
        mean=ofa.MEAN,
        std=ofa.STD,
        family="ofa_proxyless",
        width_mult=width_mult,
    )
