"""Batch-norm recalibration: a sub-network's own statistics in place of the shared ones."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from supernet.inputs import Inputs, call, moved

_FAR_FROM_ZERO = 16.0
"""Squared mean over variance beyond which a variance from sums of squares is not exact enough in single precision."""


class _Statistics:
    """Collects, for one batch-norm layer, the sample-weighted mean of its batches' means and biased variances."""

    def __init__(self, layer: _BatchNorm) -> None:
        self.layer = layer
        self.running = layer.get_buffer("running_mean"), layer.get_buffer("running_var")
        self.n_samples = 0
        self.totals = torch.stack([torch.zeros_like(statistic, dtype=torch.float64) for statistic in self.running])
        self.known: Tensor | None = None  # of the present batch, where we computed it

    def before(self, layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        """Makes the layer normalise with the batch's statistics: ours where that is quicker than PyTorch's."""
        batch = args[0]
        quick = batch.device.type == "cpu" and batch.dtype == torch.float32 and batch.is_contiguous() and batch.ndim > 2
        self.layer.training = not quick
        self.known = batch_statistics(batch) if quick else None
        if self.known is not None:
            for statistic, value in zip(self.running, self.known, strict=True):
                statistic.copy_(value)

    def after(self, layer: nn.Module, args: tuple[Tensor, ...], _: Tensor) -> None:
        """Collects the batch's statistics: PyTorch's are in the running ones (momentum is 1), the variance unbiased."""
        batch = args[0]
        self.n_samples += len(batch)
        if self.known is not None:
            self.totals.add_(self.known, alpha=len(batch))
            return
        n_values = batch.numel() // batch.shape[1]
        mean, var = self.running
        self.totals[0] += len(batch) * mean.double()
        self.totals[1] += len(batch) * var.double() * ((n_values - 1) / n_values)

    def write(self) -> None:
        if self.n_samples:
            for statistic, total in zip(self.running, self.totals, strict=True):
                statistic.copy_(total / self.n_samples)


def batch_statistics(batch: Tensor) -> Tensor:
    """Mean and biased variance of each channel of float32 [n, channels, ...], as float64 [2, channels].

    In one pass over planes that are contiguous in memory, from sums and sums of squares; again and exactly for channels
    whose mean is so far from zero that this would lose digits.
    """
    planes = batch.flatten(2)
    n_values = planes.shape[0] * planes.shape[2]
    sums = torch.stack((planes.sum(dim=2), torch.linalg.vector_norm(planes, dim=2).square_()))
    mean, var = found = sums.sum(dim=1, dtype=torch.float64).div_(n_values)
    squared = mean.square()
    var.sub_(squared)
    inexact = squared > _FAR_FROM_ZERO * var
    if inexact.any():
        var[inexact] = planes[:, inexact].double().var(dim=(0, 2), correction=0)
    return found


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Inputs]) -> nn.Module:
    """Re-estimates the batch-norm statistics of `model` from `batches`, in place; returns it in eval mode.

    As Once-for-All does: in one pass each layer normalises with the current batch's mean and biased variance; its new
    statistics are the sample-weighted means of those over all batches. Models without batch norm are left as they are.

    Args:
        model: any module; only its batch-norm layers change.
        batches: inputs of the model without labels (one tensor, a tuple of arguments, or named ones), each of several
            samples.

    Raises ValueError for a model with batch norm and no batches, TypeError for a single batch in place of several.
    """
    if isinstance(batches, (Tensor, Mapping)):
        raise TypeError("batches must be a list of batches, or give one after the other: recalibrate(model, [batch])")
    layers = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    model.eval()
    if not layers:
        return model
    statistics = [_Statistics(layer) for layer in layers]
    handles = [s.layer.register_forward_pre_hook(s.before) for s in statistics]
    handles += [s.layer.register_forward_hook(s.after) for s in statistics]
    momenta = [layer.momentum for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 1.0
        device = statistics[0].totals.device
        n_batches = 0
        for batch in batches:
            call(model, moved(batch, device))
            n_batches += 1
    finally:
        for handle in handles:
            handle.remove()
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.eval()
    if n_batches == 0:
        raise ValueError("recalibrate needs at least one batch, got none")
    for collected in statistics:
        collected.write()
    return model
