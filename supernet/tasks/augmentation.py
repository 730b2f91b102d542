"""Random changes of training images, drawn from a generator and applied to whole batches on their device."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far training images may be changed; the default changes nothing.

    Args:
        rotate: largest rotation in degrees, either way.
        shift: largest translation in both directions, as a fraction of the image size.
        zoom: smallest and largest side of the visible part, as a fraction of the image; below 1 crops, above 1 shrinks.
        flip: probability of a left-right flip.
        contrast: largest relative change of the (normalised) pixel values.
        brightness: largest amount added to the (normalised) pixel values.
        noise: standard deviation of the noise added to each (normalised) pixel value.
    """

    rotate: float = 0.0
    shift: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "zoom", tuple(float(z) for z in self.zoom))
        for name in ("rotate", "shift", "contrast", "brightness", "noise"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"augmentation: {name} must be 0 or more, got {getattr(self, name)!r}")
        if len(self.zoom) != 2 or not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"augmentation: zoom must be two ascending numbers above 0, got {self.zoom!r}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"augmentation: flip is a probability, got {self.flip!r}")

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Changed images of the same shape [n, channels, height, width]; draws the same numbers on every device."""
        if self._moves:
            theta = torch.from_numpy(self._affine_maps(len(images), rng)).to(images)
            grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
            images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        if self.contrast:
            images = images * _per_image(1 + rng.uniform(-self.contrast, self.contrast, len(images)), images)
        if self.brightness:
            images = images + _per_image(rng.uniform(-self.brightness, self.brightness, len(images)), images)
        if self.noise:
            drawn = rng.standard_normal(tuple(images.shape), dtype=np.float32)
            images = images + self.noise * torch.from_numpy(drawn).to(images)
        return images

    @property
    def _moves(self) -> bool:
        return bool(self.rotate or self.shift or self.flip) or self.zoom != (1.0, 1.0)

    def _affine_maps(self, n: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Maps from output to input coordinates (both -1..1), shape (n, 2, 3)."""
        angle = rng.uniform(-1, 1, n) * math.radians(self.rotate)
        side = rng.uniform(*self.zoom, n)
        mirror = np.where(rng.random(n) < self.flip, -1.0, 1.0)
        offset = rng.uniform(-2 * self.shift, 2 * self.shift, (2, n))
        rows = [
            [side * mirror * np.cos(angle), -side * np.sin(angle), offset[0]],
            [side * mirror * np.sin(angle), side * np.cos(angle), offset[1]],
        ]
        return np.moveaxis(np.array(rows, dtype=np.float32), 2, 0)


def _per_image(values: NDArray[np.float64], images: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(images)[:, None, None, None]
