"""What the picture, the page and the console table share."""

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.objective import Goal
from search.report.baseline import Baseline
from search.report.quantities import Quantity
from search.result import Result

_FARTHEST = 3.0  # spans of what is shown: farther off, it would squeeze everything else


def by_device(result: Result) -> dict[str, Result]:
    """The result for each device by name; the whole result under "" in a search for one device."""
    return {device: result.view(device) for device in result.history.problem.devices} or {"": result}


def front_file(device: str) -> str:
    """Name of the file with the front of a device; `device` is "" in a search for one device."""
    return f"front_{device}.csv" if device else "front.csv"


def baseline_point(
    baseline: Baseline | None, x: Quantity, y: Quantity, values_x: NDArray[Any], values_y: NDArray[Any]
) -> NDArray[np.float64]:
    """Where the baseline lies in a diagram of values as shown, shape (1, 2); (0, 2) where it is unknown or far off."""
    if baseline is None or not len(values_x):
        return np.zeros((0, 2))
    point = np.array([baseline.value(x.name) / x.scale, baseline.value(y.name) / y.scale])
    values = np.stack([values_x, values_y], axis=1)
    low, high = values.min(axis=0), values.max(axis=0)
    room = _FARTHEST * np.where(high > low, high - low, np.abs(high))
    return point[None] if ((point >= low - room) & (point <= high + room)).all() else np.zeros((0, 2))


def axis_pairs(result: Result) -> list[tuple[str, str]]:
    """Pairs (x, y) of objectives to plot, minimised ones on the horizontal axis; empty for a single objective."""
    ordered = sorted(result.history.problem.targets, key=lambda objective: objective.goal == "max")
    return list(itertools.combinations([objective.name for objective in ordered], 2))


def best_so_far(result: Result) -> NDArray[np.float64]:
    """Running best feasible value of the first objective that has a goal, shape (n,); NaN until there is one."""
    column = next(i for i, objective in enumerate(result.history.objectives) if objective.goal)
    known = np.where(result.history.feasible, result.history.values[:, column], np.nan)
    pick = np.fmax if result.history.objectives[column].goal == "max" else np.fmin
    return np.asarray(pick.accumulate(known), dtype=np.float64)


def stairs(x: ArrayLike, y: ArrayLike, goal: Goal) -> NDArray[np.float64]:
    """Corners of the staircase through a front of two objectives, shape (2 n - 1, 2).

    Args:
        x: ascending, shape (n,).
        y: shape (n,).
        goal: of the objective on `x`.
    """
    points = np.stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)], axis=1)
    before, after = points[:-1], points[1:]
    corners = np.stack([after[:, 0], before[:, 1]] if goal == "min" else [before[:, 0], after[:, 1]], axis=1)
    line = np.empty((max(0, 2 * len(points) - 1), 2))
    line[::2], line[1::2] = points, corners
    return line


def spread(n: int, limit: int) -> list[int]:
    """At most `limit` of the numbers 0..n-1, evenly spaced, both ends included."""
    rows: list[int] = np.unique(np.linspace(0, n - 1, min(n, limit)).round().astype(int)).tolist()
    return rows
