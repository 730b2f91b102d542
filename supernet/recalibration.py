"""Batch-norm recalibration: a sub-network's own statistics in place of the shared ones."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class _Statistics:
    """Collects, for one batch-norm layer, the sample-weighted mean of its batches' means and biased variances."""

    def __init__(self, layer: _BatchNorm) -> None:
        self.running = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
        self.n_samples = 0
        self.mean, self.var = (torch.zeros_like(statistic, dtype=torch.float64) for statistic in self.running)

    def __call__(self, layer: nn.Module, args: tuple[Tensor, ...], _: Tensor) -> None:
        """Runs after the layer normalised a batch: with momentum 1 the running statistics are this batch's."""
        batch = args[0]
        n_values = batch.numel() // batch.shape[1]
        self.n_samples += len(batch)
        mean, var = self.running
        self.mean += len(batch) * mean.double()
        self.var += len(batch) * var.double() * ((n_values - 1) / n_values)

    def write(self) -> None:
        if self.n_samples:
            for statistic, total in zip(self.running, (self.mean, self.var), strict=True):
                statistic.copy_(total / self.n_samples)


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Tensor | tuple[Tensor, ...]]) -> nn.Module:
    """Re-estimates the batch-norm statistics of `model` from `batches`, in place; returns it in eval mode.

    As Once-for-All does: in one pass each layer normalises with the current batch's mean and biased variance; its new
    statistics are the sample-weighted means of those over all batches. Models without batch norm are left as they are.

    Args:
        model: any module; only its batch-norm layers change.
        batches: inputs of the model (a tensor, or a tuple of positional arguments), each of several samples.

    Raises ValueError for a model with batch norm and no batches.
    """
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    model.eval()
    if not layers:
        return model
    statistics = [_Statistics(layer) for layer in layers]
    handles = [layer.register_forward_hook(s) for layer, s in zip(layers, statistics, strict=True)]
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.train()
            layer.momentum = 1.0
        device = statistics[0].mean.device
        n_batches = 0
        for batch in batches:
            inputs = batch if isinstance(batch, tuple) else (batch,)
            model(*(tensor.to(device) for tensor in inputs))
            n_batches += 1
    finally:
        for layer, momentum, handle in zip(layers, momenta, handles, strict=True):
            layer.momentum = momentum
            handle.remove()
        model.eval()
    if n_batches == 0:
        raise ValueError("recalibrate needs at least one batch, got none")
    for collected in statistics:
        collected.write()
    return model
