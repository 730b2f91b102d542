import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search import SearchError, hypervolume, non_dominated
from search.evolution import Pool, evolve, fittest, offspring
from search.survival import ALGORITHMS, survival
from supernet.space import Choice, SearchSpace

SEVERAL = [algorithm for algorithm in ALGORITHMS if algorithm != "ga"]


def judge_of(space, n_objectives, seed=0):
    weights = np.random.default_rng(seed).uniform(-1, 1, (int(space.n_values.sum()), n_objectives))

    def judge(genes):
        return Pool(genes, space.features(genes).astype(np.float64) @ weights, np.zeros(len(genes)))

    return judge


def evolved(space, judge, algorithm, seed=0, **settings):
    start = space.sample_genes(30, np.random.default_rng(seed))
    size = {"population": 30, "generations": 15, **settings}
    return evolve(space, judge, start, **size, rng=np.random.default_rng(seed), algorithm=algorithm)


@pytest.mark.parametrize("n_objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("algorithm", SEVERAL)
def test_every_algorithm_finds_more_than_as_many_random_draws(space, algorithm, n_objectives):
    judge = judge_of(space, n_objectives)
    found = evolved(space, judge, algorithm)
    random = judge(space.sample_genes(len(found), np.random.default_rng(9)))
    corner, goals = random.minimised.max(axis=0), ["min"] * n_objectives
    assert hypervolume(found.minimised, corner, goals) > 1.2 * hypervolume(random.minimised, corner, goals)
    assert len(np.unique(found.genes, axis=0)) == len(found)
    np.testing.assert_array_equal(found.genes, space.canonical(found.genes))


@pytest.mark.parametrize("n_objectives", [1, 3])
@pytest.mark.parametrize("algorithm", SEVERAL)
def test_an_evolution_depends_on_the_seed_alone(space, algorithm, n_objectives):
    judge = judge_of(space, n_objectives)
    first, again, other = (evolved(space, judge, algorithm, seed, generations=4).genes for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


pools = st.integers(1, 4).flatmap(
    lambda m: st.integers(1, 25).flatmap(
        lambda n: st.tuples(
            arrays(np.float64, (n, m), elements=st.one_of(st.integers(0, 4).map(float), st.just(np.nan))),
            arrays(np.float64, n, elements=st.sampled_from([0.0, 0.0, 0.5, 2.0, np.inf])),
        )
    )
)


@given(pools, st.sampled_from(SEVERAL), st.integers(1, 30))
@settings(max_examples=100, deadline=None)
def test_survivors_are_the_feasible_ones_front_by_front_then_the_least_violating(case, algorithm, n):
    minimised, violation = case
    pool = Pool(np.arange(len(violation))[:, None], minimised, violation)
    kept = fittest(pool, n, np.random.default_rng(0), algorithm)
    assert len(set(kept.tolist())) == len(kept) == min(n, len(violation))
    n_feasible = int((violation == 0).sum())
    assert (violation[kept[:n_feasible]] == 0).all()
    assert (np.diff(violation[kept[n_feasible:]][np.isfinite(violation[kept[n_feasible:]])]) >= 0).all()
    known = np.where((violation == 0)[:, None], np.nan_to_num(minimised, nan=1e30), np.nan)
    first = set(np.flatnonzero(non_dominated(known, ["min"] * minimised.shape[1])).tolist())
    taken = set(kept.tolist())
    assert first <= taken or taken <= first


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3", "unsga3", "agemoea"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_survivors_spread_over_the_front_at_any_scale(algorithm, scale):
    angle = np.random.default_rng(0).uniform(0, np.pi / 2, 400)
    points = np.stack([1 - np.cos(angle), scale * (1 - np.sin(angle))], axis=1)
    kept = fittest(Pool(np.zeros((400, 1), int), points, np.zeros(400)), 20, np.random.default_rng(0), algorithm)
    gaps = np.diff(np.sort(angle[kept]))
    assert len(kept) == 20
    assert np.ptp(angle[kept]) > 0.98 * np.ptp(angle)  # random picks manage both in 7 % of cases
    assert gaps.max() < 0.45


def test_children_are_new_and_accepted(space):
    parents = judge_of(space, 2)(space.sample_genes(20, np.random.default_rng(0)))
    unwanted = {row.tobytes() for row in parents.genes}
    small = lambda genes: genes[:, 0] <= 1  # noqa: E731
    children = offspring(space, parents, 12, unwanted, np.random.default_rng(1), small)
    assert len(children) == len(np.unique(children, axis=0)) == 12
    assert not unwanted & {row.tobytes() for row in children}
    assert small(children).all()


def test_an_evolution_ends_where_the_space_does():
    space = SearchSpace(Choice("a", (1, 2, 3)), Choice("b", (1, 2)))
    start = space.sample_genes(2, np.random.default_rng(0))
    found = evolve(space, judge_of(space, 2), start, population=4, generations=50, rng=np.random.default_rng(0))
    assert len(found) == 6


def test_the_genetic_algorithm_takes_one_objective():
    with pytest.raises(SearchError, match="'ga' takes one objective, this search has 2"):
        survival("ga", 2, 10)
    assert len(survival("ga", 1, 10)(np.ones((3, 1)), np.zeros(3), 2, np.random.default_rng(0))) == 2
