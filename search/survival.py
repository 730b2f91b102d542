"""Survival in evolutionary algorithms: NSGA-II, NSGA-III, U-NSGA-III, AGE-MOEA, and the best of one objective."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Protocol

import moocore
import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga3 import HyperplaneNormalization, associate_to_niches, calc_niche_count, niching
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.ref_dirs import get_reference_directions

from search.agemoea import survival_scores
from search.errors import SearchError

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
LARGE = 1e30
"""Stands for an objective value that is NaN or infinite."""


@dataclass(frozen=True, eq=False)
class Standing:
    """Survivors, best first, with what decides binary tournaments between them; all arrays have shape (n,).

    A tournament goes to the smaller violation; if these are equal and both are in the same niche, to the smaller rank,
    then the smaller tie; else to chance.

    Args:
        rows: indices into the individuals that were judged.
        violation: of the constraints.
        rank: number of the front.
        tie: decides within a front.
        niche: number of the niche.
    """

    rows: Rows
    violation: Floats
    rank: NDArray[np.int64]
    tie: Floats
    niche: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


class Rule(Protocol):
    """Picks survivors among feasible individuals; an object may keep state between generations."""

    def __call__(self, minimised: Floats, n: int, rng: np.random.Generator) -> Standing:
        """Up to `n` survivors; `minimised` holds finite objectives, shape (n_individuals, n_objectives)."""
        ...


@dataclass
class Survival:
    """A rule for one evolution, extended to infeasible individuals: these come last, least violation first."""

    rule: Rule

    def __call__(self, minimised: Floats, violation: Floats, n: int, rng: np.random.Generator) -> Standing:
        """Up to `n` survivors of objectives (n_individuals, n_objectives) and violation (n_individuals,)."""
        feasible = np.flatnonzero(violation == 0)
        known = np.nan_to_num(minimised[feasible], nan=LARGE, posinf=LARGE, neginf=-LARGE)
        best = self.rule(known, n, rng) if len(feasible) else _nobody()
        others = np.flatnonzero(violation > 0)
        others = others[np.argsort(violation[others], kind="stable")][: n - len(best)]
        return Standing(
            np.concatenate([feasible[best.rows], others]),
            np.concatenate([best.violation, violation[others]]),
            np.concatenate([best.rank, np.zeros(len(others), dtype=np.int64)]),
            np.concatenate([best.tie, np.zeros(len(others))]),
            np.concatenate([best.niche, np.zeros(len(others), dtype=np.int64)]),
        )


def survival(algorithm: str, n_objectives: int, population: int) -> Survival:
    """The survival of an algorithm, for one evolution.

    Args:
        algorithm: one of `ALGORITHMS`. "auto" is "ga" for one objective, "nsga2" for two, "unsga3" for more. With a
            single objective all of them are "ga".
        n_objectives: number of columns that will be judged.
        population: number of survivors; NSGA-III takes about as many reference directions.

    Raises SearchError for an unknown algorithm, and for "ga" with several objectives.
    """
    require_algorithm(algorithm)
    if n_objectives == 1:
        return Survival(_best)
    if algorithm == "ga":
        raise SearchError(f"algorithm 'ga' takes one objective, this search has {n_objectives}: choose another")
    if algorithm == "auto":
        algorithm = "nsga2" if n_objectives == 2 else "unsga3"
    return Survival(_RULES[algorithm](n_objectives, population))


def require_algorithm(algorithm: str) -> None:
    """Raises SearchError unless the algorithm is one of `ALGORITHMS`."""
    if algorithm not in ALGORITHMS:
        raise SearchError(f"algorithm must be one of {', '.join(ALGORITHMS)}, got {algorithm!r}")


def _nobody() -> Standing:
    none = np.zeros(0, dtype=np.int64)
    return Standing(none.astype(np.intp), np.zeros(0), none, np.zeros(0), none)


def _standing(rows: Rows, rank: NDArray[np.int64], tie: Floats, niche: NDArray[np.int64] | None = None) -> Standing:
    return Standing(rows, np.zeros(len(rows)), rank, tie, np.zeros(len(rows), np.int64) if niche is None else niche)


def _best(minimised: Floats, n: int, rng: np.random.Generator) -> Standing:
    """The smallest values of a single objective."""
    rows = np.argsort(minimised[:, 0], kind="stable")[:n]
    return _standing(rows, np.zeros(len(rows), dtype=np.int64), minimised[rows, 0])


def _fronts(minimised: Floats, n: int) -> list[Rows]:
    """Non-dominated fronts (indices of rows), best first, as many as it takes to hold `n` individuals."""
    rank = np.asarray(moocore.pareto_rank(minimised))
    fronts: list[Rows] = []
    for number in count():
        fronts.append(np.flatnonzero(rank == number))
        if sum(map(len, fronts)) >= min(n, len(rank)):
            return fronts
    raise AssertionError("unreachable")


def _nsga2(minimised: Floats, n: int, rng: np.random.Generator) -> Standing:
    """Rank, then crowding distance (Deb et al., 2002)."""
    fronts = _fronts(minimised, n)
    return _by_score(fronts, [_crowding(minimised[front]) for front in fronts], n)


def _agemoea(minimised: Floats, n: int, rng: np.random.Generator) -> Standing:
    """Rank, then survival score in the geometry of the first front (Panichella, 2019)."""
    fronts = _fronts(minimised, n)
    return _by_score(fronts, survival_scores([minimised[front] for front in fronts]), n)


def _by_score(fronts: Sequence[Rows], scores: Sequence[Floats], n: int) -> Standing:
    """The first `n` individuals, ordered by front, and within a front by descending score."""
    order = [np.argsort(-score, kind="stable") for score in scores]
    rows = np.concatenate([front[best] for front, best in zip(fronts, order, strict=True)])[:n]
    ties = np.concatenate([-score[best] for score, best in zip(scores, order, strict=True)])[:n]
    ranks = np.repeat(np.arange(len(fronts)), [len(front) for front in fronts])[:n]
    return _standing(rows, ranks, ties)


def _crowding(front: Floats) -> Floats:
    return np.asarray(calc_crowding_distance(front)) if len(front) > 2 else np.full(len(front), np.inf)


class _ReferenceDirections:
    """NSGA-III (Deb and Jain, 2014): rank, then as equal a number of individuals per reference direction as possible.

    With `unified`, U-NSGA-III (Seada and Deb, 2016): individuals of the same direction compete in tournaments.
    """

    def __init__(self, n_objectives: int, population: int, unified: bool) -> None:
        self._directions = _directions(n_objectives, population)
        self._unified = unified
        self._plane = HyperplaneNormalization(n_objectives)
        self._origin: Floats | None = None
        self._unit = np.ones(n_objectives)

    def __call__(self, minimised: Floats, n: int, rng: np.random.Generator) -> Standing:
        scaled = self._scaled(minimised)
        fronts = _fronts(minimised, n)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            self._plane.update(scaled, nds=fronts[0])
        niche, distance, _ = associate_to_niches(
            scaled, self._directions, self._plane.ideal_point, self._plane.nadir_point
        )
        sure = np.concatenate([*fronts[:-1], np.zeros(0, dtype=np.intp)])
        last = fronts[-1]
        if len(sure) + len(last) > n:
            taken = calc_niche_count(len(self._directions), niche[sure])
            chosen = niching(last, n - len(sure), taken, niche[last], distance[last], random_state=rng)
            last = last[np.array(chosen, dtype=np.intp)]
        rows = np.concatenate([sure, last])
        rank = np.repeat(np.arange(len(fronts)), [*map(len, fronts[:-1]), len(last)])
        return _standing(rows, rank, distance[rows], niche[rows] if self._unified else np.arange(len(rows)))

    def _scaled(self, minimised: Floats) -> Floats:
        """Objectives in units of the first generation's range, since pymoo's code has absolute tolerances."""
        if self._origin is None:
            self._origin, spread = minimised.min(axis=0), np.ptp(minimised, axis=0)
            self._unit = np.where(spread > 0, spread, 1.0)
        return np.asarray((minimised - self._origin) / self._unit)


@lru_cache
def _directions(n_objectives: int, at_most: int) -> Floats:
    """Reference directions of Das and Dennis (1998), with as many partitions as `at_most` directions allow."""
    chosen = np.eye(n_objectives)
    for n_partitions in count(1):
        found = np.asarray(get_reference_directions("das-dennis", n_objectives, n_partitions=n_partitions))
        if len(found) > at_most:
            return chosen
        chosen = found
    raise AssertionError("unreachable")


_RULES: dict[str, Callable[[int, int], Rule]] = {
    "nsga2": lambda n_objectives, population: _nsga2,
    "nsga3": lambda n_objectives, population: _ReferenceDirections(n_objectives, population, unified=False),
    "unsga3": lambda n_objectives, population: _ReferenceDirections(n_objectives, population, unified=True),
    "agemoea": lambda n_objectives, population: _agemoea,
}
ALGORITHMS = ("auto", "ga", *_RULES)
"""Names that `survival` takes."""
