"""What tactics that predict share: one predictor per expensive objective, fitted to a history."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.errors import SearchError
from search.evolution import Pool, evolve, fittest, pool_of
from search.history import History
from search.prior import Expectation, expectation
from search.problem import Problem, Values
from search.sampling import corners, draw_by_gene
from supernet.space import Genes

_SHORTLIST = 4


Draw = Callable[[History, int, np.random.Generator], Genes]


class Predictor(Protocol):
    """Learns one objective from features; see `predictors`."""

    def fit(self, X: Any, y: Any) -> Any:
        """X: (n, n_features), y: (n,)."""
        ...

    def predict(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation, (n,) each."""
        ...


@dataclass(frozen=True, eq=False)
class Features:
    """What predictors see of canonical genes: one-hots, and beside them what descriptors say.

    Args:
        problem: space and descriptors.
        middle: stands for a descriptor where it has no number, shape (n_used,); the first ones are used.
    """

    problem: Problem
    middle: NDArray[np.float64]

    @classmethod
    def of(cls, history: History, proxies: bool) -> "Features":
        """With the median over a history in place of numbers that are missing; with `proxies` all descriptors."""
        descriptors = history.problem.descriptors
        used = np.arange(len(descriptors)) < (len(descriptors) if proxies else descriptors.n_cheap)
        known = history.problem.described(history.genes, used)[:, used]
        middle = [np.median(column[~np.isnan(column)]) if (~np.isnan(column)).any() else 0.0 for column in known.T]
        return cls(history.problem, np.array(middle, dtype=np.float64))

    def __call__(self, genes: Genes, needed: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Shape (n, n_features); `needed` are those descriptors whose columns matter, None: all that are used."""
        one_hots = self.problem.space.features(genes)
        used = np.arange(len(self.problem.descriptors)) < len(self.middle)
        if not used.any():
            return one_hots
        columns = self.problem.described(genes, used if needed is None else used & needed)[:, used]
        return np.concatenate([one_hots, np.where(np.isnan(columns), self.middle, columns)], axis=1)

    def learner(self, predictor: Predictor) -> Predictor:
        """An unfitted predictor of these features."""
        if not len(self.middle):
            return predictor
        from predictors import Selective

        return Selective(predictor, len(self.middle))


@dataclass(frozen=True, eq=False)
class Fitted:
    """Values of any architecture: exact where they are cheap, else predicted. Made by `fitted`.

    Args:
        features: of the problem.
        models: fitted predictors by column of the objective; they predict what differs from the expectation.
        expectations: what priors make one expect, likewise.
    """

    features: Features
    models: dict[int, Predictor]
    expectations: dict[int, Expectation]

    @property
    def problem(self) -> Problem:
        """Space and objectives."""
        return self.features.problem

    @property
    def needed(self) -> NDArray[np.bool_]:
        """Which descriptors some model has learnt from, shape (n_descriptors,)."""
        needed, n_used = np.zeros(len(self.problem.descriptors), dtype=bool), len(self.features.middle)
        if n_used:
            needed[:n_used] = np.any([model.kept_ for model in self.models.values()], axis=0)  # type: ignore[attr-defined]
        return needed

    def __call__(self, genes: Genes) -> tuple[Values, Values]:
        """Values and their standard deviations, 0 where exact; both of shape (n, n_objectives)."""
        values = self.problem.cheap_values(genes)
        std = np.zeros_like(values)
        if self.models and len(genes):
            features = self.features(genes, self.needed)
            for column, model in self.models.items():
                difference, std[:, column] = model.predict(features)
                values[:, column] = self.expectations[column](genes) + difference
        return values, std

    def values(self, genes: Genes) -> Values:
        """As `__call__`, without the deviations."""
        return self(genes)[0]

    def predicted(self, genes: Genes) -> Values:
        """Predictions alone: NaN in the columns of cheap objectives, as `Proposal` wants them."""
        return np.where(self.problem.expensive, self.values(genes), np.nan)


def fitted(history: History, predictor: Any, *, proxies: bool = False) -> Fitted:
    """Predictors of the expensive objectives, each fitted where its objective is known, beside what priors tell.

    Where the problem has descriptors, predictors learn from those that cross-validation finds helpful.

    Args:
        history: at least a few rows of each objective must be known.
        predictor: see `new_predictor`.
        proxies: whether expensive descriptors are among them; else they are not computed.
    """
    described = Features.of(history, proxies)
    features = described(history.genes)
    fit = Fitted(described, {}, {})
    for column in np.flatnonzero(history.problem.expensive).tolist():
        known = ~np.isnan(history.values[:, column])
        genes, values = history.genes[known], history.values[known, column]
        priors = history.priors.get(history.problem.names[column], ())
        fit.expectations[column] = expectation(priors, genes, values)
        fit.models[column] = described.learner(new_predictor(predictor))
        fit.models[column].fit(features[known], values - fit.expectations[column](genes))
    return fit


def unseen(
    history: History,
    predict: Fitted,
    rng: np.random.Generator,
    population: int,
    generations: int,
    *,
    algorithm: str = "auto",
    confidence: float = 0.5,
    columns: NDArray[np.intp] | None = None,
) -> Pool:
    """What an evolution on predictions came across, without what the history holds and what is not admissible.

    Of a space that holds no more than the evolution would judge, it is everything.

    Args:
        history: whose fittest architectures are where it starts, beside both ends of the space and uniform draws.
        predict: values of any architecture.
        rng: draws.
        population: see `search.evolution.evolve`.
        generations: likewise.
        algorithm: likewise.
        confidence: probability with which a predicted objective must keep a constraint.
        columns: the objectives that count, and that come back; None: all that have a goal.
    """
    problem, space = history.problem, history.space
    kept = problem.optimised[0] if columns is None else columns

    def judge(genes: Genes) -> Pool:
        values, std = predict(genes)
        return Pool(genes, problem.minimised(values)[:, kept], problem.violation(values, std, confidence))

    if space.size <= population * generations:
        found = judge(space.enumerate())
    else:
        measured = pool_of(history, kept)
        elite = measured[fittest(measured, population // 2, rng, algorithm)].genes
        start = np.concatenate([elite, corners(space), space.sample_genes(population, rng)])
        found = evolve(
            space, judge, start, population=population, generations=generations, rng=rng, algorithm=algorithm
        )
    new = found[~history.seen(found.genes)]
    return new[problem.admissible(new.genes)]


def refined(
    history: History, found: Pool, predictor: Any, n: int, rng: np.random.Generator, algorithm: str, confidence: float
) -> tuple[Fitted, Pool] | None:
    """The fittest of a pool, judged anew with expensive descriptors; None where these help no predictor.

    So a proxy is computed for what was measured, and for four candidates per architecture to propose.
    """
    predict = fitted(history, predictor, proxies=True)
    if not predict.needed[history.problem.descriptors.n_cheap :].any():
        return None
    short = found.genes[fittest(found, _SHORTLIST * n, rng, algorithm)]
    values, std = predict(short)
    problem = history.problem
    minimised = problem.minimised(values)[:, problem.optimised[0]]
    return predict, Pool(short, minimised, problem.violation(values, std, confidence))


def opening(history: History, n: int, rng: np.random.Generator, others: Draw = draw_by_gene) -> Genes:
    """Up to `n` architectures to begin with, of which half are the best of what was measured elsewhere, if anything.

    "Best" goes by the values there and by the cheap objectives and constraints here; `others` draws the rest.
    """
    known = _elsewhere(history)
    best = known[fittest(known, n // 2, rng)].genes if len(known) else history.genes[:0]
    return np.concatenate([best, others(history.awaiting(best), n - len(best), rng)])


def _elsewhere(history: History) -> Pool:
    """Unseen admissible architectures of which priors know every expensive objective, judged by them."""
    problem, space = history.problem, history.space
    names = [name for name, expensive in zip(problem.names, problem.expensive, strict=True) if expensive]
    values: dict[bytes, dict[str, list[float]]] = {}
    for name in names:
        for prior in history.priors.get(name, ()):
            scaled = (prior.values - prior.values.mean()) / (prior.values.std() or 1.0)  # units differ between sources
            for row, value in zip(prior.genes, scaled.tolist(), strict=True):
                values.setdefault(row.tobytes(), {}).setdefault(name, []).append(value)
    rows = [row for row, known in values.items() if names and len(known) == len(names)]
    genes = np.frombuffer(b"".join(rows), dtype=np.int64).reshape(len(rows), space.n_genes)
    judged = problem.cheap_values(genes)
    for column, name in ((problem.names.index(name), name) for name in names):
        judged[:, column] = [np.mean(values[row][name]) for row in rows]
    kept = problem.optimised[0]
    pool = Pool(genes, problem.minimised(judged)[:, kept], problem.cheap_part.violation(judged))
    return pool[~history.seen(genes) & (pool.violation == 0)] if rows else pool


def new_predictor(predictor: Any) -> Predictor:
    """An unfitted predictor from a name, a predictor or a function that makes one. Raises SearchError otherwise."""
    if isinstance(predictor, str):
        import predictors

        try:
            made: Predictor = predictors.create(predictor)
        except ValueError as error:
            raise SearchError(str(error)) from error
        return made
    if not isinstance(predictor, type) and hasattr(predictor, "fit") and hasattr(predictor, "predict"):
        return copy.deepcopy(predictor)  # type: ignore[no-any-return]
    if callable(predictor):
        return predictor()  # type: ignore[no-any-return]
    raise SearchError(f"predictor must be a name, a predictor or a function that makes one, got {predictor!r}")
