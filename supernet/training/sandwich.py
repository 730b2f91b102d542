"""One training step: the sandwich rule with in-place distillation (arXiv:1903.05134, arXiv:2003.11142)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from supernet.architecture import Architecture
from supernet.network import SuperNetwork
from supernet.tasks.base import Task
from supernet.training.recipe import Recipe


@dataclass(frozen=True)
class StepLosses:
    """Mean losses of one step: of the largest, the smallest, and the random sub-networks (NaN without any)."""

    largest: float
    smallest: float
    random: float


def random_architectures(net: SuperNetwork, n: int, rng: np.random.Generator) -> list[Architecture]:
    """Up to `n` sub-networks other than the largest and the smallest, each gene drawn uniformly.

    (Drawing uniformly over distinct sub-networks would train few shallow ones: most sub-networks are deep.)
    """
    drawn = net.space.decode(rng.integers(0, net.space.n_values, size=(n + 2, net.space.n_genes)))
    return [a for a in dict.fromkeys(drawn) if a not in (net.largest, net.smallest)][:n]


def sandwich_gradients(
    net: SuperNetwork,
    task: Task,
    recipe: Recipe,
    batch: tuple[Tensor, Tensor],
    others: Sequence[Architecture],
) -> StepLosses:
    """Adds the gradients of all sub-networks of one step to the shared weights.

    The largest learns the labels, and the others what the largest says (no gradient flows through that).

    Args:
        net: in training mode; batch-norm statistics of the shared weights change as a side effect.
        task: resizes the inputs for each sub-network.
        recipe: the settings.
        batch: inputs as the largest takes them, and class indices.
        others: the random sub-networks of this step.

    Raises ValueError where the outputs are not one score per class of the task.
    """
    inputs, labels = batch
    device = labels.device.type
    mixed, n_classes = recipe.mixed(labels.device), len(task.class_names)

    def outputs_of(architecture: Architecture) -> Tensor:
        model: nn.Module = net.skeleton(architecture)
        own_inputs = _fast_layout(task.inputs_for(model, inputs))
        with torch.autocast(device, dtype=torch.bfloat16, enabled=mixed):
            outputs: Tensor = net(own_inputs, architecture)
        if outputs.ndim != 2 or outputs.shape[1] != n_classes:
            raise ValueError(
                f"task {task.name!r} has {n_classes} classes, but outputs of {net.name} have shape "
                f"{tuple(outputs.shape)}: create the super-network with num_classes={n_classes}"
            )
        return outputs.float()

    def loss_of(outputs: Tensor, soft_labels: Tensor | None) -> Tensor:
        hard_share = 1.0 if soft_labels is None else 1.0 - recipe.distillation
        loss = outputs.new_zeros(())
        if hard_share > 0:
            loss = hard_share * functional.cross_entropy(outputs, labels, label_smoothing=recipe.label_smoothing)
        if soft_labels is not None and recipe.distillation > 0:
            loss = loss + recipe.distillation * functional.cross_entropy(outputs, soft_labels)
        return loss

    outputs = outputs_of(net.largest)
    soft_labels = outputs.detach().softmax(dim=1)
    losses = [_backward(loss_of(outputs, None))]
    losses += [_backward(loss_of(outputs_of(a), soft_labels)) for a in (net.smallest, *others)]
    return StepLosses(losses[0], losses[1], float(np.mean(losses[2:])) if others else float("nan"))


def _backward(loss: Tensor) -> float:
    loss.backward()
    return float(loss.detach())


def _fast_layout(inputs: Tensor) -> Tensor:
    """Images with channels last, which resizing and augmentation do not keep: CPUs then train about twice as fast."""
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.ndim == 4 else inputs
