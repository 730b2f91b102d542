"""Moves plain modules and their inputs to the device, precision and memory layout that they are measured in."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def placed(
    model: nn.Module, inputs: Sequence[Tensor], place: str, precision: str, channels_last: bool = False
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A module in eval mode and its inputs on a device, in a precision.

    Weights of `model` are left as they are: they are copied where they are elsewhere, or of another type.

    Args:
        model: any module.
        inputs: its positional arguments; those that are not floating-point (tokens, masks) keep their type.
        place: PyTorch's name of the device, "cpu" or "cuda".
        precision: one of `hardware.device.PRECISIONS`.
        channels_last: gives weights of convolutions and inputs of four dimensions that memory format.
    """
    target = torch.device(place)
    dtype = _TYPES.get(precision, torch.float32)
    layout = torch.channels_last if channels_last else torch.preserve_format
    if not channels_last and all(_is_there(t, target, dtype) for t in [*model.parameters(), *model.buffers()]):
        model = model.eval()
    else:
        model = copy.deepcopy(model).eval().to(device=target, dtype=dtype)
        if channels_last:
            model = model.to(memory_format=torch.channels_last)
    moved = []
    for tensor in inputs:
        tensor = tensor.detach().to(target, dtype if tensor.is_floating_point() else tensor.dtype)
        moved.append(tensor.contiguous(memory_format=layout) if channels_last and tensor.ndim == 4 else tensor)
    return model, tuple(moved)


def _is_there(tensor: Tensor, target: torch.device, dtype: torch.dtype) -> bool:
    return tensor.device.type == target.type and (not tensor.is_floating_point() or tensor.dtype == dtype)
