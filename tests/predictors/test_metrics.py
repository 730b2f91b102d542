import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from predictors import metrics

CORRELATIONS = (metrics.spearman, metrics.kendall)
PAIRWISE = (*CORRELATIONS, metrics.mape, metrics.rmse, metrics.r2)


def test_known_values():
    y, prediction = [1.0, 2.0, 4.0, 5.0], [1.1, 1.8, 4.4, 4.0]
    assert metrics.mape(y, prediction) == pytest.approx(100 * (0.1 + 0.1 + 0.1 + 0.2) / 4)
    assert metrics.rmse(y, prediction) == pytest.approx(np.sqrt((0.01 + 0.04 + 0.16 + 1.0) / 4))
    assert metrics.r2(y, prediction) == pytest.approx(1 - 1.21 / 10)
    assert metrics.spearman(y, prediction) == pytest.approx(0.8)
    assert metrics.kendall(y, prediction) == pytest.approx(4 / 6)


@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=3, max_size=30))
def test_correlations_agree_with_scipy_including_ties(pairs):
    y, prediction = np.array(pairs, dtype=float).T
    if np.ptp(y) == 0 or np.ptp(prediction) == 0:
        assert metrics.spearman(y, prediction) == metrics.kendall(y, prediction) == 0.0
        return
    assert metrics.spearman(y, prediction) == pytest.approx(stats.spearmanr(y, prediction).statistic)
    assert metrics.kendall(y, prediction) == pytest.approx(stats.kendalltau(y, prediction).statistic)


@pytest.mark.parametrize("correlation", CORRELATIONS)
@pytest.mark.parametrize(("y", "prediction"), [([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [2, 2, 2]), ([1], [1])])
def test_constant_side_orders_nothing(correlation, y, prediction):
    assert correlation(y, prediction) == 0.0


def test_r2_of_constant_measurements():
    assert metrics.r2([2.0, 2.0], [2.0, 2.0]) == 1.0
    assert metrics.r2([2.0, 2.0], [2.0, 2.1]) == 0.0


def test_mape_of_measured_zero():
    assert metrics.mape([0.0, 2.0], [0.0, 1.0]) == pytest.approx(25.0)
    assert metrics.mape([0.0, 2.0], [0.1, 2.0]) == np.inf


def test_coverage_counts_the_measurements_inside():
    y, mean = np.zeros(4), np.array([0.0, 1.6, 1.7, -3.0])
    assert metrics.coverage(y, mean, np.ones(4)) == 0.5
    assert metrics.coverage(y, mean, np.ones(4), level=0.5) == 0.25
    assert metrics.coverage([1.0], [1.0], [0.0]) == 1.0


def test_coverage_of_a_true_normal_is_its_level():
    y = np.random.default_rng(0).normal(3.0, 2.0, size=20000)
    assert metrics.coverage(y, np.full(20000, 3.0), np.full(20000, 2.0), level=0.8) == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(
    ("std", "level", "message"), [([1.0, -1.0], 0.9, "negative in row 1"), ([1.0, 1.0], 1.0, "level must lie")]
)
def test_coverage_refuses_what_is_no_interval(std, level, message):
    with pytest.raises(ValueError, match=message):
        metrics.coverage([1.0, 2.0], [1.0, 2.0], std, level)


@pytest.mark.parametrize("metric", PAIRWISE)
@pytest.mark.parametrize(
    ("y", "prediction", "message"),
    [
        ([], [], "non-empty"),
        ([1.0, 2.0], [1.0], "equally long"),
        ([[1.0]], [[1.0]], "vectors"),
        ([1.0, np.nan], [1.0, 2.0], "y is not finite in row 1"),
        ([1.0, 2.0], [np.inf, 2.0], "prediction is not finite in row 0"),
    ],
)
def test_unusable_input_is_refused(metric, y, prediction, message):
    with pytest.raises(ValueError, match=message):
        metric(y, prediction)
