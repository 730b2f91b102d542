"""The first architectures of a search: spread from the cheapest to the most expensive."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from search.history import History
from search.rows import first_rows, row_keys
from search.sampling import corners, draw
from supernet.space import Genes, SearchSpace

_POOL = 512


def spread(history: History, n: int, rng: np.random.Generator) -> Genes:
    """Up to `n` new admissible architectures whose costs differ as much as possible, from each other and the history's.

    The smallest and the largest come first. With many genes, uniform draws all cost about the same; so every
    architecture of a pool is drawn with a tendency of its own towards low or high values, and farthest-point sampling
    picks from the pool by the ranks of the cheap objectives and of the mean gene.

    Returns: canonical and distinct genes, shape (<= n, n_genes).
    """
    problem, space = history.problem, history.space
    outer = corners(space)
    pool = np.concatenate([outer, _inclined(space, _POOL, rng)])
    pool = pool[first_rows(pool)]
    pool = pool[~history.seen(pool)]
    pool = pool[problem.admissible(pool)]
    ends = len({*row_keys(pool)} & {*row_keys(outer)})
    places = _places(history, np.concatenate([pool, history.genes, history.pending]))
    chosen = _farthest(places[: len(pool)], places[len(pool) :], n, ends)
    genes = pool[chosen]
    if len(genes) < n:
        genes = np.concatenate([genes, draw(history.awaiting(genes), n - len(genes), rng)])
    return genes


def _inclined(space: SearchSpace, n: int, rng: np.random.Generator) -> Genes:
    """Draws `n` architectures, each with a tendency of its own towards low or high values; canonical genes."""
    inclination = np.broadcast_to(rng.random((n, 1)), (n, space.n_genes))
    return space.canonical(rng.binomial(space.n_values - 1, inclination))


def _places(history: History, genes: Genes) -> NDArray[np.float64]:
    """Ranks of the cheap objectives and of the mean gene, scaled to 0..1, shape (len(genes), n_cheap + 1)."""
    space = history.space
    cheap = history.problem.cheap_values(genes)[:, ~history.problem.expensive]
    active = space.active(genes)
    grade = (genes / np.maximum(space.n_values - 1, 1) * active).sum(axis=1) + active.sum(axis=1)
    columns = np.column_stack([np.nan_to_num(cheap), grade])
    return np.asarray(rankdata(columns, axis=0) / len(columns))


def _farthest(pool: NDArray[np.float64], known: NDArray[np.float64], n: int, n_first: int) -> NDArray[np.intp]:
    """Indices of `n` rows of the pool: the first `n_first`, then always the one farthest from all known and chosen."""
    chosen = list(range(min(n_first, n, len(pool))))
    near = np.full(len(pool), np.inf)
    for place in np.concatenate([known, pool[chosen]]):
        near = np.minimum(near, ((pool - place) ** 2).sum(axis=1))
    near[chosen] = -1.0
    while len(chosen) < min(n, len(pool)):
        chosen.append(int(np.argmax(near)))
        near = np.minimum(near, ((pool - pool[chosen[-1]]) ** 2).sum(axis=1))
        near[chosen] = -1.0
    return np.array(chosen, dtype=np.intp)
