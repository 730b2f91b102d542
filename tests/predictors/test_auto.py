import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import predictors
from predictors import metrics

CANDIDATES = {"gp", "svr", "ridge", "gradient_boosting"}


def one_hots(n, seed, n_genes=10):
    return np.eye(3)[np.random.default_rng(seed).integers(0, 3, size=(n, n_genes))].reshape(n, -1)


def linear(X):
    return X @ np.random.default_rng(99).normal(size=X.shape[1])


def jumps(X):
    """Depends on two genes only, through an exclusive or of their last values: no use to a linear model."""
    return np.logical_xor(X[:, 2], X[:, 5]) * 1.0


def noisy(y, seed=0):
    return y + 0.3 * y.std() * np.random.default_rng(seed).normal(size=len(y))


def test_scores_hold_every_candidate_in_the_unit_of_the_targets():
    X = one_hots(60, 0)
    y = noisy(jumps(X) + 0.2 * linear(X))
    auto = predictors.create("auto").fit(X, 1000 * y)
    plain = predictors.create("auto").fit(X, y)
    assert set(auto.scores_) == CANDIDATES
    assert auto.chosen_ == plain.chosen_
    for name, scores in auto.scores_.items():
        assert -0.2 < scores.kendall <= scores.spearman + 0.1 <= 1.1
        assert scores.rmse == pytest.approx(1000 * plain.scores_[name].rmse, rel=1e-2)


def test_the_weights_follow_the_data():
    X = one_hots(150, 1)
    additive = predictors.create("auto", candidates=("gradient_boosting", "ridge")).fit(X, noisy(linear(X)))
    jumping = predictors.create("auto", candidates=("ridge", "gradient_boosting")).fit(X, jumps(X))
    assert additive.chosen_ == "ridge"
    assert jumping.chosen_ == "gradient_boosting"
    assert jumping.weights_["gradient_boosting"] > 0.8
    assert sum(additive.weights_.values()) == pytest.approx(1.0)


def test_a_costly_candidate_is_tried_where_the_others_fail():
    X = one_hots(100, 2)
    assert set(predictors.create("auto").fit(X, linear(X)).scores_) == CANDIDATES - {"gradient_boosting"}
    assert set(predictors.create("auto").fit(X, noisy(noisy(jumps(X)), seed=1)).scores_) == CANDIDATES


def test_the_mean_lies_between_those_of_the_candidates():
    X, X_new = one_hots(60, 2), one_hots(20, 3)
    auto = predictors.create("auto").fit(X, noisy(linear(X)))
    assert len(auto.weights_) > 1
    means = [predictors.create(name).fit(X, noisy(linear(X))).predict(X_new)[0] for name in auto.weights_]
    margin = 1e-3 * np.std(means[0])
    mean, _ = auto.predict(X_new)
    assert (mean >= np.min(means, axis=0) - margin).all()
    assert (mean <= np.max(means, axis=0) + margin).all()


@pytest.mark.parametrize("name", ["gp", "svr"])
def test_a_candidate_that_is_too_sure_or_unsure_is_corrected(name):
    X, X_new = one_hots(120, 11), one_hots(400, 12)
    y = noisy(linear(X) + X[:, 0] * X[:, 4])
    y_new = linear(X_new) + X_new[:, 0] * X_new[:, 4]
    y_new = y_new + 0.3 * (linear(X) + X[:, 0] * X[:, 4]).std() * np.random.default_rng(5).normal(size=400)
    mean, std = predictors.create("auto", candidates=(name, "ridge")).fit(X, y).predict(X_new)
    assert 0.84 <= metrics.coverage(y_new, mean, std) <= 0.96


def test_too_few_rows_for_folds_take_the_first_candidate():
    X = one_hots(7, 4)
    auto = predictors.create("auto", candidates=("ridge", "gp")).fit(X, linear(X))
    assert auto.chosen_ == "ridge"
    assert auto.scores_ == {}


def test_nothing_to_learn_is_said():
    assert predictors.create("auto").fit(one_hots(30, 5), np.ones(30)).chosen_ == "constant"


def test_one_candidate_and_noise_alone_work():
    X = one_hots(40, 6)
    y = np.random.default_rng(0).normal(size=40)
    assert predictors.create("auto", candidates=("svr",)).fit(X, y).chosen_ == "svr"
    mean, std = predictors.create("auto").fit(X, y).predict(one_hots(200, 7))
    assert np.abs(mean - y.mean()).mean() < 0.7 * y.std()
    assert 0.6 < std.mean() / y.std() < 2.0


@pytest.mark.parametrize(("candidates", "message"), [((), "candidates is empty"), (("no",), "unknown predictor 'no'")])
def test_unusable_candidates_are_refused(candidates, message):
    X = one_hots(20, 8)
    with pytest.raises(ValueError, match=message):
        predictors.create("auto", candidates=candidates).fit(X, linear(X))


def test_selection_among_250_rows_is_cheap(takes_seconds):
    X = one_hots(250, 9, n_genes=45)
    y = noisy(linear(X))
    with threadpool_limits(1):
        assert takes_seconds(1, lambda: predictors.create("auto").fit(X, y))


def test_the_number_of_threads_does_not_matter():
    X = one_hots(40, 10)
    y = noisy(linear(X) + X[:, 0] * X[:, 4])
    fitted = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            fitted.append(predictors.create("auto", candidates=("gp", "svr", "ridge")).fit(X, y))
    assert fitted[0].chosen_ == fitted[1].chosen_
    np.testing.assert_allclose(fitted[0].predict(X), fitted[1].predict(X), rtol=1e-3, atol=1e-3)
