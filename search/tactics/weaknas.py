"""WeakNAS: each weak predictor says where the next one shall learn (arXiv:2102.10490)."""

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
from search.tactics.fitting import fitted, new_predictor, opening, unseen

_BATCH = 10


@register("weaknas")
@dataclass(frozen=True)
class WeakNas:
    """Random architectures first; then each batch is drawn at random from the best by a predictor of all before it.

    The method has one objective, and constraints on others (`caps=False`, or others without a goal). A whole front
    takes a search per bound then. Here one search serves all of them: every pick has bounds of its own on the
    objectives beside the expensive one that it maximises, those of a random member of the predicted front. So the
    predictor learns from all of them, and nothing is spent twice. Expensive objectives take turns at being maximised.

    Args:
        predictor: "auto": a linear one; else as for `linas`.
        initial: architectures to measure before the first predictor is fitted.
        top: how many of the best, by prediction, a pick is drawn from.
        population: of the evolution on predictions that finds them, where the space is too large to predict as a whole.
        generations: likewise.
        caps: whether picks have bounds of their own; False: the first expensive objective is all that counts.
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
        """The published 10."""
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
        pool = unseen(history, predict, rng, self.population, self.generations, columns=columns)
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
        """Up to `n` rows of the pool; they minimise the columns in `turns` one after the other."""
        allowed = np.where(pool.violation[:, None] == 0, pool.minimised, np.nan)
        front = pool.minimised[non_dominated(allowed, ["min"] * pool.minimised.shape[1])]
        rows: list[int] = []
        for column in np.resize(turns, min(n, len(pool))).tolist():
            bounds = front[rng.integers(len(front))] if len(front) else np.full(pool.minimised.shape[1], np.inf)
            rows.append(int(rng.choice(self._best(pool, rows, column, bounds))))
        return rows

    def _best(self, pool: Pool, taken: list[int], column: int, bounds: NDArray[np.float64]) -> NDArray[np.intp]:
        """Rows not taken that keep the bounds on the other columns (where none does, any), least violation first."""
        left = np.ones(len(pool), dtype=bool)
        left[taken] = False
        inside = left & (np.delete(pool.minimised <= bounds, column, axis=1)).all(axis=1)
        rows = np.flatnonzero(inside if inside.any() else left)
        return rows[np.lexsort((pool.minimised[rows, column], pool.violation[rows]))[: self.top]]
