"""What is believed about architectures that were not measured: exact cheap values, models of the expensive ones."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from predictors.process import Columns, Process, Settings
from predictors.threads import one_thread
from search.grades import Grades, Informed
from search.history import History
from search.prior import Expectation, expectation
from search.problem import Problem
from supernet.space import Genes, SearchSpace

Floats = NDArray[np.float64]

_FIRST_RUNG, _RUNG_GROWTH = 8, 1.12
_FIRST_STEPS, _FURTHER_STEPS = 40, 20
_CLIPPED_BEYOND, _BROKEN_BEYOND, _BROKEN_DEVIATIONS = 5.0, 10.0, 8.0
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Belief:
    """Normal beliefs about architectures, independent between objectives.

    Args:
        genes: canonical, shape (n, n_genes).
        mean: minimised objectives, shape (n, n_objectives).
        std: 0 where a value is exact, same shape.
        log_feasible: logarithm of the probability that every constraint of a view is met, shape (n, n_views).
    """

    genes: Genes
    mean: Floats
    std: Floats
    log_feasible: Floats

    def __len__(self) -> int:
        return len(self.genes)

    def __getitem__(self, rows: NDArray[Any]) -> "Belief":
        return Belief(self.genes[rows], self.mean[rows], self.std[rows], self.log_feasible[rows])

    def joined(self, other: "Belief") -> "Belief":
        """Both, one after the other."""
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("genes", "mean", "std", "log_feasible"))
        return Belief(*(np.concatenate(pair) for pair in pairs))


class Model(Protocol):
    """Of one expensive objective, in its own unit and sign."""

    @property
    def noise(self) -> float:
        """Standard deviation of a measurement around the noise-free value."""
        ...

    def predict(self, genes: Genes) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noise-free value, (n,) each."""
        ...

    def covariance(self, genes: Genes) -> Floats:
        """Posterior covariance of the noise-free values, (n, n)."""
        ...


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Judges architectures; `models` maps columns of expensive objectives to their models."""

    problem: Problem
    models: dict[int, Model]

    def judge(self, genes: Genes) -> Belief:
        """Beliefs about those of some canonical genes that meet the constraints on cheap objectives."""
        values = self.problem.cheap_values(genes)
        admissible = self.problem.cheap_part.violation(values) == 0
        genes, values = genes[admissible], values[admissible]
        std = np.zeros_like(values)
        if len(genes):
            for column, model in self.models.items():
                values[:, column], std[:, column] = model.predict(genes)
        return Belief(genes, self.problem.minimised(values), std, self._log_feasible(values, std))

    def measured(self, history: History) -> Belief:
        """Beliefs about what was measured: noise is smoothed away, and feasibility is known."""
        rows = history.measured
        values = history.values[rows].copy()
        for column, model in self.models.items():
            if isinstance(model, _Graded):
                values[:, column] = model.predict(history.genes[rows])[0]
        log_feasible = np.stack([np.where(view.feasible[rows], 0.0, -np.inf) for view in history.views], axis=1)
        return Belief(history.genes[rows], self.problem.minimised(values), np.zeros_like(values), log_feasible)

    def _log_feasible(self, values: Floats, std: Floats) -> Floats:
        """Where even the logarithm of the probability would vanish, the violation keeps an order."""
        columns = []
        for view in self.problem.views:
            probability = view.problem.feasibility(values[:, view.columns], std[:, view.columns])
            logarithm = np.log(np.maximum(probability, _TINY))
            violation = view.problem.violation(values[:, view.columns])
            columns.append(np.where(probability > _TINY, logarithm, logarithm - violation))
        return np.stack(columns, axis=1)


def learnt(history: History, predictor: Callable[[], Any] | None, memory: dict[bytes, Floats]) -> Surrogate:
    """A surrogate fitted to a history.

    Args:
        history: every expensive objective is known of one architecture at least.
        predictor: makes a predictor of one-hot features; None: a Gaussian process over graded features.
        memory: where hyper-parameters found on the way are kept; nothing but time depends on it.
    """
    grades = Grades(history.space)
    models: dict[int, Model] = {}
    with one_thread():
        for column in np.flatnonzero(history.problem.expensive).tolist():
            known = ~np.isnan(history.values[:, column])
            genes, values = history.genes[known], history.values[known, column]
            priors = history.priors.get(history.problem.names[column], ())
            if np.ptp(values) <= 1e-12 * np.abs(values).max(initial=0.0) or len(np.unique(genes, axis=0)) < 2:
                models[column] = _Constant(float(values.mean()))
            elif predictor is None:
                features = grades.with_priors(priors) if priors else grades
                models[column] = _graded(features, genes, values, history.objectives[column].sign or 1, memory)
            else:
                expected = expectation(priors, genes, values)
                learner = predictor().fit(history.space.features(genes), values - expected(genes))
                models[column] = _Given(history.space, learner, expected)
    return Surrogate(history.problem, models)


@dataclass(frozen=True)
class _Constant:
    value: float
    noise: float = 0.0

    def predict(self, genes: Genes) -> tuple[Floats, Floats]:
        return np.full(len(genes), self.value), np.zeros(len(genes))

    def covariance(self, genes: Genes) -> Floats:
        return np.zeros((len(genes), len(genes)))


@dataclass(frozen=True, eq=False)
class _Given:
    space: SearchSpace
    predictor: Any
    expected: Expectation
    noise: float = 0.0

    def predict(self, genes: Genes) -> tuple[Floats, Floats]:
        mean, std = self.predictor.predict(self.space.features(genes))
        return self.expected(genes) + np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)

    def covariance(self, genes: Genes) -> Floats:
        return np.diag(self.predict(genes)[1] ** 2)


@dataclass(frozen=True, eq=False)
class _Graded:
    grades: Grades | Informed
    process: Process
    sign: int

    @property
    def noise(self) -> float:
        return self.process.noise

    def predict(self, genes: Genes) -> tuple[Floats, Floats]:
        mean, std = self.process.predict(self.grades(genes))
        return self.sign * mean, std

    def covariance(self, genes: Genes) -> Floats:
        return self.process.covariance(self.grades(genes))


def _graded(grades: Grades | Informed, genes: Genes, values: Floats, sign: int, memory: dict[bytes, Floats]) -> _Graded:
    """Hyper-parameters are found at some sizes of the history only, each time starting from those before.

    So they depend on the history alone, a search that goes on with what it remembers pays for one short fit now and
    then, and one that was resumed pays once for all of them.
    """
    rows, minimised = grades(genes), sign * values
    start = None
    for size in _rungs(len(rows)):
        digest = hashlib.sha256(rows[:size].tobytes() + minimised[:size].tobytes()).digest()
        if digest not in memory and minimised[:size].std() > 0:
            found = _fitted(rows[:size], minimised[:size], grades.columns, start, refine=True)
            memory[digest] = found.hyperparameters.logarithms
        start = memory.get(digest, start)
    return _Graded(grades, _fitted(rows, minimised, grades.columns, start, refine=start is None), sign)


def _fitted(rows: Floats, minimised: Floats, columns: Columns, start: Floats | None, *, refine: bool) -> Process:
    """Without what is broken; `refine`: with better hyper-parameters than those to start from, if any."""
    sound = _sound(rows, minimised, columns, start)
    steps = 0 if not refine else _FIRST_STEPS if start is None else _FURTHER_STEPS
    return Process.fit(rows[sound], _clipped(minimised[sound]), columns, Settings(max_steps=steps), start)


def _clipped(minimised: Floats) -> Floats:
    """Values with the worst ones drawn in: what a broken architecture scores must not dwarf all other differences."""
    return np.asarray(np.minimum(minimised, np.median(minimised) + _CLIPPED_BEYOND * _upper_half(minimised)))


def _sound(rows: Floats, minimised: Floats, columns: Columns, start: Floats | None) -> NDArray[np.bool_]:
    """Which are not so much worse than what the better ones predict for them that they must be broken, [n].

    That is by eight standard deviations and by ten times the upper half of the values.
    """
    half = _upper_half(minimised)
    far = minimised > np.median(minimised) + _CLIPPED_BEYOND * half
    sound = np.ones(len(minimised), dtype=bool)
    if far.any():
        mean, std = Process.fit(rows[~far], minimised[~far], columns, Settings(max_steps=0), start).predict(rows[far])
        sound[far] = minimised[far] - mean <= np.maximum(_BROKEN_DEVIATIONS * std, _BROKEN_BEYOND * half)
    return sound


def _upper_half(minimised: Floats) -> float:
    """From the median to the best."""
    return max(float(np.median(minimised) - minimised.min()), 1e-12)


def _rungs(n: int) -> Iterator[int]:
    size = _FIRST_RUNG
    while size <= n:
        yield size
        size = max(size + 1, int(size * _RUNG_GROWTH))
