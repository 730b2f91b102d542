import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search import non_dominated
from search.report.panels import Scale
from search.report.quantities import Quantity
from search.report.views import spread, stairs

numbers = st.floats(-1e6, 1e6, allow_nan=False)


@pytest.mark.parametrize(
    ("name", "values", "label", "text"),
    [
        ("latency", [1.76, 7.46], "latency (ms)", "1.76 ms"),
        ("accuracy", [71.404, 84.9], "accuracy (%)", "71.40 %"),
        ("Top1", [71.404, 71.405], "Top1 (%)", "71.40 %"),
        ("macs", [1.5e6, 6.5e8], "macs (M)", "2 M"),
        ("peak_memory@gpu", [1.5e6, 6.5e8], "peak_memory@gpu (MB)", "2 MB"),
        ("params", [25_000, 98_000], "params (k)", "25.0 k"),
        ("cost", [12_345.6, 99_999.0], "cost", "12,346"),
        ("cost", [3e-7, 5e-7], "cost", "3e-07"),
        ("cost", [2.5], "cost", "2.500"),
        ("latency", [18.686, 21.77], "latency (ms)", "18.69 ms"),
        ("cost", [np.nan], "cost", "–"),
    ],
)
def test_values_come_with_unit_and_sensible_digits(name, values, label, text):
    quantity = Quantity.of(name, values)
    assert quantity.label == label
    assert quantity.text(values[0]) == text


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=20))
def test_digits_tell_the_values_apart(values):
    quantity = Quantity.of("cost", values)
    shown = np.array([float(quantity.number(value).replace(",", "")) for value in values])
    largest = max(map(abs, values))
    range_ = max(values) - min(values) or largest
    tolerance = max(5e-5, range_ / 600) if largest >= 1e-2 else 5e-4 * largest
    assert np.abs(shown - values).max() <= tolerance * 1.001


@settings(deadline=None)
@given(
    st.lists(st.tuples(numbers, numbers), min_size=1, max_size=20),
    st.sampled_from(["min", "max"]),
    st.sampled_from(["min", "max"]),
)
def test_corners_of_the_front_line_are_reached_by_the_front(points, goal_x, goal_y):
    values = np.array(points)
    front = values[non_dominated(values, [goal_x, goal_y])]
    front = front[np.argsort(front[:, 0], kind="stable")]
    line = stairs(*front.T, goal_x)
    signs = np.array([1 if goal == "min" else -1 for goal in (goal_x, goal_y)])
    assert len(line) == 2 * len(front) - 1
    np.testing.assert_array_equal(line[::2], front)
    for corner in line:
        assert ((front * signs) <= corner * signs).all(axis=1).any()


@settings(deadline=None)
@given(st.lists(st.floats(-1e12, 1e12, allow_nan=False), max_size=20))
def test_scales_hold_their_values_with_ticks_in_between(values):
    scale = Scale.around("x", values, 50.0, 400.0)
    pixels = scale.pixels(values)
    assert ((pixels >= 50) & (pixels <= 400)).all()
    assert all(50 <= at <= 400 for at, _ in scale.ticks)
    texts = [text for _, text in scale.ticks]
    assert 1 <= len(texts) <= 8


def test_scales_that_count_have_whole_ticks():
    assert [text for _, text in Scale.around("n", np.arange(1, 7), 0, 900, whole=True).ticks] == list("123456")


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(2, 60))
def test_spread_keeps_both_ends_and_the_limit(n, limit):
    rows = spread(n, limit)
    assert len(rows) == min(n, limit)
    assert rows == sorted(set(rows))
    if n:
        assert (rows[0], rows[-1]) == (0, n - 1)
