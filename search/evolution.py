"""Evolutionary algorithms over integer genes: pools of evaluated architectures, mating, the loop of generations."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.history import History
from search.rows import first_rows, row_keys
from search.survival import Floats, Standing, survival
from supernet.space import Genes, SearchSpace

_MOST_MATINGS = 20  # rounds of mating to fill a generation with new architectures
_CROSSED = 0.9  # probability of crossover


@dataclass(frozen=True, eq=False)
class Pool:
    """Architectures with measured or predicted objectives.

    Args:
        genes: canonical, shape (n, n_genes).
        minimised: objectives with signs such that all are minimised, shape (n, n_objectives).
        violation: of the constraints, 0 if all are met, shape (n,).
    """

    genes: Genes
    minimised: Floats
    violation: Floats

    @classmethod
    def merged(cls, pools: Sequence[Self]) -> Self:
        """All pools in one, in order."""
        return cls(*(np.concatenate([getattr(p, name) for p in pools]) for name in ("genes", "minimised", "violation")))

    def __len__(self) -> int:
        return len(self.genes)

    def __getitem__(self, rows: NDArray[Any]) -> "Pool":
        return Pool(self.genes[rows], self.minimised[rows], self.violation[rows])


Judge = Callable[[Genes], Pool]


def pool_of(history: History, columns: NDArray[np.intp] | None = None) -> Pool:
    """The measured architectures of a history.

    Args:
        history: one device's, if the problem has several.
        columns: indices of the objectives to keep; None: those that have a goal.
    """
    values, problem = history.values[history.measured], history.problem
    kept = problem.optimised[0] if columns is None else columns
    return Pool(history.genes[history.measured], problem.minimised(values)[:, kept], problem.violation(values))


def fittest(pool: Pool, n: int, rng: np.random.Generator, algorithm: str = "auto") -> NDArray[np.intp]:
    """Indices of the `n` best rows of a pool, best first, as the survival of an evolutionary algorithm sorts them.

    Feasible rows come first, front by front; of the last front that fits in part, the algorithm decides which rows are
    kept (NSGA-II the most isolated ones). Then come rows that violate constraints, least violation first.

    Args:
        pool: any number of rows.
        n: at most that many come back.
        rng: decides ties in some algorithms.
        algorithm: see `search.survival.survival`.
    """
    return _survivors(pool, n, rng, algorithm).rows


def offspring(
    space: SearchSpace,
    parents: Pool,
    n: int,
    unwanted: Iterable[bytes],
    rng: np.random.Generator,
    accept: Callable[[Genes], NDArray[np.bool_]] | None = None,
    algorithm: str = "auto",
) -> Genes:
    """Up to `n` distinct canonical children by tournament, uniform crossover and mutation.

    Args:
        space: of the genes.
        parents: at least one.
        n: number of children; fewer come back where too few new ones are found.
        unwanted: genes, each as bytes, that no child may have.
        rng: for all that is drawn.
        accept: maps genes (n, n_genes) to a mask (n,) of admissible children; None: all are.
        algorithm: ranks the parents for the tournament, see `search.survival.survival`.
    """
    standing = _survivors(parents, len(parents), rng, algorithm)
    return _children(space, parents.genes[standing.rows], standing, n, set(unwanted), rng, accept)


def evolve(
    space: SearchSpace,
    judge: Judge,
    start: Genes,
    *,
    population: int,
    generations: int,
    rng: np.random.Generator,
    enough: int | None = None,
    algorithm: str = "auto",
) -> Pool:
    """Runs an evolutionary algorithm, which evaluates no architecture twice; returns all that it evaluated, in order.

    Args:
        space: of the genes.
        judge: maps canonical genes to a `Pool` of the same rows.
        start: canonical genes of the first generation, any number of rows of at least one.
        population: number of survivors, and of children, per generation.
        generations: after the first one; it ends earlier if no new architecture is found.
        rng: for all that is drawn.
        enough: number of architectures without violation after which it ends; None: no such end.
        algorithm: "auto", "ga", "nsga2", "nsga3", "unsga3" or "agemoea"; see `search.survival.survival`.
    """
    judged = [judge(np.unique(start, axis=0))]
    survive = survival(algorithm, judged[0].minimised.shape[1], population)
    visited = set(row_keys(judged[0].genes))
    standing = survive(judged[0].minimised, judged[0].violation, population, rng)
    alive = judged[0][standing.rows]
    for _ in range(generations):
        if enough is not None and sum(int((pool.violation == 0).sum()) for pool in judged) >= enough:
            break
        children = _children(space, alive.genes, standing, population, visited, rng)
        if not len(children):
            break
        visited |= set(row_keys(children))
        judged.append(judge(children))
        together = Pool.merged([alive, judged[-1]])
        standing = survive(together.minimised, together.violation, population, rng)
        alive = together[standing.rows]
    return Pool.merged(judged)


def _survivors(pool: Pool, n: int, rng: np.random.Generator, algorithm: str) -> Standing:
    return survival(algorithm, pool.minimised.shape[1], n)(pool.minimised, pool.violation, n, rng)


def _children(
    space: SearchSpace,
    genes: Genes,
    standing: Standing,
    n: int,
    unwanted: set[bytes],
    rng: np.random.Generator,
    accept: Callable[[Genes], NDArray[np.bool_]] | None = None,
) -> Genes:
    """Up to `n` new children of `genes`, whose rows are in the order of `standing`; mates again for those not new."""
    found = np.zeros((0, space.n_genes), dtype=np.int64)
    seen = set(unwanted)
    for _ in range(_MOST_MATINGS if len(standing) else 0):
        winners = genes[_winners(standing, 2 * ((n + 1) // 2), rng)]
        born = space.canonical(_mutated(_crossed(winners, rng), space.n_values, rng))
        born = born[first_rows(born)]
        keys = row_keys(born)
        fresh = born[[key not in seen for key in keys]]
        seen.update(keys)
        if accept is not None and len(fresh):
            fresh = fresh[accept(fresh)]
        found = np.concatenate([found, fresh])[:n]
        if len(found) == n:
            break
    return found


def _winners(standing: Standing, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Winners of `n` binary tournaments, as positions in the standing."""
    a, b = rng.integers(len(standing), size=(2, n))
    first = rng.random(n) < 0.5  # who wins a tie
    together = standing.niche[a] == standing.niche[b]
    for merit, counts in ((standing.tie, together), (standing.rank, together), (standing.violation, True)):
        first = np.where(counts & (merit[a] != merit[b]), merit[a] < merit[b], first)
    return np.asarray(np.where(first, a, b))


def _crossed(winners: Genes, rng: np.random.Generator) -> Genes:
    """Two children per couple of consecutive winners, by uniform crossover."""
    mothers, fathers = winners[::2], winners[1::2]
    swapped = (rng.random(mothers.shape) < 0.5) & (rng.random((len(mothers), 1)) < _CROSSED)
    return np.concatenate([np.where(swapped, fathers, mothers), np.where(swapped, mothers, fathers)])


def _mutated(genes: Genes, n_values: NDArray[np.int64], rng: np.random.Generator) -> Genes:
    """Moves each gene, with probability 1 / n_genes, to another of its values."""
    moved = rng.random(genes.shape) < 1.0 / genes.shape[1]
    steps = rng.integers(1, np.maximum(n_values, 2), size=genes.shape)
    return np.where(moved, (genes + steps) % n_values, genes)
