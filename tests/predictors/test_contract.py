"""What every predictor promises, checked on each that is registered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import predictors
from predictors import metrics

QUICKER = {"gradient_boosting": {"n_trees": 60}, "auto": {"candidates": ("gp", "svr", "ridge")}}


def create(name):
    """Unfitted predictor, the costly ones with less to do."""
    return predictors.create(name, **QUICKER.get(name, {}))


def architectures(n, seed, n_genes=8):
    """One-hots of genes with three values each, the last gene sometimes inactive (zeros)."""
    rng = np.random.default_rng(seed)
    genes = rng.integers(0, 3, size=(n, n_genes))
    X = np.eye(3)[genes]
    X[rng.random(n) < 0.3, -1] = 0.0
    return X.reshape(n, -1)


def additive(X, seed=0):
    """Targets of mean about 0 and deviation about 1: a linear part, and one interaction."""
    weights = np.random.default_rng(seed).normal(size=X.shape[1])
    return 0.5 * X @ weights + X[:, 0] * X[:, 4]


@pytest.fixture(params=predictors.available())
def name(request):
    return request.param


def test_the_documented_names_are_available():
    assert {"auto", "gp", "gradient_boosting", "ridge", "svr"} <= set(predictors.available())


def test_an_unknown_name_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"unknown predictor 'forest'.*auto.*ridge"):
        predictors.create("forest")


def test_an_unknown_setting_is_refused(name):
    with pytest.raises(TypeError, match="no_such_setting"):
        predictors.create(name, no_such_setting=1)


def test_learns_and_orders_new_architectures(name):
    X, X_new = architectures(80, 0), architectures(60, 1)
    y, y_new = additive(X), additive(X_new)
    mean, std = create(name).fit(X, y).predict(X_new)
    assert mean.shape == std.shape == (60,)
    assert metrics.spearman(y_new, mean) > 0.85
    assert metrics.rmse(y_new, mean) < 0.6 * y_new.std()


def test_std_has_the_size_of_the_error(name):
    X, X_new = architectures(120, 2), architectures(200, 3)
    noise = np.random.default_rng(0).normal(scale=0.3, size=320)
    y, y_new = additive(X) + noise[:120], additive(X_new) + noise[120:]
    mean, std = create(name).fit(X, y).predict(X_new)
    assert (std > 0).all()
    assert 0.8 <= metrics.coverage(y_new, mean, std) <= 0.99
    assert 0.7 < np.sqrt(np.mean(std**2)) / metrics.rmse(y_new, mean) < 1.6


def test_equal_data_and_seed_give_equal_predictions(name):
    X, y = architectures(40, 4), additive(architectures(40, 4))
    first, second = (create(name).fit(X, y).predict(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_fit_leaves_settings_global_randomness_and_input_alone(name):
    X, y = architectures(30, 5).astype(np.float32), additive(architectures(30, 5))
    X.flags.writeable = y.flags.writeable = False
    predictor = create(name)
    before = predictor.get_params()
    state = np.random.get_state()[1:3]  # noqa: NPY002 the legacy global state is what must not move
    assert predictor.fit(X, y) is predictor
    assert predictor.get_params() == before
    np.testing.assert_array_equal(np.random.get_state()[1], state[0])  # noqa: NPY002
    assert np.random.get_state()[2] == state[1]  # noqa: NPY002


def test_a_clone_is_unfitted_and_learns_the_same(name):
    X, y = architectures(30, 6), additive(architectures(30, 6))
    fitted = create(name).fit(X, y)
    copy = clone(fitted)
    with pytest.raises(NotFittedError):
        copy.predict(X)
    np.testing.assert_array_equal(copy.fit(X, y).predict(X), fitted.predict(X))


def test_a_second_fit_forgets_the_first(name):
    X, y = architectures(30, 7), additive(architectures(30, 7))
    again = create(name).fit(X[:10, :12], np.ones(10)).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), create(name).fit(X, y).predict(X))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_few_samples_give_finite_predictions_near_the_targets(name, n):
    X = architectures(n, 8)
    y = 75.0 + additive(X)
    mean, std = create(name).fit(X, y).predict(architectures(20, 9))
    reach = np.ptp(y) + 1e-9
    assert ((mean >= y.min() - reach) & (mean <= y.max() + reach)).all()
    assert np.isfinite(std).all()
    assert (std >= 0).all()
    assert (std > 0).all() == (n > 1)


@pytest.mark.parametrize("value", [0.0, 75.3, -1e6])
def test_constant_targets_are_predicted_exactly_without_doubt(name, value):
    mean, std = create(name).fit(architectures(20, 10), np.full(20, value)).predict(architectures(5, 11))
    np.testing.assert_allclose(mean, value, rtol=1e-12)
    assert (std <= 1e-9 * max(abs(value), 1.0)).all()


def test_equal_rows_give_mean_and_deviation_of_their_targets(name):
    X = np.tile(architectures(1, 12), (6, 1))
    y = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    mean, std = create(name).fit(X, y).predict(X[:1])
    assert mean[0] == pytest.approx(3.5)
    assert std[0] == pytest.approx(y.std())


def test_repeated_measurements_are_averaged(name):
    X = np.repeat(architectures(30, 13), 2, axis=0)
    y = additive(X) + np.tile([0.2, -0.2], 30)
    mean, std = create(name).fit(X, y).predict(X)
    assert metrics.rmse(additive(X), mean) < 0.25
    assert std.min() > 0.05


def test_constant_columns_change_nothing(name):
    X, y = architectures(40, 14), additive(architectures(40, 14))
    padded = np.hstack([X, np.zeros((40, 2)), np.ones((40, 3))])
    plain = create(name).fit(X, y).predict(X)
    np.testing.assert_allclose(create(name).fit(padded, y).predict(padded), plain, rtol=1e-9)


@pytest.mark.parametrize(("scale", "offset"), [(1e-5, 1e-3), (1e6, 0.0), (2.0, 75.0)])
def test_predictions_follow_the_unit_of_the_targets(name, scale, offset):
    X, X_new = architectures(50, 15), architectures(10, 16)
    y = additive(X)
    mean, std = create(name).fit(X, y).predict(X_new)
    scaled_mean, scaled_std = create(name).fit(X, offset + scale * y).predict(X_new)
    np.testing.assert_allclose((scaled_mean - offset) / scale, mean, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(scaled_std / scale, std, rtol=1e-2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_their_row(name, bad):
    X, y = architectures(8, 17), additive(architectures(8, 17))
    X_bad, y_bad = X.copy(), y.copy()
    X_bad[3, 2] = y_bad[5] = bad
    with pytest.raises(ValueError, match=r"X is NaN or infinite.*row 3"):
        create(name).fit(X_bad, y)
    with pytest.raises(ValueError, match=r"y is NaN or infinite.*row 5"):
        create(name).fit(X, y_bad)
    with pytest.raises(ValueError, match=r"X is NaN or infinite.*row 3"):
        create(name).fit(X, y).predict(X_bad)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.ones(3), np.ones(3), r"X must be a matrix.*\(3,\)"),
        (np.ones((0, 3)), np.ones(0), r"X must be a matrix.*\(0, 3\)"),
        (np.ones((3, 2)), np.ones(4), r"y must have shape \(3,\).*\(4,\)"),
        (np.ones((3, 2)), np.ones((3, 1)), r"y must have shape \(3,\).*\(3, 1\)"),
    ],
)
def test_wrong_shapes_are_refused(name, X, y, message):
    with pytest.raises(ValueError, match=message):
        create(name).fit(X, y)


def test_another_number_of_features_is_refused(name):
    X = architectures(8, 18)
    with pytest.raises(ValueError, match="X has 23 features, but fit saw 24"):
        create(name).fit(X, additive(X)).predict(X[:, :23])


def test_prediction_before_fit_is_refused(name):
    with pytest.raises(NotFittedError):
        create(name).predict(architectures(2, 19))


def test_many_rows_are_predicted_as_one_by_one(name):
    X = architectures(25, 20)
    predictor = create(name).fit(X, additive(X))
    many = architectures(9000, 21)
    mean, std = predictor.predict(many)
    rows = [0, 8191, 8192, 8999]
    np.testing.assert_allclose(np.stack([mean[rows], std[rows]]), np.stack(predictor.predict(many[rows])), rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 12),
    n_genes=st.integers(2, 6),
    seed=st.integers(0, 1000),
    levels=st.integers(1, 4),
    quick=st.sampled_from(["ridge", "gp", "svr"]),
)
def test_any_small_data_gives_finite_estimates(n, n_genes, seed, levels, quick):
    X = architectures(n, seed, n_genes)
    y = np.random.default_rng(seed).integers(0, levels, size=n).astype(float)
    mean, std = predictors.create(quick).fit(X, y).predict(architectures(7, seed + 1, n_genes))
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    assert (std >= 0).all()
