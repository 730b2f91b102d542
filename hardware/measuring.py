"""Measuring latency on machines that others use as well: interleaved, warmed up, robust, honest about spread."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hardware import timing
from hardware.backends import create
from hardware.device import Device
from hardware.timing import Measurement, Protocol, Runner
from supernet.inputs import evaluating

ExampleInputs = Tensor | Iterable[Tensor] | Mapping[str, Tensor]
"""What a model is called with: one tensor, positional arguments, or named ones."""


def measure(
    model: nn.Module, example_inputs: ExampleInputs, device: Device, protocol: Protocol | None = None
) -> Measurement:
    """Latency in ms of one inference of a batch by `model` on `device`.

    Args:
        model: any module; it runs in eval mode, and is left as it is.
        example_inputs: a batch of `device.batch_size` samples: a tensor, positional arguments, or named ones.
        device: this machine, with the settings of the runtime.
        protocol: how long to measure.

    Raises DeviceError where this machine cannot be the device, and for inputs of another batch size.
    """
    model, inputs = positional(model, example_inputs, device)
    with evaluating(model):
        runner = prepared(model, inputs, device)
        with device.pinned():
            return measure_interleaved([runner], protocol)[0]


def prepared(model: nn.Module, inputs: Sequence[Tensor], device: Device) -> Runner:
    """One inference of `model` on `device`, ready to be timed. Raises DeviceError where this machine is another."""
    device.require_here()
    return create(device.backend).prepare(model, inputs, device)


def measure_interleaved(
    runners: Sequence[Runner | Callable[[], object]],
    protocol: Protocol | None = None,
    samples: Sequence[list[float]] | None = None,
    after_sample: Callable[[], object] | None = None,
) -> list[Measurement]:
    """`hardware.timing.measure_interleaved`, leaving PyTorch's number of threads as it was."""
    with keeping_threads():
        return timing.measure_interleaved(runners, protocol, samples, after_sample)


@contextmanager
def keeping_threads() -> Iterator[None]:
    """PyTorch has as many threads after the context as before, whatever ran in it."""
    threads_before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads_before)


def positional(model: nn.Module, example_inputs: ExampleInputs, device: Device) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A module that takes the inputs one after the other, and these.

    Raises DeviceError for inputs that are no tensors, or of which none has the device's batch size as its first axis.
    """
    if isinstance(example_inputs, Mapping):
        model = _ByName(model, tuple(example_inputs))
        example_inputs = example_inputs.values()
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    if others := [given for given in inputs if not isinstance(given, Tensor)]:
        raise device.error(f"the example inputs must be tensors, got a {type(others[0]).__name__}")
    sizes = [tensor.shape[0] for tensor in inputs if tensor.ndim]
    if inputs and device.batch_size not in sizes:
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        other = f", or a device with batch_size={sizes[0]}" if sizes else ""
        raise device.error(
            f"its batch size is {device.batch_size}, the example inputs have shapes {shapes}: give inputs of "
            f"{device.batch_size} samples{other}"
        )
    return model, inputs


class _ByName(nn.Module):
    """Calls a model with named arguments; takes them in their order."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.model, self._names = model, names

    def forward(self, *inputs: Tensor) -> Any:
        return self.model(**dict(zip(self._names, inputs, strict=True)))
