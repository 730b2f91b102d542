"""Survival scores of AGE-MOEA (Panichella, GECCO 2019): diversity and proximity in the geometry of the first front."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_TINY = 1e-8
_EXPONENTS = (0.1, 20.0)


def survival_scores(fronts: Sequence[Floats]) -> list[Floats]:
    """Survival scores, larger is better; they compare individuals of the same front only.

    Args:
        fronts: non-dominated fronts, best first; minimised objectives of shape (n, n_objectives), n >= 1.

    Returns: for each front an array of shape (n,).
    """
    ideal = fronts[0].min(axis=0)
    first = fronts[0] - ideal
    corners = _corners(first)
    scale = _intercepts(first, corners)
    exponent = _exponent(first / scale, corners)
    scores = [_first_scores(first / scale, corners, exponent)]
    for front in fronts[1:]:
        scores.append(1.0 / np.maximum(_norms((front - ideal) / scale, exponent), _TINY))
    return scores


def _corners(front: Floats) -> NDArray[np.intp]:
    """Indices of the extreme individuals: for each objective the one closest to its axis; distinct, sorted."""
    across = np.sqrt(np.maximum((front**2).sum(axis=1)[:, None] - front**2, 0.0))
    chosen: list[int] = []
    for column in range(front.shape[1]):
        order = np.argsort(across[:, column], kind="stable")
        chosen.append(next((int(row) for row in order if row not in chosen), int(order[0])))
    return np.unique(np.array(chosen, dtype=np.intp))


def _intercepts(front: Floats, corners: NDArray[np.intp]) -> Floats:
    """Intercepts of the axes with the hyperplane through the corners; the largest values if there is no such plane."""
    largest = np.where(front.max(axis=0) > _TINY, front.max(axis=0), 1.0)
    if len(corners) < front.shape[1]:
        return largest
    try:
        plane = np.linalg.solve(front[corners], np.ones(front.shape[1]))
    except np.linalg.LinAlgError:
        return largest
    with np.errstate(divide="ignore", over="ignore"):
        intercepts = 1.0 / plane
    return np.asarray(intercepts if np.isfinite(intercepts).all() and (intercepts > _TINY).all() else largest)


def _exponent(front: Floats, corners: NDArray[np.intp]) -> float:
    """The p of the Lp norm whose unit sphere is most like the front, from the individual nearest to the diagonal."""
    n_objectives = front.shape[1]
    inner = np.setdiff1d(np.arange(len(front)), corners)
    if not len(inner):
        return 1.0
    points = front[inner]
    along = points.mean(axis=1, keepdims=True)
    centre = points[np.argmin(((points - along) ** 2).sum(axis=1))].mean()
    if not 0.0 < centre < 1.0:
        return 1.0
    exponent = float(np.log(n_objectives) / -np.log(centre))
    return min(exponent, _EXPONENTS[1]) if exponent > _EXPONENTS[0] else 1.0


def _first_scores(front: Floats, corners: NDArray[np.intp], exponent: float) -> Floats:
    """Scores of the first front: infinite for corners, then given one by one to the farthest individual.

    The farthest has the largest sum of distances to the two nearest individuals with a score, relative to its own
    distance from the ideal point; that is its score.
    """
    scores = np.full(len(front), np.inf)
    own = np.maximum(_norms(front, exponent), _TINY)
    left = np.setdiff1d(np.arange(len(front)), corners)
    near = np.full((len(left), 2), np.inf)  # distances to the nearest two that have a score
    newest = list(corners)
    while len(left):
        for row in newest:
            distance = np.maximum(_norms(front[left] - front[row], exponent), _TINY) / own[left]
            near = np.sort(np.column_stack([near, distance]), axis=1)[:, :2]
        far = np.where(np.isfinite(near), near, 0.0).sum(axis=1)
        best = int(np.argmax(far))
        newest = [int(left[best])]
        scores[left[best]] = far[best]
        left, near = np.delete(left, best), np.delete(near, best, axis=0)
    return scores


def _norms(points: Floats, exponent: float) -> Floats:
    return np.asarray((np.abs(points) ** exponent).sum(axis=1) ** (1.0 / exponent))
