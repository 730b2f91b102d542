"""Copies of a block with weights at different addresses, so that none are in a cache when their turn comes.

The blocks of a network all have weights of their own; a single block that runs again and again would find its weights
in the cache, and be too fast.
"""

import copy
import math

import torch
from torch import Tensor, nn

_ALIGNED = 256  # bytes, as PyTorch's own allocations


class Scattering:
    """Makes such copies within one buffer for each device and dtype, which is as large as the largest copies need.

    Copies of different modules share the buffer, so that memory does not grow with the number of modules: their weights
    are arbitrary numbers.
    """

    def __init__(self) -> None:
        self._memory: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def copies(self, module: nn.Module, n: int) -> list[nn.Module]:
        """`n` modules like this one whose weights do not overlap.

        Earlier copies stay valid: where the buffer is too small, there is a new one, and they keep the old.
        """
        weights = list({id(p): p for p in module.parameters()}.values())
        needed: dict[tuple[torch.device, torch.dtype], int] = {}
        for weight in weights:
            kind = weight.device, weight.dtype
            needed[kind] = needed.get(kind, 0) + n * _stride(weight)
        memory = {kind: self._at_least(size, *kind) for kind, size in needed.items()}
        taken = dict.fromkeys(memory, 0)
        made = []
        for _ in range(n):
            replaced: dict[int, object] = {}
            for weight in weights:
                kind = weight.device, weight.dtype
                piece = memory[kind].as_strided(weight.size(), weight.stride(), taken[kind])
                taken[kind] += _stride(weight)
                replaced[id(weight)] = nn.Parameter(piece, requires_grad=False)
            made.append(copy.deepcopy(module, replaced))
        return made

    def _at_least(self, size: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        found = self._memory.get((device, dtype))
        if found is None or found.numel() < size:
            found = (torch.randn(size, device=device) * 0.02).to(dtype)
            self._memory[device, dtype] = found
        return found


def _stride(weight: Tensor) -> int:
    """Number of elements from the start of one weight to that of the next."""
    aligned = max(1, _ALIGNED // weight.element_size())
    return math.ceil(weight.numel() / aligned) * aligned
