"""pymoo's NSGA-II parts over integer genes, called through typed functions."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymoo.algorithms.moo.nsga2 import RankAndCrowdingSurvival, binary_tournament
from pymoo.core.duplicate import DuplicateElimination
from pymoo.core.mating import Mating
from pymoo.core.mutation import Mutation
from pymoo.core.population import Population
from pymoo.core.problem import Problem as PymooProblem
from pymoo.core.repair import Repair
from pymoo.operators.crossover.ux import UniformCrossover
from pymoo.operators.selection.tournament import TournamentSelection

from search.history import History
from supernet.space import Genes, SearchSpace

Floats = NDArray[np.float64]
_MOST_MATINGS = 20  # attempts to fill a generation with architectures that are new
_LARGE = 1e30  # stands for an infinite violation, which pymoo cannot add up


@dataclass(frozen=True, eq=False)
class Pool:
    """Judged architectures: canonical genes (n, n_genes), minimised objectives (n, n_objectives), violation (n,)."""

    genes: Genes
    minimised: Floats
    violation: Floats

    def __len__(self) -> int:
        return len(self.genes)

    def __getitem__(self, rows: NDArray[Any]) -> "Pool":
        return Pool(self.genes[rows], self.minimised[rows], self.violation[rows])


Judge = Callable[[Genes], Pool]


def pool_of(history: History) -> Pool:
    """What the history has measured."""
    values = history.values[history.measured]
    return Pool(history.genes[history.measured], history.problem.minimised(values), history.problem.violation(values))


def fittest(pool: Pool, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows of the `n` best: by non-dominated rank, then crowding distance; violating ones last, least violation first.

    Rows come best rank first; within the last rank that fits, the most isolated ones are kept.
    """
    individuals = _population(pool)
    individuals.set("row", np.arange(len(pool)))
    kept = _survive(individuals, pool.minimised.shape[1], n, rng)
    return np.array([individual.get("row") for individual in kept], dtype=np.intp)


def offspring(
    space: SearchSpace, parents: Pool, n: int, unwanted: set[bytes], rng: np.random.Generator, accept: Any = None
) -> Genes:
    """Up to `n` distinct canonical children by tournament, uniform crossover and mutation.

    Args:
        space: in which the children lie.
        parents: ranked among themselves before the tournament.
        n: fewer come back where too few new ones are found.
        unwanted: genes, as bytes, that shall not come back.
        rng: draws.
        accept: optional function genes -> mask that says which children may live.
    """
    ranked = _survive(_population(parents), parents.minimised.shape[1], len(parents), rng)
    children = _mate(space, ranked, parents.minimised.shape[1], n, _Wanted(unwanted, accept), rng)
    return _genes(children, space)


def evolve(
    space: SearchSpace,
    judge: Judge,
    start: Genes,
    *,
    population: int,
    generations: int,
    rng: np.random.Generator,
    enough: int | None = None,
) -> Pool:
    """NSGA-II (Deb et al., 2002) that judges no architecture twice; returns all that it judged, in order.

    Args:
        space: in which to search.
        judge: judges canonical genes, vectorised.
        start: first generation, canonical, any number of rows.
        population: survivors and children per generation.
        generations: after the first one; fewer where nothing new can be found.
        rng: draws.
        enough: stops once so many without violation are known; None: never.
    """
    judged = [judge(np.unique(start, axis=0))]
    n_objectives = judged[0].minimised.shape[1]
    visited = {row.tobytes() for row in judged[0].genes}
    alive = _survive(_population(judged[0]), n_objectives, population, rng)
    for _ in range(generations):
        if enough is not None and sum(int((pool.violation == 0).sum()) for pool in judged) >= enough:
            break
        children = _genes(_mate(space, alive, n_objectives, population, _Wanted(visited, None), rng), space)
        if not len(children):
            break
        visited |= {row.tobytes() for row in children}
        judged.append(judge(children))
        alive = _survive(Population.merge(alive, _population(judged[-1])), n_objectives, population, rng)
    return Pool(*(np.concatenate([getattr(p, name) for p in judged]) for name in ("genes", "minimised", "violation")))


def _population(pool: Pool) -> Any:
    violation = np.minimum(pool.violation, _LARGE)[:, None]
    return Population.new("X", pool.genes, "F", np.nan_to_num(pool.minimised, nan=_LARGE), "G", violation)


def _survive(individuals: Any, n_objectives: int, n: int, rng: np.random.Generator) -> Any:
    problem = PymooProblem(n_var=1, n_obj=n_objectives, n_ieq_constr=1, xl=0, xu=1)
    return RankAndCrowdingSurvival().do(problem, individuals, n_survive=n, random_state=rng)


def _mate(
    space: SearchSpace, alive: Any, n_objectives: int, n: int, wanted: DuplicateElimination, rng: np.random.Generator
) -> Any:
    problem = PymooProblem(
        n_var=space.n_genes, n_obj=n_objectives, n_ieq_constr=1, xl=0, xu=space.n_values - 1, vtype=int
    )
    mating = Mating(
        TournamentSelection(func_comp=binary_tournament),
        UniformCrossover(prob=0.9),
        _Reset(space),
        repair=_Canonical(space),
        eliminate_duplicates=wanted,
        n_max_iterations=_MOST_MATINGS,
    )
    settings = SimpleNamespace(tournament_type="comp_by_rank_and_crowding", random_state=rng)
    return mating.do(problem, alive, n, algorithm=settings, random_state=rng)


def _genes(individuals: Any, space: SearchSpace) -> Genes:
    if not len(individuals):
        return np.zeros((0, space.n_genes), dtype=np.int64)
    genes: Genes = individuals.get("X").astype(np.int64)
    return genes


class _Reset(Mutation):
    """Moves each gene, with probability 1 / n_genes, to another of its values."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._n_values = space.n_values

    def _do(self, problem: Any, X: Any, *_: Any, random_state: Any = None, **__: Any) -> Any:
        moved = random_state.random(X.shape) < 1.0 / X.shape[1]
        steps = random_state.integers(1, np.maximum(self._n_values, 2), size=X.shape)
        return np.where(moved, (X + steps) % self._n_values, X)


class _Canonical(Repair):
    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self._space = space

    def _do(self, problem: Any, X: Any, **_: Any) -> Any:
        return self._space.canonical(X.astype(np.int64))


class _Wanted(DuplicateElimination):
    """Lets pass what is neither listed, nor a repetition, nor refused."""

    def __init__(self, unwanted: set[bytes], accept: Any) -> None:
        super().__init__()
        self._unwanted = unwanted
        self._accept = accept

    def do(self, pop: Any, *args: Any, return_indices: bool = False, to_itself: bool = True) -> Any:
        known = self._unwanted | {individual.X.tobytes() for individual in args[-1]} if args else self._unwanted
        first = {individual.X.tobytes(): row for row, individual in reversed(list(enumerate(pop)))}
        rows = sorted(row for key, row in first.items() if key not in known)
        if rows and self._accept is not None:
            rows = np.array(rows)[self._accept(pop[rows].get("X"))].tolist()
        return pop[rows]
