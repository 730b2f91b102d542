"""Moves plain modules and their inputs to where, and to what, they are measured in."""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def placed(
    model: nn.Module, inputs: Sequence[Tensor], place: str, precision: str, channels_last: bool = False
) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A module in eval mode and its inputs on a place ("cpu", "cuda"), in a precision; `model` is left as it is.

    Numbers that are not floating (tokens, masks) keep their type.
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
