"""Image sets, and fixed splits of them that depend on neither order nor library versions."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_N_HASHED = 64


class ImageSet(Protocol):
    """A map-style data set of PIL images with class indices; torchvision's data sets without transforms are such."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> tuple[Image.Image, int]: ...


@dataclass(frozen=True, eq=False, repr=False)
class ImageArray:
    """Images held in memory: uint8 [n, height, width] or [..., 1] (grey), or [..., 3] (RGB); and int labels [n]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __repr__(self) -> str:
        return f"ImageArray({len(self)} images of {' x '.join(map(str, self.images.shape[1:]))})"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        image = self.images[index]
        return Image.fromarray(image[..., 0] if image.shape[2:] == (1,) else image), int(self.labels[index])

    def subset(self, indices: NDArray[np.int64]) -> "ImageArray":
        """These images in this order."""
        return ImageArray(self.images[indices], self.labels[indices])

    @property
    def digest(self) -> str:
        """Digest of all pixels and labels."""
        pixels, labels = np.ascontiguousarray(self.images), np.ascontiguousarray(self.labels, dtype=np.int64)
        return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes() + labels.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False, repr=False)
class ImageFiles:
    """Image files below `root`: paths relative to it, and their labels."""

    root: Path
    files: tuple[tuple[str, int], ...]

    def __repr__(self) -> str:
        return f"ImageFiles({len(self)} images in {self.root})"

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        name, label = self.files[index]
        path = self.root / name
        try:
            with Image.open(path) as image:
                image.load()
                return image, label
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"cannot read the image {path}: {error}; remove or replace it") from error

    def subset(self, indices: NDArray[np.int64]) -> "ImageFiles":
        """These files in this order."""
        return ImageFiles(self.root, tuple(self.files[i] for i in indices))

    @property
    def digest(self) -> str:
        """Digest of relative paths, labels and file sizes; the place of `root` does not matter."""
        described = [(name, label, (self.root / name).stat().st_size) for name, label in self.files]
        return hashlib.sha256(repr(described).encode()).hexdigest()


def digest(images: ImageSet) -> str:
    """The data set's own digest; else that of its length and of some images spread over it."""
    own = getattr(images, "digest", None)
    if isinstance(own, str):
        return own
    collected = hashlib.sha256(str(len(images)).encode())
    for index in np.linspace(0, len(images) - 1, min(_N_HASHED, len(images))).astype(int):
        image, label = images[int(index)]
        collected.update(f"{image.mode}{image.size}{label}".encode() + image.tobytes())
    return collected.hexdigest()


def stratified_split(
    keys: Sequence[str], labels: Sequence[int], sizes: Sequence[int]
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Cuts parts of the given sizes off a data set, each with its share of every class.

    Which sample goes where depends on the hash of its key alone, so it stays the same on every machine.

    Returns the ascending indices that remain, and those of each part. Raises ValueError for sizes below 0, and for
    more samples than there are.
    """
    if (least := min(sizes, default=0)) < 0:
        raise ValueError(f"the sizes of splits must be 0 or more, got {least}")
    if sum(sizes) > len(keys):
        raise ValueError(f"cannot set aside {sum(sizes)} of {len(keys)} samples: there are too few")
    hashes = [hashlib.sha256(key.encode()).hexdigest() for key in keys]
    classes = np.asarray(labels)
    place = np.zeros(len(keys))
    for label in np.unique(classes):
        members = sorted(np.flatnonzero(classes == label), key=lambda i: hashes[i])
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.array(sorted(range(len(keys)), key=lambda i: (place[i], hashes[i])), dtype=np.int64)
    ends = np.cumsum([0, *sizes])
    parts = [np.sort(order[start:end]) for start, end in zip(ends, ends[1:], strict=False)]
    return np.sort(order[ends[-1] :]), parts
