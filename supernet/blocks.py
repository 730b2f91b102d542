"""Blocks: the parts that a sub-network runs one after the other, identified by structure and shapes of inputs."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from supernet.building import WithoutValues

_NOT_STRUCTURE = {"training", "layer_idx"}  # a mode, and where a layer stands among others


@dataclass(frozen=True)
class Call:
    """The arguments of one call of a block's first module."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def tensors(self) -> list[Tensor]:
        """All tensors among the arguments, in order."""
        return _tensors((self.args, self.kwargs))

    def given(self, tensors: Iterator[Tensor]) -> "Call":
        """The same call with other tensors, taken in order."""
        args, kwargs = _replaced((self.args, self.kwargs), tensors)
        return Call(args, kwargs)


@dataclass(frozen=True)
class Use:
    """How one inference uses a block.

    A decoder layer of a translation, for example, is called at every step, with more keys and values each time.

    Attributes:
        modules: the block's modules, which run in this order.
        calls: the arguments of all calls of the first module.
    """

    modules: tuple[nn.Module, ...]
    calls: list[Call] = field(default_factory=list)

    @property
    def module(self) -> nn.Module:
        """The block as one module: called with `inputs`, it makes all calls."""
        inputs = self.inputs
        plain = len(self.calls) == 1 and not self.calls[0].kwargs and len(inputs) == len(self.calls[0].args)
        if not plain or any(given is not tensor for given, tensor in zip(self.calls[0].args, inputs, strict=True)):
            return _Replay(self)
        return self.modules[0] if len(self.modules) == 1 else nn.Sequential(*self.modules)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The positional arguments of `module`: all distinct tensors among the arguments of the calls."""
        return tuple({id(tensor): tensor for call in self.calls for tensor in call.tensors}.values())

    @property
    def key(self) -> str:
        """Digest of the structure of the modules and of the shapes and types of the inputs of all calls."""
        return self.key_of(self.calls)

    def key_of(self, calls: Sequence[Call]) -> str:
        """The `key` of this block if its calls were these."""
        shapes = [(_shapes(call.args), _shapes(call.kwargs)) for call in calls]
        return hashlib.sha256(repr((self._structure, shapes)).encode()).hexdigest()[:20]

    @cached_property
    def _structure(self) -> str:
        return repr([_structure(module) for module in self.modules])

    @property
    def n_parameters(self) -> int:
        """Number of learnable values."""
        return sum(p.numel() for p in {id(p): p for m in self.modules for p in m.parameters()}.values())

    def count_macs(self) -> int:
        """Multiply-accumulates (of all samples): convolutions, linear layers, matrix products."""
        return count_macs(self.module, self.inputs)


class _Replay(nn.Module):
    """Makes the calls of a block again with the tensors that it is given; returns the tensors of all results."""

    def __init__(self, use: Use) -> None:
        super().__init__()
        self.parts = nn.ModuleList(use.modules)
        self._calls = use.calls
        positions = {id(tensor): i for i, tensor in enumerate(use.inputs)}
        self._sources = [[positions[id(tensor)] for tensor in call.tensors] for call in use.calls]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs: list[Tensor] = []
        for recorded, sources in zip(self._calls, self._sources, strict=True):
            call = recorded.given(inputs[i] for i in sources)
            result = self.parts[0](*call.args, **call.kwargs)
            for part in list(self.parts)[1:]:
                result = part(result)
            outputs += _tensors(result)
        return tuple(outputs)


Memo = dict[str, Any]
"""Outputs of calls by key. On the meta device an output is only a shape: the same block need not run twice."""


def capture(
    model: nn.Module, blocks: Mapping[str, Sequence[nn.Module]], inputs: Sequence[Any], memo: Memo | None = None
) -> dict[str, Use]:
    """Runs `model(*inputs)` once and records the calls of each block.

    Args:
        model: the whole model, or what runs it.
        blocks: the modules of each block, by name.
        inputs: positional arguments of `model`.
        memo: outputs of earlier calls (meta device only), with which blocks of one module need not run again; new ones
            are added.

    Returns the blocks that were called, by name.
    """
    uses = {name: Use(tuple(modules)) for name, modules in blocks.items()}
    with ExitStack() as stack, WithoutValues(counted=False), torch.no_grad():
        for use in uses.values():
            _watch(stack, use, memo)
        model(*inputs)
    return {name: use for name, use in uses.items() if use.calls}


def _watch(stack: ExitStack, use: Use, memo: Memo | None) -> None:
    """Until `stack` closes, the first module's `forward` records its calls (and may answer from the memo)."""
    first = use.modules[0]
    run = first.forward

    def recording(*args: Any, **kwargs: Any) -> Any:
        call = Call(args, kwargs)
        use.calls.append(call)
        if memo is None or len(use.modules) > 1:
            return run(*args, **kwargs)
        key = use.key_of([call])
        if key not in memo:
            memo[key] = run(*args, **kwargs)
        return memo[key]

    first.forward = recording
    stack.callback(first.__dict__.pop, "forward", None)


def count_macs(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> int:
    """Multiply-accumulates of `model(*args, **kwargs)`, by PyTorch's flop counter; quickest on the meta device."""
    linear = WithoutValues()
    with FlopCounterMode(display=False) as counter, linear, torch.no_grad(), _frozen(model):
        model(*args, **(kwargs or {}))
    return int(counter.get_total_flops()) // 2 + linear.macs


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No parameter asks for gradients: the counter looks for them even where none are recorded."""
    learnable = [p for p in model.parameters() if p.requires_grad]
    try:
        for parameter in learnable:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learnable:
            parameter.requires_grad_(True)


def _structure(module: nn.Module) -> list[Any]:
    """Everything that decides what a module computes except the values of its tensors."""
    return [
        (
            path,
            type(part).__qualname__,
            sorted((k, v) for k, v in vars(part).items() if k not in _NOT_STRUCTURE and _is_plain(v)),
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


def _tensors(value: Any) -> list[Tensor]:
    """All tensors in nested mappings, tuples and lists."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [tensor for part in value for tensor in _tensors(part)] if isinstance(value, (list, tuple)) else []


def _replaced(value: Any, tensors: Iterator[Tensor]) -> Any:
    """The same nested value with other tensors, taken in the order of `_tensors`."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, Mapping):
        return {key: _replaced(part, tensors) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(part, tensors) for part in value)
    return value
