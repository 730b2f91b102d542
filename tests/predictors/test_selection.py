"""Optional columns are learnt from where they help, and only there."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import predictors
from predictors import Selective, metrics
from predictors.preparation import Preparation


def one_hots(n, seed, n_genes=10):
    """Values [n, genes] of 0 to 2, and their one-hots."""
    genes = np.random.default_rng(seed).integers(0, 3, size=(n, n_genes))
    return genes, np.eye(3)[genes].reshape(n, -1)


def size(genes):
    """What an architecture costs: later genes multiply with earlier ones."""
    return ((1 + genes[:, :5]) * (1 + genes[:, 5:]) ** 2).sum(axis=1).astype(float)


def noise(n, seed):
    return np.random.default_rng(100 + seed).normal(size=n)


def test_what_helps_is_kept_and_improves_predictions():
    (genes, X), (new_genes, X_new) = one_hots(40, 0), one_hots(200, 1)
    y, y_new = np.log(size(genes)), np.log(size(new_genes))
    columns, columns_new = np.c_[X, size(genes)], np.c_[X_new, size(new_genes)]
    selective = Selective("gp", 1).fit(columns, y)
    assert selective.kept_.tolist() == [True]
    plain = predictors.create("gp").fit(X, y).predict_mean(X_new)
    assert metrics.rmse(y_new, selective.predict_mean(columns_new)) < 0.5 * metrics.rmse(y_new, plain)


def test_what_does_not_help_is_left_out():
    kept = []
    for seed in range(5):
        genes, X = one_hots(60, seed)
        columns = np.c_[X, size(genes), noise(60, seed)]
        kept.append(Selective("ridge", 2, judge="ridge").fit(columns, np.log(size(genes))).kept_)
    assert np.mean(kept, axis=0)[0] == 1.0
    assert np.mean(kept, axis=0)[1] <= 0.4


def test_predictions_are_those_of_the_base_on_the_kept_columns():
    genes, X = one_hots(50, 3)
    columns, y = np.c_[X, noise(50, 3)], genes.sum(axis=1) + 0.1 * noise(50, 7)
    selective = Selective("ridge", 1).fit(columns, y)
    assert selective.kept_.tolist() == [False]
    mean, std = selective.predict(columns)
    expected_mean, expected_std = predictors.create("ridge").fit(X, y).predict(X)
    np.testing.assert_array_equal(mean, expected_mean)
    np.testing.assert_array_equal(std, expected_std)
    np.testing.assert_array_equal(selective.predict_mean(columns), expected_mean)


def test_few_rows_keep_every_column_that_varies():
    genes, X = one_hots(5, 0)
    columns = np.c_[X, noise(5, 0), np.ones(5)]
    assert Selective("ridge", 2).fit(columns, genes.sum(axis=1)).kept_.tolist() == [True, False]


def test_without_optional_columns_it_is_its_base():
    genes, X = one_hots(30, 0)
    y = genes.sum(axis=1) + 0.1 * noise(30, 0)
    selective = Selective(predictors.create("ridge"), 0).fit(X, y)
    np.testing.assert_array_equal(selective.predict(X)[0], predictors.create("ridge").fit(X, y).predict(X)[0])


def test_a_base_of_ones_own_may_be_any_object_that_fits_and_predicts():
    class Mean:
        def fit(self, X, y):
            self.n_features, self.value = X.shape[1], y.mean()
            return self

        def predict(self, X):
            return np.full(len(X), self.value), np.ones(len(X))

    genes, X = one_hots(30, 0)
    selective = Selective(Mean(), 1).fit(np.c_[X, noise(30, 0)], genes.sum(axis=1))
    assert selective.predictor_.n_features == X.shape[1] + selective.kept_.sum()
    np.testing.assert_array_equal(selective.predict_mean(np.c_[X, noise(30, 0)]), genes.sum(axis=1).mean())


def test_mistakes_are_named():
    genes, X = one_hots(20, 0)
    with pytest.raises(ValueError, match="between 0 and the 30 features, got 31"):
        Selective("ridge", 31).fit(X, genes.sum(axis=1))
    with pytest.raises(ValueError, match="unknown predictor 'forest'"):
        Selective("forest", 1).fit(X, genes.sum(axis=1))
    with pytest.raises(NotFittedError):
        Selective("ridge", 1).predict(X)
    with pytest.raises(ValueError, match="X has 29 features, but fit saw 30"):
        Selective("ridge", 1).fit(X, genes.sum(axis=1)).predict(X[:, :29])


def test_a_number_beside_one_hots_varies_a_third_as_much_as_all_of_these():
    genes, X = one_hots(200, 0)
    features = np.c_[X, size(genes) * 1e6, genes.sum(axis=1), np.full(200, 7.0)]
    columns = Preparation.of(features, np.log(size(genes))).columns(features)
    variance = columns.var(axis=0)
    assert columns.shape[1] in (X.shape[1] + 2, 20 + 2)  # the constant is left out; steps have a column less per gene
    assert variance[-2:] == pytest.approx(np.full(2, variance[:-2].sum() / 3))


def test_numbers_alone_are_scaled_to_one_range():
    rng = np.random.default_rng(0)
    X = np.c_[rng.normal(size=50), 1e6 * rng.normal(size=50), rng.integers(0, 2, size=50)]
    columns = Preparation.of(X, rng.normal(size=50)).columns(X)
    np.testing.assert_allclose(np.ptp(columns, axis=0), 1.0)
