"""Evolution over integer genes: pools of judged architectures, mating, and the loop of generations."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from search.history import History
from search.survival import Floats, Standing, survival
from supernet.space import Genes, SearchSpace

_MOST_MATINGS = 20  # attempts to fill a generation with architectures that are new
_CROSSED = 0.9  # share of couples whose children mix their genes


@dataclass(frozen=True, eq=False)
class Pool:
    """Judged architectures: canonical genes (n, n_genes), minimised objectives (n, n_objectives), violation (n,)."""

    genes: Genes
    minimised: Floats
    violation: Floats

    @classmethod
    def merged(cls, pools: Sequence[Self]) -> Self:
        """All of them, in order."""
        return cls(*(np.concatenate([getattr(p, name) for p in pools]) for name in ("genes", "minimised", "violation")))

    def __len__(self) -> int:
        return len(self.genes)

    def __getitem__(self, rows: NDArray[Any]) -> "Pool":
        return Pool(self.genes[rows], self.minimised[rows], self.violation[rows])


Judge = Callable[[Genes], Pool]


def pool_of(history: History, columns: NDArray[np.intp] | None = None) -> Pool:
    """What the history has measured of some objectives; by default of those with a goal (of the first device)."""
    values, problem = history.values[history.measured], history.problem
    kept = problem.optimised[0] if columns is None else columns
    return Pool(history.genes[history.measured], problem.minimised(values)[:, kept], problem.violation(values))


def fittest(pool: Pool, n: int, rng: np.random.Generator, algorithm: str = "auto") -> NDArray[np.intp]:
    """Rows of the `n` best; violating ones last, least violation first.

    Rows come best rank first; within the last rank that fits, what the algorithm wants most is kept: with two
    objectives the most isolated ones. See `search.survival.survival` for the algorithms.
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
        space: in which the children lie.
        parents: ranked among themselves before the tournament.
        n: fewer come back where too few new ones are found.
        unwanted: genes, as bytes, that shall not come back.
        rng: draws.
        accept: optional function genes -> mask that says which children may live.
        algorithm: decides the tournament.
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
    """An evolutionary algorithm that judges no architecture twice; returns all that it judged, in order.

    Args:
        space: in which to search.
        judge: judges canonical genes, vectorised.
        start: first generation, canonical, any number of rows.
        population: survivors and children per generation.
        generations: after the first one; fewer where nothing new can be found.
        rng: draws.
        enough: stops once so many without violation are known; None: never.
        algorithm: "auto", "ga", "nsga2", "nsga3", "unsga3" or "agemoea"; see `search.survival.survival`.
    """
    judged = [judge(np.unique(start, axis=0))]
    survive = survival(algorithm, judged[0].minimised.shape[1], population)
    visited = _keys(judged[0].genes)
    standing = survive(judged[0].minimised, judged[0].violation, population, rng)
    alive = judged[0][standing.rows]
    for _ in range(generations):
        if enough is not None and sum(int((pool.violation == 0).sum()) for pool in judged) >= enough:
            break
        children = _children(space, alive.genes, standing, population, visited, rng)
        if not len(children):
            break
        visited |= _keys(children)
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
    """Up to `n` new children of `genes`, which are in the order of their standing; in place of known ones, others."""
    found = np.zeros((0, space.n_genes), dtype=np.int64)
    seen = set(unwanted)
    for _ in range(_MOST_MATINGS if len(standing) else 0):
        winners = genes[_winners(standing, 2 * ((n + 1) // 2), rng)]
        born = space.canonical(_mutated(_crossed(winners, rng), space.n_values, rng))
        first = {row.tobytes(): i for i, row in reversed(list(enumerate(born)))}
        fresh = born[sorted(i for key, i in first.items() if key not in seen)]
        seen |= first.keys()
        if accept is not None and len(fresh):
            fresh = fresh[accept(fresh)]
        found = np.concatenate([found, fresh])[:n]
        if len(found) == n:
            break
    return found


def _winners(standing: Standing, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """`n` winners of tournaments between two drawn at random; positions in the standing."""
    a, b = rng.integers(len(standing), size=(2, n))
    first = rng.random(n) < 0.5  # wins where nothing else decides
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


def _keys(genes: Genes) -> set[bytes]:
    return {row.tobytes() for row in genes}
