import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import predictors
from predictors import metrics


def one_hots(n, seed, n_genes=12):
    return np.eye(3)[np.random.default_rng(seed).integers(0, 3, size=(n, n_genes))].reshape(n, -1)


def test_relevance_is_found_where_the_targets_depend_on_it():
    X = one_hots(120, 0)
    y = X[:, 0] - X[:, 1] + 0.5 * X[:, 3]
    relevance = predictors.create("gp").fit(X, y).hyperparameters_.relevance
    assert relevance[:2].min() > 3 * relevance[6:].max()


def test_relevance_pays_off_and_zero_spread_gives_one_common_value():
    X, X_new = one_hots(60, 1), one_hots(200, 2)
    target = [x[:, 0] - x[:, 1] + x[:, 3] * x[:, 6] for x in (X, X_new)]
    free = predictors.create("gp").fit(X, target[0])
    common = predictors.create("gp", relevance_spread=0.0).fit(X, target[0])
    assert np.ptp(common.hyperparameters_.relevance) == pytest.approx(0.0, abs=1e-12)
    error = [metrics.rmse(target[1], p.predict(X_new)[0]) for p in (free, common)]
    assert error[0] < 0.7 * error[1]


def test_doubt_grows_away_from_the_data():
    X = one_hots(40, 3)
    predictor = predictors.create("gp").fit(X, X @ np.random.default_rng(0).normal(size=36))
    assert predictor.predict(X)[1].mean() < 0.5 * predictor.predict(np.zeros((1, 36)))[1][0]


def test_a_noise_free_target_is_interpolated():
    X = one_hots(100, 4)
    y = X @ np.random.default_rng(0).normal(size=36)
    assert metrics.r2(y, predictors.create("gp").fit(X, y).predict(X)[0]) > 0.999


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_noise_is_estimated(share):
    found = []
    for seed in range(5):
        X = one_hots(300, seed)
        rng = np.random.default_rng(seed)
        signal = X @ rng.normal(size=36)
        y = signal / signal.std() * np.sqrt(1 - share) + rng.normal(scale=np.sqrt(share), size=300)
        found.append(predictors.create("gp").fit(X, y).hyperparameters_.noise)
    assert 0.6 * share < np.median(found) < 1.4 * share


def test_columns_of_any_scale_are_equivalent():
    X = one_hots(40, 6)
    y = X @ np.random.default_rng(0).normal(size=36)
    plain = predictors.create("gp").fit(X, y).predict(X)
    np.testing.assert_allclose(predictors.create("gp").fit(5 + 1000 * X, y).predict(5 + 1000 * X), plain, rtol=1e-5)


def test_hyperparameters_from_a_part_of_the_rows_predict_with_all():
    X, X_new = one_hots(300, 7), one_hots(100, 8)
    weights = np.random.default_rng(0).normal(size=36)
    y = X @ weights + np.random.default_rng(1).normal(scale=0.2, size=300)
    part = predictors.create("gp", max_optimised=40).fit(X, y)
    error = metrics.rmse(X_new @ weights, part.predict(X_new)[0])
    few = predictors.create("gp").fit(X[:40], y[:40])
    assert error < 0.8 * metrics.rmse(X_new @ weights, few.predict(X_new)[0])
    assert part.predict(X_new)[1].shape == (100,)


def test_noise_alone_is_not_interpolated():
    X = one_hots(200, 11, n_genes=30)
    y = np.random.default_rng(0).normal(size=200)
    mean, std = predictors.create("gp").fit(X, y).predict(X)
    assert np.abs(mean).mean() < 0.5
    assert std.min() > 0.7


@pytest.mark.parametrize(
    ("settings", "message"), [({"relevance_spread": -1.0}, "relevance_spread"), ({"max_optimised": 1}, "max_optimised")]
)
def test_unusable_settings_are_refused_in_fit(settings, message):
    predictor = predictors.create("gp", **settings)
    with pytest.raises(ValueError, match=message):
        predictor.fit(one_hots(5, 9), np.arange(5.0))


def test_250_rows_fit_quickly(takes_seconds):
    X = one_hots(250, 10, n_genes=45)
    y = X @ np.random.default_rng(0).normal(size=135)
    with threadpool_limits(1):
        assert takes_seconds(2, lambda: predictors.create("gp").fit(X, y))
