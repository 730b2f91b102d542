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
    knowing = limits.Knowing(truth=limits.Truth(land), leads=leads)
    shares = [
        [limits.searched(land, tactic, 20, seed).hypervolume(land.reference) for seed in range(2)]
        for tactic in (limits.Bayesian(), knowing)
    ]
    assert np.mean(shares[1]) > np.mean(shares[0])
