"""Diagrams of the report as geometry in pixels, which the template draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_SHADES = 6
"""Number of colours for the order of evaluation."""

_MARGIN_LEFT, _MARGIN_RIGHT, _MARGIN_TOP, _MARGIN_BOTTOM = 56.0, 14.0, 30.0, 40.0
_PADDING = 0.05
_TINY = 1e-100
_TICK_DISTANCE_X, _TICK_DISTANCE_Y = 64.0, 44.0
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """An axis, which maps `low`..`high` to the pixels `start`..`end`; `whole`: ticks are whole numbers."""

    label: str
    low: float
    high: float
    start: float
    end: float
    whole: bool = False

    @classmethod
    def around(cls, label: str, values: ArrayLike, start: float, end: float, whole: bool = False) -> Self:
        """An axis that holds all finite values with some margin; for a constant, 5 % to both sides of it."""
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        largest, room = max(abs(low), abs(high)), _PADDING * (high - low)
        if high - low <= max(1e-9 * largest, _TINY):
            room = (0.5 if whole else _PADDING) * (largest if largest > _TINY else 1.0)
        return cls(label, low - room, high + room, start, end, whole)

    def pixels(self, values: ArrayLike) -> NDArray[np.float64]:
        """Positions of values in pixels, same shape."""
        share = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Ticks at round numbers: pixel and text."""
        from matplotlib.ticker import MaxNLocator

        distance = _TICK_DISTANCE_X if self.end > self.start else _TICK_DISTANCE_Y
        n_ticks = max(3, int(abs(self.end - self.start) / distance))
        locator = MaxNLocator(n_ticks, steps=[1, 2, 2.5, 5, 10], integer=self.whole)
        values = np.asarray(locator.tick_values(self.low, self.high), dtype=np.float64)
        values = values[(values >= self.low) & (values <= self.high)]
        step = float(values[1] - values[0]) if len(values) > 1 else 1.0
        decimals = next((d for d in range(9) if abs(round(step, d) - step) < 1e-6 * step), 9)
        readable = decimals < 6 and max(abs(self.low), abs(self.high)) < 1e7
        texts = [f"{value:,.{decimals}f}" if readable else f"{value:.6g}" for value in values + 0.0]
        return list(zip(self.pixels(values).round(1).tolist(), texts, strict=True))


@dataclass(frozen=True)
class Mark:
    """A point with a tooltip; `kind` is a CSS class: "chosen", "baseline" or none."""

    x: float
    y: float
    text: str
    kind: str = ""


@dataclass(frozen=True)
class Panel:
    """A diagram. `clouds` and `lines` hold a CSS class and the data of an SVG path each."""

    width: int
    height: int
    x: Scale
    y: Scale
    clouds: tuple[tuple[str, str], ...] = ()
    lines: tuple[tuple[str, str], ...] = ()
    marks: tuple[Mark, ...] = field(default=())

    @classmethod
    def around(cls, x: ArrayLike, y: ArrayLike, x_label: str, y_label: str, *, width: int, height: int) -> Self:
        """An empty diagram whose axes hold the values; integers on `x` get whole numbers on the axis."""
        whole = np.issubdtype(np.asarray(x).dtype, np.integer)
        return cls(
            width,
            height,
            Scale.around(x_label, x, _MARGIN_LEFT, width - _MARGIN_RIGHT, whole),
            Scale.around(y_label, y, height - _MARGIN_BOTTOM, _MARGIN_TOP),
        )

    def with_cloud(self, x: ArrayLike, y: ArrayLike, kinds: Sequence[str] | NDArray[np.str_]) -> Self:
        """Adds dots, one CSS class each; those with a value that is not finite are left out."""
        pixels = self._pixels(x, y)
        known, classes = np.isfinite(pixels).all(axis=1), np.asarray(kinds, dtype=str)
        clouds = tuple(
            (kind, "".join(f"M{a:.1f} {b:.1f}h0" for a, b in pixels[known & (classes == kind)]))
            for kind in sorted(set(classes[known].tolist()))
        )
        return replace(self, clouds=self.clouds + clouds)

    def with_line(self, points: Points, kind: str) -> Self:
        """Adds a line through points of shape (n, 2), leaving out those that are not finite."""
        pixels = self._pixels(*points.T)
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        data = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in pixels) if len(pixels) else ""
        return replace(self, lines=(*self.lines, (kind, data)))

    def with_marks(self, x: ArrayLike, y: ArrayLike, text: Callable[[int], str], kinds: Sequence[str]) -> Self:
        """Adds points with tooltips: `text(i)` for the i-th, whose class is `kinds[i]`."""
        pixels = self._pixels(x, y).round(1).tolist()
        marks = (Mark(a, b, text(i), kind) for i, ((a, b), kind) in enumerate(zip(pixels, kinds, strict=True)))
        return replace(self, marks=(*self.marks, *marks))

    def _pixels(self, x: ArrayLike, y: ArrayLike) -> Points:
        return np.stack([self.x.pixels(x), self.y.pixels(y)], axis=1)


def shades(n: int) -> list[str]:
    """CSS classes "o0".."o5" for n evaluations in order."""
    return [f"o{int(i * N_SHADES / n)}" for i in range(n)]


def steps(y: ArrayLike) -> Points:
    """Corners of a curve that holds its value from one evaluation (1, 2, ...) to the next, shape (2 n - 1, 2)."""
    values = np.asarray(y, dtype=np.float64)
    x = np.repeat(np.arange(1, len(values) + 1), 2)[1:] if len(values) else np.zeros(0)
    return np.stack([x, np.repeat(values, 2)[: len(x)]], axis=1)
