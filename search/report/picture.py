"""The front as a PNG picture."""

import io
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from search.report.baseline import LABEL, Baseline
from search.report.quantities import Quantity, quantities
from search.report.views import axis_pairs, baseline_point, best_so_far, by_device, stairs
from search.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

_FRONT = "#d9480f"
_BASELINE = "#1c2430"
_MUTED = "#5c6773"
_COLOURS = "viridis_r"


def front_png(result: Result, title: str, baseline: Baseline | None = None) -> bytes:
    """A scatter plot of everything evaluated, coloured by order of evaluation, with front and baseline; as PNG.

    For a single objective, its best value so far over evaluations. For several devices, a plot for each.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    views = by_device(result)
    panels: list[tuple[str, Result, tuple[str, str] | None]] = []
    for device, view in views.items():
        panels += [(device, view, pair) for pair in axis_pairs(view)] or [(device, view, None)]
    n_panels = len(panels)
    n_columns = min(3, n_panels)
    n_rows = math.ceil(n_panels / n_columns)
    size = (7.4, 4.8) if n_panels == 1 else (0.8 + 3.9 * n_columns, 0.9 + 3.3 * n_rows)
    figure = Figure(figsize=size, dpi=150, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    canvas = FigureCanvasAgg(figure)
    axes = list(figure.subplots(n_rows, n_columns, squeeze=False).ravel())
    for axis, (device, view, pair) in zip(axes, panels, strict=False):
        shown = quantities(view)
        if pair is None:
            _best_so_far(axis, view, next(iter(shown.values())))
        else:
            x, y = shown[pair[0]], shown[pair[1]]
            _scatter(axis, view, x, y, line=len(shown) == 2)
            _mark(axis, view, x, y, baseline and baseline.view(device))
        axis.set_title(_plain(device), fontsize=9)
    for axis in axes[n_panels:]:
        figure.delaxes(axis)
    _decorate(figure, axes[:n_panels], result, title)
    return _png(canvas)


def _scatter(axis: "Axes", result: Result, x: Quantity, y: Quantity, line: bool) -> None:
    _cloud(axis, result, x.scaled(result.frame[x.name]), y.scaled(result.frame[y.name]))
    front = result.pareto().sort_values(x.name, kind="stable")
    front_x, front_y = x.scaled(front[x.name]), y.scaled(front[y.name])
    style: dict[str, Any] = {"mfc": "none", "color": _FRONT, "label": f"Pareto front ({len(front)})"}
    style |= {"ms": 5, "mew": 1.3} if line else {"ms": 3.5, "mew": 0.9}
    if line:
        goals = dict(zip(result.history.problem.names, result.history.problem.goals, strict=True))
        axis.plot(*stairs(front_x, front_y, goals[x.name]).T, color=_FRONT, lw=1.2)
    axis.plot(front_x, front_y, "o", **style)
    axis.set(xlabel=_plain(x.label), ylabel=_plain(y.label))


def _mark(axis: "Axes", result: Result, x: Quantity, y: Quantity, baseline: Baseline | None) -> None:
    values = result.frame[[x.name, y.name]].dropna()
    point = baseline_point(baseline, x, y, x.scaled(values[x.name]), y.scaled(values[y.name]))
    if baseline is None or np.isnan([baseline.value(x.name), baseline.value(y.name)]).any():
        return
    told = ", ".join(q.text(baseline.value(q.name)) for q in (x, y))
    label = LABEL if len(point) else f"{LABEL}, off the scale: {_plain(told)}"
    axis.plot(*point.T, "D", mfc="none", color=_BASELINE, ms=9, mew=1.3, label=label)


def _best_so_far(axis: "Axes", result: Result, quantity: Quantity) -> None:
    evaluation = np.arange(1, len(result.frame) + 1)
    _cloud(axis, result, evaluation, quantity.scaled(result.frame[quantity.name]))
    best = quantity.scaled(best_so_far(result))
    axis.plot(evaluation, best, drawstyle="steps-post", color=_FRONT, lw=1.4, label="best so far")
    axis.set(xlabel="evaluation", ylabel=_plain(quantity.label))


def _cloud(axis: "Axes", result: Result, x: Any, y: Any) -> None:
    feasible, order = result.history.feasible, np.arange(len(x))
    violating = result.history.measured & ~feasible
    if violating.any():
        style: dict[str, Any] = {"marker": "x", "s": 12, "color": "0.7", "linewidths": 0.8}
        axis.scatter(x[violating], y[violating], label="violates a constraint", **style)
    style = {"cmap": _COLOURS, "vmin": 0, "vmax": max(1, len(x) - 1), "s": 14, "alpha": 0.85, "linewidths": 0}
    axis.scatter(x[feasible], y[feasible], c=order[feasible], **style)


def _decorate(figure: "Figure", axes: "list[Axes]", result: Result, title: str) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    n_evaluated = len(result.frame)
    for axis in axes:
        axis.grid(alpha=0.25, lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8, colors=_MUTED)
    for axis in axes if result.history.problem.devices else axes[:1]:
        axis.legend(frameon=False, fontsize=8)
    figure.suptitle(_plain(title), fontsize=11, fontweight="bold")
    order = ScalarMappable(Normalize(1, max(2, n_evaluated)), _COLOURS)
    bar = figure.colorbar(order, ax=axes, shrink=0.8, aspect=30, pad=0.02)
    bar.set_label("order of evaluation", fontsize=8)
    bar.ax.tick_params(labelsize=7, colors=_MUTED)
    bar.outline.set_visible(False)
    n_failed = int(np.count_nonzero(~result.history.measured))
    note = f"{n_evaluated} evaluated, " + (f"{n_failed} failed (not shown)" if n_failed else "none failed")
    figure.supxlabel(note, fontsize=8, color=_MUTED)


def _plain(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def _png(canvas: "FigureCanvasAgg") -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names may hold any character
        canvas.print_png(buffer)  # draws once, where `savefig` draws a first time for the layout alone
    return buffer.getvalue()
