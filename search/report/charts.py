"""The diagrams of the report: front, hypervolume over evaluations, predictions against measurements."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.metrics import spearman
from search.report.baseline import LABEL, Baseline
from search.report.panels import Panel, shades, steps
from search.report.quantities import Quantity, quantities
from search.report.views import axis_pairs, baseline_point, best_so_far, spread, stairs
from search.result import Result

_WIDE = {"width": 1000, "height": 430}
_SMALL = {"width": 400, "height": 310}
_FLAT = {"width": 1000, "height": 280}
_N_MARKS = 300


@dataclass(frozen=True)
class Fit:
    """Predictions of one objective, made when architectures were proposed, against measurements.

    Args:
        quantity: the objective.
        n: number of architectures that have both.
        spearman: rank correlation; None for fewer than two architectures.
        mean_error: mean absolute error as text with its unit; "" without predictions.
        bias: mean of predicted minus measured values, as text with its unit.
        panel: the diagram; None without predictions.
    """

    quantity: Quantity
    n: int
    spearman: float | None = None
    mean_error: str = ""
    bias: str = ""
    panel: Panel | None = None


def front_panels(result: Result, chosen: Sequence[int], baseline: Baseline | None = None) -> list[Panel]:
    """A diagram for each pair of objectives; for a single objective, of its values over evaluations."""
    pairs, shown = axis_pairs(result), quantities(result)
    if not pairs:
        return [_best_panel(result, next(iter(shown.values())), chosen)]
    size = _WIDE if len(pairs) == 1 else _SMALL
    return [_pair_panel(result, shown[x], shown[y], chosen, baseline, size) for x, y in pairs]


def hypervolume_panel(result: Result, *, wide: bool) -> Panel:
    """Hypervolume after each evaluation, with vertical lines between batches."""
    size = _FLAT if wide else _SMALL
    curve = result.hypervolume_curve()
    panel = Panel.around(_numbers(len(curve)), np.append(curve, 0.0), "evaluation", "hypervolume", **size)
    starts = 1 + np.flatnonzero(np.diff(result.history.batches)) if len(curve) else np.zeros(0)
    for start in starts if len(starts) <= 60 else ():
        panel = panel.with_line(np.array([[start + 0.5, panel.y.low], [start + 0.5, panel.y.high]]), "batch")
    return panel.with_line(steps(curve), "curve")


def fits(result: Result) -> list[Fit]:
    """One per expensive objective, in order."""
    shown = quantities(result)
    return [_fit(result, shown[o.name]) for o in result.history.objectives if o.expensive]


def architecture_text(result: Result, row: int) -> str:
    """Tooltip of an evaluated architecture."""
    values = result.frame.iloc[row]
    parts = [f"{name} {quantity.text(float(values[name]))}" for name, quantity in quantities(result).items()]
    return f"id {row}: {', '.join(parts)}"


def _pair_panel(
    result: Result, x: Quantity, y: Quantity, chosen: Sequence[int], baseline: Baseline | None, size: dict[str, int]
) -> Panel:
    frame, feasible = result.frame, result.history.feasible
    values_x, values_y = x.scaled(frame[x.name]), y.scaled(frame[y.name])
    known = np.isfinite(values_x) & np.isfinite(values_y)
    extra = baseline_point(baseline, x, y, values_x[known], values_y[known])
    panel = Panel.around(
        np.append(values_x[known], extra[:, 0]), np.append(values_y[known], extra[:, 1]), x.label, y.label, **size
    )
    panel = panel.with_cloud(values_x, values_y, np.where(feasible, shades(len(frame)), "violating"))
    front = result.pareto().sort_values(x.name, kind="stable").index.to_numpy(dtype=np.int64)
    if len(axis_pairs(result)) == 1:
        goals = dict(zip(result.history.problem.names, result.history.problem.goals, strict=True))
        panel = panel.with_line(stairs(values_x[front], values_y[front], goals[x.name]), "front")
    panel = _with_rows(panel, result, values_x, values_y, front, chosen)
    text = f"{LABEL}: {x.text(extra[0, 0] * x.scale)}, {y.text(extra[0, 1] * y.scale)}" if len(extra) else ""
    return panel.with_marks(extra[:, 0], extra[:, 1], lambda _: text, ["baseline"] * len(extra))


def _best_panel(result: Result, quantity: Quantity, chosen: Sequence[int]) -> Panel:
    x, y = _numbers(len(result.frame)), quantity.scaled(result.frame[quantity.name])
    panel = Panel.around(x, y, "evaluation", quantity.label, **_WIDE)
    panel = panel.with_cloud(x, y, np.where(result.history.feasible, shades(len(x)), "violating"))
    panel = panel.with_line(steps(quantity.scaled(best_so_far(result))), "front")
    return _with_rows(panel, result, x, y, result.pareto().index.to_numpy(dtype=np.int64), chosen)


def _with_rows(
    panel: Panel, result: Result, x: NDArray[Any], y: NDArray[Any], front: NDArray[np.int64], chosen: Sequence[int]
) -> Panel:
    """Adds marks with tooltips for chosen architectures and for the front, which is thinned if it is long."""
    picked = [int(front[i]) for i in spread(len(front), _N_MARKS)]
    rows = [row for row in dict.fromkeys([*picked, *chosen]) if np.isfinite(x[row]) and np.isfinite(y[row])]
    texts = [architecture_text(result, row) for row in rows]
    kinds = ["chosen" if row in set(chosen) else "" for row in rows]
    return panel.with_marks(x[rows], y[rows], texts.__getitem__, kinds)


def _fit(result: Result, quantity: Quantity) -> Fit:
    frame = result.frame
    measured, predicted = (frame[name].to_numpy(dtype=np.float64) for name in (quantity.name, _predicted(quantity)))
    known = np.isfinite(measured) & np.isfinite(predicted)
    if not known.any():
        return Fit(quantity, 0)
    x, y = quantity.scaled(predicted[known]), quantity.scaled(measured[known])
    both = np.concatenate([x, y])
    panel = Panel.around(both, both, f"predicted {quantity.label}", f"measured {quantity.label}", **_SMALL)
    ends = np.array([[panel.x.low] * 2, [panel.x.high] * 2])
    kinds = np.array(shades(len(frame)))[known]
    n, error = int(known.sum()), predicted[known] - measured[known]
    fine = Quantity.of(quantity.name, error)
    return Fit(
        quantity,
        n,
        spearman(y, x) if n > 1 else None,
        fine.text(float(np.abs(error).mean())),
        fine.text(float(error.mean())),
        panel.with_line(ends, "diagonal").with_cloud(x, y, kinds),
    )


def _predicted(quantity: Quantity) -> str:
    return f"predicted_{quantity.name}"


def _numbers(n: int) -> NDArray[np.int64]:
    return np.arange(1, n + 1)
