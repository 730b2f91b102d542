"""Random architectures that meet the constraints on cheap objectives."""

from dataclasses import replace

import numpy as np

from search.errors import ConstraintError
from search.history import History
from search.problem import Problem
from search.rows import first_rows
from supernet.space import Genes, SearchSpace

_ENUMERABLE = 20_000  # size up to which a whole space is filtered
_MOST_DRAWS = 20_000
_MOST_ROUNDS = 5
_POPULATION, _GENERATIONS = 100, 60


def draw(history: History, n: int, rng: np.random.Generator) -> Genes:
    """Draws up to `n` architectures uniformly from those that are admissible, and neither evaluated nor pending.

    Small spaces are enumerated; fewer than `n` come back if there are no more. Large ones are sampled by rejection; if
    hardly any architecture is admissible, evolution towards the constraints finds the rest, which is not uniform then.

    Returns: canonical and distinct genes, shape (<= n, n_genes).
    """
    space = history.space
    if space.size <= _ENUMERABLE:
        left = _eligible(space.enumerate(), history)
        return left[rng.permutation(len(left))[:n]]
    found = np.zeros((0, space.n_genes), dtype=np.int64)
    drawn, chunk = 0, n + n // 4 + 8
    while len(found) < n and drawn < _MOST_DRAWS:
        fresh = space.sample_genes(min(chunk, space.size), rng)
        found = _distinct(np.concatenate([found, _eligible(fresh, history)]))
        drawn, chunk = drawn + len(fresh), min(2 * chunk, 8192)
    if len(found) < n:
        met = _least_violating(history.problem.cheap_part, found, rng, enough=len(history.keys) + n)
        found = _distinct(np.concatenate([found, _eligible(met, history)]))
    return found[:n]


def draw_by_gene(history: History, n: int, rng: np.random.Generator) -> Genes:
    """As `draw`, but each gene takes any of its values with equal probability, as published searches sample.

    Where depths switch genes off, most of the distinct sub-networks are deep: uniform draws hardly ever give a shallow
    one.
    """
    space = history.space
    found = np.zeros((0, space.n_genes), dtype=np.int64)
    for _ in range(_MOST_ROUNDS):
        fresh = space.canonical(rng.integers(0, space.n_values, size=(n + n // 4 + 8, space.n_genes)))
        found = _distinct(np.concatenate([found, _eligible(fresh, history)]))[:n]
        if len(found) == n:
            return found
    return np.concatenate([found, draw(history.awaiting(found), n - len(found), rng)])


def require_admissible(problem: Problem, rng: np.random.Generator) -> None:
    """Raises ConstraintError if for some device no architecture is found that meets its cheap constraints.

    Tries random architectures, then an evolution that minimises the violation. The error names the constraint and the
    best value found.
    """
    sample = problem.space.sample_genes(min(1000, problem.space.size), rng)
    for view in problem.views:
        _require_admissible(view.problem.cheap_part, sample, rng, f" for {view.device}" if view.device else "")


def _require_admissible(cheap: Problem, sample: Genes, rng: np.random.Generator, whose: str) -> None:
    if cheap.admissible(sample).any():
        return
    if cheap.admissible(_least_violating(cheap, sample, rng, enough=1)).any():
        return
    for constraint in cheap.constraints:
        alone = replace(cheap, constraints=(constraint,))
        genes = _least_violating(alone, sample, rng, enough=1)
        values = alone.cheap_values(genes)
        if not (alone.violation(values) == 0).any():
            best = values[np.argmin(alone.violation(values)), alone.names.index(constraint.objective)]
            raise ConstraintError(
                f"no architecture meets the constraint {constraint}{whose}: the best value found is {best:g}. "
                f"Choose a bound within reach"
            )
    if cheap.constraints:
        listed = ", ".join(map(str, cheap.constraints))
        raise ConstraintError(f"no architecture was found that meets these constraints together{whose}: {listed}")
    raise ConstraintError(f"no architecture was found whose cheap objectives are all finite{whose}")


def corners(space: SearchSpace) -> Genes:
    """Genes of the first values throughout and of the last values throughout: usually smallest and largest network.

    Returns: canonical and distinct, shape (1 or 2, n_genes).
    """
    return np.unique(space.canonical(np.stack([np.zeros_like(space.n_values), space.n_values - 1])), axis=0)


def _least_violating(problem: Problem, start: Genes, rng: np.random.Generator, enough: int) -> Genes:
    """All architectures that an evolution towards less violation evaluates, until `enough` meet every constraint."""
    from search.evolution import Pool, evolve

    def judge(genes: Genes) -> Pool:
        return Pool(genes, np.zeros((len(genes), 1)), problem.violation(problem.cheap_values(genes)))

    first = np.concatenate([start, corners(problem.space)])
    return evolve(
        problem.space, judge, first, population=_POPULATION, generations=_GENERATIONS, rng=rng, enough=enough
    ).genes


def _eligible(genes: Genes, history: History) -> Genes:
    unseen = genes[~history.seen(genes)]
    return unseen[history.problem.admissible(unseen)]


def _distinct(genes: Genes) -> Genes:
    return genes[first_rows(genes)]
