"""Corrections of sums of blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.fitting import Correction, errors, fitted, left_out, terms


def made_up(n, seed, *, per_call=0.0, per_parameter=0.0, noise=0.0):
    """Sums, traits and latencies of networks whose calls and parameters cost something beside the sum."""
    rng = np.random.default_rng(seed)
    sums = rng.uniform(5, 15, n)
    traits = {"calls": rng.integers(10, 21, n) * 1.0, "parameters": rng.uniform(3e6, 8e6, n)}
    traits["inputs"] = rng.uniform(1e5, 1e6, n)
    measured = 0.9 * sums + 0.4 + per_call * traits["calls"] + per_parameter * traits["parameters"]
    return sums, traits, measured * rng.normal(1, noise, n)


def predicted(correction, sums, traits):
    return correction.of_blocks(sums, traits) + correction.intercept


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_affine_data_need_no_traits(seed):
    sums, traits, measured = made_up(24, seed)
    correction = fitted(sums, traits, measured)
    assert not correction.weights
    assert (correction.slope, correction.intercept) == pytest.approx((0.9, 0.4))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_what_calls_cost_is_found(seed):
    sums, traits, measured = made_up(24, seed, per_call=-0.12, noise=0.002)
    correction = fitted(sums, traits, measured)
    assert correction.weights["calls"] == pytest.approx(-0.12, rel=0.1)
    new_sums, new_traits, truth = made_up(200, seed + 1, per_call=-0.12)
    assert errors(predicted(correction, new_sums, new_traits), truth)["mape_percent"] < 0.6


def test_two_traits_are_found_together():
    sums, traits, measured = made_up(30, 0, per_call=0.2, per_parameter=4e-7, noise=0.001)
    correction = fitted(sums, traits, measured)
    assert correction.weights["calls"] == pytest.approx(0.2, rel=0.1)
    assert correction.weights["parameters"] == pytest.approx(4e-7, rel=0.1)


def test_parameters_that_every_call_fetches_are_found():
    rng = np.random.default_rng(0)
    calls, parameters = rng.integers(1, 17, (40, 6)) * 1.0, rng.uniform(1e5, 1e6, (40, 6))
    traits = {name: v.sum(axis=1) for name, v in terms({"calls": calls, "parameters": parameters}).items()}
    sums = rng.uniform(5, 15, 40)
    correction = fitted(sums, traits, (sums + 1e-6 * traits["fetches"]) * rng.normal(1, 0.002, 40))
    assert correction.weights == {"fetches": pytest.approx(1e-6, rel=0.1)}


def test_blocks_that_are_called_once_fetch_what_they_have():
    sums, traits, measured = made_up(30, 0, per_parameter=4e-7, noise=0.001)
    correction = fitted(sums, {"fetches": traits["parameters"], **traits}, measured)
    assert correction.weights == {"parameters": pytest.approx(4e-7, rel=0.1)}


@pytest.mark.parametrize("n", [2, 3, 5])
def test_few_measurements_give_a_line(n):
    sums, traits, measured = made_up(n, 1, per_call=0.5)
    assert not fitted(sums, traits, measured).weights


def test_equal_sums_give_a_slope_only():
    correction = fitted(np.full(4, 2.0), {}, np.array([3.0, 3.1, 2.9, 3.0]))
    assert (correction.slope, correction.intercept) == (pytest.approx(1.5), 0.0)


def test_a_single_measurement_gives_a_slope_only():
    correction = fitted(np.array([2.0]), {"calls": np.array([3.0])}, np.array([5.0]))
    assert correction == Correction(2.5)


def test_sums_of_nothing_give_an_intercept_only():
    traits = {"calls": np.arange(1.0, 13.0)}
    correction = fitted(np.zeros(12), traits, np.full(12, 0.25))
    assert correction == Correction(0.0, pytest.approx(0.25))
    np.testing.assert_allclose(left_out(np.zeros(4), {}, np.full(4, 0.25), ()), 0.25)


def test_errors_are_told_for_four_or_more():
    assert errors(np.array([1.0, 2, 3]), np.array([1.0, 2, 3])) == {}
    found = errors(np.array([1.1, 2.2, 3.3, 4.4]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found == pytest.approx({"mape_percent": 10.0, "spearman": 1.0, "n_architectures": 4.0})


def test_a_correction_describes_itself():
    correction = Correction(0.9, 0.1, {"calls": 0.01})
    assert Correction(**correction.describe()) == correction
