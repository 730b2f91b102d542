"""A model as a bundle serves it: float32 in, float32 out, whatever it computes in."""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from supernet.parts import Part

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def served(part: Part, precision: str) -> Part:
    """The part with numbers of a precision inside; full precision leaves it as it is."""
    return replace(part, module=_Lowered(part.module, _TYPES[precision])) if precision in _TYPES else part


class _Lowered(nn.Module):
    """A copy of a module in another type, which takes and gives float32."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).to(dtype).eval()
        self._dtype = dtype

    def forward(self, *inputs: Tensor) -> Any:
        """Numbers that are not floating keep their type."""
        outputs = self.module(*(t.to(self._dtype) if t.is_floating_point() else t for t in inputs))
        return outputs.float() if isinstance(outputs, Tensor) else tuple(t.float() for t in outputs)
