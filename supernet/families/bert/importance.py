"""Which heads and neurons matter, and putting those first (DynaBERT, arXiv:2004.04037)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from supernet.families.bert.resized_layers import Layout
from supernet.inputs import Inputs, call, moved

Batch = Mapping[str, Any] | tuple[Inputs, Tensor]
"""Named inputs of the model with `labels` among them, or a pair of inputs and labels as tasks give it."""

Loss = Callable[[Any, Tensor], Tensor]
"""Of a model's output and labels."""


@dataclass(frozen=True)
class Importance:
    """Expected change of a sample's loss when a head or a neuron is removed.

    Attributes:
        heads: float64 [layers, heads].
        neurons: float64 [layers, neurons].
    """

    heads: Tensor
    neurons: Tensor


def rank(model: Any, layout: Layout, batches: Iterable[Batch], loss: Loss | None = None) -> Importance:
    """First-order importance: the mean over samples of |sum of activation times gradient of the loss|.

    This is the absolute derivative of the loss with respect to a factor in front of the head or the neuron (equation 2
    of arXiv:1905.10650, of which equation 1 in DynaBERT is the sum over a batch). Nothing of the model changes.

    Args:
        model: a classifier with all heads and neurons.
        layout: where they are.
        batches: each is given to the model with its labels, in eval mode.
        loss: of the model's output and the labels, a mean over the samples; None: the model's own.

    Raises ValueError without batches.
    """
    layers, config = layout.layers_of(model), model.config
    head_channels = config.hidden_size // config.num_attention_heads
    totals: list[Tensor] = []
    n_samples = 0
    was_training = model.training
    model.eval()
    try:
        for batch in batches:
            merged, inner = _products(model, layers, layout, batch, loss)
            heads = merged.unflatten(2, (-1, head_channels)).sum(dim=3)
            sums = [heads.abs().sum(dim=1), inner.abs().sum(dim=1)]
            totals = [total + new for total, new in zip(totals, sums, strict=True)] if totals else sums
            n_samples += merged.shape[1]
    finally:
        model.train(was_training)
    if not n_samples:
        raise ValueError("importance needs at least one batch, got none")
    return Importance(totals[0] / n_samples, totals[1] / n_samples)


@torch.no_grad()
def permute(model: Any, layout: Layout, importance: Importance) -> None:
    """Puts heads and neurons in descending order of importance, in place; the model computes the same."""
    config = model.config
    channels = torch.arange(config.hidden_size // config.num_attention_heads)
    orders = (scores.argsort(dim=1, descending=True, stable=True) for scores in (importance.heads, importance.neurons))
    for layer, heads, neurons in zip(layout.layers_of(model), *orders, strict=True):
        rows = (heads[:, None] * len(channels) + channels).flatten()
        for projection in layout.projections_of(layer):
            _reorder(projection, rows, dim=0)
        _reorder(layer.get_submodule(layout.merge), rows, dim=1)
        _reorder(layer.get_submodule(layout.widen), neurons, dim=0)
        _reorder(layer.get_submodule(layout.narrow), neurons, dim=1)


def _products(
    model: Any, layers: list[nn.Module], layout: Layout, batch: Batch, loss: Loss | None
) -> tuple[Tensor, Tensor]:
    """Activation times gradient, summed over tokens: of the joined heads, of the neurons; [layers, samples, channels].

    The loss of a batch is the mean over its samples, and no sample depends on another.
    """
    watched = [layer.get_submodule(name) for layer in layers for name in (layout.merge, layout.narrow)]
    found: list[Tensor] = []
    handles = [module.register_forward_pre_hook(lambda _, args: found.append(args[0])) for module in watched]
    try:
        with torch.enable_grad():
            value = _loss(model, batch, loss)
    finally:
        for handle in handles:
            handle.remove()
    gradients = torch.autograd.grad(value, found)
    products = [
        (activation * gradient).detach().double().cpu().sum(dim=1) * len(activation)
        for activation, gradient in zip(found, gradients, strict=True)
    ]
    return torch.stack(products[::2]), torch.stack(products[1::2])


def _loss(model: Any, batch: Batch, loss: Loss | None) -> Tensor:
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


def _reorder(linear: Any, order: Tensor, dim: int) -> None:
    order = order.to(linear.weight.device)
    linear.weight.copy_(linear.weight.index_select(dim, order))
    if dim == 0 and linear.bias is not None:
        linear.bias.copy_(linear.bias[order])
