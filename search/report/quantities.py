"""Formats the values of objectives for people: unit, scale, number of digits."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.result import Result

_UNITS = {
    "latency": "ms",
    "latency_ms": "ms",
    "measured_latency": "ms",
    "energy": "mJ",
    "accuracy": "%",
    "top1": "%",
    "top5": "%",
    "perplexity": "",
    "bleu": "",
}
_COUNTS = {"macs": "", "params": "", "peak_memory": "B"}
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_DECIMALS = {"%": (2, 2), "ms": (0, 3)}
_OTHER_DECIMALS = (0, 4)
_RESOLVED = 300


@dataclass(frozen=True)
class Quantity:
    """An objective's name, unit and number format.

    Args:
        name: of the objective.
        unit: as shown, with the prefix for `scale`; "" if none is known.
        scale: values are divided by it to be shown.
        decimals: digits after the point; None: four significant digits.
    """

    name: str
    unit: str
    scale: float
    decimals: int | None

    @classmethod
    def of(cls, name: str, values: ArrayLike) -> Self:
        """Chooses scale and digits such that the finite ones of `values` can be told apart."""
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        largest = float(np.abs(known).max()) if len(known) else 0.0
        quantity = name.partition("@")[0].lower()
        unit, scale = _UNITS.get(quantity, ""), 1.0
        if quantity in _COUNTS:
            scale, prefix = next((pair for pair in _PREFIXES if largest >= pair[0]), (1.0, ""))
            unit = prefix + _COUNTS[quantity]
        return cls(name, unit, scale, _decimals(known / scale, *_DECIMALS.get(unit, _OTHER_DECIMALS)))

    @property
    def label(self) -> str:
        """For axes and column headings, as in "latency (ms)"."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def scaled(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values in the unit shown, same shape."""
        return np.asarray(values, dtype=np.float64) / self.scale

    def number(self, value: float) -> str:
        """The value without its unit; a dash for NaN."""
        shown = value / self.scale
        if math.isnan(shown):
            return "–"
        return f"{shown:.4g}" if self.decimals is None or math.isinf(shown) else f"{shown:,.{self.decimals}f}"

    def text(self, value: float) -> str:
        """The value with its unit."""
        return f"{self.number(value)} {self.unit}".rstrip()

    def span(self, values: ArrayLike) -> str:
        """Smallest and largest value without the unit, as in "2.10 – 8.74"; a dash for none."""
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        ends = [self.number(float(end)) for end in (known.min(), known.max())] if len(known) else ["–"]
        return " – ".join(dict.fromkeys(ends))


def quantities(result: Result) -> dict[str, Quantity]:
    """The number format of each objective by name, in order."""
    return {name: Quantity.of(name, result.frame[name]) for name in result.history.problem.names}


def _decimals(values: NDArray[np.float64], least: int, most: int) -> int | None:
    """Number of digits after the point that resolve the range; None where plain digits would be unreadable."""
    if not len(values):
        return least
    largest = float(np.abs(values).max())
    spread = float(values.max() - values.min()) or largest
    if largest and not 1e-2 <= largest < 1e7:
        return None
    return min(most, max(least, math.ceil(-math.log10(spread / _RESOLVED)))) if spread else least
