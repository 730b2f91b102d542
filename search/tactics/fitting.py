"""What tactics that predict share: one predictor per expensive objective, fitted to a history."""

import copy
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


class Predictor(Protocol):
    """Learns one objective from features; see `predictors`."""

    def fit(self, X: Any, y: Any) -> Any:
        """X: (n, n_features), y: (n,)."""
        ...

    def predict(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation, (n,) each."""
        ...


@dataclass(frozen=True, eq=False)
class Fitted:
    """Values of any architecture: exact where they are cheap, else predicted. Made by `fitted`.

    Args:
        problem: space and objectives.
        models: fitted predictors by column of the objective; they predict what differs from the expectation.
        expectations: what priors make one expect, likewise.
    """

    problem: Problem
    models: dict[int, Predictor]
    expectations: dict[int, Expectation]

    def __call__(self, genes: Genes) -> tuple[Values, Values]:
        """Values and their standard deviations, 0 where exact; both of shape (n, n_objectives)."""
        values = self.problem.cheap_values(genes)
        std = np.zeros_like(values)
        if self.models and len(genes):
            features = self.problem.space.features(genes)
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


def fitted(history: History, predictor: Any) -> Fitted:
    """Predictors of the expensive objectives, each fitted where its objective is known, beside what priors tell.

    Args:
        history: at least a few rows of each objective must be known.
        predictor: see `new_predictor`.
    """
    features = history.space.features(history.genes)
    fit = Fitted(history.problem, {}, {})
    for column in np.flatnonzero(history.problem.expensive).tolist():
        known = ~np.isnan(history.values[:, column])
        genes, values = history.genes[known], history.values[known, column]
        priors = history.priors.get(history.problem.names[column], ())
        fit.expectations[column] = expectation(priors, genes, values)
        fit.models[column] = new_predictor(predictor)
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


def opening(history: History, n: int, rng: np.random.Generator) -> Genes:
    """Up to `n` architectures to begin with: random ones, and for a half what is best of what was measured elsewhere.

    "Best" goes by the values there, and by this problem's own cheap objectives and constraints.
    """
    known = _elsewhere(history)
    best = known[fittest(known, n // 2, rng)].genes if len(known) else history.genes[:0]
    return np.concatenate([best, draw_by_gene(history.awaiting(best), n - len(best), rng)])


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
