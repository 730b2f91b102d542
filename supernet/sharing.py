"""The weight-sharing rule: which part of a shared tensor a smaller sub-network uses."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd


def leading_slice(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """View of the first `shape[i]` entries along each dimension `i`."""
    return tensor[tuple(slice(0, size) for size in shape)]


def centre_crop(kernel: Tensor, shape: Sequence[int]) -> Tensor:
    """View of the middle of the trailing (spatial) dimensions of a convolution kernel, leading slice of the others."""
    starts = [(full - size) // 2 for full, size in zip(kernel.shape[2:], shape[2:], strict=True)]
    spatial = (slice(start, start + size) for start, size in zip(starts, shape[2:], strict=True))
    return kernel[(slice(0, shape[0]), slice(0, shape[1]), *spatial)]


def default_slice(owner: nn.Module, tensor: Tensor, shape: torch.Size) -> Tensor:
    """Leading slice of every dimension; for the kernel of a convolution, the centre crop."""
    if tensor.shape == shape:
        return tensor
    if isinstance(owner, _ConvNd) and tensor.ndim > 2:
        return centre_crop(tensor, shape)
    return leading_slice(tensor, shape)
