"""Measuring latency on machines that others use as well: interleaved, warmed up, robust, honest about spread."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hardware import timing
from hardware.backends import create
from hardware.device import Device
from hardware.timing import Measurement, Protocol, Runner


def measure(
    model: nn.Module, example_inputs: Tensor | Sequence[Tensor], device: Device, protocol: Protocol | None = None
) -> Measurement:
    """Latency of `model` on `device`; `example_inputs` have the device's batch size."""
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
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
    threads_before = torch.get_num_threads()
    try:
        return timing.measure_interleaved(runners, protocol, samples, after_sample)
    finally:
        torch.set_num_threads(threads_before)
