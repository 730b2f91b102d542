"""Predictors from outside the package, and the folds that cross-validation stands on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import predictors
from predictors.folds import assign_folds


@predictors.register("test_nearest")
class Nearest(predictors.Predictor):
    """Value of the nearest training row."""

    def __init__(self, doubt=0.5):
        self.doubt = doubt

    def _fit(self, X, z):
        self.rows_, self.values_ = X, z

    def _predict(self, X):
        nearest = ((X[:, None] - self.rows_) ** 2).sum(axis=2).argmin(axis=1)
        return self.values_[nearest], np.full(len(X), self.doubt)


@pytest.fixture
def data():
    X = np.eye(3)[np.random.default_rng(0).integers(0, 3, size=(30, 4))].reshape(30, -1)
    return X, 70 + X @ np.arange(12.0)


def test_own_predictor_needs_two_methods(data):
    X, y = data
    mean, std = predictors.create("test_nearest", doubt=0.1).fit(X, y).predict(X)
    np.testing.assert_allclose(mean, y)
    assert (np.abs(std / y.std() - 0.1) < 0.02).all()  # the scale of the targets may be bent a little


def test_own_predictor_is_a_candidate(data):
    auto = predictors.create("auto", candidates=("test_nearest", "ridge")).fit(*data)
    assert set(auto.scores_) == {"test_nearest", "ridge"}
    assert auto.chosen_ == "ridge"


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match=r"'ridge' is already predictors\.ridge\.Ridge"):
        predictors.register("ridge")(Nearest)


@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 100))
def test_folds_keep_equal_rows_together_and_are_even(n, n_folds, seed):
    X = np.random.default_rng(seed).integers(0, 2, size=(n, 4)).astype(float)
    fold = assign_folds(X, n_folds, seed)
    distinct, group = np.unique(X, axis=0, return_inverse=True)
    of_group = [set(fold[group.reshape(-1) == g]) for g in range(len(distinct))]
    assert all(len(folds) == 1 for folds in of_group)
    sizes = np.bincount([folds.pop() for folds in of_group], minlength=min(n_folds, len(distinct)))
    assert len(sizes) == min(n_folds, len(distinct))
    assert np.ptp(sizes) <= 1
