"""WeakNAS: a sequence of weak predictors, each fitted to what the ones before found best (arXiv:2102.10490)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import require_count
from search.evolution import Pool
from search.history import History
from search.pareto import non_dominated
from search.sampling import draw
from search.tactics.base import FEWEST_TO_LEARN, Proposal, register
from search.tactics.fitting import fitted, new_predictor, opening, unseen_candidates

_BATCH = 10


@register("weaknas")
@dataclass(frozen=True)
class WeakNas:
    """Random architectures first; every later batch is drawn at random from the best by a predictor of all before it.

    The published method optimises one objective under given constraints, so that a front takes one search per bound
    (`caps=False`). With `caps`, one search serves the whole front, and its predictor learns from all measurements: each
    pick optimises one expensive objective, bounded in all others by a random member of the predicted front. Expensive
    objectives take turns.

    Args:
        predictor: "auto" is "ridge"; else as in `linas`.
        initial: number of architectures to measure before the first predictor is fitted, at least 1.
        top: number of the best candidates, by prediction, that each pick is drawn from, at least 1.
        population: of the evolution that finds candidates in spaces too large to predict as a whole, at least 2.
        generations: of that evolution, at least 1.
        caps: whether each pick has bounds of its own; False: only the first expensive objective is optimised.

    Raises SearchError naming the setting that is wrong.
    """

    predictor: Any = "auto"
    initial: int = 50
    top: int = 100
    population: int = 100
    generations: int = 20
    caps: bool = True

    def __post_init__(self) -> None:
        for name, least in (("initial", 1), ("top", 1), ("population", 2), ("generations", 1)):
            require_count(name, getattr(self, name), least)
        new_predictor(self._predictor)

    def batch_size(self, budget: int) -> int:
        """10, as published."""
        return min(_BATCH, budget)

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        if len(history) < self.initial or history.measured.sum() < FEWEST_TO_LEARN:
            return Proposal(opening(history, n, rng))
        predict = fitted(history, self._predictor)
        counted = history.problem.optimised[0]
        expensive = counted[history.problem.expensive[counted]]
        main = expensive if len(expensive) else counted
        columns = counted if self.caps else main[:1]
        pool = unseen_candidates(history, predict, rng, self.population, self.generations, columns=columns)
        turns = np.flatnonzero(np.isin(columns, main))
        turns = np.roll(turns, -(len(history) + len(history.pending)))
        chosen = pool.genes[self._picked(pool, turns, n, rng)]
        if len(chosen) < n:
            chosen = np.concatenate([chosen, draw(history.awaiting(chosen), n - len(chosen), rng)])
        return Proposal(chosen, predict.predicted(chosen))

    @property
    def _predictor(self) -> Any:
        return "ridge" if self.predictor == "auto" else self.predictor

    def _picked(self, pool: Pool, turns: NDArray[np.intp], n: int, rng: np.random.Generator) -> list[int]:
        """Indices of up to `n` rows of the pool; each minimises the next of the columns in `turns`."""
        allowed = np.where(pool.violation[:, None] == 0, pool.minimised, np.nan)
        front = pool.minimised[non_dominated(allowed, ["min"] * pool.minimised.shape[1])]
        rows: list[int] = []
        for column in np.resize(turns, min(n, len(pool))).tolist():
            bounds = front[rng.integers(len(front))] if len(front) else np.full(pool.minimised.shape[1], np.inf)
            rows.append(int(rng.choice(self._best(pool, rows, column, bounds))))
        return rows

    def _best(self, pool: Pool, taken: list[int], column: int, bounds: NDArray[np.float64]) -> NDArray[np.intp]:
        """The `top` best rows in a column, of those not taken that are within the bounds on all others (if any are)."""
        left = np.ones(len(pool), dtype=bool)
        left[taken] = False
        inside = left & (np.delete(pool.minimised <= bounds, column, axis=1)).all(axis=1)
        rows = np.flatnonzero(inside if inside.any() else left)
        return rows[np.lexsort((pool.minimised[rows, column], pool.violation[rows]))[: self.top]]
