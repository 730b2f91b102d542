"""Measuring sub-networks: extract, recalibrate, evaluate."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from supernet.architecture import Architecture
from supernet.inputs import call
from supernet.network import SuperNetwork
from supernet.recalibration import recalibrate
from supernet.tasks.base import Task, require_metric


def validated(
    net: SuperNetwork,
    architecture: Mapping[str, Any],
    task: Task,
    split: str = "validation",
    device: str | None = None,
) -> tuple[nn.Module, dict[str, float]]:
    """The extracted sub-network with its own batch-norm statistics, and its metrics on a split of the task.

    The same weights, architecture and task always give the same metrics. `device` is where the sub-network runs
    meanwhile: one of PyTorch's, "auto" for a GPU where there is one, or None for where the weights are.
    """
    model = net.extract(net.space.validate(architecture))
    home = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    if device is not None:
        model.to("cuda" if device == "auto" and torch.cuda.is_available() else "cpu" if device == "auto" else device)
    recalibrate(model, task.calibration_batches(model))
    metrics = task.evaluate(model, split)
    return model.to(home), metrics


def require_fit(net: SuperNetwork, task: Task, split: str = "validation") -> None:
    """Raises ValueError where a super-network does not fit a task: tries one sample in the smallest sub-network.

    That its outputs fit is checked where the targets are class indices.
    """
    model = net.extract(net.smallest).eval()
    raw, targets = zip(*task.samples(split, 1), strict=True)
    inputs = task.prepare(model, raw)
    if not all(isinstance(target, (int, np.number, np.ndarray)) for target in targets):
        return
    try:
        with torch.inference_mode():
            outputs = call(model, inputs)
    except (RuntimeError, TypeError, AssertionError, IndexError) as error:  # as layers refuse what they cannot take
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{net.title} cannot take the samples of task {task.name!r}: {reason}") from error
    task.loss(outputs, torch.from_numpy(np.stack([np.asarray(target) for target in targets])))


def digest(net: SuperNetwork, circumstances: tuple[Any, ...]) -> str:
    """Digest of a super-network's family, space and weights, and of all else that a measured value depends on."""
    collected = hashlib.sha256(repr((net.name, net.space.fingerprint)).encode())
    for name, tensor in net.state_dict().items():
        collected.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        collected.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    collected.update(repr(circumstances).encode())
    return collected.hexdigest()[:16]


@dataclass(frozen=True)
class Validation:
    """Measure of an expensive objective: architectures -> one metric of their recalibrated sub-networks.

    Can be pickled, so that other processes measure too.

    Args:
        net: the super-network; its weights count as they are when a measurement is made.
        task: where the data comes from.
        metric: a name among those that `task.evaluate` gives; None: the task's own.
        split: the split that is measured on.
        device: where sub-networks run, as for `validated`.

    Raises ValueError for a device whose name PyTorch does not know, and for a metric that the task does not list.
    """

    net: SuperNetwork
    task: Task
    metric: str | None = None
    split: str = "validation"
    device: str | None = None

    def __post_init__(self) -> None:
        try:
            torch.device("cpu" if self.device in (None, "auto") else self.device)
        except (RuntimeError, TypeError) as error:  # before anything is measured, and a failure remembered
            raise ValueError(f"cannot validate on {self.device!r}: give auto, cpu, cuda, cuda:1, ...") from error
        require_metric(self.task, self.chosen_metric)

    def __call__(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Values in the order of the architectures, shape (n_architectures,).

        Raises ArchitectureError, and ValueError for a metric that the task does not give.
        """
        chosen = self.net.space.decode(self.net.space.encode(architectures))
        return np.array([self._value(architecture) for architecture in chosen], dtype=np.float64)

    @property
    def scope(self) -> str:
        """Digest of everything but the architecture that a value depends on: family, weights, task, split, metric."""
        return digest(self.net, (self.task.fingerprint, self.split, self.chosen_metric))

    def _value(self, architecture: Architecture) -> float:
        _, metrics = validated(self.net, architecture, self.task, self.split, self.device)
        require_metric(self.task, self.chosen_metric, metrics)
        return metrics[self.chosen_metric]

    @property
    def chosen_metric(self) -> str:
        """The name of the metric that is measured."""
        return self.metric or self.task.metric
