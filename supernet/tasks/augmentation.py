"""Random changes of training images, drawn from a generator and applied to whole batches on their device."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_AT_LEAST_0 = (
    *("rotate", "shift", "crop", "contrast", "brightness", "saturation", "noise"),
    *("erase", "mixup", "cutmix"),
)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far training images may be changed; the default changes nothing.

    Args:
        rotate: largest rotation in degrees, either way.
        shift: largest translation in both directions, as a fraction of the image size.
        crop: largest translation in both directions in whole pixels, which blurs nothing (border pixels are repeated).
        zoom: smallest and largest side of the visible part, as a fraction of the image; below 1 crops, above 1 shrinks.
        flip: probability of a left-right flip.
        contrast: largest relative change of the (normalised) pixel values.
        brightness: largest amount added to the (normalised) pixel values.
        saturation: largest relative change of the distance of each pixel from its grey value.
        noise: standard deviation of the noise added to each (normalised) pixel value.
        erase: side of a square that becomes 0, anywhere in the image, as a fraction of its size (arXiv:1708.04552).
        mixup: alpha of the Beta distribution by which pairs of images and their labels are blended (arXiv:1710.09412).
        cutmix: alpha of the Beta distribution of the share of a box in one that comes from another, with its share of
            the label (arXiv:1905.04899); each batch gets one of the two where both are wanted.
        mix: probability that a batch is mixed at all.
    """

    rotate: float = 0.0
    shift: float = 0.0
    crop: int = 0
    zoom: tuple[float, float] = (1.0, 1.0)
    flip: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    saturation: float = 0.0
    noise: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "zoom", tuple(float(z) for z in self.zoom))
        for name in _AT_LEAST_0:
            if not getattr(self, name) >= 0:
                raise ValueError(f"augmentation: {name} must be 0 or more, got {getattr(self, name)!r}")
        if len(self.zoom) != 2 or not 0 < self.zoom[0] <= self.zoom[1]:
            raise ValueError(f"augmentation: zoom must be two ascending numbers above 0, got {self.zoom!r}")
        for name in ("flip", "mix"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"augmentation: {name} is a probability, got {getattr(self, name)!r}")
        if not self.erase <= 1:
            raise ValueError(f"augmentation: erase is a fraction of the image size, got {self.erase!r}")

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Changed images of the same shape [n, channels, height, width]; draws the same numbers on every device."""
        if self._moves:
            theta = torch.from_numpy(self._affine_maps(images.shape, rng)).to(images)
            grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
            images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
        if self.contrast:
            images = images * _per_image(1 + rng.uniform(-self.contrast, self.contrast, len(images)), images)
        if self.brightness:
            images = images + _per_image(rng.uniform(-self.brightness, self.brightness, len(images)), images)
        if self.saturation:
            grey = images.mean(dim=1, keepdim=True)
            factors = _per_image(1 + rng.uniform(-self.saturation, self.saturation, len(images)), images)
            images = grey + (images - grey) * factors
        if self.noise:
            drawn = rng.standard_normal(tuple(images.shape), dtype=np.float32)
            images = images + self.noise * torch.from_numpy(drawn).to(images)
        if self.erase:
            images = images.where(~_boxes(rng.random((2, len(images))), self.erase, images), 0)
        return images

    @property
    def mixes(self) -> bool:
        """Whether `mixed` changes anything."""
        return self.mix > 0 and (self.mixup > 0 or self.cutmix > 0)

    def mixed(self, images: Tensor, labels: Tensor, n_classes: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Each image mixed with another of the batch, and the shares of their classes, float32 [n, n_classes]."""
        classes = functional.one_hot(labels, n_classes).float()
        if self.mix < 1 and rng.random() >= self.mix:
            return images, classes
        cuts = self.cutmix > 0 and (self.mixup == 0 or rng.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        share = rng.beta(alpha, alpha)
        others = torch.from_numpy(rng.permutation(len(images))).to(images.device)
        if cuts:
            box = _boxes(rng.random((2, 1)), math.sqrt(1 - share), images)
            share = 1 - float(box.float().mean())
            images = torch.where(box, images[others], images)
        else:
            images = share * images + (1 - share) * images[others]
        return images, share * classes + (1 - share) * classes[others]

    @property
    def _moves(self) -> bool:
        return bool(self.rotate or self.shift or self.crop or self.flip) or self.zoom != (1.0, 1.0)

    def _affine_maps(self, shape: Sequence[int], rng: np.random.Generator) -> NDArray[np.float32]:
        """Maps from output to input coordinates (both -1..1), shape (n, 2, 3)."""
        n, _, height, width = shape
        angle = rng.uniform(-1, 1, n) * math.radians(self.rotate)
        side = rng.uniform(*self.zoom, n)
        mirror = np.where(rng.random(n) < self.flip, -1.0, 1.0)
        offset = rng.uniform(-2 * self.shift, 2 * self.shift, (2, n))
        if self.crop:
            offset = offset + rng.integers(-self.crop, self.crop + 1, (2, n)) * [[2 / width], [2 / height]]
        rows = [
            [side * mirror * np.cos(angle), -side * np.sin(angle), offset[0]],
            [side * mirror * np.sin(angle), side * np.cos(angle), offset[1]],
        ]
        return np.moveaxis(np.array(rows, dtype=np.float32), 2, 0)


def _per_image(values: NDArray[np.float64], images: Tensor) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(images)[:, None, None, None]


def _boxes(centres: NDArray[np.float64], side: float, images: Tensor) -> Tensor:
    """Where a box of a fraction `side` of the image's height and width lies around each centre: bool [n, 1, h, w].

    `centres` holds heights and widths as fractions, shape (2, n); what is beyond the border is cut off.
    """
    inside = []
    for centre, size in zip(centres, images.shape[-2:], strict=True):
        middles = (np.arange(size) + 0.5) / size
        inside.append(torch.from_numpy(np.abs(middles - centre[:, None]) < side / 2).to(images.device))
    return inside[0][:, None, :, None] & inside[1][:, None, None, :]
