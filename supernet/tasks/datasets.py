"""Image classification tasks: scikit-learn's digits, any folder of class folders, CIFAR-10, ImageNet."""

from pathlib import Path
from typing import Any

import numpy as np

from supernet.tasks.images import ImageClassification
from supernet.tasks.splits import ImageArray, ImageFiles, stratified_split

_VALIDATION_FOLDERS = ("val", "validation", "valid")
_MOST_LISTED = 5


def digits(**settings: Any) -> ImageClassification:
    """Hand-written digits of scikit-learn (`load_digits`): 8x8 grey, 897 train, 450 validation, 450 test; no download.

    Args:
        settings: arguments of ImageClassification, such as `n_calibration`.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.round(data.images * (255 / 16)).astype(np.uint8)
    labels = data.target.astype(np.int64)
    images = ImageArray(pixels, labels)
    train, (validation, test) = stratified_split([str(i) for i in range(len(labels))], labels.tolist(), (450, 450))
    defaults: dict[str, Any] = {"image_size": 32, "channels": 1, "crop_pct": 1.0, "mean": (0.305,), "std": (0.376,)}
    defaults["n_calibration"] = 300
    return ImageClassification(
        name="digits",
        splits={"train": images.subset(train), "validation": images.subset(validation), "test": images.subset(test)},
        class_names=tuple(str(name) for name in data.target_names),
        **defaults | settings,
    )


def image_folder(
    root: str | Path, *, validation: float = 0.1, test: float = 0.1, **settings: Any
) -> ImageClassification:
    """Any folder of class folders.

    Where `root` holds `train/`, the splits are `train/`, `val/` (or `validation/`, `valid/`) and, where there is one,
    `test/`; without a validation folder a fixed part of `train/` is set aside. Otherwise the folders in `root` are the
    classes, and fixed parts become validation and test. Which image goes where depends on the hash of its path alone.

    Args:
        root: the folder.
        validation: fraction of the images to set aside for validation where there is no folder of them.
        test: likewise for the test split, where the folders in `root` are the classes; 0: none.
        settings: arguments of ImageClassification, such as `image_size` and `channels`.

    Raises FileNotFoundError for a missing folder or a class without images, ValueError for splits with other classes.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"no image folder at {root}")
    splits, class_names = (
        _split_folders(root, validation)
        if (root / "train").is_dir()
        else _cut(root, {"validation": validation, "test": test})
    )
    return ImageClassification(name=root.name, splits=splits, class_names=class_names, **settings)


def cifar10(
    root: str | Path, *, download: bool = False, validation: int = 5000, **settings: Any
) -> ImageClassification:
    """CIFAR-10 by torchvision; `validation` of the 50,000 training images are set aside, 10,000 are the test split.

    Args:
        root: folder that holds (or is to hold) `cifar-10-batches-py`.
        download: fetch the data where it is missing.
        validation: number of images for validation.
        settings: arguments of ImageClassification.

    Raises FileNotFoundError where the data is missing or damaged.
    """
    from torchvision.datasets import CIFAR10

    try:
        known, unseen = (CIFAR10(str(root), train=train, download=download) for train in (True, False))
    except RuntimeError as error:
        raise FileNotFoundError(f"no complete CIFAR-10 in {root} ({error}); download=True fetches it") from error
    images = ImageArray(known.data, np.asarray(known.targets, dtype=np.int64))
    keys = [str(i) for i in range(len(images))]
    train, (chosen,) = stratified_split(keys, known.targets, (validation,))
    defaults: dict[str, Any] = {
        "image_size": 32,
        "crop_pct": 1.0,
        "mean": (0.4914, 0.4822, 0.4465),
        "std": (0.247, 0.2435, 0.2616),
    }
    return ImageClassification(
        name="cifar10",
        splits={
            "train": images.subset(train),
            "validation": images.subset(chosen),
            "test": ImageArray(unseen.data, np.asarray(unseen.targets, dtype=np.int64)),
        },
        class_names=tuple(known.classes),
        **defaults | settings,
    )


def imagenet(root: str | Path, **settings: Any) -> ImageClassification:
    """ImageNet in torchvision's folder layout: `train/` and `val/`, each with one folder per class.

    Preprocessing is what Once-for-All evaluates with at each resolution r (`build_valid_transform` of its
    `imagenet_classification/data_providers/imagenet.py`): the shorter side is scaled to ceil(r / 0.875) by Pillow's
    bilinear filter, the centre is cropped to r x r. Batch norm is recalibrated on 2,000 training images in batches of
    200, spread evenly over the classes and the same at every call; unlike the authors' they are not augmented.

    The images of `val/` are the validation split and, as ImageNet publishes no other labels, the test split too.

    Args:
        root: the folder.
        settings: arguments of ImageClassification, such as `n_workers` and `n_calibration`.

    Raises FileNotFoundError for a missing folder or a class without images, ValueError for splits with other classes.
    """
    root = Path(root)
    for split in ("train", "val"):
        if not (root / split).is_dir():
            raise FileNotFoundError(f"no folder {root / split}: ImageNet needs train/ and val/ with a folder per class")
    (train, class_names), (validation, names) = _scanned(root / "train"), _scanned(root / "val")
    _check_equal_classes(root, "val", class_names, names)
    defaults: dict[str, Any] = {"interpolation": "bilinear", "crop_pct": 0.875, "crop_rounding": "ceil"}
    return ImageClassification(
        name="imagenet",
        splits={"train": train, "validation": validation, "test": validation},
        class_names=class_names,
        **defaults | settings,
    )


def _scanned(folder: Path) -> tuple[ImageFiles, tuple[str, ...]]:
    """All images of a folder of class folders, ordered by path, and the class names in order."""
    from torchvision.datasets import ImageFolder

    try:
        found = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{folder} must hold one folder per class, each with at least one image: {error}"
        ) from error
    files = tuple((Path(path).relative_to(folder).as_posix(), int(label)) for path, label in found.samples)
    return ImageFiles(folder, files), tuple(found.classes)


def _split_folders(root: Path, validation: float) -> tuple[dict[str, ImageFiles], tuple[str, ...]]:
    """The splits below `root`; validation from `train/` where it has no folder of its own."""
    own = next((name for name in _VALIDATION_FOLDERS if (root / name).is_dir()), None)
    if own:
        images, class_names = _scanned(root / "train")
        splits = {"train": images}
    else:
        splits, class_names = _cut(root / "train", {"validation": validation})
    for split, folder in (("validation", own), ("test", "test")):
        if folder is None or not (root / folder).is_dir():
            continue
        splits[split], names = _scanned(root / folder)
        _check_equal_classes(root, folder, class_names, names)
    return splits, class_names


def _check_equal_classes(root: Path, folder: str, known: tuple[str, ...], found: tuple[str, ...]) -> None:
    if differing := sorted(set(found) ^ set(known)):
        raise ValueError(
            f"{root / folder} and {root / 'train'} hold different classes: {', '.join(differing[:_MOST_LISTED])}"
        )


def _cut(root: Path, fractions: dict[str, float]) -> tuple[dict[str, ImageFiles], tuple[str, ...]]:
    """Class folders cut into "train" and the named fractions."""
    if not fractions["validation"] > 0 or min(fractions.values()) < 0 or sum(fractions.values()) >= 1:
        wanted = ", ".join(f"{name}={fraction:g}" for name, fraction in fractions.items())
        raise ValueError(f"validation must be above 0, test at least 0, and their sum below 1, got {wanted}")
    images, class_names = _scanned(root)
    sizes = {split: round(fraction * len(images)) for split, fraction in fractions.items()}
    if too_small := [split for split, fraction in fractions.items() if fraction and not sizes[split]]:
        fraction = fractions[too_small[0]]
        raise ValueError(f"{root} holds {len(images)} images: too few to set aside {fraction:g} for {too_small[0]}")
    keys, labels = [name for name, _ in images.files], [label for _, label in images.files]
    train, parts = stratified_split(keys, labels, list(sizes.values()))
    cut = {split: images.subset(part) for split, part in zip(sizes, parts, strict=True) if len(part)}
    return {"train": images.subset(train), **cut}, class_names
