"""What models are called with, and how."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]
"""A batch as a model takes it: one tensor, several positional arguments, or named ones."""


def call(model: nn.Module, inputs: Inputs, **settings: Any) -> Any:
    """`model` on inputs of any kind; `settings` are further keyword arguments."""
    if isinstance(inputs, Tensor):
        return model(inputs, **settings)
    if isinstance(inputs, Mapping):
        return model(**inputs, **settings)
    return model(*inputs, **settings)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within the context the model and all its parts are in eval mode; then each in the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def moved(inputs: Any, device: torch.device | str) -> Any:
    """Inputs of any kind (nested mappings and tuples, too) with all tensors on a device."""
    if isinstance(inputs, Tensor):
        return inputs.to(device)
    if isinstance(inputs, Mapping):
        return {name: moved(value, device) for name, value in inputs.items()}
    return tuple(moved(value, device) for value in inputs) if isinstance(inputs, (tuple, list)) else inputs
