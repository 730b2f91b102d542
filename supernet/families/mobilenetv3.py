"""MobileNetV3 super-networks as in Once-for-All (arXiv:1908.09791): elastic kernels, expansion, depth, resolution."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from timm.layers import make_divisible
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

from supernet.architecture import Architecture
from supernet.families import ofa
from supernet.families.mbconv import ElasticMBConv, Stage
from supernet.registry import register
from supernet.tally import Counts, Tally

__all__ = ["ElasticMobileNetV3", "Stage", "digits_mobilenetv3", "ofa_mobilenetv3"]

_SE = partial(
    SqueezeExcite, rd_ratio=0.25, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=make_divisible
)


class ElasticMobileNetV3(ElasticMBConv):
    """A weight-sharing MobileNetV3 whose sub-networks are stock `timm.models.mobilenetv3.MobileNetV3` models.

    Args:
        stages: the elastic stages; all channel counts are multiples of 8.
        head_widths: channels of the last convolution before pooling and of the one after it.
        settings: further arguments of `ElasticMBConv`; `stem_width` is also that of the fixed first block.
    """

    stock = MobileNetV3
    tail = ("global_pool", "conv_head", "norm_head", "act2", "flatten", "classifier")

    def __init__(
        self,
        stages: Sequence[Stage | Mapping[str, Any]],
        *,
        head_widths: tuple[int, int] = (960, 1280),
        **settings: Any,
    ) -> None:
        self.head_widths = tuple(head_widths)
        super().__init__(stages, **{"family": "mobilenetv3"} | settings)

    def stock_args(self, architecture: Architecture) -> dict[str, Any]:
        """As in all families, with the last convolution of MobileNetV3."""
        return super().stock_args(architecture) | {
            "num_features": self.head_widths[1],
            "head_bias": False,
            "act_layer": nn.Hardswish,
            "se_layer": _SE,
        }

    def first_block(self) -> dict[str, Any]:
        """As wide as the stem, with a shortcut."""
        return {"out_chs": self.stem_width, "act_layer": nn.ReLU}

    def block_args(self, architecture: Architecture) -> list[list[dict[str, Any]]]:
        """Block arguments of the trunk, which ends with a convolution."""
        last = {"block_type": "cn", "out_chs": self.head_widths[0], "stride": 1, "kernel_size": 1}
        return [*super().block_args(architecture), [last | {"act_layer": nn.Hardswish}]]

    def block_genes(self) -> dict[str, list[str]]:
        """As in all families, and the last convolution."""
        return super().block_genes() | {f"blocks.{len(self.stages) + 1}.0": ["r"]}

    def count_tail(self, tally: Tally, width: int, size: Counts) -> None:
        """The last convolution, the one behind the pooling, the classifier."""
        tally.conv(width, self.head_widths[0], size)
        tally.conv(self.head_widths[0], self.head_widths[1], 1, norm=False)
        tally.linear(self.head_widths[1], self.num_classes)

    def published_block(self, block: ofa.MBConv, before: int, after: int) -> str:
        """Tells the expanded channels, the gate and the activation."""
        gate, activation = int(block.squeeze_excite), int(block.activation == "hs")
        return ofa.block_entry(block, before, after, expand=block.middle, se=gate, hs=activation)

    def published_tail_blocks(self, width: int, size: int) -> dict[str, list[str]]:
        """The last convolution, then pooling, the one behind it and the classifier."""
        wide, wider = self.head_widths
        return {
            f"blocks.{len(self.stages) + 1}.0": [ofa.table_entry("Conv_1", (size, width), (size, wide))],
            "head": [
                ofa.table_entry("AvgPool2D", (size, wide), (1, wide)),
                ofa.table_entry("Conv_2", (1, wide), (1, wider)),
                ofa.table_entry("Logits", (1, wider), (self.num_classes,)),
            ],
        }

    def published_tail(self) -> dict[str, str]:
        """The authors' names behind the last elastic block."""
        last = f"blocks.{len(self.stages) + 1}.0"
        return {
            f"{last}.conv": "final_expand_layer.conv",
            f"{last}.bn1": "final_expand_layer.bn",
            "conv_head": "feature_mix_layer.conv",
            "classifier": "classifier.linear",
        }


_OFA_STAGES = (
    Stage(24, 2, "re"),
    Stage(40, 2, "re", squeeze_excite=True),
    Stage(80, 2, "hs"),
    Stage(112, 1, "hs", squeeze_excite=True),
    Stage(160, 2, "hs", squeeze_excite=True),
)


@register("ofa_mobilenetv3")
def ofa_mobilenetv3(
    width_mult: float = 1.0,
    resolutions: Sequence[int] = ofa.RESOLUTIONS,
    num_classes: int = 1000,
    in_chans: int = 3,
) -> ElasticMobileNetV3:
    """Once-for-All's MobileNetV3 (`ofa_mbv3_d234_e346_k357`); published for width 1.0 and 1.2."""
    scaled = partial(ofa.scaled, width_mult=width_mult)
    return ElasticMobileNetV3(
        [Stage(scaled(s.width), s.stride, s.activation, s.squeeze_excite) for s in _OFA_STAGES],
        stem_width=scaled(16),
        head_widths=(scaled(960), scaled(1280)),
        num_classes=num_classes,
        in_chans=in_chans,
        resolutions=resolutions,
        mean=ofa.MEAN,
        std=ofa.STD,
        family="ofa_mobilenetv3",
        width_mult=width_mult,
    )


@register("digits_mobilenetv3")
def digits_mobilenetv3() -> ElasticMobileNetV3:
    """A small MobileNetV3 for grey images of ten classes at 8 to 48 pixels; has embedded weights for digits."""
    return ElasticMobileNetV3(
        [
            Stage(16, 2, "re"),
            Stage(24, 2, "re", squeeze_excite=True),
            Stage(32, 1, "hs", squeeze_excite=True),
            Stage(48, 2, "hs"),
        ],
        stem_width=16,
        head_widths=(96, 128),
        num_classes=10,
        in_chans=1,
        resolutions=(8, 16, 32, 48),
        mean=(0.305,),
        std=(0.376,),
        family="digits_mobilenetv3",
    )
