"""The benchmark that replaces parts of the default tactic by the truth."""

import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "search"


@pytest.fixture
def limits(monkeypatch):
    """The benchmark of this name, which is not installed."""
    monkeypatch.syspath_prepend(FOLDER)
    import limits

    yield limits
    for name in [name for name in sys.modules if name.partition(".")[0] in ("comparison", "limits")]:
        del sys.modules[name]


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
