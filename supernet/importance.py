"""Which heads and neurons of a Transformer matter, and putting those first (DynaBERT, arXiv:2004.04037)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from supernet.inputs import Inputs, call, evaluating, moved

Batch = Mapping[str, Any] | tuple[Inputs, Tensor]
"""Named inputs of the model with `labels` among them, or a pair of inputs and labels as tasks give it."""

Loss = Callable[[Any, Tensor], Tensor]
"""Model output, labels -> loss, a mean over the samples."""


@dataclass(frozen=True)
class Units:
    """Interchangeable parts of one layer, such as its heads or its neurons.

    Args:
        size: channels of one of them.
        givers: modules that compute the channels, whose tensors have a row per channel; with each, how many matrices
            its tensors hold, one below the other (3 where queries, keys and values are one layer).
        taker: the linear layer that takes the channels, whose weight has a column per channel.
    """

    size: int
    givers: Sequence[tuple[nn.Module, int]]
    taker: nn.Module


@dataclass(frozen=True)
class Importance:
    """Expected change of a sample's loss when a head or a neuron is removed.

    Attributes:
        heads: float64 [layers, heads].
        neurons: float64 [layers, neurons].
    """

    heads: Tensor
    neurons: Tensor


def reorder(
    model: nn.Module,
    heads: Sequence[Units],
    neurons: Sequence[Units],
    batches: Iterable[Batch],
    loss: Loss | None = None,
) -> Importance:
    """Puts heads and neurons of each layer in descending order of importance, in place; the model computes the same.

    Args:
        model: with all its heads and neurons.
        heads: of each layer.
        neurons: likewise.
        batches: as `rank` takes them.
        loss: likewise.

    Returns the importance in the old order. Raises ValueError without batches.
    """
    units = [*heads, *neurons]
    scores = rank(model, units, batches, loss)
    for unit, found in zip(units, scores, strict=True):
        _permute(unit, found.argsort(descending=True, stable=True))
    return Importance(torch.stack(scores[: len(heads)]), torch.stack(scores[len(heads) :]))


def rank(model: nn.Module, units: Sequence[Units], batches: Iterable[Batch], loss: Loss | None = None) -> list[Tensor]:
    """First-order importance: the mean over samples of |sum of activation times gradient of the loss|.

    This is the absolute derivative of the loss with respect to a factor in front of the head or the neuron (equation 2
    of arXiv:1905.10650, of which equation 1 in DynaBERT is the sum over a batch). Nothing of the model changes.

    Args:
        model: in whose layers the units are.
        units: what to rank.
        batches: each is given to the model with its labels, in eval mode.
        loss: of the model's output and the labels, a mean over the samples; None: the model's own.

    Returns a float64 [units] each. Raises ValueError without batches.
    """
    totals: list[Tensor] = []
    n_samples = 0
    with evaluating(model):
        for batch in batches:
            products = _products(model, [unit.taker for unit in units], batch, loss)
            sums = [
                product.unflatten(1, (-1, unit.size)).sum(dim=2).abs().sum(dim=0)
                for product, unit in zip(products, units, strict=True)
            ]
            totals = [total + new for total, new in zip(totals, sums, strict=True)] if totals else sums
            n_samples += len(products[0])
    if not n_samples:
        raise ValueError("importance needs at least one batch, got none")
    return [total / n_samples for total in totals]


def _products(model: nn.Module, takers: Sequence[nn.Module], batch: Batch, loss: Loss | None) -> list[Tensor]:
    """Activation times gradient in front of each taker, summed over tokens: [samples, channels].

    The loss of a batch is the mean over its samples, and no sample depends on another.
    """
    found: dict[nn.Module, Tensor] = {}
    handles = [
        module.register_forward_pre_hook(lambda module, args: found.__setitem__(module, args[0])) for module in takers
    ]
    try:
        with torch.enable_grad():
            value = _loss(model, batch, loss)
    finally:
        for handle in handles:
            handle.remove()
    activations = [found[module] for module in takers]
    gradients = torch.autograd.grad(value, activations)
    return [
        (activation * gradient).detach().double().cpu().flatten(1, -2).sum(dim=1) * len(activation)
        for activation, gradient in zip(activations, gradients, strict=True)
    ]


def _loss(model: nn.Module, batch: Batch, loss: Loss | None) -> Tensor:
    device = next(model.parameters()).device
    if isinstance(batch, Mapping):
        if "labels" not in batch:
            raise ValueError(f"a batch needs labels: give `labels` beside {', '.join(batch)}, or a pair with them")
        batch = {name: value for name, value in batch.items() if name != "labels"}, batch["labels"]
    inputs, labels = (moved(part, device) for part in batch)
    if loss is not None:
        return loss(call(model, inputs), labels)
    value: Tensor = call(model, inputs, labels=labels).loss
    return value


@torch.no_grad()
def _permute(units: Units, order: Tensor) -> None:
    channels = (order[:, None] * units.size + torch.arange(units.size)).flatten()
    for module, n_blocks in units.givers:
        starts = len(channels) * torch.arange(n_blocks)[:, None]
        rows = (starts + channels).flatten()
        for parameter in module.parameters(recurse=False):
            parameter.copy_(parameter[rows.to(parameter.device)])
    weight = units.taker.get_parameter("weight")
    weight.copy_(weight.index_select(1, channels.to(weight.device)))
