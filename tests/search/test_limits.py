"""The benchmark that replaces parts of the default tactic by the truth."""

import numpy as np
import pytest


@pytest.fixture
def limits(benchmarks):
    import limits

    return limits


@pytest.mark.parametrize("leads", [False, True])
def test_the_truth_finds_more(limits, leads):
    from comparison.landscapes import synthetic

    land = synthetic("mobilenet")
    knowing = limits.Knowing(tell=limits.Truth(land).told, leads=leads)
    shares = [
        [limits.searched(land, tactic, 20, seed).hypervolume(land.reference) for seed in range(2)]
        for tactic in (limits.Bayesian(), knowing)
    ]
    assert np.mean(shares[1]) > np.mean(shares[0])


@pytest.fixture
def rough(benchmarks):
    """Single genes plus waves: a remainder of deviation 0.2, of which exp(-0.6) is kept per differing gene."""
    from comparison.landscapes import Landscape, additive, mobilenet_space

    space, rng = mobilenet_space(), np.random.default_rng(0)
    n_features = int(space.n_values.sum())
    gain, waves, shift = (
        rng.uniform(0, 0.3, n_features),
        rng.normal(0, 0.6**0.5, (n_features, 500)),
        rng.uniform(0, 7, 500),
    )

    def accuracy(architectures):
        rows = space.features(architectures).astype(np.float64)
        return rows @ gain + 0.2 * np.sqrt(2 / 500) * np.cos(rows @ waves + shift).sum(axis=1)

    cost = additive(space)
    return Landscape("rough", space, accuracy, cost, (0.0, float(cost([space.largest])[0])))


def test_roughness_is_recovered_and_foreknowledge_helps(limits, rough):
    from comparison.roughness import Roughness

    rng = np.random.default_rng(1)
    known = Roughness.around(rough, rough.space.sample_genes(500, rng), rng)
    assert known.deviation == pytest.approx(0.2, rel=0.2)
    assert known.kept == pytest.approx((np.exp(-0.6), np.exp(-2.4)), abs=0.1)
    found = [
        np.mean([limits.searched(rough, tactic, 30, seed).hypervolume(rough.reference) for seed in range(2)])
        for tactic in (limits.Bayesian(), limits.Knowing(tell=known.told, leads=True))
    ]
    assert found[1] > found[0]
