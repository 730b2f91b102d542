"""Blocks: the parts that a sub-network runs one after the other, identified by structure and input shape."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from supernet.building import WithoutValues


@dataclass(frozen=True)
class Call:
    """One call of a block: its modules in order, and what the first of them was given."""

    modules: tuple[nn.Module, ...]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def module(self) -> nn.Module:
        """The block as one module."""
        return self.modules[0] if len(self.modules) == 1 else nn.Sequential(*self.modules)

    @cached_property
    def key(self) -> str:
        """Digest of the structure of the modules and of the shapes and types of the inputs."""
        described = [_structure(module) for module in self.modules]
        return hashlib.sha256(repr((described, _shapes(self.args), _shapes(self.kwargs))).encode()).hexdigest()[:20]

    @property
    def n_parameters(self) -> int:
        """Number of learnable values."""
        return sum(p.numel() for p in {id(p): p for m in self.modules for p in m.parameters()}.values())

    def count_macs(self) -> int:
        """Multiply-accumulates of this call (of all its samples): convolutions, linear layers, matrix products."""
        return count_macs(self.module, self.args, self.kwargs)


Memo = dict[str, Any]
"""Outputs of blocks by key: on the meta device, where an output is only a shape, a block need not run twice."""


def capture(
    model: nn.Module, blocks: Mapping[str, Sequence[nn.Module]], inputs: Sequence[Any], memo: Memo | None = None
) -> dict[str, Call]:
    """Runs `model(*inputs)` once and records with what each block was called; blocks that are not called are absent.

    With a `memo` (meta device only), blocks of one module whose key is in it do not run, and new ones are added.
    """
    calls: dict[str, Call] = {}
    with ExitStack() as stack, WithoutValues(), torch.no_grad():
        for name, modules in blocks.items():
            _watch(stack, calls, name, tuple(modules), memo)
        model(*inputs)
    return {name: calls[name] for name in blocks if name in calls}


def _watch(
    stack: ExitStack, calls: dict[str, Call], name: str, modules: tuple[nn.Module, ...], memo: Memo | None
) -> None:
    """Until `stack` closes, the first module's `forward` records its call (and may answer from the memo)."""
    run = modules[0].forward

    def recording(*args: Any, **kwargs: Any) -> Any:
        call = calls.setdefault(name, Call(modules, args, kwargs))
        if memo is None or len(modules) > 1:
            return run(*args, **kwargs)
        if call.key not in memo:
            memo[call.key] = run(*args, **kwargs)
        return memo[call.key]

    modules[0].forward = recording
    stack.callback(modules[0].__dict__.pop, "forward")


def count_macs(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> int:
    """Multiply-accumulates of `model(*args, **kwargs)`, by PyTorch's flop counter; works on the meta device."""
    with FlopCounterMode(display=False) as counter, WithoutValues(), torch.no_grad():
        model(*args, **(kwargs or {}))
    return int(counter.get_total_flops()) // 2


def _structure(module: nn.Module) -> list[Any]:
    """Everything that decides what a module computes except the values of its tensors."""
    return [
        (
            path,
            type(part).__qualname__,
            sorted((k, v) for k, v in vars(part).items() if k != "training" and _is_plain(v)),
            [(name, tuple(tensor.shape)) for name, tensor in part.named_parameters(recurse=False)],
        )
        for path, part in module.named_modules()
    ]


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _shapes(value: Any) -> Any:
    if isinstance(value, Tensor):
        return tuple(value.shape), str(value.dtype)
    if isinstance(value, Mapping):
        return [(key, _shapes(v)) for key, v in value.items()]
    if isinstance(value, (list, tuple)):
        return [_shapes(v) for v in value]
    return value if _is_plain(value) else type(value).__qualname__
