"""Candidates for measuring: architectures around the front that a surrogate predicts."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from search.pareto import non_dominated
from search.surrogate import Belief
from supernet.space import Genes, SearchSpace

_FEWEST_PARENTS = 20
_CROSSED, _SMALL_STEP = 0.8, 0.7
_LIKELY = np.log(0.5)


def explore(
    space: SearchSpace,
    judge: Callable[[Genes], Belief],
    known: Belief,
    seen: frozenset[bytes],
    fronts: Sequence[NDArray[np.intp]],
    rng: np.random.Generator,
    *,
    population: int,
    generations: int,
    optimism: float,
) -> Belief:
    """Everything new that an evolution of the predicted front came across.

    Parents of a generation are the non-dominated of all that is known or was judged so far, for each front, once by the
    mean and once by the mean less `optimism` standard deviations. Most children cross two parents close to each other
    on the front; the others change a gene or a few, mostly to a neighbouring value.

    Args:
        space: in which to search.
        judge: beliefs about canonical genes, leaving out what is not admissible.
        known: what was measured, and whatever else the evolution shall start from; does not come back.
        seen: genes, as bytes, that shall not come back either.
        fronts: for each column of `log_feasible`, the columns of the objectives that make its front.
        rng: draws.
        population: children per generation.
        generations: fewer where nothing new can be found.
        optimism: see above.
    """
    met = {*seen, *map(bytes, known.genes)}
    parents = known[_elite(known, fronts, optimism)]
    found = known[np.zeros(0, dtype=np.intp)]
    for _ in range(generations):
        children = _unmet(space.canonical(_children(space, parents, population, rng)), met)
        if not len(children):
            break
        judged = judge(children)
        found = found.joined(judged)
        pool = parents.joined(judged)
        parents = pool[_elite(pool, fronts, optimism)]
    return found


def _elite(pool: Belief, fronts: Sequence[NDArray[np.intp]], optimism: float) -> NDArray[np.intp]:
    """Rows that are non-dominated by mean or by optimistic value on a front; the likely feasible come first."""
    chosen = np.zeros(len(pool), dtype=bool)
    for columns, log_feasible in zip(fronts, pool.log_feasible.T, strict=True):
        rows = np.flatnonzero(log_feasible >= _LIKELY)
        if not len(rows):
            chosen[np.argsort(-log_feasible, kind="stable")[:_FEWEST_PARENTS]] = True
            continue
        mean, std = pool.mean[np.ix_(rows, columns)], pool.std[np.ix_(rows, columns)]
        chosen[rows[_best(mean, _FEWEST_PARENTS)]] = True
        if optimism:
            chosen[rows[_best(mean - optimism * std, 1)]] = True
    return np.flatnonzero(chosen)


def _best(values: NDArray[np.float64], n: int) -> NDArray[np.bool_]:
    """Which are non-dominated, or left so once those before them are removed, until there are `n`."""
    chosen = np.zeros(len(values), dtype=bool)
    if values.shape[1] == 1:
        chosen[np.argsort(values[:, 0], kind="stable")[:n]] = True
        return chosen
    left = np.arange(len(values))
    while len(left) and chosen.sum() < n:
        front = non_dominated(values[left], ["min"] * values.shape[1])
        chosen[left[front]] = True
        left = left[~front]
    return chosen


def _children(space: SearchSpace, parents: Belief, n: int, rng: np.random.Generator) -> Genes:
    """Raw genes, shape (n, n_genes)."""
    genes = parents.genes[np.argsort(parents.mean[:, rng.integers(parents.mean.shape[1])], kind="stable")]
    size = (n, space.n_genes)
    reach = max(2, len(genes) // 8)
    first = rng.integers(len(genes), size=n)
    second = np.clip(first + rng.integers(-reach, reach + 1, size=n), 0, len(genes) - 1)
    crossed = rng.random(n) < _CROSSED
    taken = rng.random(size) < (rng.random(n) * crossed)[:, None]
    n_moved = np.where(crossed, rng.integers(0, 2, size=n), rng.integers(1, 4, size=n))
    moved = rng.random(size) < (n_moved / space.n_genes)[:, None]
    return _moved(space, np.where(taken, genes[second], genes[first]), moved, rng)


def _moved(space: SearchSpace, genes: Genes, moved: NDArray[np.bool_], rng: np.random.Generator) -> Genes:
    """Genes of which some take another value: mostly the next or the previous one."""
    n_values = space.n_values
    step = np.where(rng.random(genes.shape) < 0.5, 1, -1)
    step = np.where((genes + step < 0) | (genes + step >= n_values), -step, step)
    far = rng.integers(1, np.maximum(n_values, 2), size=genes.shape)
    step = np.where(rng.random(genes.shape) < _SMALL_STEP, step, far)
    return np.where(moved, (genes + step) % n_values, genes)


def _unmet(genes: Genes, met: set[bytes]) -> Genes:
    """The rows that were not met before, which are added to `met`."""
    rows = []
    for row, key in enumerate(map(bytes, genes)):
        if key not in met:
            met.add(key)
            rows.append(row)
    return genes[rows]
