"""Image classification over any data set of PIL images: timm's evaluation transforms, top-1, calibration, training."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from PIL import __version__ as pillow_version
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Subset

from supernet.inputs import Inputs
from supernet.tasks import losses
from supernet.tasks.augmentation import Augmentation
from supernet.tasks.base import Deployment, labels_file
from supernet.tasks.loading import ImageLoader, fast_layout
from supernet.tasks.sampling import epoch, n_full_batches, spread
from supernet.tasks.splits import ImageSet, digest
from supernet.tasks.transforms import InputTransform, resolve_settings

_MIB = 2**20


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageClassification:
    """Images with one class each.

    A model's `pretrained_cfg` (timm's) says its input size, mean and standard deviation; a model without one is taken
    to want the task's. Splits that fit `cache_mb` are transformed once per input size and kept as tensors.

    Args:
        name: for messages and reports.
        splits: data sets by split name: "validation", and where there are any "train" and "test".
        class_names: by class index.
        image_size: height and width in pixels for models that do not say theirs.
        channels: 1 (grey) or 3 (RGB): what images are converted to.
        mean, std: per channel, for models that do not say theirs.
        interpolation, crop_pct: of the evaluation transform, as timm defines them.
        crop_rounding: "floor" (timm's) or "ceil" of the size that images are scaled to before the crop.
        batch_size: samples per evaluation batch.
        n_calibration: training images for batch-norm calibration, in batches of about `calibration_batch_size`.
        n_workers: processes that load images, for data sets that are not kept in memory.
        cache_mb: memory for transformed images, in MiB.
    """

    name: str
    splits: Mapping[str, ImageSet]
    class_names: tuple[str, ...]
    image_size: int = 224
    channels: int = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    crop_pct: float = 0.875
    crop_rounding: str = "floor"
    batch_size: int = 250
    n_calibration: int = 2000
    calibration_batch_size: int = 200
    n_workers: int = 0
    cache_mb: int = 256

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise ValueError(f"task {self.name!r}: channels must be 1 (grey) or 3 (RGB), got {self.channels!r}")
        if self.crop_rounding not in ("floor", "ceil"):
            raise ValueError(f"task {self.name!r}: crop_rounding must be floor or ceil, got {self.crop_rounding!r}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(f"task {self.name!r}: mean and std need {self.channels} values, one per channel")
        if min(self.std) <= 0:
            raise ValueError(f"task {self.name!r}: std must be above 0, got {self.std}")
        if empty := [split for split, images in self.splits.items() if len(images) == 0]:
            raise ValueError(f"task {self.name!r}: the {empty[0]} split holds no images")

    # --- what it is ---

    @property
    def metric(self) -> str:
        """`top1`, the accuracy in percent."""
        return "top1"

    @property
    def metric_names(self) -> tuple[str, ...]:
        """What `evaluate` gives."""
        return ("top1", "loss")

    @property
    def files(self) -> Mapping[str, bytes]:
        """Names of the classes."""
        return {"labels.json": labels_file(self.class_names)}

    @property
    def methods(self) -> Mapping[str, str]:
        """None: the names say it."""
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Digest of data, splits, classes and every setting that changes a measured value."""
        described = {
            "splits": {split: digest(images) for split, images in sorted(self.splits.items())},
            "classes": list(self.class_names),
            "transform": [self.image_size, self.channels, self.mean, self.std, self.interpolation, self.crop_pct],
            "calibration": [self.n_calibration, self.calibration_batch_size],
        }
        if self.crop_rounding != "floor":
            described["crop_rounding"] = self.crop_rounding
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:16]

    def n_samples(self, split: str = "validation") -> int:
        """Number of images of a split."""
        return len(self._images(split))

    def samples(self, split: str = "test", n: int = 1) -> list[tuple[Any, int]]:
        """The first `n` images of a split, as PIL images of the task's channels, with their class indices."""
        images = self._images(split)
        convert = InputTransform.mode_of(self.channels)
        raw = [images[i] for i in range(min(n, len(images)))]
        return [(image.convert(convert), label) for image, label in raw]

    # --- preprocessing ---

    def transform_settings(self, model: nn.Module) -> dict[str, Any]:
        """The evaluation transform: channels, input_size, interpolation, crop_pct, crop_mode, mean, std (timm's terms).

        Raises ValueError where the model takes another number of channels.
        """
        own = {
            "input_size": (self.channels, self.image_size, self.image_size),
            "mean": self.mean,
            "std": self.std,
        }
        settings = resolve_settings(
            model,
            own,
            interpolation=self.interpolation,
            crop_pct=self.crop_pct,
            crop_rounding=self.crop_rounding,
        )
        if settings["channels"] != self.channels:
            raise ValueError(
                f"the model takes images of {settings['channels']} channels, but task {self.name!r} gives "
                f"{self.channels}: set channels={settings['channels']} for the task or in_chans for the super-network"
            )
        return settings

    def input_transform(self, model: nn.Module) -> InputTransform:
        """PIL image -> float32 tensor [channels, height, width]."""
        return InputTransform(self.transform_settings(model))

    def prepare(self, model: nn.Module, samples: Sequence[Image.Image]) -> Tensor:
        """PIL images -> float32 tensor [n, channels, height, width]."""
        transform = self.input_transform(model)
        return torch.stack([transform(image) for image in samples])

    def adapt(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """The images at the model's input size, resized by antialiased bilinear interpolation; channels last."""
        images = cast(Tensor, inputs)
        size = tuple(self.transform_settings(model)["input_size"][1:])
        if tuple(images.shape[-2:]) != size:
            images = functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
        return fast_layout(images)

    def deployment(self, model: nn.Module) -> Deployment:
        """The evaluation transform, with the resampling of the Pillow that is here."""
        settings = self.transform_settings(model) | {"pillow": int(pillow_version.partition(".")[0])}
        return Deployment("image_classification", settings)

    # --- measuring ---

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, split: str = "validation") -> dict[str, float]:
        """`top1` in percent and the mean cross-entropy `loss`; leaves the model in eval mode.

        Raises ValueError for an unknown split, a model with another number of classes, or an image that cannot be read.
        """
        images = self._images(split)
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        model.eval()
        correct, loss = 0, 0.0
        batches = np.split(np.arange(len(images)), range(self.batch_size, len(images), self.batch_size))
        for inputs, targets in self._loader.batches(split, images, self.transform_settings(model), batches, device):
            outputs = self._checked(model(inputs))
            correct += int((outputs.argmax(dim=1) == targets).sum())
            loss += float(functional.cross_entropy(outputs.double(), targets, reduction="sum"))
        return {"top1": 100.0 * correct / len(images), "loss": loss / len(images)}

    def calibration_batches(self, model: nn.Module) -> Iterator[Tensor]:
        """Training images without augmentation, spread over the split, in a fixed mixed order."""
        images = self._calibration_images
        batches = np.array_split(np.arange(len(images)), max(1, round(len(images) / self.calibration_batch_size)))
        for inputs, _ in self._loader.batches("calibration", images, self.transform_settings(model), batches):
            yield inputs

    # --- training ---

    def n_batches(self, batch_size: int) -> int:
        """Number of training batches; an incomplete last one is left out, unless it is the only one."""
        return n_full_batches(len(self._images("train")), batch_size)

    def train_batches(
        self,
        model: nn.Module,
        *,
        batch_size: int,
        rng: np.random.Generator,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of the train split in random order: images at the model's input size, class indices [n].

        Where the augmentation mixes images, the targets are the shares of their classes, [n, classes].
        """
        train = self._images("train")
        batches = epoch(len(train), batch_size, rng)
        settings = self.transform_settings(model)
        for images, labels in self._loader.batches("train", train, settings, batches, device):
            inputs, targets = (augmentation(images, rng) if augmentation else images), labels
            if augmentation and augmentation.mixes:
                inputs, targets = augmentation.mixed(inputs, labels, len(self.class_names), rng)
            yield inputs, targets

    def loss(self, outputs: Any, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy with class indices or shares. Raises ValueError unless the outputs are one score per class."""
        return losses.hard(self._checked(outputs), targets, label_smoothing)

    def distillation_loss(self, outputs: Any, teacher: Any, targets: Tensor) -> Tensor:
        """Cross-entropy with the teacher's soft labels."""
        return losses.soft(self._checked(outputs), teacher, targets)

    # --- internals ---

    def _images(self, split: str) -> ImageSet:
        if split in self.splits:
            return self.splits[split]
        missing = " (so it can neither train nor calibrate batch norm)" if split == "train" else ""
        raise ValueError(f"task {self.name!r} has no split {split!r}{missing}: it has {', '.join(self.splits)}")

    @cached_property
    def _calibration_images(self) -> Subset[tuple[Image.Image, int]]:
        images = self._images("train")
        return Subset(cast(Any, images), spread(len(images), self.n_calibration).tolist())

    @cached_property
    def _loader(self) -> ImageLoader:
        return ImageLoader(self.cache_mb * _MIB, self.n_workers)

    def _checked(self, outputs: Tensor) -> Tensor:
        n_classes = len(self.class_names)
        if outputs.ndim != 2 or outputs.shape[1] != n_classes:
            raise ValueError(
                f"task {self.name!r} has {n_classes} classes, but the model's outputs have shape "
                f"{tuple(outputs.shape)}: create the super-network with num_classes={n_classes}"
            )
        return outputs
