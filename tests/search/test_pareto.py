import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from search import SearchError, hypervolume, non_dominated
from search.pareto import default_reference, hypervolume_curve

points_and_goals = st.integers(1, 3).flatmap(
    lambda m: st.tuples(
        arrays(np.float64, st.tuples(st.integers(0, 7), st.just(m)), elements=st.integers(0, 5).map(float)),
        st.lists(st.sampled_from(["max", "min"]), min_size=m, max_size=m),
    )
)


def minimised(points, goals):
    return points * np.array([1.0 if goal == "min" else -1.0 for goal in goals])


@given(points_and_goals)
@settings(max_examples=100, deadline=None)
def test_non_dominated_equals_the_definition(case):
    points, goals = case
    low = minimised(points, goals)
    expected = [not any((b <= a).all() and (b < a).any() for b in low) for a in low]
    np.testing.assert_array_equal(non_dominated(points, goals), np.array(expected, dtype=bool))


@given(points_and_goals)
@settings(max_examples=100, deadline=None)
def test_hypervolume_equals_counting_unit_cells(case):
    points, goals = case
    corner = np.array([6.0 if goal == "min" else -1.0 for goal in goals])
    low, bound = minimised(points, goals), minimised(corner[None], goals)[0]
    axes = [np.arange(bound[j] - 6, bound[j]) for j in range(len(goals))]
    covered = sum(any((p <= np.array(cell)).all() for p in low) for cell in itertools.product(*axes))
    assert hypervolume(points, corner, goals) == pytest.approx(covered)


def test_nan_rows_and_points_beyond_the_reference_add_nothing():
    points = [[1.0, 1.0], [np.nan, 9.0], [0.5, 3.0]]
    assert hypervolume(points, [0.0, 2.0], ["max", "min"]) == pytest.approx(1.0)
    assert non_dominated(points, ["max", "min"]).tolist() == [True, False, False]
    for none in (np.zeros((0, 2)), []):
        assert hypervolume(none, [0, 0], ["max", "min"]) == 0.0
        assert len(non_dominated(none, ["max", "min"])) == 0


@given(points_and_goals)
@settings(max_examples=50, deadline=None)
def test_the_curve_grows_to_the_hypervolume_of_all(case):
    points, goals = case
    corner = np.array([6.0 if goal == "min" else -1.0 for goal in goals])
    curve = hypervolume_curve(points, corner, goals)
    np.testing.assert_allclose(curve, [hypervolume(points[: i + 1], corner, goals) for i in range(len(points))])


def test_the_default_reference_lies_a_tenth_beyond_the_worst():
    reference = default_reference([[70.0, 10.0], [80.0, 30.0], [np.nan, 99.0]], ["max", "min"])
    np.testing.assert_allclose(reference, [69.0, 32.0])
    assert default_reference([[np.nan, 1.0]], ["max", "min"]) is None


@pytest.mark.parametrize(
    ("points", "reference", "goals"),
    [
        ([[1.0, 2.0]], [0.0, 0.0], ["max"]),
        ([[1.0]], [0.0], ["up"]),
        ([1.0], [0.0], ["max"]),
        ([[1.0]], [np.nan], ["max"]),
        ([[1.0, 2.0]], [0.0], ["max", "min"]),
    ],
)
def test_wrong_shapes_and_goals_are_refused(points, reference, goals):
    with pytest.raises(SearchError, match="must"):
        hypervolume(points, reference, goals)
