"""What search, training and deployment ask of a task."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from supernet.inputs import Inputs
from supernet.names import did_you_mean
from supernet.tasks.augmentation import Augmentation

Batch = tuple[Inputs, Tensor]
"""Inputs and targets."""


@dataclass(frozen=True)
class Deployment:
    """What a deployment bundle needs of a task, beside the model.

    Attributes:
        kind: which program of the bundle prepares inputs and renders outputs: "image_classification", ...
        settings: of that program, as JSON-compatible data.
    """

    kind: str
    settings: Mapping[str, Any]


@runtime_checkable
class Task(Protocol):
    """Data in named splits, what to learn from it, and how well a model does on it.

    A search measures on "validation" only; "test" is for the final report, "train" for calibration and training.
    Models may differ in what they take (their input resolution): every method that gives inputs is told the model.
    An optional attribute `metric_names` lists what `evaluate` gives, see `require_metric`.
    """

    @property
    def name(self) -> str:
        """For messages and reports."""
        ...

    @property
    def metric(self) -> str:
        """Name of the metric that a search maximises unless told otherwise."""
        ...

    @property
    def fingerprint(self) -> str:
        """Digest of data, splits and settings: equal fingerprints measure the same thing."""
        ...

    @property
    def files(self) -> Mapping[str, bytes]:
        """What belongs to the weights that are trained on it, by file name: a tokenizer, names of classes."""
        ...

    @property
    def methods(self) -> Mapping[str, str]:
        """How metrics are computed whose name does not say it all."""
        ...

    def n_samples(self, split: str = "validation") -> int:
        """Number of samples of a split. Raises ValueError for an unknown split, naming those there are."""
        ...

    # --- measuring ---

    def evaluate(self, model: nn.Module, split: str = "validation") -> dict[str, float]:
        """Metrics of the model on a split, by name; shares such as `top1` in percent (0-100)."""
        ...

    def calibration_batches(self, model: nn.Module) -> Iterable[Inputs]:
        """Inputs for `supernet.recalibrate`: training data without augmentation, the same ones at every call.

        None at all for a task whose models have no batch norm.
        """
        ...

    # --- training ---

    def n_batches(self, batch_size: int) -> int:
        """Number of batches that `train_batches` gives."""
        ...

    def train_batches(
        self,
        model: nn.Module,
        *,
        batch_size: int,
        rng: np.random.Generator,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
    ) -> Iterator[Batch]:
        """One epoch in random order: inputs as `model` takes them, and targets; all draws come from `rng`.

        `batch_size` counts what the task counts: samples, or the tokens of a translation.
        Raises ValueError for a task without training data, or one that knows no augmentation.
        """
        ...

    def adapt(self, model: nn.Module, inputs: Inputs) -> Inputs:
        """Inputs of `train_batches` as another model takes them (images at its resolution)."""
        ...

    def loss(self, outputs: Any, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss of a model's outputs in training. Raises ValueError for outputs that do not fit the task."""
        ...

    def distillation_loss(self, outputs: Any, teacher: Any, targets: Tensor) -> Tensor:
        """Mean loss against the outputs of a teacher, through which no gradient flows."""
        ...

    # --- deployment ---

    def samples(self, split: str = "test", n: int = 1) -> list[tuple[Any, Any]]:
        """The first `n` raw samples of a split with their targets."""
        ...

    def prepare(self, model: nn.Module, samples: Sequence[Any]) -> Inputs:
        """Raw samples as one batch, as `evaluate` feeds it to the model."""
        ...

    def deployment(self, model: nn.Module) -> Deployment:
        """How a bundle does what `prepare` does, and makes sense of the outputs."""
        ...


def require_metric(task: Task, name: str, given: Iterable[str] | None = None) -> None:
    """Raises ValueError for a metric that a task does not give.

    Args:
        task: that is asked; it may have an attribute `metric_names`, which counts unless a class overrides `evaluate`
            alone. An empty one says that only `evaluate` can tell.
        name: of the metric.
        given: names of what `evaluate` gave; None: those that the task lists, if it does.
    """
    names = _metric_names(task) if given is None else tuple(given)
    if names and name not in names:
        listed = ", ".join(names)
        raise ValueError(f"task {task.name!r} gives no metric {name!r}: it has {listed}{did_you_mean(name, names)}")


def _metric_names(task: Task) -> Sequence[str]:
    mro = type(task).__mro__
    lists, gives = (next((c for c in mro if name in vars(c)), object) for name in ("metric_names", "evaluate"))
    return getattr(task, "metric_names", ()) if issubclass(lists, gives) else ()


def labels_file(class_names: Sequence[str]) -> bytes:
    """`labels.json`, for `Task.files`."""
    return (json.dumps(list(class_names), indent=2, ensure_ascii=False) + "\n").encode()
