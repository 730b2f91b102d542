"""Modules whose weights lie elsewhere each time, as those of a network do: no cache still holds them from before."""

import copy
import math

import torch
from torch import Tensor, nn

_ALIGNED = 256  # bytes, as PyTorch's own allocations


class Scattering:
    """Makes copies of modules within one piece of memory for each type of number, as large as the largest needed.

    Copies of different modules share that memory, so that it does not grow with their number: their weights are
    arbitrary.
    """

    def __init__(self) -> None:
        self._memory: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def copies(self, module: nn.Module, n: int) -> list[nn.Module]:
        """`n` modules like this one, no weight of which lies where one of another copy does.

        The memory of earlier copies is kept as long as they are.
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
    """From one weight to the next, in numbers."""
    aligned = max(1, _ALIGNED // weight.element_size())
    return math.ceil(weight.numel() / aligned) * aligned
