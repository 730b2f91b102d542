"""Building and tracing modules without values: on the meta device, leaving out whatever only computes values."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_FILLS = {
    *(function for name, function in vars(nn.init).items() if name.endswith("_") and callable(function)),
    *(getattr(Tensor, name) for name in ("normal_", "uniform_", "fill_", "zero_", "copy_")),
}
_ELEMENTWISE = {
    getattr(functional, name)
    for name in ("batch_norm", "relu", "relu6", "hardswish", "hardsigmoid", "silu", "gelu", "sigmoid", "dropout")
}


_Module = TypeVar("_Module", bound=nn.Module)
_IMMUTABLE = (type(None), bool, int, float, str, bytes, torch.Size, torch.dtype, torch.device)


_FACTORIES = {
    getattr(torch, name)
    for name in ("arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "tensor", "zeros")
}


class WithoutValues(TorchFunctionMode):
    """Returns meta tensors unchanged from fills and elementwise functions, which take most of the time of a build.

    Shapes, matrix products and convolutions stay as they are, so that costs can be counted.

    Args:
        on_meta: also makes new tensors on the meta device (as `torch.device("meta")` does, more quickly).
    """

    def __init__(self, on_meta: bool = False) -> None:
        super().__init__()
        self.on_meta = on_meta

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The hook that PyTorch calls for every function on tensors."""
        kwargs = kwargs or {}
        if func in _FILLS or func in _ELEMENTWISE:
            tensor = args[0] if args else kwargs.get("tensor", kwargs.get("input"))
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        if self.on_meta and func in _FACTORIES and kwargs.get("device") is None:
            kwargs = kwargs | {"device": "meta"}
        return func(*args, **kwargs)


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """`build()` with all tensors on the meta device; an ordinary build where the builder computes with values."""
    try:
        with WithoutValues(on_meta=True):
            return build()
    except (NotImplementedError, RuntimeError):
        return build()


def structural_copy(module: _Module, memo: dict[int, Any] | None = None) -> _Module:
    """A module with its own structure and the same tensors: `copy.deepcopy` without the cost of a general one.

    Args:
        module: what to copy; tensors are those of the original until they are replaced.
        memo: copies by the identity of the original, so that what is shared stays shared.
    """
    memo = {} if memo is None else memo
    if id(module) in memo:
        known: _Module = memo[id(module)]
        return known
    if getattr(module, "__deepcopy__", None) is not None:
        return copy.deepcopy(module, memo)
    duplicate = module.__class__.__new__(module.__class__)
    memo[id(module)] = duplicate
    attributes = duplicate.__dict__
    for name, value in module.__dict__.items():
        if name == "_modules":
            children = ((key, None if child is None else structural_copy(child, memo)) for key, child in value.items())
            attributes[name] = type(value)(children)
        elif isinstance(value, _IMMUTABLE):
            attributes[name] = value
        elif name in ("_parameters", "_buffers"):
            attributes[name] = value.copy()
            memo |= {id(tensor): tensor for tensor in value.values()}
        elif isinstance(value, (dict, set)) and not value:
            attributes[name] = value.copy()
        else:
            attributes[name] = copy.deepcopy(value, memo)
    return duplicate
