"""From an image to the model's input, in numpy: timm's evaluation transform with Pillow's resampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Pixels = Any
"""8-bit array of shape (height, width, channels); typed loosely for the old numpy versions that devices have."""

_PRECISION_BITS = 22  # of Pillow's fixed-point weights for 8-bit images


def preprocess(pixels: Pixels, settings: dict[str, Any]) -> Any:
    """float32 array of shape (channels, height, width), as timm's `create_transform(**settings)` gives.

    Args:
        pixels: 8-bit array of shape (height, width, channels).
        settings: input_size (channels, height, width), interpolation, crop_pct, crop_mode (center, squash or border),
            mean, std, and pillow, the major version of Pillow to agree with.
    """
    size = (int(settings["input_size"][1]), int(settings["input_size"][2]))
    scaled_size = _scaled_size(pixels.shape[:2], size, settings)
    scaled = resize(pixels, scaled_size, settings["interpolation"], pillow=settings.get("pillow", 0))
    fill = [round(255 * value) for value in settings["mean"]] if settings.get("crop_mode") == "border" else 0
    values = centre_crop(scaled, size, fill).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    mean, std = (np.asarray(settings[name], np.float32).reshape(-1, 1, 1) for name in ("mean", "std"))
    return np.ascontiguousarray((values - mean) / std)


def _scaled_size(image: tuple[int, int], size: tuple[int, int], settings: dict[str, Any]) -> tuple[int, int]:
    """(height, width) before the crop; rounding as in torchvision (square sizes) and timm (others)."""
    height, width = image
    target_height, target_width = (math.floor(length / settings["crop_pct"]) for length in size)
    mode = settings.get("crop_mode", "center")
    if mode == "squash":
        return target_height, target_width
    if mode == "border" or target_height != target_width:
        ratios = (height / target_height, width / target_width)
        ratio = max(ratios) if mode == "border" else min(ratios)
        return round(height / ratio), round(width / ratio)
    if width <= height:
        return int(target_height * height / width), target_height
    return target_height, int(target_height * width / height)


def centre_crop(pixels: Pixels, size: tuple[int, int], fill: Any = 0) -> Pixels:
    """The middle of this (height, width), with `fill` (one value, or one a channel) around smaller images."""
    missing = [max(size[axis] - pixels.shape[axis], 0) for axis in (0, 1)]
    if any(missing):
        shape = (pixels.shape[0] + missing[0], pixels.shape[1] + missing[1], pixels.shape[2])
        padded = np.empty(shape, np.uint8)
        padded[:] = fill
        top, left = missing[0] // 2, missing[1] // 2
        padded[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
        pixels = padded
    top, left = (round((pixels.shape[axis] - size[axis]) / 2.0) for axis in (0, 1))
    return pixels[top : top + size[0], left : left + size[1]]


def resize(pixels: Pixels, size: tuple[int, int], interpolation: str, pillow: int = 0) -> Pixels:
    """Resamples to (height, width) as this major version of Pillow does: one axis after the other, 8 bits between.

    The width comes first; from Pillow 13 on, the height, if it shrinks by more than twice what the width does.
    Raises ValueError for an interpolation that Pillow does not have.
    """
    if interpolation == "nearest":
        return pixels[_nearest(pixels.shape[0], size[0])][:, _nearest(pixels.shape[1], size[1])]
    if interpolation not in _KERNELS:
        raise ValueError(f"interpolation {interpolation!r} is not one of {['nearest', *_KERNELS]}")
    shrinks = [pixels.shape[axis] - size[axis] for axis in (0, 1)]
    height_first = pillow >= 13 and shrinks[0] > 0 and shrinks[0] > 2 * shrinks[1]
    for axis in (0, 1) if height_first else (1, 0):
        if shrinks[axis]:
            resampled = _resampled(pixels.swapaxes(0, axis), size[axis], *_KERNELS[interpolation])
            pixels = resampled.swapaxes(0, axis)
    return pixels


def _nearest(n_in: int, n_out: int) -> Any:
    """Index of the source pixel of each output; a running sum, for the same rounding as Pillow."""
    steps = np.full(n_out, n_in / n_out)
    steps[0] *= 0.5
    return np.minimum(np.cumsum(steps).astype(np.int64), n_in - 1)


def _resampled(pixels: Pixels, n_out: int, kernel: Callable[[Any], Any], radius: float) -> Pixels:
    """Resamples the first axis: weighted sums of the source pixels within the kernel, widened when shrinking."""
    n_in = len(pixels)
    scale = n_in / n_out
    widening = max(scale, 1.0)
    centres = (np.arange(n_out) + 0.5) * scale
    first = np.maximum((centres - radius * widening + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + radius * widening + 0.5).astype(np.int64), n_in)
    taps = np.arange((last - first).max())
    weights = kernel((taps + (first - centres)[:, None] + 0.5) * (1.0 / widening))
    weights[taps >= (last - first)[:, None]] = 0.0
    weights /= np.cumsum(weights, axis=1)[:, -1:]
    fixed = np.trunc(weights * (1 << _PRECISION_BITS) + np.copysign(0.5, weights)).astype(np.int32)
    total = np.full((n_out, *pixels.shape[1:]), 1 << (_PRECISION_BITS - 1), np.int32)
    for tap in taps:
        total += fixed[:, tap, None, None] * pixels[np.minimum(first + tap, n_in - 1)]
    return np.clip(total >> _PRECISION_BITS, 0, 255).astype(np.uint8)


# --- kernels: weight by distance in pixels ---


def _box(x: Any) -> Any:
    return np.where((x > -0.5) & (x <= 0.5), 1.0, 0.0)


def _bilinear(x: Any) -> Any:
    return np.maximum(1.0 - abs(x), 0.0)


def _hamming(x: Any) -> Any:
    return np.where(abs(x) < 1.0, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0.0)


def _bicubic(x: Any) -> Any:
    x, a = abs(x), -0.5
    inner = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    outer = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1.0, inner, np.where(x < 2.0, outer, 0.0))


def _lanczos(x: Any) -> Any:
    return np.where(abs(x) < 3.0, np.sinc(x) * np.sinc(x / 3.0), 0.0)


_KERNELS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "box": (_box, 0.5),
    "bilinear": (_bilinear, 1.0),
    "hamming": (_hamming, 1.0),
    "bicubic": (_bicubic, 2.0),
    "lanczos": (_lanczos, 3.0),
}
