"""Timing in turns: robust medians with their confidence intervals.

Needs numpy alone and runs with Python 3.9: profile bundles take this file along.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_SLOWED = 1.2
_CONFIDENCE = 0.95
_UNKNOWN = (0.0, float("inf"))
_WARM_UP_CALLS = 3
_SCHEDULED = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True)
class Measurement:
    """Latency of one inference of a whole batch; numbers have six significant digits.

    Other programs slow a shared machine down for moments (up to twofold where two hardware threads share a core).
    Samples count as undisturbed when they took at most 1.2 times the 10 % quantile of all samples.

    Attributes:
        median_ms: of the undisturbed samples.
        quantiles_ms: the 10, 25, 75 and 90 % quantiles of all samples.
        repeats: number of inferences timed.
        stable: whether the interval became as narrow as `Protocol.width` asks within `Protocol.most_rounds` samples.
        interval_ms: 95 % confidence interval of the median of the undisturbed samples, from order statistics (without
            assumptions about their distribution); (0, inf) for fewer than six.
    """

    median_ms: float
    quantiles_ms: tuple[float, float, float, float]
    repeats: int
    stable: bool
    interval_ms: tuple[float, float] = _UNKNOWN

    @classmethod
    def of(cls, samples_ms: Sequence[float], repeats: int, width: float, slowed: bool = True) -> Measurement:
        """Statistics of samples.

        Args:
            samples_ms: durations of one inference.
            repeats: number of inferences timed.
            width: of the confidence interval relative to the median, up to which the measurement is stable.
            slowed: whether disturbances only make samples slower; False, as for differences of two durations: all
                samples count as undisturbed.
        """
        samples = np.sort(np.asarray(samples_ms, dtype=float))
        low, first, third, high = np.quantile(samples, [0.1, 0.25, 0.75, 0.9]).tolist()
        undisturbed = samples[samples <= _SLOWED * low] if slowed else samples
        median, interval = float(np.median(undisturbed)), _interval(undisturbed)
        stable = interval[1] - interval[0] <= width * median
        short = (_short(low), _short(first), _short(third), _short(high))
        return cls(_short(median), short, repeats, stable, (_short(interval[0]), _short(interval[1])))

    @property
    def spread(self) -> float:
        """Interquartile range of all samples relative to the median."""
        return (self.quantiles_ms[2] - self.quantiles_ms[1]) / self.median_ms

    def describe(self) -> dict[str, Any]:
        """The measurement as JSON-compatible data, which `from_description` reads."""
        finite = np.isfinite(self.interval_ms).all()
        return {
            "median_ms": self.median_ms,
            "quantiles_ms": list(self.quantiles_ms),
            "repeats": self.repeats,
            "stable": self.stable,
            "interval_ms": list(self.interval_ms) if finite else None,
        }

    @classmethod
    def from_description(cls, record: Mapping[str, Any]) -> Measurement:
        """The measurement that `describe` described; KeyError, TypeError or ValueError for anything else."""
        median, repeats, stable = record["median_ms"], record["repeats"], record["stable"]
        low, first, third, high = record["quantiles_ms"]
        start, end = record.get("interval_ms") or _UNKNOWN
        for number in (median, repeats, low, first, third, high, start, end):
            if isinstance(number, bool) or not isinstance(number, (int, float)):
                raise TypeError(f"{number!r} is not a number")
        return cls(median, (low, first, third, high), repeats, bool(stable), (start, end))


def _short(value: float) -> float:
    return float(f"{value:.6g}")


@dataclass(frozen=True)
class Protocol:
    """How long to measure.

    Args:
        rounds: fewest samples of each model.
        most_rounds: most samples: after `rounds`, further ones are taken until the measurement is stable.
        sample_ms: shortest duration of a sample, which is a run of as many inferences as that takes (at least one).
        width: of the 95 % confidence interval of the median, relative to it, up to which a measurement is stable.
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


class Runner:
    """A prepared model on inputs that are already in place, ready to be timed.

    While other programs keep all processors busy, any run longer than some milliseconds is interrupted. Where Linux
    reports how long the calling thread waited for a processor, that is subtracted.

    Args:
        run: makes one inference; returns when the result is there or, on an accelerator, when the work is submitted.
        inferences: how many inferences `run` makes, one after the other.

    Attributes:
        waits_count: True where the time that the thread waits is not subtracted: an accelerator works on meanwhile.
        only_slowed: whether disturbances of the machine can only make a duration longer.
        least_runs: fewest runs of one sample; several where the launch of the first would otherwise show.
    """

    waits_count = False
    only_slowed = True
    least_runs = 1

    def __init__(self, run: Callable[[], object], inferences: int = 1) -> None:
        self.run = run
        self.inferences = inferences

    def time_ms(self, calls: int) -> float:
        """Mean duration in ms of one inference, over `calls` runs in a row."""
        begun = time.perf_counter_ns()
        before = 0 if self.waits_count else waited_ns()
        start = time.perf_counter_ns()
        for _ in range(calls):
            self.run()
        end = time.perf_counter_ns()
        waited = 0 if self.waits_count else waited_ns() - before
        around = start - begun + time.perf_counter_ns() - end  # the thread may have waited then, too
        return max(end - start - max(0, waited - around), 1) / calls / self.inferences / 1e6

    def run_ms(self) -> float:
        """Roughly how long one run takes, in ms, all its inferences together."""
        return self.time_ms(1) * self.inferences

    def repeat(self, calls: int) -> None:
        """Makes `calls` runs in a row, untimed; returns when the last result is there."""
        for _ in range(calls):
            self.run()


def waited_ns() -> int:
    """Nanoseconds that the calling thread has waited for a processor since it began; 0 on systems other than Linux."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0


class Difference(Runner):
    """The time that a block adds to a network: with it less without it, divided by how often it was put in.

    Args:
        longer: runs the network with the block.
        shorter: runs it without.
        inferences: how often the block is in there.
    """

    only_slowed = False

    def __init__(self, longer: Runner, shorter: Runner, inferences: int) -> None:
        super().__init__(longer.run, inferences)
        self.least_runs = longer.least_runs
        self._longer, self._shorter = longer, shorter

    def time_ms(self, calls: int) -> float:
        """Duration in ms of the block, at least a nanosecond; both networks are timed one after the other."""
        return max(self._longer.time_ms(calls) - self._shorter.time_ms(calls), 1e-6) / self.inferences

    def run_ms(self) -> float:
        """Of both networks, not of the difference."""
        return self._longer.run_ms() + self._shorter.run_ms()


def measure_interleaved(
    runners: Sequence[Runner | Callable[[], object]],
    protocol: Protocol | None = None,
    samples: Sequence[list[float]] | None = None,
    after_sample: Callable[[], object] | None = None,
) -> list[Measurement]:
    """Measures several prepared models (or functions) in turns, so that a drift of the machine affects all alike.

    Every round takes one sample of each, in random order. Those that are not stable after the protocol's rounds get
    further ones.

    Args:
        runners: what is measured; a function makes one inference.
        protocol: how long to measure.
        samples: one list for each runner (ms per inference), to which new samples are appended. Samples that are in it
            already count too, so that an interrupted measurement can go on.
        after_sample: called after each sample.

    Returns one measurement for each runner, in their order. Raises ValueError for another number of lists.
    """
    protocol = protocol or Protocol()
    rng = np.random.default_rng(0)
    kept: Sequence[list[float]] = samples if samples is not None else [[] for _ in runners]
    if len(kept) != len(runners):
        raise ValueError(f"{len(runners)} runners need as many lists of samples, got {len(kept)}")
    samplers = [_Sampler(r if isinstance(r, Runner) else Runner(r), protocol, own) for r, own in zip(runners, kept)]
    while unfinished := [sampler for sampler in samplers if sampler.unfinished()]:
        for i in rng.permutation(len(unfinished)):
            unfinished[i].take()
            if after_sample is not None:
                after_sample()
    return [sampler.result() for sampler in samplers]


class _Sampler:
    """Adds samples of one runner to a list (ms per inference)."""

    def __init__(self, runner: Runner, protocol: Protocol, samples: list[float]) -> None:
        self._runner, self._protocol, self._samples = runner, protocol, samples
        runner.time_ms(_WARM_UP_CALLS)
        self._calls = max(runner.least_runs, math.ceil(protocol.sample_ms / max(runner.run_ms(), 1e-4)))

    def unfinished(self) -> bool:
        """Whether the protocol wants another sample."""
        n = len(self._samples)
        return n < self._protocol.rounds or (n < self._protocol.most_rounds and not self.result().stable)

    def take(self) -> None:
        """Times one sample."""
        self._samples.append(self._runner.time_ms(self._calls))

    def result(self) -> Measurement:
        """Statistics of the samples so far."""
        repeats = self._calls * self._runner.inferences * len(self._samples)
        return Measurement.of(self._samples, repeats, self._protocol.width, self._runner.only_slowed)


def _interval(ordered: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    rank = _rank(len(ordered))
    return (float(ordered[rank]), float(ordered[-1 - rank])) if rank >= 0 else _UNKNOWN


@cache
def _rank(n: int) -> int:
    """How many of `n` ordered samples lie below an interval that holds the median with 95 %; -1: there is none."""
    rank, share = -1, 0.0
    while rank < n:
        share += math.comb(n, rank + 1) / 2**n
        if share >= (1 - _CONFIDENCE) / 2:
            return rank
        rank += 1
    return rank
