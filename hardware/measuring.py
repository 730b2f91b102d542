"""Measuring latency on machines that others use as well: interleaved, warmed up, robust, honest about spread."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hardware.backends import Runner, create
from hardware.device import Device

_WARM_UP_CALLS = 3
_BUSY = 0.9  # a single-threaded sample counts as undisturbed when its thread ran for at least this share of the time
_SLOWED = 1.1  # ... and when a fixed piece of work beside it took at most this multiple of its usual best
_FEWEST_UNDISTURBED = 5


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
    """Measures several prepared models in turns, so that a drift of the machine hits all alike.

    Other programs slow a shared machine down for moments. Beside each sample a fixed piece of work is timed; samples
    during which it was slow, or in which the thread lost its core, are left out where enough others remain.
    """
    protocol = protocol or Protocol()
    threads_before = torch.get_num_threads()
    try:
        gauge = _SpeedGauge()
        samplers = [_Sampler(runner, protocol, gauge, check_busy=device.threads == 1) for runner in runners]
        for done in range(protocol.most_rounds):
            limit = gauge.limit()
            open_ones = [s for s in samplers if done < protocol.rounds or not s.result(limit).stable]
            if not open_ones:
                break
            for sampler in open_ones:
                sampler.take()
        limit = gauge.limit()
        return [sampler.result(limit) for sampler in samplers]
    finally:
        torch.set_num_threads(threads_before)


class _SpeedGauge:
    """Tells how fast the machine is just now, by a fixed piece of single-threaded work of about 0.1 ms."""

    def __init__(self) -> None:
        self._work = np.linspace(-2, 2, 4096, dtype=np.float32)
        self._result = np.empty_like(self._work)
        self._timings = [self._time() for _ in range(50)]

    def limit(self) -> float:
        """Nanoseconds above which the machine counts as slowed: relative to a low quantile of all timings so far."""
        return _SLOWED * float(np.quantile(self._timings, 0.1))

    def time(self) -> float:
        """Nanoseconds that the piece of work takes now."""
        self._timings.append(self._time())
        return self._timings[-1]

    def _time(self) -> float:
        start = time.perf_counter_ns()
        for _ in range(8):
            np.tanh(self._work, out=self._result)
        return float(time.perf_counter_ns() - start)


class _Sampler:
    """Collects samples of one runner."""

    def __init__(self, runner: Runner, protocol: Protocol, gauge: _SpeedGauge, check_busy: bool) -> None:
        self._runner, self._protocol, self._gauge, self._check_busy = runner, protocol, gauge, check_busy
        for _ in range(_WARM_UP_CALLS):
            runner()
        start = time.perf_counter()
        runner()
        once_ms = max((time.perf_counter() - start) * 1e3, 1e-4)
        self._calls = max(1, math.ceil(protocol.sample_ms / once_ms))
        self._samples: list[tuple[float, float, float]] = []  # ms per inference, busy share, gauge in ns

    def take(self) -> None:
        """Times one sample."""
        before = self._gauge.time()
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        for _ in range(self._calls):
            self._runner()
        wall, cpu = time.perf_counter_ns() - wall, time.thread_time_ns() - cpu
        busy = cpu / wall if self._check_busy else 1.0
        self._samples.append((wall / self._calls / 1e6, busy, max(before, self._gauge.time())))

    def result(self, limit: float) -> Measurement:
        """Statistics over the undisturbed samples (gauge up to `limit`), or over all where too few are undisturbed."""
        samples, busy, gauge = np.array(self._samples).T
        undisturbed = samples[(busy >= _BUSY) & (gauge <= limit)]
        if len(undisturbed) >= min(_FEWEST_UNDISTURBED, len(samples)):
            samples = undisturbed
        low, first, median, third, high = np.quantile(samples, [0.1, 0.25, 0.5, 0.75, 0.9]).tolist()
        stable = len(undisturbed) >= min(_FEWEST_UNDISTURBED, len(self._samples)) and (
            third - first <= self._protocol.spread * median
        )
        return Measurement(median, (low, first, third, high), self._calls * len(self._samples), stable)
