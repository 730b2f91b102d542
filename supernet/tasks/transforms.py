"""The evaluation transform of images: timm's, with settings resolved from the model and the task."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from PIL import Image
from torch import Tensor, nn

_MODES = {1: "L", 3: "RGB"}


def resolve_settings(
    model: nn.Module,
    fallback: Mapping[str, Any],
    *,
    interpolation: str,
    crop_pct: float,
    crop_rounding: str = "floor",
) -> dict[str, Any]:
    """Data settings of a model as timm resolves them, as JSON-compatible data.

    Args:
        model: its `pretrained_cfg`, where it has one, says input size, mean and std.
        fallback: `input_size`, `mean` and `std` where the model says nothing.
        interpolation: the task's, as timm names it.
        crop_pct: the task's.
        crop_rounding: "floor" (timm's) or "ceil" (Once-for-All's) of the size that images are scaled to.
    """
    from timm.data import resolve_data_config

    stated = getattr(model, "pretrained_cfg", None) or {}
    known = dict(fallback)
    known |= {name: stated[name] for name in ("input_size", "mean", "std", "crop_mode") if stated.get(name)}
    resolved = resolve_data_config({"interpolation": interpolation, "crop_pct": crop_pct}, pretrained_cfg=known)
    channels, height, _ = (int(size) for size in resolved["input_size"])
    crop_pct = float(resolved["crop_pct"])
    if crop_rounding == "ceil":
        crop_pct = _rounding_up(height, crop_pct)
    return {
        "channels": channels,
        "input_size": [int(size) for size in resolved["input_size"]],
        "interpolation": str(resolved["interpolation"]),
        "crop_pct": crop_pct,
        "crop_mode": str(resolved["crop_mode"]),
        "mean": [float(value) for value in resolved["mean"]],
        "std": [float(value) for value in resolved["std"]],
    }


def _rounding_up(size: int, crop_pct: float) -> float:
    """The fraction with which timm, which rounds down, scales images to the size that this one gives rounded up."""
    wanted = math.ceil(size / crop_pct)
    return crop_pct if math.floor(size / crop_pct) == wanted else size / (wanted + 0.5)


class InputTransform:
    """Turns a PIL image into the tensor a model takes: float32 [channels, height, width].

    Args:
        settings: what `resolve_settings` gave.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)

    @staticmethod
    def mode_of(channels: int) -> str:
        """Pillow's name for images of this many channels."""
        return _MODES[channels]

    def __call__(self, image: Image.Image) -> Tensor:
        """The tensor of one image of any mode and size."""
        tensor: Tensor = self._transform(image.convert(self.mode_of(self.settings["channels"])))
        return tensor

    @cached_property
    def _transform(self) -> Any:
        from timm.data import create_transform

        arguments = {name: value for name, value in self.settings.items() if name != "channels"}
        return create_transform(**arguments | {"input_size": tuple(arguments["input_size"])}, is_training=False)
