"""Measuring latency on machines that others use as well: interleaved, warmed up, robust, honest about spread."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from hardware.backends import Runner, create
from hardware.device import Device
from hardware.measurement import Measurement

_WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Protocol:
    """How long to measure.

    Args:
        rounds: samples of each model at least; a sample is a run of inferences that takes about `sample_ms` or more.
        most_rounds: samples at most, taken while a measurement is not stable.
        width: of the 95 % confidence interval of the median, relative to it, at which a measurement is stable.
    """

    rounds: int = 12
    most_rounds: int = 80
    sample_ms: float = 0.5
    width: float = 0.03

    def __post_init__(self) -> None:
        if not 2 <= self.rounds <= self.most_rounds:
            raise ValueError(f"rounds must lie in 2..most_rounds={self.most_rounds}, got {self.rounds}")
        if self.sample_ms <= 0 or self.width <= 0:
            raise ValueError(f"sample_ms and width must be positive, got {self.sample_ms} and {self.width}")


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
    runners: Sequence[Runner | Callable[[], object]], protocol: Protocol | None = None
) -> list[Measurement]:
    """Measures several prepared models (or functions) in turns, so that a drift of the machine hits all alike.

    Every round takes one sample of each, in an order drawn anew. Those that are not stable after the protocol's rounds
    get further ones.
    """
    protocol = protocol or Protocol()
    threads_before = torch.get_num_threads()
    rng = np.random.default_rng(0)
    try:
        samplers = [_Sampler(r if isinstance(r, Runner) else Runner(r), protocol) for r in runners]
        for done in range(protocol.most_rounds):
            unfinished = [s for s in samplers if done < protocol.rounds or not s.result().stable]
            if not unfinished:
                break
            for i in rng.permutation(len(unfinished)):
                unfinished[i].take()
        return [sampler.result() for sampler in samplers]
    finally:
        torch.set_num_threads(threads_before)


class _Sampler:
    """Collects samples of one runner."""

    def __init__(self, runner: Runner, protocol: Protocol) -> None:
        self._runner, self._protocol = runner, protocol
        runner.time_ms(_WARM_UP_CALLS)
        run_ms = max(runner.time_ms(1) * runner.inferences, 1e-4)
        self._calls = max(1, math.ceil(protocol.sample_ms / run_ms))
        self._samples: list[float] = []  # ms per inference

    def take(self) -> None:
        """Times one sample."""
        self._samples.append(self._runner.time_ms(self._calls))

    def result(self) -> Measurement:
        """Statistics of the samples so far."""
        repeats = self._calls * self._runner.inferences * len(self._samples)
        return Measurement.of(self._samples, repeats, self._protocol.width)
