import numpy as np
import pytest
from scipy.optimize import check_grad

from predictors.process import Columns, Process, Settings, _negative_log_posterior, _prior


def data(n=40, n_columns=12, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 3, size=(n, n_columns)).astype(float)
    targets = rows @ rng.normal(size=n_columns) + np.sin(2 * rows[:, 0]) * rows[:, 1]
    return rows, targets + noise * targets.std() * rng.normal(size=n)


COLUMNS = Columns(np.repeat(np.arange(6), 2), np.repeat([0, 1], 6))


@pytest.mark.parametrize("polynomial", [True, False])
def test_the_gradient_is_exact(polynomial):
    rows, targets = data(n=15)
    prior = _prior(COLUMNS, Settings(polynomial=polynomial))
    point = prior.mode + 0.3 * np.random.default_rng(1).normal(size=len(prior.mode))
    z = targets / targets.std()

    def value(logarithms):
        return _negative_log_posterior(logarithms, rows / 8, z, prior)[0]

    def gradient(logarithms):
        return _negative_log_posterior(logarithms, rows / 8, z, prior)[1]

    assert check_grad(value, gradient, point) < 1e-4 * np.linalg.norm(gradient(point))


def test_new_rows_are_predicted_with_honest_doubt():
    rows, targets = data(n=360, noise=0.2)
    process = Process.fit(rows[:60], targets[:60], COLUMNS)
    mean, std = process.predict(rows[60:])
    assert np.corrcoef(mean, targets[60:])[0, 1] > 0.9
    covered = (np.abs(mean - targets[60:]) < 1.645 * np.hypot(std, process.noise)).mean()
    assert 0.8 < covered < 0.97


def test_noise_is_told_from_signal():
    rows, targets = data(n=200, noise=0.3)
    truth = data(n=200)[1]
    process = Process.fit(rows, targets, COLUMNS)
    assert 0.2 * truth.std() < process.noise < 0.4 * truth.std()
    assert np.std(process.predict(rows)[0] - truth) < 0.7 * np.std(targets - truth)


def test_covariance_agrees_with_the_deviation_and_knows_what_is_alike():
    rows, targets = data()
    process = Process.fit(rows[:30], targets[:30], COLUMNS)
    new = np.concatenate([rows[30:], rows[30:31]])
    covariance = process.covariance(new)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), process.predict(new)[1], rtol=1e-6)
    assert covariance[0, -1] == pytest.approx(covariance[0, 0])
    assert np.linalg.eigvalsh(covariance).min() > -1e-8 * covariance.max()


def test_columns_and_targets_of_any_unit_give_the_same():
    rows, targets = data()
    plain = Process.fit(rows[:30], targets[:30], COLUMNS).predict(rows[30:])
    scaled = Process.fit(7 - 1e4 * rows[:30], 5 + 1e3 * targets[:30], COLUMNS).predict(7 - 1e4 * rows[30:])
    np.testing.assert_allclose(scaled[0], 5 + 1e3 * plain[0], rtol=1e-4)
    np.testing.assert_allclose(scaled[1], 1e3 * plain[1], rtol=1e-3)


def test_a_fit_can_start_from_another():
    rows, targets = data()
    first = Process.fit(rows[:30], targets[:30], COLUMNS)
    kept = Process.fit(rows, targets, COLUMNS, Settings(max_steps=0), first.hyperparameters.logarithms)
    np.testing.assert_allclose(kept.hyperparameters.relevance, first.hyperparameters.relevance)


def test_columns_of_a_group_share_their_relevance():
    rows, targets = data()
    relevance = Process.fit(rows, targets, COLUMNS).hyperparameters.relevance
    np.testing.assert_array_equal(relevance[::2], relevance[1::2])
    assert len(np.unique(relevance)) == 6
    assert len(np.unique(Process.fit(rows, targets, COLUMNS, Settings(spread=0.0)).hyperparameters.relevance)) == 2


def test_a_constant_column_and_a_single_column_are_no_obstacle():
    rows, targets = data()
    rows[:, 3] = 1.0
    assert np.isfinite(Process.fit(rows, targets, COLUMNS).predict(rows)).all()
    mean, _ = Process.fit(rows[:, :1], rows[:, 0], Columns.alike(1)).predict(np.array([[0.0], [2.0]]))
    np.testing.assert_allclose(mean, [0, 2], atol=0.05)
