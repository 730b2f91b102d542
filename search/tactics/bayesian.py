"""Bayesian search: each batch is expected to grow the front the most, by Gaussian processes of what is expensive."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.candidates import explore
from search.errors import SearchError, require_count
from search.history import History
from search.promise import promising
from search.sampling import corners, draw, draw_by_gene
from search.spread import spread
from search.surrogate import Belief, Surrogate, learnt
from search.tactics.base import FEWEST_TO_LEARN, Proposal, register
from search.tactics.fitting import new_predictor, opening

Floats = NDArray[np.float64]
_SMALLEST_BATCH, _PROPOSALS = 5, 60
_ENUMERABLE = 1000


@register("bayesian")
@dataclass(frozen=True)
class Bayesian:
    """Random draws, a batch spread over cost; then those candidates that promise the most hypervolume improvement.

    Cheap objectives and constraints on them are exact. Each expensive objective has a Gaussian process over graded
    features (`search.grades`). Candidates come from an evolution of the predicted front; a batch is chosen one by one
    by expected hypervolume improvement times the probability of meeting the constraints, as if what was chosen before
    had already been measured with the predicted result.

    Args:
        predictor: "auto": the Gaussian process; else, as for `linas`, a name for `predictors.create`, a predictor or
            a function that makes one, which learns from one-hot features.
        initial: architectures to measure before the first model is fitted.
        population: candidates per generation.
        generations: of the evolution.
        optimism: standard deviations by which a part of the evolution overrates what is uncertain.
    """

    predictor: Any = "auto"
    initial: int = 10
    population: int = 80
    generations: int = 20
    optimism: float = 0.5
    _memory: dict[bytes, Floats] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, least in (("initial", 1), ("population", 2), ("generations", 1)):
            require_count(name, getattr(self, name), least)
        if not (isinstance(self.optimism, (int, float)) and self.optimism >= 0):
            raise SearchError(f"optimism must be a number of at least 0, got {self.optimism!r}")
        if self.predictor != "auto":
            new_predictor(self.predictor)

    def batch_size(self, budget: int) -> int:
        """A sixtieth of the budget, at least 5: small batches need fewer measurements."""
        return min(budget, max(_SMALLEST_BATCH, budget // _PROPOSALS))

    def propose(self, history: History, n: int, rng: np.random.Generator) -> Proposal:
        """See `Tactic`."""
        known = (~np.isnan(history.values)).sum(axis=0)[history.problem.expensive]
        if len(history) < self.initial or (known < FEWEST_TO_LEARN).any() or not history.measured.any():
            last = len(history) + len(history.pending) + n >= self.initial
            return Proposal(opening(history, n, rng, spread if last else draw_by_gene))
        surrogate = learnt(history, self._predictor, self._memory)
        measured, pending = surrogate.measured(history), surrogate.judge(history.pending)
        candidates = self._candidates(history, surrogate, measured.joined(pending), rng)
        chosen = candidates[promising(surrogate, measured, pending, candidates, n)]
        predicted = np.where(history.problem.expensive, history.problem.minimised(chosen.mean), np.nan)
        if len(chosen) == n:
            return Proposal(chosen.genes, predicted)
        rest = draw(history.awaiting(chosen.genes), n - len(chosen), rng)
        unknown = np.full((len(rest), len(history.objectives)), np.nan)
        return Proposal(np.concatenate([chosen.genes, rest]), np.concatenate([predicted, unknown]))

    @property
    def _predictor(self) -> Callable[[], Any] | None:
        return None if self.predictor == "auto" else partial(new_predictor, self.predictor)

    def _candidates(self, history: History, surrogate: Surrogate, known: Belief, rng: np.random.Generator) -> Belief:
        space = history.space
        small = space.size <= _ENUMERABLE
        genes = space.enumerate() if small else corners(space)
        start = surrogate.judge(genes[~history.seen(genes)])
        if small:
            return start
        found = explore(
            space,
            surrogate.judge,
            known.joined(start),
            history.keys,
            history.problem.optimised,
            rng,
            population=self.population,
            generations=self.generations,
            optimism=self.optimism,
        )
        return start.joined(found)
