"""MobileNetV3 super-networks as in Once-for-All (arXiv:1908.09791): elastic kernels, expansion, depth, resolution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timm.layers import make_divisible
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.mobilenetv3 import MobileNetV3
from torch import Tensor, nn

from supernet.architecture import Architecture, ArchitectureError
from supernet.network import SuperNetwork
from supernet.registry import register
from supernet.sharing import centre_crop, leading_slice
from supernet.space import Choice, SearchSpace, within_depth

_SE = partial(
    SqueezeExcite, rd_ratio=0.25, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=make_divisible
)
_ACTIVATIONS = {"re": nn.ReLU, "hs": nn.Hardswish}


@dataclass(frozen=True)
class Stage:
    """A run of elastic blocks: output channels, stride of the first, activation, squeeze-and-excitation."""

    width: int
    stride: int
    activation: str = "hs"
    squeeze_excite: bool = False


class ElasticMobileNetV3(SuperNetwork):
    """A weight-sharing MobileNetV3 whose sub-networks are stock `timm.models.mobilenetv3.MobileNetV3` models.

    Architectures are `{"ks": [...], "e": [...], "d": [...], "r": ...}`: kernel size and expansion ratio of every block,
    depth of every stage, input resolution in pixels. Smaller depth-wise kernels are the centre of the larger ones,
    passed through a learned linear map per block (a chain: 7 -> 5 -> 3), shared by all channels.

    Args:
        stages: the elastic stages; all channel counts are multiples of 8.
        stem_width: channels of the stem and of the fixed first block.
        head_widths: channels of the last convolution before pooling and of the one after it.
        resolutions, kernel_sizes, expand_ratios, depths: what may vary, ascending.
        mean, std: of the input channels, as the network's transforms normalise them.
        family: name in checkpoints and reports.
    """

    def __init__(
        self,
        stages: Sequence[Stage | Mapping[str, Any]],
        *,
        stem_width: int = 16,
        head_widths: tuple[int, int] = (960, 1280),
        num_classes: int = 1000,
        in_chans: int = 3,
        resolutions: Sequence[int] = (224,),
        kernel_sizes: Sequence[int] = (3, 5, 7),
        expand_ratios: Sequence[int] = (3, 4, 6),
        depths: Sequence[int] = (2, 3, 4),
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        family: str = "mobilenetv3",
    ) -> None:
        self.family = family
        self.stages = tuple(s if isinstance(s, Stage) else Stage(**s) for s in stages)
        self.stem_width, self.head_widths = stem_width, tuple(head_widths)
        self.num_classes, self.in_chans = num_classes, in_chans
        self.mean, self.std = tuple(mean), tuple(std)
        self.max_depth = max(depths)
        self.kernel_sizes = tuple(kernel_sizes)
        n_blocks = self.max_depth * len(self.stages)
        exists = within_depth("d", [self.max_depth] * len(self.stages))
        self.space = SearchSpace(
            Choice("ks", self.kernel_sizes, n_blocks, exists),
            Choice("e", tuple(expand_ratios), n_blocks, exists),
            Choice("d", tuple(depths), len(self.stages)),
            Choice("r", tuple(resolutions)),
            translate=partial(_published, resolutions=tuple(resolutions)),
        )
        super().__init__()
        self.kernel_transforms = nn.ParameterDict(self._identity_transforms())

    @property
    def name(self) -> str:
        """The family's name, as in checkpoints and reports."""
        return self.family

    def build(self, architecture: Architecture) -> MobileNetV3:
        """A stock timm model; its `pretrained_cfg` names the input size and normalisation that its transforms use."""
        model = MobileNetV3(
            self._block_args(architecture),
            num_classes=self.num_classes,
            in_chans=self.in_chans,
            stem_size=self.stem_width,
            num_features=self.head_widths[1],
            head_bias=False,
            act_layer=nn.Hardswish,
            se_layer=_SE,
            round_chs_fn=_unchanged,
        )
        resolution = architecture["r"]
        model.pretrained_cfg = model.default_cfg = {
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
        """Stem, inverted residuals, final convolution, and everything behind it."""
        head = ("global_pool", "conv_head", "norm_head", "act2", "flatten", "classifier")
        return {
            "stem": [model.get_submodule("conv_stem"), model.get_submodule("bn1")],
            **{
                f"blocks.{i}.{j}": [block]
                for i, stage in model.get_submodule("blocks").named_children()
                for j, block in stage.named_children()
            },
            "head": [module for name, module in model.named_children() if name in head],
        }

    def block_genes(self) -> dict[str, list[str]]:
        """Every block sees the resolution; elastic ones their kernel size and expansion."""
        places = [(s, b) for s in range(len(self.stages)) for b in range(self.max_depth)]
        return {
            "stem": ["r"],
            "blocks.0.0": ["r"],
            **{f"blocks.{s + 1}.{b}": [f"ks[{i}]", f"e[{i}]", "r"] for i, (s, b) in enumerate(places)},
            f"blocks.{len(self.stages) + 1}.0": ["r"],
            "head": ["r"],
        }

    def library_code(self, architecture: Architecture) -> str:
        """Python that builds the sub-network with timm alone and loads `model.safetensors`, for deployment bundles."""

        def shown(block: Mapping[str, Any]) -> str:
            values = (f"{k}={'nn.' + v.__name__ if isinstance(v, type) else repr(v)}" for k, v in block.items())
            return f"            dict({', '.join(values)}),"

        stages = [
            "\n".join(["        [", *map(shown, blocks), "        ],"]) for blocks in self._block_args(architecture)
        ]
        return _LIBRARY_CODE.format(
            stages="\n".join(stages),
            num_classes=self.num_classes,
            in_chans=self.in_chans,
            stem_width=self.stem_width,
            num_features=self.head_widths[1],
        )

    # --- internals ---

    def _block_args(self, architecture: Architecture) -> list[list[dict[str, Any]]]:
        first = {"block_type": "ds", "out_chs": self.stem_width, "stride": 1, "act_layer": nn.ReLU, "dw_kernel_size": 3}
        last = {"block_type": "cn", "out_chs": self.head_widths[0], "stride": 1, "kernel_size": 1}
        stages = [
            [self._inverted_residual(architecture, s, b) for b in range(architecture["d"][s])]
            for s in range(len(self.stages))
        ]
        return [[first | {"se_ratio": 0.0}], *stages, [last | {"act_layer": nn.Hardswish}]]

    def _inverted_residual(self, architecture: Architecture, stage: int, block: int) -> dict[str, Any]:
        index, settings = stage * self.max_depth + block, self.stages[stage]
        return {
            "block_type": "ir",
            "dw_kernel_size": architecture["ks"][index],
            "exp_ratio": architecture["e"][index],
            "out_chs": settings.width,
            "stride": settings.stride if block == 0 else 1,
            "act_layer": _ACTIVATIONS[settings.activation],
            "se_ratio": 0.25 if settings.squeeze_excite else 0.0,
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


_LIBRARY_CODE = """\
from functools import partial
from safetensors.torch import load_file
from timm.layers import make_divisible
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

model = MobileNetV3(
    [
{stages}
    ],
    num_classes={num_classes},
    in_chans={in_chans},
    stem_size={stem_width},
    num_features={num_features},
    head_bias=False,
    act_layer=nn.Hardswish,
    se_layer=partial(
        SqueezeExcite, rd_ratio=0.25, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=make_divisible
    ),
    round_chs_fn=lambda channels, **_: int(channels),
)
model.load_state_dict(load_file("model.safetensors"))
model.eval()
"""


def _transform_name(weight: str, larger: int, smaller: int) -> str:
    return f"{weight.removesuffix('.conv_dw.weight').replace('.', '_')}_{larger}to{smaller}"


def _unchanged(channels: float, *_: Any, **__: Any) -> int:
    return int(channels)


def _published(mapping: Mapping[str, Any], resolutions: tuple[int, ...]) -> Mapping[str, Any]:
    """Once-for-All's JSON configurations: `wid` (always null for this family) beside the choices; `r` may be absent."""
    values = dict(mapping)
    if values.pop("wid", None) is not None:
        raise ArchitectureError(f"wid: {mapping['wid']!r} is not None: the width is a setting of the super-network")
    if "r" not in values and len(resolutions) == 1:
        values["r"] = resolutions[0]
    return values


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
    resolutions: Sequence[int] = tuple(range(128, 225, 4)),
    num_classes: int = 1000,
    in_chans: int = 3,
) -> ElasticMobileNetV3:
    """Once-for-All's MobileNetV3 (`ofa_mbv3_d234_e346_k357`); published for width 1.0 and 1.2."""

    def scaled(width: int) -> int:
        return int(make_divisible(width * width_mult, 8))

    return ElasticMobileNetV3(
        [Stage(scaled(s.width), s.stride, s.activation, s.squeeze_excite) for s in _OFA_STAGES],
        stem_width=scaled(16),
        head_widths=(scaled(960), scaled(1280)),
        num_classes=num_classes,
        in_chans=in_chans,
        resolutions=resolutions,
        family="ofa_mobilenetv3",
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
