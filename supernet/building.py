"""Building modules without values: on the meta device, skipping initialisation."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_FILLS = {
    *(function for name, function in vars(nn.init).items() if name.endswith("_") and callable(function)),
    *(getattr(Tensor, name) for name in ("normal_", "uniform_", "fill_", "zero_", "copy_")),
}


class _WithoutValues(TorchFunctionMode):
    """Leaves out in-place fills of meta tensors: they hold no values, and filling them takes most of a build's time."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FILLS:
            tensor = args[0] if args else kwargs.get("tensor")
            if isinstance(tensor, Tensor) and tensor.is_meta:
                return tensor
        return func(*args, **kwargs)


def build_on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    """`build()` with all tensors on the meta device; an ordinary build where the builder computes with values."""
    try:
        with torch.device("meta"), _WithoutValues():
            return build()
    except (NotImplementedError, RuntimeError):
        return build()
