"""A new device from some ten measurements: which ones, what they tell, and how it is kept."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import hardware
from hardware import Device, TableError, choose_measurements, load_latency, transfer
from hardware.predicted import LatencyPredictor
from predictors.mixture import Mixture, most_telling
from supernet import Choice, SearchSpace, within_depth

NEW = Device("new", "imported")
SPACE = SearchSpace(
    Choice("k", (3, 5, 7), repeat=6, active=within_depth("d", [3, 3])),
    Choice("d", (1, 2, 3), repeat=2),
    Choice("r", (16, 24, 32)),
)


def milliseconds(architectures, launch, compute, k_exponent=1.0):
    """A device that launches each block in some time, and computes in another, partly at once."""
    totals = []
    for a in architectures:
        kernels = [k for stage in range(2) for k in a["k"][3 * stage : 3 * stage + a["d"][stage]]]
        work = compute * sum(k**k_exponent for k in kernels) * (a["r"] / 32) ** 2
        totals.append(((launch * (2 + len(kernels))) ** 3 + work**3) ** (1 / 3))
    return np.array(totals)


def by_gene(n, seed):
    """Drawn as published measurements are: each gene takes any of its values."""
    genes = np.random.default_rng(seed).integers(0, SPACE.n_values, size=(2 * n, SPACE.n_genes))
    return list(dict.fromkeys(SPACE.decode(SPACE.canonical(genes))))[:n]


def predictor(name, n=120, noise=0.01, **device):
    architectures = by_gene(n, 3)
    n = len(architectures)
    drawn = np.random.default_rng(sum(map(ord, name))).normal(1, noise, n)
    rows = SPACE.encode(architectures).astype(np.float64)
    return LatencyPredictor.fit(
        Device(name, "imported"), SPACE, rows, milliseconds(architectures, **device) * drawn, provenance={"from": name}
    )


@pytest.fixture(scope="module")
def sources():
    return [
        predictor("small", launch=1.0, compute=0.1),
        predictor("large", launch=0.5, compute=1.0),
        predictor("odd", launch=0.2, compute=0.1, k_exponent=2.0),
    ]


@pytest.fixture(scope="module")
def model(sources):
    chosen = choose_measurements(sources, 10)
    return transfer(sources, NEW, chosen, milliseconds(chosen, 0.8, 0.7, 1.2), provenance={"who": "me"})


def error_percent(model, architectures, measured):
    return 100 * np.mean(np.abs(model.latency(architectures) / measured - 1))


def test_ten_measurements_tell_all_others(model, sources):
    unseen = by_gene(400, 9)
    truth = milliseconds(unseen, 0.8, 0.7, 1.2)
    assert error_percent(model, unseen, truth) < 5
    assert spearmanr(model.latency(unseen), truth).statistic > 0.99
    assert model.error["n_architectures"] == 10
    assert model.error["mape_percent"] < 6
    assert model.provenance["who"] == "me"
    assert [source["device"] for source in model.provenance["sources"]] == ["small", "large", "odd"]


def test_chosen_measurements_tell_more_than_random_ones(sources):
    unseen = by_gene(400, 9)
    truth = milliseconds(unseen, 0.8, 0.7, 1.2)

    def error(chosen, rng):
        measured = milliseconds(chosen, 0.8, 0.7, 1.2) * rng.normal(1, 0.02, len(chosen))
        return error_percent(transfer(sources, NEW, chosen, measured), unseen, truth)

    rngs = [np.random.default_rng(seed) for seed in range(4)]
    chosen = [error(choose_measurements(sources, 6), rng) for rng in rngs]
    drawn = [error(by_gene(6, 100 + seed), rng) for seed, rng in enumerate(rngs)]
    assert np.mean(chosen) < np.mean(drawn)


def test_a_disturbed_measurement_hardly_counts(sources):
    unseen = by_gene(400, 9)
    truth = milliseconds(unseen, 0.8, 0.7)
    chosen = choose_measurements(sources, 10)
    measured = milliseconds(chosen, 0.8, 0.7)
    undisturbed = error_percent(transfer(sources, NEW, chosen, measured), unseen, truth)
    measured[4] *= 2
    assert error_percent(transfer(sources, NEW, chosen, measured), unseen, truth) < undisturbed + 1


def test_what_was_measured_several_times_does_not_vouch_for_itself(sources):
    """The error is that on other architectures, which a few cannot tell however often they are measured."""
    few = choose_measurements(sources, 3)
    assert transfer(sources, NEW, few * 4, milliseconds(few * 4, 0.8, 0.7)).error == {}
    some = choose_measurements(sources, 6)
    truth = milliseconds(some, 0.8, 0.7, 1.2)
    once, often = (transfer(sources, NEW, some * n, np.tile(truth, n)) for n in (1, 5))
    assert often.error["n_architectures"] == 6
    assert often.error["mape_percent"] > 0.3 * once.error["mape_percent"]


@settings(max_examples=8, deadline=None)
@given(scale=st.floats(1e-3, 1e4), which=st.integers(0, 2), n=st.integers(1, 12))
def test_a_scaled_copy_of_a_known_device_is_recognised(sources, scale, which, n):
    chosen = choose_measurements(sources, n)
    model = transfer(sources, NEW, chosen, scale * sources[which].latency(chosen))
    unseen = SPACE.sample(60, 1)
    ratio = model.latency(unseen) / (scale * sources[which].latency(unseen))
    assert np.abs(ratio - 1).max() < (0.05 if n > 5 else 5.0)


def test_choices_are_distinct_stable_and_where_they_can_be_measured(sources):
    chosen = choose_measurements(sources, 10)
    assert len(set(chosen)) == 10
    assert chosen == choose_measurements(sources, 10)
    assert chosen[:4] == choose_measurements(sources, 4)
    offered = SPACE.sample(30, 5)
    assert set(choose_measurements(sources, 10, among=offered)) <= set(offered)
    assert set(choose_measurements(sources, 30, among=offered)) == set(offered)


def test_it_is_kept_with_its_sources(model, tmp_path):
    model.save(tmp_path / "new.json")
    again = load_latency(tmp_path / "new.json")
    unseen = SPACE.sample(50, 2)
    np.testing.assert_array_equal(again.latency(unseen), model.latency(unseen))
    assert (again.scope, again.error, again.provenance) == (model.scope, model.error, model.provenance)
    assert again.architectures == model.architectures
    assert again.latency([]).shape == (0,)
    further = transfer([again, model], Device("further", "imported"), unseen, 2 * model.latency(unseen))
    np.testing.assert_allclose(further.latency(unseen), 2 * model.latency(unseen), rtol=1e-2)


@pytest.mark.parametrize(
    "mistake",
    [
        {"weights": [[1.0]]},
        {"tilts": "none"},
        {"medians_ms": [1.0, None, 1.0]},
        {"sources": []},
        {"sources": [{}]},
        {"version": 9},
        {"device": {"name": "x", "colour": "red"}},
        {"architectures": [{"k": 4}]},
    ],
)
def test_damaged_files_are_refused(model, tmp_path, mistake):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps(model.describe() | mistake))
    with pytest.raises(TableError):
        load_latency(path)


def test_mistakes_are_named(sources):
    other = SearchSpace(Choice("k", (3, 5)))
    rows = np.arange(2.0).repeat(4)[:, None]
    alien = LatencyPredictor.fit(Device("alien", "imported"), other, rows, np.arange(1.0, 9.0))
    chosen = SPACE.sample(3, 0)
    with pytest.raises(TableError, match="alien and small were measured with different search spaces"):
        transfer([sources[0], alien], NEW, chosen, [1.0, 2.0, 3.0])
    with pytest.raises(TableError, match="at least one known device"):
        choose_measurements([])
    with pytest.raises(ValueError, match="above 0 ms, got -1"):
        transfer(sources, NEW, chosen, [1.0, -1.0, 3.0])
    with pytest.raises(ValueError, match="3 architectures were given"):
        transfer(sources, NEW, chosen, [1.0])
    with pytest.raises(ValueError, match=r"must lie in 1\.\.3, got 4"):
        choose_measurements(sources, 4, among=chosen)


def test_a_mixture_weighs_sources_and_ignores_those_that_say_nothing():
    rng = np.random.default_rng(0)
    sources = np.exp(rng.normal(0, 0.3, (200, 4)))
    targets = 7 * (sources[:, 0] ** 3 + 2 * sources[:, 2] ** 3) ** (1 / 3)
    rows = most_telling(sources, np.zeros((200, 0)), 10, np.arange(200))
    mixture = Mixture.fit(sources[rows], np.zeros((10, 0)), targets[rows])
    error = np.abs(mixture.predict(sources, np.zeros((200, 0))) / targets - 1)
    assert error.mean() < 0.02
    assert np.abs(mixture.left_out / targets[rows] - 1).mean() < 0.05
    assert mixture.shares.sum() == pytest.approx(1)
    assert mixture.source_shares[[0, 2]].min() > 2 * mixture.source_shares[[1, 3]].max()


def test_public_names():
    assert {"transfer", "choose_measurements", "TransferredLatency"} <= set(hardware.__all__)


@pytest.mark.parametrize("values", [(3,), (None, "x", True)], ids=["one architecture", "values of any type"])
def test_tiny_spaces_are_transferred_too(values, tmp_path):
    space = SearchSpace(Choice("a", values))
    architectures = space.sample(space.size)
    rows, latencies = space.encode(architectures * 4).astype(float), 1.0 + 0.01 * np.arange(4 * len(architectures))
    source = LatencyPredictor.fit(Device("known", "imported"), space, rows, latencies)
    assert set(choose_measurements([source], len(architectures))) == set(architectures)
    model = transfer([source], NEW, architectures, [2.0] * len(architectures))
    model.save(tmp_path / "new.json")
    np.testing.assert_allclose(load_latency(tmp_path / "new.json").latency(architectures), 2.0, rtol=0.1)
