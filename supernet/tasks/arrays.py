"""Tasks on plain arrays: tables, time series, feature maps, with a class or numbers for each sample."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from supernet.inputs import Inputs, call
from supernet.tasks import losses
from supernet.tasks.augmentation import Augmentation
from supernet.tasks.base import Batch, Deployment, labels_file
from supernet.tasks.sampling import epoch, n_full_batches, spread

Array = NDArray[Any]
Score = Callable[[Tensor, Tensor], Mapping[str, float]]
"""Outputs and targets of a whole split -> metrics by name."""

_CLASSES, _NUMBERS = "top1", "r2"


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayTask:
    """Samples that are arrays of one shape, each with a class or with numbers to tell; models take one tensor.

    Targets of integers are class indices [n], learnt by cross-entropy; targets of floats are numbers [n, ...], learnt
    by the squared error.

    Args:
        name: for messages and reports.
        splits: "validation", and where there are any "train" and "test": inputs [n, ...] and targets. Floats become
            float32, integers int64.
        class_names: by class index; empty: the indices.
        metric: what a search maximises; "": top1 in percent of classes, r2 (explained variance, times 100) of numbers.
        score: metrics of one's own; else `top1`, or `r2`, alone. The mean loss is always told beside them.
        batch_size: samples per evaluation batch.
        n_calibration: training samples for batch-norm calibration.

    Raises ValueError for inputs and targets that do not belong together, and for classes without a name.
    """

    name: str
    splits: Mapping[str, tuple[Array, Array]]
    class_names: tuple[str, ...] = ()
    metric: str = ""
    score: Score | None = None
    batch_size: int = 250
    n_calibration: int = 2000

    def __post_init__(self) -> None:
        if not self.splits:
            raise ValueError(f"task {self.name!r} has no splits: give at least validation")
        object.__setattr__(self, "splits", {split: _typed(*pair) for split, pair in self.splits.items()})
        for split, (inputs, targets) in self.splits.items():
            if inputs.ndim < 1 or len(inputs) != len(targets) or len(inputs) == 0:
                raise ValueError(
                    f"task {self.name!r}: the {split} split has inputs of shape {inputs.shape} and targets of shape "
                    f"{targets.shape}: as many of both are needed, and at least one"
                )
        kinds = {(inputs.shape[1:], inputs.dtype, targets.shape[1:], targets.dtype) for inputs, targets in self._pairs}
        if len(kinds) != 1:
            told = "; ".join(" and ".join(map(str, kind)) for kind in sorted(kinds, key=str))
            raise ValueError(f"task {self.name!r}: samples differ in shape or type between splits: {told}")
        if self.classifies:
            self._name_classes()
        if not self.metric:
            object.__setattr__(self, "metric", _CLASSES if self.classifies else _NUMBERS)

    # --- what it is ---

    @property
    def metric_names(self) -> tuple[str, ...]:
        """What `evaluate` gives; empty with a `score` of one's own, which tells when it is called."""
        return () if self.score else (_CLASSES if self.classifies else _NUMBERS, "loss")

    @property
    def classifies(self) -> bool:
        """Whether targets are classes."""
        return self._pairs[0][1].dtype == np.int64

    @cached_property
    def fingerprint(self) -> str:
        """Digest of data, splits, classes, and the name of the metric's function."""
        digest = hashlib.sha256()
        for split, pair in sorted(self.splits.items()):
            for array in pair:
                digest.update(f"{split}{array.shape}{array.dtype}".encode() + np.ascontiguousarray(array).tobytes())
        score = getattr(self.score, "func", self.score)
        settings = [self.class_names, self.n_calibration, getattr(score, "__qualname__", None)]
        digest.update(json.dumps(settings).encode())
        return digest.hexdigest()[:16]

    @property
    def files(self) -> Mapping[str, bytes]:
        """Names of the classes."""
        return {"labels.json": labels_file(self.class_names)} if self.classifies else {}

    @property
    def methods(self) -> Mapping[str, str]:
        """What r2 is."""
        return {} if self.classifies else {"r2": "coefficient of determination, times 100"}

    def n_samples(self, split: str = "validation") -> int:
        """Number of samples of a split."""
        return len(self._split(split)[0])

    def samples(self, split: str = "test", n: int = 1) -> list[tuple[Array, Any]]:
        """The first `n` samples of a split with their targets: class indices, or arrays."""
        inputs, targets = self._split(split)
        told = [int(target) if self.classifies else target for target in targets[:n]]
        return list(zip(inputs[:n], told, strict=True))

    # --- preprocessing ---

    def prepare(self, model: nn.Module, samples: Sequence[Array]) -> Tensor:
        """Samples as one tensor [n, ...]."""
        return torch.from_numpy(np.stack(samples))

    def adapt(self, model: nn.Module, inputs: Inputs) -> Inputs:
        """The same inputs: all models take them."""
        return inputs

    def deployment(self, model: nn.Module) -> Deployment:
        """Shape and type of a sample, and whether outputs are scores of classes."""
        inputs = self._pairs[0][0]
        settings = {"shape": list(inputs.shape[1:]), "dtype": str(inputs.dtype), "classes": self.classifies}
        return Deployment("arrays", settings)

    # --- measuring ---

    @torch.inference_mode()
    def evaluate(self, model: nn.Module, split: str = "validation") -> dict[str, float]:
        """The metrics, and the mean `loss`; leaves the model in eval mode.

        Raises ValueError for an unknown split, and for outputs that do not fit the targets.
        """
        inputs, targets = self._split(split)
        device = next((p.device for p in model.parameters()), torch.device("cpu"))
        model.eval()
        parts = [
            self._checked(call(model, torch.from_numpy(inputs[i : i + self.batch_size]).to(device))).cpu()
            for i in range(0, len(inputs), self.batch_size)
        ]
        outputs, wanted = torch.cat(parts), torch.from_numpy(targets)
        found = {name: float(value) for name, value in (self.score or self._usual)(outputs, wanted).items()}
        return found | {"loss": float(self.loss(outputs.double(), wanted))}

    def calibration_batches(self, model: nn.Module) -> Iterator[Tensor]:
        """Training samples, spread over the split."""
        inputs = self._split("train")[0]
        chosen = spread(len(inputs), self.n_calibration)
        for part in np.array_split(chosen, max(1, round(len(chosen) / self.batch_size))):
            yield torch.from_numpy(inputs[part])

    # --- training ---

    def n_batches(self, batch_size: int) -> int:
        """Number of training batches; an incomplete last one is left out, unless it is the only one."""
        return n_full_batches(self.n_samples("train"), batch_size)

    def train_batches(
        self,
        model: nn.Module,
        *,
        batch_size: int,
        rng: np.random.Generator,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
    ) -> Iterator[Batch]:
        """One epoch in random order. Raises ValueError for an augmentation, which are all for images."""
        if augmentation not in (None, Augmentation()):
            raise ValueError(
                f"task {self.name!r}: augmentation is for images, set recipe.augmentation=null; got {augmentation}"
            )
        inputs, targets = self._split("train")
        for chosen in epoch(len(inputs), batch_size, rng):
            yield torch.from_numpy(inputs[chosen]).to(device), torch.from_numpy(targets[chosen]).to(device)

    def loss(self, outputs: Any, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Cross-entropy, or the mean squared error. Raises ValueError for outputs that do not fit the targets."""
        if self.classifies:
            return losses.hard(self._checked(outputs), targets, label_smoothing)
        return functional.mse_loss(self._checked(outputs).float(), targets)

    def distillation_loss(self, outputs: Any, teacher: Any, targets: Tensor) -> Tensor:
        """Cross-entropy with the teacher's soft labels, or the squared difference from what it tells."""
        if self.classifies:
            return losses.soft(self._checked(outputs), teacher, targets)
        return functional.mse_loss(self._checked(outputs).float(), self._checked(teacher).detach().float())

    # --- internals ---

    @property
    def _pairs(self) -> list[tuple[Array, Array]]:
        return list(self.splits.values())

    def _split(self, split: str) -> tuple[Array, Array]:
        if split not in self.splits:
            raise ValueError(f"task {self.name!r} has no split {split!r}: it has {', '.join(self.splits)}")
        return self.splits[split]

    def _name_classes(self) -> None:
        """Names by index where there are none. Raises ValueError for indices outside them."""
        every = np.concatenate([targets.reshape(-1) for _, targets in self._pairs])
        low, high = int(every.min()), int(every.max())
        names = self.class_names or tuple(map(str, range(high + 1)))
        if low < 0 or high >= len(names) or any(targets.ndim != 1 for _, targets in self._pairs):
            raise ValueError(
                f"task {self.name!r}: classes must be given as indices [n] from 0 to {len(names) - 1}, got {low} to "
                f"{high} in shape {self._pairs[0][1].shape}; numbers to tell must be floats"
            )
        object.__setattr__(self, "class_names", tuple(names))

    def _checked(self, outputs: Any) -> Tensor:
        """Scores [n, classes], or numbers in the shape of the targets."""
        if not self.classifies:
            shape = self._pairs[0][1].shape[1:]
            if outputs.shape[1:] == (*shape, 1):
                outputs = outputs.squeeze(-1)
            if outputs.shape[1:] != shape:
                raise ValueError(
                    f"task {self.name!r} has targets of shape {('n', *shape)}, but the model's outputs have shape "
                    f"{tuple(outputs.shape)}"
                )
        elif outputs.ndim != 2 or outputs.shape[1] != len(self.class_names):
            raise ValueError(
                f"task {self.name!r} has {len(self.class_names)} classes, but the model's outputs have shape "
                f"{tuple(outputs.shape)}"
            )
        return outputs  # type: ignore[no-any-return]

    def _usual(self, outputs: Tensor, targets: Tensor) -> Mapping[str, float]:
        if self.classifies:
            return {_CLASSES: 100 * float((outputs.argmax(dim=1) == targets).double().mean())}
        from sklearn.metrics import r2_score

        return {_NUMBERS: 100 * float(r2_score(*(part.reshape(len(part), -1).numpy() for part in (targets, outputs))))}


def arrays(root: str | Path, *, name: str | None = None, class_names: Sequence[str] = (), **settings: Any) -> ArrayTask:
    """Arrays out of an `.npz` file: `train_inputs`, `train_targets`, likewise `validation_...` and, if any, `test_...`.

    Args:
        root: the file.
        name: of the task; None: that of the file.
        class_names: by class index.
        settings: arguments of ArrayTask.

    Raises FileNotFoundError for a missing file, ValueError for one that holds something else.
    """
    path = Path(root).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no arrays at {path}: give a .npz file")
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {key: np.asarray(file[key]) for key in file.files}
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(f"cannot read {path} as .npz: {error}") from error
    wanted = {f"{split}_{part}" for split in ("train", "validation") for part in ("inputs", "targets")}
    if missing := sorted(wanted - held.keys()):
        raise ValueError(f"{path} holds {', '.join(sorted(held)) or 'nothing'}: {', '.join(missing)} missing")
    splits = {
        split: (held[f"{split}_inputs"], held[f"{split}_targets"])
        for split in ("train", "validation", "test")
        if {f"{split}_inputs", f"{split}_targets"} <= held.keys()
    }
    return ArrayTask(name=name or path.stem, splits=splits, class_names=tuple(class_names), **settings)


def _typed(inputs: Any, targets: Any) -> tuple[Array, Array]:
    """Float32 or int64 each. Raises ValueError for anything but numbers, and for values that are not finite."""
    found = []
    for label, given in (("inputs", inputs), ("targets", targets)):
        array = np.asarray(given)
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{label} must be arrays of numbers, got type {array.dtype}")
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
        if not np.isfinite(array).all():
            raise ValueError(f"{label} must be finite: {int((~np.isfinite(array)).sum())} values are not")
        found.append(array)
    return found[0], found[1]
