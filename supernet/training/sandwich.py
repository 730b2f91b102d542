"""One training step: the sandwich rule with in-place distillation (arXiv:1903.05134, arXiv:2003.11142)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from supernet.architecture import Architecture
from supernet.inputs import call
from supernet.network import SuperNetwork
from supernet.tasks.base import Batch, Task
from supernet.training.recipe import Recipe

_ATTENTION = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
"""Not cuDNN's, which PyTorch prefers on recent GPUs: there, gradients may come out infinite (pytorch issue 196678)."""


@dataclass(frozen=True)
class StepLosses:
    """Mean losses of one step: of the largest, the smallest, and the random sub-networks (NaN where there are none)."""

    largest: float
    smallest: float
    random: float


def random_architectures(net: SuperNetwork, n: int, rng: np.random.Generator) -> list[Architecture]:
    """Up to `n` sub-networks other than the largest and the smallest, each gene drawn uniformly.

    (Drawing uniformly over distinct sub-networks would train few shallow ones: most sub-networks are deep.)
    """
    drawn = net.space.decode(rng.integers(0, net.space.n_values, size=(n + 2, net.space.n_genes)))
    return [a for a in dict.fromkeys(drawn) if a not in (net.largest, net.smallest)][:n]


@dataclass(frozen=True)
class Sandwich:
    """Gradients of all sub-networks of one step.

    The largest learns the targets, and the others what the largest says (no gradient flows through that).

    Args:
        net: batch-norm statistics of the shared weights change as a side effect.
        task: knows the losses, and adapts inputs to each sub-network.
        recipe: the settings.
    """

    net: SuperNetwork
    task: Task
    recipe: Recipe

    def __call__(self, batch: Batch, others: Sequence[Architecture], share: float = 1.0) -> StepLosses:
        """Adds the gradients to those of the shared weights.

        Args:
            batch: inputs as the largest takes them, and targets.
            others: the smallest and the random sub-networks of this step; or none.
            share: of this batch in the step's gradients.

        Raises ValueError where the outputs do not fit the task.
        """
        teacher, loss = self.learned(self.net.largest, batch, None, share)
        losses = [loss, *(self.learned(a, batch, teacher, share)[1] for a in others)]
        return step_losses(torch.stack(losses).tolist())  # one wait for the device

    def learned(self, architecture: Architecture, batch: Batch, teacher: Any, share: float) -> tuple[Any, Tensor]:
        """Adds the gradients of one sub-network; returns its outputs and loss. `teacher`: outputs of the largest."""
        inputs, targets = batch
        device = targets.device
        own_inputs = self.task.adapt(self.net.skeleton(architecture), inputs)
        mixed = self.recipe.mixed(device)
        with sdpa_kernel(_ATTENTION):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed, cache_enabled=False):
                outputs = call(self.net, own_inputs, architecture=architecture)
            loss = self._loss(outputs, targets, teacher)
            (share * loss).backward()
        return outputs, loss.detach()

    def _loss(self, outputs: Any, targets: Tensor, teacher: Any) -> Tensor:
        hard = 1.0 if teacher is None else 1.0 - self.recipe.distillation
        parts = [hard * self.task.loss(outputs, targets, self.recipe.label_smoothing)] if hard > 0 else []
        if hard < 1:
            parts.append((1.0 - hard) * self.task.distillation_loss(outputs, teacher, targets))
        return sum(parts[1:], parts[0])


def step_losses(values: list[float]) -> StepLosses:
    """From the losses of the largest, the smallest and the random sub-networks, as far as there are any."""
    means = [float(np.mean(part)) if part else math.nan for part in (values[:1], values[1:2], values[2:])]
    return StepLosses(*means)
