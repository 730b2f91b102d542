"""What search, training and deployment ask of a task."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from supernet.tasks.augmentation import Augmentation


@runtime_checkable
class Task(Protocol):
    """Data in named splits, and how well a model does on them.

    A search measures on "validation" only; "test" is for the final report, "train" for calibration and training.
    Models may differ in what they take (their input resolution): every method that gives inputs is told the model.
    """

    @property
    def name(self) -> str:
        """For messages and reports."""
        ...

    @property
    def fingerprint(self) -> str:
        """Digest of data, splits and settings: equal fingerprints measure the same thing."""
        ...

    @property
    def class_names(self) -> Sequence[str]:
        """What the outputs stand for, by index."""
        ...

    def n_samples(self, split: str = "validation") -> int:
        """Number of samples of a split. Raises ValueError for an unknown split, naming those there are."""
        ...

    def evaluate(self, model: nn.Module, split: str = "validation") -> dict[str, float]:
        """Metrics of the model on a split, by name; accuracies such as `top1` in percent (0-100)."""
        ...

    def calibration_batches(self, model: nn.Module) -> Iterable[Tensor]:
        """Inputs for `supernet.recalibrate`: training data without augmentation, the same ones at every call."""
        ...

    def train_batches(
        self,
        model: nn.Module,
        *,
        batch_size: int,
        rng: np.random.Generator,
        augmentation: Augmentation | None = None,
        device: torch.device | str = "cpu",
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch in random order: inputs as `model` takes them, and targets; all draws come from `rng`.

        An incomplete last batch is left out, unless it is the only one.
        Raises ValueError for a task without training data.
        """
        ...

    def inputs_for(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """Inputs of `train_batches` as another model takes them (images at its resolution)."""
        ...

    def input_transform(self, model: nn.Module) -> Callable[[Any], Tensor]:
        """The function that turns one raw sample into what `evaluate` feeds the model (without the batch dimension)."""
        ...

    def transform_settings(self, model: nn.Module) -> dict[str, Any]:
        """What `input_transform` does, as JSON-compatible data for deployment bundles."""
        ...

    def samples(self, split: str = "test", n: int = 1) -> list[tuple[Any, int]]:
        """The first `n` raw samples of a split with their targets."""
        ...
