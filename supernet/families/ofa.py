"""Once-for-All's published vocabulary (arXiv:1908.09791): names of tensors in checkpoints, JSON configurations.

The names are those of the authors' code at its last revision; it reads `mobile_inverted_conv` for `conv`, and the
names of static networks for elastic ones, and so does this.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from timm.layers import make_divisible

from supernet.architecture import ArchitectureError
from supernet.layout import Layout, Shapes, names_of_modules, recogniser

RESOLUTIONS = tuple(range(128, 225, 4))
"""Image sizes that the authors trained with."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_ELASTIC = "conv", "bn", "linear"  # an elastic layer holds the static one under its own name once more

_BLOCK = {
    "conv_pw": "inverted_bottleneck.conv.conv",
    "bn1": "inverted_bottleneck.bn.bn",
    "conv_dw": "depth_conv.conv.conv",
    "bn2": "depth_conv.bn.bn",
    "se.conv_reduce": "depth_conv.se.fc.reduce",
    "se.conv_expand": "depth_conv.se.fc.expand",
    "conv_pwl": "point_linear.conv.conv",
    "bn3": "point_linear.bn.bn",
}
_BEFORE = {
    "conv_stem": "first_conv.conv",
    "bn1": "first_conv.bn",
    "blocks.0.0.conv_dw": "blocks.0.conv.depth_conv.conv",
    "blocks.0.0.bn1": "blocks.0.conv.depth_conv.bn",
    "blocks.0.0.conv_pw": "blocks.0.conv.point_linear.conv",
    "blocks.0.0.bn2": "blocks.0.conv.point_linear.bn",
}


@dataclass(frozen=True)
class MBConv:
    """An inverted residual: channels in, out and between, and how they are expanded; kernel, stride and the rest."""

    inputs: int
    outputs: int
    middle: int
    ratio: int
    kernel: int
    stride: int
    skip: bool
    squeeze_excite: bool
    activation: str


def table_entry(kind: str, before: tuple[int, ...], after: tuple[int, ...], **settings: int) -> str:
    """Name of a layer in the authors' latency tables; shapes are (width in pixels, channels), or (features,)."""
    shapes = ["x".join(map(str, [*shape[:-1], *shape[:-1], shape[-1]])) for shape in (before, after)]
    return "-".join([kind, f"input:{shapes[0]}", f"output:{shapes[1]}", *(f"{k}:{v}" for k, v in settings.items())])


def block_entry(block: MBConv, before: int, after: int, *, expand: int, **further: int) -> str:
    """Name of an inverted residual, from `before` to `after` pixels wide."""
    settings = {"expand": expand, "kernel": block.kernel, "stride": block.stride, "idskip": int(block.skip), **further}
    return table_entry("expanded_conv", (before, block.inputs), (after, block.outputs), **settings)


def scaled(channels: int, width_mult: float) -> int:
    """Channels at a width: the nearest multiple of 8 that keeps at least 90 % of them."""
    return int(make_divisible(channels * width_mult, 8))


def spelling(key: str) -> str:
    """One form for all names of a tensor: the first release's, the present ones, those of static networks."""
    key = key.replace(".mobile_inverted_conv.", ".conv.")
    for layer in _ELASTIC:
        key = re.sub(rf"\b{layer}(\.{layer}\b)+", layer, key)
    return key


def layout(tensors: Iterable[str], modules: Mapping[str, str], matrices: Mapping[str, str] | None = None) -> Layout:
    """The authors' layout, in their order.

    Args:
        tensors: own names of all tensors of the largest sub-network.
        modules: own name of each of its modules that holds tensors -> the authors'.
        matrices: own name of each kernel transform -> the authors'; they come before the weight that they belong to.
    """
    before: dict[str, dict[str, str]] = {}  # authors' name of a weight -> the matrices that come before it
    for own, theirs in (matrices or {}).items():
        before.setdefault(f"{theirs.rpartition('.')[0]}.conv.weight", {})[own] = theirs
    names: dict[str, str] = {}
    for own, theirs in names_of_modules(tensors, modules).items():
        names |= {**before.get(theirs, {}), f"shared.{own}": theirs}
    return Layout("ofa", names, spelling)


def mobile_layout(
    tensors: Iterable[str], blocks: Mapping[str, str], matrices: Mapping[str, str], tail: Mapping[str, str]
) -> Layout:
    """The authors' layout of networks of inverted residuals.

    Args:
        tensors: as `layout` takes them.
        blocks: the authors' name of each elastic block -> own.
        matrices: as `layout` takes them.
        tail: own name of every module behind them -> the authors'.
    """
    elastic = {
        f"{own}.{part}": f"{theirs}.conv.{name}" for theirs, own in blocks.items() for part, name in _BLOCK.items()
    }
    return layout(tensors, {**_BEFORE, **elastic, **tail}, matrices)


def published(
    mapping: Mapping[str, Any], *, fixed_depths: Sequence[int | None] = (), largest: Mapping[str, Any] | None = None
) -> Mapping[str, Any]:
    """A configuration as Once-for-All's users keep it, in the space's vocabulary.

    `wid` is null beside the choices, and the resolution may be called `image_size`. Depths of stages that do not vary
    may be absent, and are clipped (as the authors do). Lists in `largest` may end before the blocks of a last stage
    that does not vary: these are then as large as can be, which is how the authors' code leaves them.

    Args:
        mapping: as they keep it.
        fixed_depths: of each stage, None where it varies.
        largest: for choices that have a value for each block, these values in the largest sub-network.

    Raises ArchitectureError for a `wid` that is not null.
    """
    values = dict(mapping)
    if values.pop("wid", None) is not None:
        raise ArchitectureError(f"wid: {mapping['wid']!r} is not None: the width is a setting of the super-network")
    if "image_size" in values and "r" not in values:
        values["r"] = values.pop("image_size")
    if "d" in values and any(fixed_depths):
        values["d"] = _clipped(values["d"], fixed_depths)
    last = (fixed_depths[-1] if fixed_depths else None) or 0
    for name, full in (largest or {}).items():
        given = values.get(name)
        if last and isinstance(given, (list, tuple)) and len(given) == len(full) - last:
            values[name] = [*given, *full[-last:]]
    return values


def _clipped(given: Any, fixed: Sequence[int | None]) -> Any:
    elastic = sum(depth is None for depth in fixed)
    if not isinstance(given, (list, tuple)):
        given = [given] * len(fixed)
    if len(given) == elastic:
        rest = iter(given)
        given = [next(rest) if depth is None else depth for depth in fixed]
    if len(given) != len(fixed):
        return given
    return [d if depth is None else min(d, depth) for d, depth in zip(given, fixed, strict=True)]


@recogniser
def looks_like(shapes: Shapes) -> str | None:
    """The family and the width whose published tensors these are."""
    spelt = {spelling(key): shape for key, shape in shapes.items()}
    if "input_stem.0.conv.weight" in spelt and "classifier.linear.weight" in spelt:
        return f"ofa_resnet50 of width {spelt['classifier.linear.weight'][-1] / 2048:g}"
    mixed = spelt.get("feature_mix_layer.conv.weight")
    if mixed is None or "first_conv.conv.weight" not in spelt:
        return None
    family = "ofa_mobilenetv3" if "final_expand_layer.conv.weight" in spelt else "ofa_proxyless"
    return f"{family} of width {mixed[0] / 1280:g}"
