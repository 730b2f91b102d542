"""How features and targets are prepared, seen from outside: what is learnt from few rows, and how doubt follows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import predictors
from predictors import metrics
from predictors.preparation import Preparation
from predictors.steps import one_hot_runs, step_matrix
from predictors.warp import Warp


def draw(n, seed, n_genes=12, n_values=4):
    """Values [n, genes] and their one-hots [n, genes * n_values]."""
    genes = np.random.default_rng(seed).integers(0, n_values, size=(n, n_genes))
    return genes, np.eye(n_values)[genes].reshape(n, -1)


def growing(genes):
    """Every gene adds more the larger its value, and one gene differs from another only in how much."""
    return genes @ np.random.default_rng(0).uniform(0.5, 2.0, size=genes.shape[1])


@given(st.integers(2, 5), st.integers(1, 8), st.integers(0, 1000))
@settings(deadline=None)
def test_genes_are_recognised_in_their_one_hots(n_values, n_genes, seed):
    _, X = draw(200, seed, n_genes, n_values)
    assert one_hot_runs(X) == [slice(i, i + n_values) for i in range(0, n_genes * n_values, n_values)]


def test_genes_that_are_sometimes_inactive_are_recognised():
    genes, X = draw(100, 0, n_genes=3)
    X[genes[:, 0] < 2, 4:8] = 0.0
    assert one_hot_runs(X) == [slice(0, 4), slice(4, 8), slice(8, 12)]
    steps = X @ step_matrix(X)
    np.testing.assert_array_equal(steps[:, 4], genes[:, 0] >= 2)
    np.testing.assert_array_equal(steps[:, 6], (genes[:, 0] >= 2) & (genes[:, 1] >= 2))


def test_numbers_are_no_one_hots():
    X = np.random.default_rng(0).normal(size=(20, 5))
    assert one_hot_runs(X) == []
    np.testing.assert_array_equal(step_matrix(X), np.eye(5))


@pytest.mark.parametrize("name", ["ridge", "svr"])
def test_ordered_values_are_learnt_from_few_rows(name):
    (genes, X), (new_genes, X_new) = draw(25, 1), draw(200, 2)
    shuffled = np.random.default_rng(0).permutation(X.shape[1])
    ordered = predictors.create(name).fit(X, growing(genes)).predict(X_new)[0]
    unordered = predictors.create(name).fit(X[:, shuffled], growing(genes)).predict(X_new[:, shuffled])[0]
    assert metrics.spearman(growing(new_genes), ordered) > 0.95
    assert metrics.rmse(growing(new_genes), ordered) < 0.6 * metrics.rmse(growing(new_genes), unordered)


def test_values_without_an_order_keep_their_one_hots():
    genes, X = draw(150, 3)
    y = X @ np.random.default_rng(1).normal(size=X.shape[1])
    assert Preparation.of(X, y).matrix.shape == (48, 48)
    assert Preparation.of(X, growing(genes)).matrix.shape == (48, 36)


@pytest.mark.parametrize(
    ("bend", "sign"), [(lambda s: np.exp(0.3 * s), -1), (lambda s: np.log(s), 1), (lambda s: s, 0)]
)
def test_the_scale_on_which_targets_add_up_is_found(bend, sign):
    (genes, X), (new_genes, X_new) = draw(60, 4), draw(200, 5)
    score, new_score = (growing(g) / 4.0 for g in (genes, new_genes))
    predictor = predictors.create("ridge").fit(X, bend(score))
    exponent = predictor.preparation_.warp.exponent
    assert exponent * sign > 0.1 if sign else abs(exponent) < 0.05
    assert metrics.r2(bend(new_score), predictor.predict(X_new)[0]) > 0.97


@given(
    exponent=st.floats(-1, 1),
    low=st.floats(-5, -0.1),
    high=st.floats(0.1, 5),
    values=st.lists(st.floats(-20, 20), min_size=1, max_size=20),
)
def test_a_warp_rises_everywhere_and_is_undone(exponent, low, high, values):
    warp = Warp(exponent, low, high)
    z = np.sort(np.array(values))
    warped = warp.forward(z)
    assert (np.diff(warped)[np.diff(z) > 1e-6] > 0).all()
    np.testing.assert_allclose(warp.backward(warped), z, rtol=1e-6, atol=1e-6)


def test_doubt_follows_the_scale():
    genes, X = draw(280, 6)
    y = np.exp(growing(genes) / 12.0 + np.random.default_rng(2).normal(scale=0.05, size=280))
    mean, std = predictors.create("ridge").fit(X[:80], y[:80]).predict(X[80:])
    cheap, dear = np.argsort(mean)[:20], np.argsort(mean)[-20:]
    assert std[dear].mean() > 1.5 * std[cheap].mean()
    assert 0.82 <= metrics.coverage(y[80:], mean, std) <= 0.98


def test_an_extrapolated_scale_stays_finite():
    genes, X = draw(60, 7)
    y = np.exp(growing(genes) / 3.0)
    mean, std = predictors.create("ridge").fit(X, y).predict(5.0 * X)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
