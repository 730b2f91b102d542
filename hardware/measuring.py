"""Measuring latency on machines that others use as well: interleaved, warmed up, robust, honest about spread."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hardware.backends import Runner, create
from hardware.device import Device

_WARM_UP_CALLS = 3
_BUSY = 0.8  # a single-threaded sample counts as undisturbed when its thread ran for at least this share of the time


@dataclass(frozen=True)
class Measurement:
    """Latency of one inference of a whole batch.

    Attributes:
        median_ms: over the undisturbed samples.
        quantiles_ms: the 10, 25, 75 and 90 % quantiles of the same samples.
        repeats: number of inferences timed.
        stable: whether the spread came under the wanted one in the allowed time.
    """

    median_ms: float
    quantiles_ms: tuple[float, float, float, float]
    repeats: int
    stable: bool

    @property
    def spread(self) -> float:
        """Interquartile range relative to the median."""
        return (self.quantiles_ms[2] - self.quantiles_ms[1]) / self.median_ms

    def describe(self) -> dict[str, Any]:
        """JSON-compatible data."""
        return {
            "median_ms": round(self.median_ms, 6),
            "quantiles_ms": [round(q, 6) for q in self.quantiles_ms],
            "repeats": self.repeats,
            "stable": self.stable,
        }


@dataclass(frozen=True)
class Protocol:
    """How long to measure.

    Args:
        rounds: samples of each model at least; a sample is a run of inferences that takes `sample_ms` or more.
        most_rounds: samples at most, taken while the spread is too wide.
        spread: wanted interquartile range relative to the median.
    """

    rounds: int = 15
    most_rounds: int = 60
    sample_ms: float = 1.0
    spread: float = 0.05

    def __post_init__(self) -> None:
        if not 2 <= self.rounds <= self.most_rounds:
            raise ValueError(f"rounds must lie in 2..most_rounds={self.most_rounds}, got {self.rounds}")


def measure(
    model: nn.Module, example_inputs: Tensor | Sequence[Tensor], device: Device, protocol: Protocol | None = None
) -> Measurement:
    """Latency of `model` on `device`; `example_inputs` have the device's batch size."""
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    runner = create(device.backend).prepare(model, inputs, device)
    return measure_interleaved([runner], device, protocol)[0]


def measure_interleaved(
    runners: Sequence[Runner], device: Device, protocol: Protocol | None = None
) -> list[Measurement]:
    """Measures several prepared models in turns, so that a drift of the machine hits all alike."""
    protocol = protocol or Protocol()
    threads_before = torch.get_num_threads()
    try:
        samplers = [_Sampler(runner, protocol, check_busy=device.threads == 1) for runner in runners]
        for _ in range(protocol.rounds):
            for sampler in samplers:
                sampler.take()
        for _ in range(protocol.rounds, protocol.most_rounds):
            if not (wide := [sampler for sampler in samplers if not sampler.result().stable]):
                break
            for sampler in wide:
                sampler.take()
        return [sampler.result() for sampler in samplers]
    finally:
        torch.set_num_threads(threads_before)


class _Sampler:
    """Collects samples of one runner."""

    def __init__(self, runner: Callable[[], object], protocol: Protocol, check_busy: bool) -> None:
        self._runner, self._protocol, self._check_busy = runner, protocol, check_busy
        for _ in range(_WARM_UP_CALLS):
            runner()
        start = time.perf_counter()
        runner()
        once_ms = max((time.perf_counter() - start) * 1e3, 1e-4)
        self._calls = max(1, math.ceil(protocol.sample_ms / once_ms))
        self._samples: list[float] = []
        self._busy: list[float] = []

    def take(self) -> None:
        """Times one sample."""
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        for _ in range(self._calls):
            self._runner()
        wall, cpu = time.perf_counter_ns() - wall, time.thread_time_ns() - cpu
        self._samples.append(wall / self._calls / 1e6)
        self._busy.append(cpu / wall)

    def result(self) -> Measurement:
        """Statistics over the samples in which the thread kept its core, where these are at least a third."""
        samples = np.array(self._samples)
        if self._check_busy:
            undisturbed = samples[np.array(self._busy) >= _BUSY]
            samples = undisturbed if 3 * len(undisturbed) >= len(samples) else samples
        low, first, median, third, high = np.quantile(samples, [0.1, 0.25, 0.5, 0.75, 0.9]).tolist()
        stable = (third - first) <= self._protocol.spread * median
        return Measurement(median, (low, first, third, high), self._calls * len(self._samples), stable)
