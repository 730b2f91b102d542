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
_SLOWED = 1.2
_FEWEST = 5


@dataclass(frozen=True)
class Measurement:
    """Latency of one inference of a whole batch.

    Other programs slow a shared machine down for moments, up to twofold where two of its cores share one. A sample
    counts as undisturbed when it took at most 1.2 times the fastest tenth of the samples.

    Attributes:
        median_ms: over the undisturbed samples.
        quantiles_ms: the 10, 25, 75 and 90 % quantiles of all samples.
        repeats: number of inferences timed.
        stable: whether enough samples were undisturbed, and these agreed as well as wanted.
    """

    median_ms: float
    quantiles_ms: tuple[float, float, float, float]
    repeats: int
    stable: bool

    @property
    def spread(self) -> float:
        """Interquartile range of all samples relative to the median."""
        return (self.quantiles_ms[2] - self.quantiles_ms[1]) / self.median_ms

    def describe(self) -> dict[str, Any]:
        """JSON-compatible data."""
        return {
            "median_ms": self.median_ms,
            "quantiles_ms": list(self.quantiles_ms),
            "repeats": self.repeats,
            "stable": self.stable,
        }


@dataclass(frozen=True)
class Protocol:
    """How long to measure.

    Args:
        rounds: samples of each model at least; a sample is a run of inferences that takes about `sample_ms` or more.
        most_rounds: samples at most, taken while a measurement is not stable.
        spread: interquartile range of the undisturbed samples, relative to the median, that counts as stable.
    """

    rounds: int = 20
    most_rounds: int = 80
    sample_ms: float = 0.5
    spread: float = 0.05

    def __post_init__(self) -> None:
        if not 2 <= self.rounds <= self.most_rounds:
            raise ValueError(f"rounds must lie in 2..most_rounds={self.most_rounds}, got {self.rounds}")


def measure(
    model: nn.Module, example_inputs: Tensor | Sequence[Tensor], device: Device, protocol: Protocol | None = None
) -> Measurement:
    """Latency of `model` on `device`; `example_inputs` have the device's batch size."""
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    return measure_interleaved([prepared(model, inputs, device)], protocol)[0]


def prepared(model: nn.Module, inputs: Sequence[Tensor], device: Device) -> Runner:
    """One inference of `model` on `device`, ready to be timed. Raises DeviceError where this machine is another."""
    device.require_here()
    return create(device.backend).prepare(model, inputs, device)


def measure_interleaved(runners: Sequence[Runner], protocol: Protocol | None = None) -> list[Measurement]:
    """Measures several prepared models in turns, so that a drift of the machine hits all alike.

    Those that are not stable after the protocol's rounds get further ones.
    """
    protocol = protocol or Protocol()
    threads_before = torch.get_num_threads()
    try:
        samplers = [_Sampler(runner, protocol) for runner in runners]
        for done in range(protocol.most_rounds):
            unfinished = [s for s in samplers if done < protocol.rounds or not s.result().stable]
            if not unfinished:
                break
            for sampler in unfinished:
                sampler.take()
        return [sampler.result() for sampler in samplers]
    finally:
        torch.set_num_threads(threads_before)


class _Sampler:
    """Collects samples of one runner."""

    def __init__(self, runner: Runner, protocol: Protocol) -> None:
        self._runner, self._protocol = runner, protocol
        for _ in range(_WARM_UP_CALLS):
            runner()
        start = time.perf_counter()
        runner()
        once_ms = max((time.perf_counter() - start) * 1e3, 1e-4)
        self._calls = max(1, math.ceil(protocol.sample_ms / once_ms))
        self._samples: list[float] = []  # ms per inference

    def take(self) -> None:
        """Times one sample."""
        start = time.perf_counter_ns()
        for _ in range(self._calls):
            self._runner()
        self._samples.append((time.perf_counter_ns() - start) / self._calls / 1e6)

    def result(self) -> Measurement:
        """Statistics of the samples so far."""
        samples = np.array(self._samples)
        low, first, third, high = np.quantile(samples, [0.1, 0.25, 0.75, 0.9]).tolist()
        undisturbed = samples[samples <= _SLOWED * low]
        fast, median, slow = np.quantile(undisturbed, [0.25, 0.5, 0.75]).tolist()
        stable = len(undisturbed) >= min(_FEWEST, len(samples)) and slow - fast <= self._protocol.spread * median
        return Measurement(median, (low, first, third, high), self._calls * len(samples), stable)
