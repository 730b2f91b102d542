"""What tactics with predictors share: features, one fitted predictor per expensive objective, candidates."""

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
from search.rows import row_keys
from search.sampling import corners, draw_by_gene
from supernet.space import Genes

_SHORTLIST = 4  # candidates per architecture to propose

Draw = Callable[[History, int, np.random.Generator], Genes]


class Predictor(Protocol):
    """A predictor of one objective; `predictors.Predictor` is one, and any object with these methods."""

    def fit(self, X: Any, y: Any) -> Any:
        """Learns from features X (n, n_features) and targets y (n,)."""
        ...

    def predict(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation for features X (n, n_features), each of shape (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class Features:
    """Features of canonical genes for predictors: one-hots, then descriptors.

    Args:
        problem: has space and descriptors.
        middle: the number that stands for a missing one, for each of the descriptors that are used (the first n_used).
    """

    problem: Problem
    middle: NDArray[np.float64]

    @classmethod
    def of(cls, history: History, proxies: bool) -> "Features":
        """Features with the cheap descriptors, or with `proxies` all; medians of a history replace missing numbers."""
        descriptors = history.problem.descriptors
        used = np.arange(len(descriptors)) < (len(descriptors) if proxies else descriptors.n_cheap)
        known = history.problem.described(history.genes, used)[:, used]
        middle = [np.median(column[~np.isnan(column)]) if (~np.isnan(column)).any() else 0.0 for column in known.T]
        return cls(history.problem, np.array(middle, dtype=np.float64))

    def __call__(self, genes: Genes, needed: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Features of shape (n, n_features).

        Args:
            genes: canonical, shape (n, n_genes).
            needed: which descriptors to compute, shape (n_descriptors,); the columns of others hold `middle`. None: all
                that are used.
        """
        one_hots = self.problem.space.features(genes)
        used = np.arange(len(self.problem.descriptors)) < len(self.middle)
        if not used.any():
            return one_hots
        columns = self.problem.described(genes, used if needed is None else used & needed)[:, used]
        return np.concatenate([one_hots, np.where(np.isnan(columns), self.middle, columns)], axis=1)

    def learner(self, predictor: Predictor) -> Predictor:
        """An unfitted predictor of these features, which learns from those descriptors that help."""
        if not len(self.middle):
            return predictor
        from predictors import Selective

        return Selective(predictor, len(self.middle))


@dataclass(frozen=True, eq=False)
class Fitted:
    """Objective values of any architecture: cheap ones exact, expensive ones predicted. Made by `fitted`.

    Args:
        features: what the models learnt from.
        models: fitted predictors by index of the objective; they predict the difference from the expectation.
        expectations: by index of the objective, see `search.prior`.
    """

    features: Features
    models: dict[int, Predictor]
    expectations: dict[int, Expectation]

    @property
    def problem(self) -> Problem:
        """The problem of the features."""
        return self.features.problem

    @property
    def needed(self) -> NDArray[np.bool_]:
        """Which descriptors at least one model has learnt from, shape (n_descriptors,)."""
        needed, n_used = np.zeros(len(self.problem.descriptors), dtype=bool), len(self.features.middle)
        if n_used:
            needed[:n_used] = np.any([model.kept_ for model in self.models.values()], axis=0)  # type: ignore[attr-defined]
        return needed

    def __call__(self, genes: Genes) -> tuple[Values, Values]:
        """Values of canonical genes and their standard deviations (0 for exact ones), each (n, n_objectives)."""
        values = self.problem.cheap_values(genes)
        std = np.zeros_like(values)
        if self.models and len(genes):
            features = self.features(genes, self.needed)
            for column, model in self.models.items():
                difference, std[:, column] = model.predict(features)
                values[:, column] = self.expectations[column](genes) + difference
        return values, std

    def values(self, genes: Genes) -> Values:
        """Values without standard deviations, shape (n, n_objectives)."""
        return self(genes)[0]

    def predicted(self, genes: Genes) -> Values:
        """Predictions of shape (n, n_objectives), NaN for cheap objectives, as in `Proposal`."""
        return np.where(self.problem.expensive, self.values(genes), np.nan)


def fitted(history: History, predictor: Any, *, proxies: bool = False) -> Fitted:
    """Fits one predictor per expensive objective, to the architectures where that objective is known.

    Predictors learn how measurements differ from what priors let one expect, and from those descriptors of the problem
    that cross-validation finds helpful.

    Args:
        history: in which every expensive objective is known of at least one architecture.
        predictor: see `new_predictor`.
        proxies: whether to compute expensive descriptors, too, and learn from them.
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


def unseen_candidates(
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
    """New admissible architectures that an evolutionary algorithm on predicted objectives evaluates.

    A space that is no larger than what the algorithm would evaluate is evaluated as a whole instead.

    Args:
        history: its fittest architectures are in the first generation, with both ends of the space and random ones.
        predict: gives values of any architecture.
        rng: for all that is drawn.
        population: as in `search.evolution.evolve`.
        generations: as in `search.evolution.evolve`.
        algorithm: as in `search.evolution.evolve`.
        confidence: probability with which a predicted objective must meet a constraint.
        columns: indices of the objectives to optimise, which are those of the pool that comes back; None: all that have
            a goal.
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


def reranked(
    history: History,
    candidates: Pool,
    predictor: Any,
    n: int,
    rng: np.random.Generator,
    algorithm: str,
    confidence: float,
) -> tuple[Fitted, Pool] | None:
    """Predicts the fittest candidates of a pool again, by predictors that learn from expensive descriptors, too.

    These are computed for everything measured, and for four candidates per architecture that will be proposed.

    Args:
        history: that the predictors are fitted to.
        candidates: judged without expensive descriptors.
        predictor: see `new_predictor`.
        n: number of architectures that will be proposed.
        rng: for all that is drawn.
        algorithm: says which candidates are the fittest, see `search.survival.survival`.
        confidence: probability with which a predicted objective must meet a constraint.

    Returns: the fitted predictors and the pool of four times `n` candidates; None if expensive descriptors help no
    predictor.
    """
    predict = fitted(history, predictor, proxies=True)
    if not predict.needed[history.problem.descriptors.n_cheap :].any():
        return None
    short = candidates.genes[fittest(candidates, _SHORTLIST * n, rng, algorithm)]
    values, std = predict(short)
    problem = history.problem
    minimised = problem.minimised(values)[:, problem.optimised[0]]
    return predict, Pool(short, minimised, problem.violation(values, std, confidence))


def opening(history: History, n: int, rng: np.random.Generator, others: Draw = draw_by_gene) -> Genes:
    """The first architectures of a search, up to `n`: half of them the best of a warm start's prior values, if any.

    The best by those values and by the cheap objectives and constraints of this search; `others` draws the rest.

    Returns: canonical genes, shape (<= n, n_genes).
    """
    known = _elsewhere(history)
    best = known[fittest(known, n // 2, rng)].genes if len(known) else history.genes[:0]
    return np.concatenate([best, others(history.awaiting(best), n - len(best), rng)])


def _elsewhere(history: History) -> Pool:
    """New admissible architectures of which priors hold every expensive objective, with these values (standardised)."""
    problem, space = history.problem, history.space
    names = [name for name, expensive in zip(problem.names, problem.expensive, strict=True) if expensive]
    values: dict[bytes, dict[str, list[float]]] = {}
    for name in names:
        for prior in history.priors.get(name, ()):
            scaled = (prior.values - prior.values.mean()) / (prior.values.std() or 1.0)  # units differ between sources
            for key, value in zip(row_keys(prior.genes), scaled.tolist(), strict=True):
                values.setdefault(key, {}).setdefault(name, []).append(value)
    rows = [row for row, known in values.items() if names and len(known) == len(names)]
    genes = np.frombuffer(b"".join(rows), dtype=np.int64).reshape(len(rows), space.n_genes)
    judged = problem.cheap_values(genes)
    for column, name in ((problem.names.index(name), name) for name in names):
        judged[:, column] = [np.mean(values[row][name]) for row in rows]
    kept = problem.optimised[0]
    pool = Pool(genes, problem.minimised(judged)[:, kept], problem.cheap_part.violation(judged))
    return pool[~history.seen(genes) & (pool.violation == 0)] if rows else pool


def new_predictor(predictor: Any) -> Predictor:
    """An unfitted predictor.

    Args:
        predictor: a name for `predictors.create`, a predictor (which is copied), or a function or class that makes one.

    Raises SearchError for anything else.
    """
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
