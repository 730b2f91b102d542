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

    Other programs slow a shared machine down for moments, up to twofold where two of its cores share one. A sample
    counts as undisturbed when it took at most 1.2 times the fastest tenth of the samples.

    Attributes:
        median_ms: over the undisturbed samples.
        quantiles_ms: the 10, 25, 75 and 90 % quantiles of all samples.
        repeats: number of inferences timed.
        stable: whether the interval became as narrow as wanted before the measuring had to end.
        interval_ms: 95 % confidence interval of the median of undisturbed samples, from order statistics, which assume
            nothing about their distribution; infinite where there are fewer than six.
    """

    median_ms: float
    quantiles_ms: tuple[float, float, float, float]
    repeats: int
    stable: bool
    interval_ms: tuple[float, float] = _UNKNOWN

    @classmethod
    def of(cls, samples_ms: Sequence[float], repeats: int, width: float, slowed: bool = True) -> Measurement:
        """Statistics of samples; stable where the interval is at most `width` of the median wide.

        Where disturbances do not only slow down (`slowed` is False: differences of two durations), all samples count.
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
        """JSON-compatible data."""
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
        """What `describe` described."""
        low, first, third, high = record["quantiles_ms"]
        interval = record.get("interval_ms") or _UNKNOWN
        quantiles = (low, first, third, high)
        return cls(record["median_ms"], quantiles, record["repeats"], record["stable"], (interval[0], interval[1]))


def _short(value: float) -> float:
    return float(f"{value:.6g}")


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


class Runner:
    """A prepared model on inputs that are already in place.

    While other programs keep all processors busy, a run longer than some milliseconds is always interrupted: what the
    calling thread waits for a processor is left out of its time (where Linux tells it).

    Args:
        run: makes one inference; returns when the result is there, or, on an accelerator, when it is under way.
        inferences: how many inferences `run` makes, one after the other.

    Attributes:
        waits_count: whether that counts all the same: where something else works meanwhile.
        only_slowed: whether disturbances of the machine can only make a duration longer.
        least_runs: in a row for one sample: what starts the first one is lost in them.
    """

    waits_count = False
    only_slowed = True
    least_runs = 1

    def __init__(self, run: Callable[[], object], inferences: int = 1) -> None:
        self.run = run
        self.inferences = inferences

    def time_ms(self, calls: int) -> float:
        """Duration of each of `calls` runs in a row, in ms, divided by the inferences of a run."""
        asked = time.perf_counter_ns()
        before = 0 if self.waits_count else waited_ns()
        start = time.perf_counter_ns()
        for _ in range(calls):
            self.run()
        end = time.perf_counter_ns()
        waited = 0 if self.waits_count else waited_ns() - before
        asking = start - asked + time.perf_counter_ns() - end  # the thread may have waited then, too
        return (end - start - max(0, waited - asking)) / calls / self.inferences / 1e6

    def run_ms(self) -> float:
        """About how long one run keeps the machine busy."""
        return self.time_ms(1) * self.inferences

    def repeat(self, calls: int) -> None:
        """Makes `calls` runs in a row; returns when the last result is there."""
        for _ in range(calls):
            self.run()


def waited_ns() -> int:
    """How long the calling thread has waited for a processor since it began, as Linux counts it; elsewhere 0."""
    try:
        return int(_SCHEDULED.read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return 0


class Difference(Runner):
    """What something adds to a run: the time with it less the time without, divided by how often it is in there."""

    only_slowed = False

    def __init__(self, longer: Runner, shorter: Runner, inferences: int) -> None:
        super().__init__(longer.run, inferences)
        self.least_runs = longer.least_runs
        self._longer, self._shorter = longer, shorter

    def time_ms(self, calls: int) -> float:
        """Both are timed one after the other; at least a nanosecond."""
        return max(self._longer.time_ms(calls) - self._shorter.time_ms(calls), 1e-6) / self.inferences

    def run_ms(self) -> float:
        """Of what is timed, not of the difference."""
        return self._longer.run_ms() + self._shorter.run_ms()


def measure_interleaved(
    runners: Sequence[Runner | Callable[[], object]],
    protocol: Protocol | None = None,
    samples: Sequence[list[float]] | None = None,
    after_sample: Callable[[], object] | None = None,
) -> list[Measurement]:
    """Measures several prepared models (or functions) in turns, so that a drift of the machine hits all alike.

    Every round takes one sample of each, in an order drawn anew. Those that are not stable after the protocol's rounds
    get further ones.

    Args:
        runners: what is measured.
        protocol: how long to measure.
        samples: a list for each runner (ms per inference) that new samples are added to; those that are in there count
            as if they had been taken here: measuring goes on where it was.
        after_sample: called after each one.
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
