"""Image classification from two files of packed JPEG or PNG images."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from supernet.tasks.images import ImageClassification
from supernet.tasks.splits import ImageArray, stratified_split

_KEYS = ("data", "offsets", "labels", "classes")
_MOST_LISTED = 5


def packed_images(
    root: str | Path,
    *,
    train: str = "train.jpegs.npz",
    test: str = "test.jpegs.npz",
    validation: int | float = 0.1,
    **settings: Any,
) -> ImageClassification:
    """Images of one size, packed in two `.npz` files; a fixed part of the training file becomes the validation split.

    Each file holds `data` (uint8: image files one after the other), `offsets` (int64 [n + 1]: image i is
    `data[offsets[i]:offsets[i + 1]]`), `labels` (integers [n]) and `classes` (names by index). They are decoded once.

    Args:
        root: the folder of the files.
        train: name of the file of training images.
        test: name of the other one.
        validation: number of images of the training file for validation, or below 1 the fraction of them.
        settings: arguments of ImageClassification; by default `image_size`, `mean` and `std` are those of the training
            images, which are shown whole (`crop_pct` 1).

    Raises FileNotFoundError for a missing file, ValueError for one that holds something else or images of many sizes.
    """
    (images, names), (unseen, others) = (_decoded(Path(root) / name) for name in (train, test))
    if names != others:
        differing = sorted(set(others) - set(names)) or list(others)
        raise ValueError(f"{Path(root) / test} has other classes than {train}: {', '.join(differing[:_MOST_LISTED])}")
    n_validation = round(validation * len(images)) if 0 < validation < 1 else int(validation)
    keys = [str(i) for i in range(len(images))]
    rest, (chosen,) = stratified_split(keys, images.labels.tolist(), (n_validation,))
    known = images.subset(rest)
    statistics = _statistics(known.images)
    defaults: dict[str, Any] = {
        "image_size": images.images.shape[1],
        "channels": len(statistics),
        "crop_pct": 1.0,
        "mean": tuple(mean for mean, _ in statistics),
        "std": tuple(std for _, std in statistics),
    }
    return ImageClassification(
        name=Path(root).name,
        splits={"train": known, "validation": images.subset(chosen), "test": unseen},
        class_names=names,
        **defaults | settings,
    )


def _statistics(images: NDArray[np.uint8]) -> list[tuple[float, float]]:
    """Mean and standard deviation of each channel, scaled to 0..1."""
    channels = images.reshape(-1, images.shape[3] if images.ndim == 4 else 1).T
    values = np.arange(256) / 255
    shares = [np.bincount(channel, minlength=256) / len(channel) for channel in channels]
    means = [float(share @ values) for share in shares]
    return [
        (round(mean, 4), round(float(np.sqrt(share @ (values - mean) ** 2)), 4))
        for share, mean in zip(shares, means, strict=True)
    ]


def _decoded(path: Path) -> tuple[ImageArray, tuple[str, ...]]:
    """All images of a file, and the names of the classes."""
    if not path.is_file():
        raise FileNotFoundError(f"no packed images at {path}")
    try:
        with np.load(path, allow_pickle=False) as opened:
            data, offsets, labels, classes = (opened[key] for key in _KEYS)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{path} does not hold packed images ({', '.join(_KEYS)}): {error}") from error
    pixels = [_pixels(data[start:end], path) for start, end in zip(offsets[:-1], offsets[1:], strict=True)]
    if len(shapes := {image.shape for image in pixels}) != 1:
        raise ValueError(f"{path} must hold images of one size, found {sorted(shapes)[:4]}")
    return ImageArray(np.stack(pixels), labels.astype(np.int64)), tuple(str(name) for name in classes)


def _pixels(data: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(data.tobytes())) as image:
            return np.asarray(image)
    except OSError as error:
        raise ValueError(f"{path} holds an image that cannot be read: {error}") from error
