import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import hypervolume
from search.improvement import Region

SEEDS = st.integers(0, 2**32 - 1)


def front(rng, n, m):
    """Points of which some dominate others, some coincide in a coordinate or wholly, and some lie outside."""
    return np.concatenate([rng.random((n, m)), rng.integers(0, 3, size=(n, m)) / 2])


def volume(points, reference):
    return hypervolume(points, reference, ["min"] * len(reference))


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(0, 12))
def test_boxes_fill_the_dominated_region(seed, m, n):
    points = front(np.random.default_rng(seed), n, m)
    reference = np.full(m, 0.9)
    lower, upper = Region.of(reference, points).boxes
    assert (upper > lower).all()
    assert np.prod(upper - lower, axis=1).sum() == pytest.approx(volume(points, reference), abs=1e-12)
    inside = (lower[:, None] < upper[None]).all(axis=2) & (lower[None] < upper[:, None]).all(axis=2)
    assert inside.sum() == len(lower), "boxes overlap"


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 4), st.integers(0, 12))
def test_a_certain_point_improves_by_what_it_adds_to_the_hypervolume(seed, m, n):
    rng = np.random.default_rng(seed)
    points, new = front(rng, n, m), front(rng, 4, m)
    reference = np.full(m, 0.9)
    expected = [volume(np.concatenate([points, point[None]]), reference) - volume(points, reference) for point in new]
    found = Region.of(reference, points).expected_improvement(new, np.zeros_like(new))
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_expectation_agrees_with_simulation(m):
    rng = np.random.default_rng(m)
    points, mean, std = rng.random((6, m)), rng.random((3, m)), 0.3 * rng.random((3, m))
    std[:, -1] *= m == 1  # the last objective is exact, unless it is the only one
    region = Region.of(np.ones(m), points)
    drawn = mean + std * rng.normal(size=(40_000, 3, m))
    each = region.expected_improvement(drawn.reshape(-1, m), np.zeros((120_000, m))).reshape(-1, 3)
    error = each.std(axis=0) / np.sqrt(len(each))
    assert (np.abs(region.expected_improvement(mean, std) - each.mean(axis=0)) < 4 * error + 1e-9).all()


def test_more_doubt_promises_more():
    region = Region.of(np.ones(2), np.array([[0.2, 0.6], [0.6, 0.2]]))
    mean = np.full((5, 2), 0.5)
    value = region.expected_improvement(mean, np.outer([0.0, 0.1, 0.3, 1.0, 3.0], [1.0, 0.0]))
    assert (np.diff(value) > 0).all()


def test_extreme_beliefs_are_no_obstacle():
    region = Region.of(np.ones(2), np.array([[0.5, 0.5]]))
    mean = np.array([[1e9, 0.1], [-1e9, 0.1], [0.4, 0.4]])
    value = region.expected_improvement(mean, np.array([[1e-9, 0.0], [1e-9, 0.0], [1e9, 0.0]]))
    assert value[0] == 0.0
    np.testing.assert_allclose(value[1], 1e9 * 0.9, rtol=1e-6)
    assert np.isfinite(value).all()
