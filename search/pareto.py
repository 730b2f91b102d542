"""Non-dominated sets and hypervolume."""

from collections.abc import Sequence

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.errors import SearchError
from search.objective import Goal


def non_dominated(points: ArrayLike, goals: Sequence[Goal]) -> NDArray[np.bool_]:
    """Which points are dominated by no other, shape (n,). Equal points do not dominate each other.

    Args:
        points: shape (n, n_objectives); a row with NaN neither dominates nor is non-dominated.
        goals: "max", "min" or None per objective; None leaves it out.

    Raises SearchError for other shapes or goals.
    """
    minimised = _minimised(points, goals)
    known = np.flatnonzero(~np.isnan(minimised).any(axis=1))
    mask = np.zeros(len(minimised), dtype=bool)
    if len(known):
        mask[known] = moocore.is_nondominated(minimised[known], keep_weakly=True)
    return mask


def hypervolume(points: ArrayLike, reference: ArrayLike, goals: Sequence[Goal]) -> float:
    """Volume between the reference point and the points that dominate it (Zitzler and Thiele, 1999).

    Args:
        points: shape (n, n_objectives); rows with NaN, and points that are not better than the reference, add nothing.
        reference: shape (n_objectives,), in the units of the points; no sign is flipped for "max".
        goals: "max", "min" or None per objective; None leaves it out.

    Raises SearchError for other shapes or goals, or a NaN in the reference.
    """
    minimised = _minimised(points, goals)
    if np.shape(reference) != (len(goals),):
        raise SearchError(
            f"reference must have shape ({len(goals)},) for {len(goals)} goals, got {np.shape(reference)}"
        )
    corner = _minimised(np.asarray(reference, dtype=np.float64)[None], goals)[0]
    if np.isnan(corner).any():
        raise SearchError(f"the reference point must have no NaN, got {reference!r}")
    inside = (minimised < corner).all(axis=1)
    return float(moocore.hypervolume(minimised[inside], ref=corner)) if inside.any() else 0.0


def hypervolume_curve(points: ArrayLike, reference: ArrayLike, goals: Sequence[Goal]) -> NDArray[np.float64]:
    """Hypervolume of the first 1, 2, ... n points, shape (n,); arguments as in `hypervolume`."""
    values = np.asarray(points, dtype=np.float64)
    curve = np.zeros(len(values))
    front = values[:0]
    for i, point in enumerate(values):
        candidate = np.concatenate([front, point[None]])
        keep = non_dominated(candidate, goals)
        grown = bool(keep[-1])
        front = candidate[keep] if grown else front
        curve[i] = hypervolume(front, reference, goals) if grown else (curve[i - 1] if i else 0.0)
    return curve


def default_reference(points: ArrayLike, goals: Sequence[Goal]) -> NDArray[np.float64] | None:
    """The worst value of each objective, moved outwards by a tenth of its range.

    Args:
        points: shape (n, n_objectives); rows with NaN are left out.
        goals: "max", "min" or None per objective.

    Returns: shape (n_objectives,), NaN for objectives without a goal; None without any points.
    """
    minimised = _minimised(points, goals)
    known = minimised[~np.isnan(minimised).any(axis=1)]
    if not len(known):
        return None
    worst, best = known.max(axis=0), known.min(axis=0)
    margin = np.where(worst > best, 0.1 * (worst - best), 0.1 * np.maximum(np.abs(worst), 1e-9))
    corner = np.full(len(goals), np.nan)
    counted = [i for i, goal in enumerate(goals) if goal]
    corner[counted] = (worst + margin) * _signs(goals)
    return corner


def _minimised(points: ArrayLike, goals: Sequence[Goal]) -> NDArray[np.float64]:
    """The columns that have a goal, negated where that is "max"."""
    values = np.asarray(points, dtype=np.float64)
    if isinstance(goals, str) or any(goal not in ("max", "min", None) for goal in goals) or not any(goals):
        raise SearchError(f"goals must be a list of 'max' and 'min', got {goals!r}")
    if values.shape == (0,):  # an empty list
        values = values.reshape(0, len(goals))
    if values.ndim != 2 or values.shape[1] != len(goals):
        raise SearchError(f"points must have shape (n, {len(goals)}) for {len(goals)} goals, got {values.shape}")
    return np.asarray(values[:, [bool(goal) for goal in goals]] * _signs(goals), dtype=np.float64)


def _signs(goals: Sequence[Goal]) -> NDArray[np.float64]:
    return np.array([1.0 if goal == "min" else -1.0 for goal in goals if goal])
