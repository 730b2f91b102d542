"""Building and tracing modules quickly, without values: on the meta device, and without what only computes values."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_FILLS = {
    *(function for name, function in vars(nn.init).items() if name.endswith("_") and callable(function)),
    *(getattr(Tensor, name) for name in ("normal_", "uniform_", "fill_", "zero_", "copy_")),
    *(getattr(Tensor, name) for name in ("erfinv_", "mul_", "add_", "clamp_")),  # of truncated normals
}
_ELEMENTWISE = {
    getattr(functional, name)
    for name in ("batch_norm", "relu", "relu6", "hardswish", "hardsigmoid", "silu", "gelu", "sigmoid", "dropout")
} | {functional.layer_norm, functional.softmax, Tensor.masked_fill_}
_BINARY = {getattr(Tensor, name) for name in ("__add__", "__mul__", "__sub__", "add", "mul", "sub")}
_SHAPES: dict[Callable[..., Any], Callable[..., list[int]]] = {
    functional.embedding: lambda tokens, weight, *_: [*tokens.shape, weight.shape[1]],
    functional.scaled_dot_product_attention: lambda queries, _, values, *__: [*queries.shape[:-1], values.shape[-1]],
}
"""Shapes of results, for functions that take PyTorch long to work them out."""


_FACTORIES = {
    getattr(torch, name)
    for name in ("arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "tensor", "zeros")
}


class WithoutValues(TorchFunctionMode):
    """Returns meta tensors unchanged from fills and elementwise functions, which take most of the time of a build.

    Shapes, matrix products and convolutions stay as they are, so that costs can be counted. A condition on values that
    are not there counts as not met: models drop a mask that masks nothing, for example, and then keep it.

    Args:
        on_meta: also makes new tensors on the meta device (as `torch.device("meta")` does, more quickly).
        counted: leaves attention to PyTorch, whose counters see it; False: only shapes are worked out.

    Attributes:
        macs: multiply-accumulates of the linear layers so far, which such counters do not see.
    """

    def __init__(self, on_meta: bool = False, counted: bool = True) -> None:
        super().__init__()
        self.on_meta, self.counted, self.macs = on_meta, counted, 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The hook that PyTorch calls for every function on tensors."""
        kwargs = kwargs or {}
        if func in _FILLS or func in _ELEMENTWISE:
            tensor = args[0] if args else kwargs.get("tensor", kwargs.get("input"))
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor if func in _FILLS else tensor.detach()
        if len(args) > 1 and isinstance(second := args[1], Tensor) and second.is_meta:
            if func is functional.linear and args[0].shape[-1:] == second.shape[1:]:  # else PyTorch says what is wrong
                self.macs += args[0].numel() * second.shape[0]
                return second.new_empty([*args[0].shape[:-1], second.shape[0]])
            if func in _SHAPES and not self.counted:
                return second.new_empty(_SHAPES[func](*args))
            if not self.counted and func in _BINARY and isinstance(first := args[0], Tensor):
                if first.shape == second.shape and first.dtype == second.dtype and first.device == second.device:
                    return second.new_empty(second.shape)
        if func is Tensor.__bool__ and args[0].is_meta:
            return False
        if self.on_meta and func in _FACTORIES and kwargs.get("device") is None:
            kwargs = kwargs | {"device": "meta"}
        return func(*args, **kwargs)


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """`build()` with all tensors on the meta device; an ordinary build where the builder computes with values.

    In inference mode, too, the module is an ordinary one: others may use it later.
    """
    with torch.inference_mode(False):
        try:
            with WithoutValues(on_meta=True):
                return build()
        except (NotImplementedError, RuntimeError):
            return build()
