"""What was measured: a robust median with its confidence interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

_SLOWED = 1.2
_CONFIDENCE = 0.95
_UNKNOWN = (0.0, float("inf"))


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
    def of(cls, samples_ms: Sequence[float], repeats: int, width: float) -> Self:
        """Statistics of samples; stable where the interval is at most `width` of the median wide."""
        samples = np.sort(np.asarray(samples_ms, dtype=float))
        low, first, third, high = np.quantile(samples, [0.1, 0.25, 0.75, 0.9]).tolist()
        undisturbed = samples[samples <= _SLOWED * low]
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
    def from_description(cls, record: Mapping[str, Any]) -> Self:
        """What `describe` described."""
        low, first, third, high = record["quantiles_ms"]
        interval = record.get("interval_ms") or _UNKNOWN
        quantiles = (low, first, third, high)
        return cls(record["median_ms"], quantiles, record["repeats"], record["stable"], (interval[0], interval[1]))


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _interval(ordered: NDArray[np.float64]) -> tuple[float, float]:
    rank = _rank(len(ordered))
    return (float(ordered[rank]), float(ordered[-1 - rank])) if rank >= 0 else _UNKNOWN


@cache
def _rank(n: int) -> int:
    """How many of `n` ordered samples lie below an interval that holds the median with 95 %; -1: there is none."""
    return int(binom.ppf((1 - _CONFIDENCE) / 2, n, 0.5)) - 1
