import json

import numpy as np
import pytest

import search
from search import Objective, SearchError, tactics


@pytest.fixture
def result(space, landscape, nearest):
    linas = tactics.create("linas", predictor=nearest, population=20, generations=4)
    return search.run(space, landscape.objectives(3), tactic=linas, budget=20, batch_size=8, progress=False)


def test_the_frame_tells_everything_in_order(result, landscape, space):
    frame = result.frame
    assert list(frame.columns) == [
        "architecture", "accuracy", "latency", "size", "status", "error", "batch",
        "predicted_accuracy", "predicted_size",
    ]  # fmt: skip
    assert frame["batch"].tolist() == [0] * 8 + [1] * 8 + [2] * 4
    assert frame["error"].isna().all()
    architectures = list(frame["architecture"])
    assert all(space.validate(json.loads(a.to_json())) == a for a in architectures)
    np.testing.assert_allclose(frame["latency"], landscape.latency(architectures))
    np.testing.assert_allclose(frame["accuracy"], landscape.accuracy(architectures))
    assert frame["predicted_accuracy"].isna().tolist() == [True] * 8 + [False] * 12
    later = frame.iloc[8:]
    assert (later["predicted_accuracy"] - later["accuracy"]).abs().max() < np.ptp(frame["accuracy"]) * 2


def test_the_front_holds_what_nothing_dominates_sorted_by_the_cheap_objective(result):
    front = result.pareto()
    values = result.frame[["accuracy", "latency", "size"]].to_numpy() * [-1, 1, 1]
    expected = [i for i, v in enumerate(values) if not any((w <= v).all() and (w < v).any() for w in values)]
    assert sorted(front.index) == expected
    assert front["latency"].is_monotonic_increasing


def test_best_takes_constraints_as_numbers_or_pairs(result):
    frame = result.frame
    bound = float(frame["latency"].median())
    best = result.best("accuracy", latency=bound)
    assert best["accuracy"] == frame.loc[frame["latency"] <= bound, "accuracy"].max()
    assert result.best("latency")["latency"] == frame["latency"].min()
    assert result.best("accuracy", latency=(">=", bound))["latency"] >= bound
    with pytest.raises(SearchError, match="unknown objective 'speed': this search has accuracy, latency, size"):
        result.best("speed")
    with pytest.raises(SearchError, match="meets latency <= 0 and size >= 1"):
        result.best("accuracy", latency=0, size=(">=", 1))


def test_of_equally_good_architectures_the_best_is_on_the_front(space, landscape):
    objectives = [Objective("accuracy", goal="max", measure=lambda archs: np.full(len(archs), 90.0))]
    objectives += landscape.objectives(3)[1:]
    result = search.run(space, objectives, tactic="random", budget=20, progress=False)
    for name in ("accuracy", "latency"):
        assert result.best(name).name in result.pareto().index
    bound = float(result.frame["latency"].median())
    assert (
        result.best("accuracy", latency=(">=", bound))["latency"]
        == result.frame["latency"].loc[lambda x: x >= bound].min()
    )


def test_hypervolume_from_a_given_and_the_default_reference(result):
    frame = result.frame
    points, goals = frame[["accuracy", "latency", "size"]].to_numpy(), ["max", "min", "min"]
    reference = [0.0, points[:, 1].max() + 1, points[:, 2].max() + 1]
    assert result.hypervolume(reference) == pytest.approx(search.hypervolume(points, reference, goals))
    by_name = dict(zip(["size", "accuracy", "latency"], np.roll(reference, 1), strict=True))
    assert result.hypervolume(by_name) == result.hypervolume(reference)
    for point in (None, reference, by_name):
        curve = result.hypervolume_curve(point)
        assert curve.shape == (20,)
        assert (np.diff(curve) >= 0).all()
        assert curve[-1] == pytest.approx(result.hypervolume(point))
    first = points[:8]
    low, high = first.min(axis=0), first.max(axis=0)
    expected = [low[0] - 0.1 * (high - low)[0], *(high + 0.1 * (high - low))[1:]]
    np.testing.assert_allclose(result.history.reference, expected)
    with pytest.raises(SearchError, match="one value per objective"):
        result.hypervolume([0.0, 1.0])
    with pytest.raises(SearchError, match="unknown objective 'width', this search has accuracy, latency, size"):
        result.hypervolume({**by_name, "width": 1.0})
    with pytest.raises(SearchError, match="must have no NaN"):
        result.hypervolume({"accuracy": 0.0})


def test_the_identity_is_json_and_names_the_settings(result):
    text = json.dumps(result.identity)
    for part in ("accuracy", "Linas", '"generations": 4', '"seed": 0', "Nearest"):
        assert part in text


def test_a_search_without_feasible_architectures_has_an_empty_front(space):
    bounded = [Objective("accuracy", measure=lambda a: np.ones(len(a)))]
    result = search.run(space, bounded, tactic="random", budget=4, constraints={"accuracy": (">=", 2)}, progress=False)
    assert result.pareto().empty
    assert result.hypervolume() == 0.0
    assert result.hypervolume_curve().tolist() == [0.0] * 4
    for constraints in ({}, {"accuracy": 0.5}):
        with pytest.raises(SearchError, match="no evaluated architecture is feasible"):
            result.best("accuracy", **constraints)


@pytest.fixture
def for_two_devices(space, landscape):
    objectives = [
        landscape.objectives()[0],
        Objective("latency@phone", goal="min", measure=landscape.latency, expensive=False),
        Objective("latency@server", goal="min", measure=landscape.size, expensive=False),
    ]
    return search.run(space, objectives, tactic="nsga2", budget=30, progress=False, constraints={"latency@server": 270})


def test_a_result_for_several_devices_has_a_front_and_a_hypervolume_for_each(for_two_devices, landscape):
    result = for_two_devices
    assert len(landscape.calls) == len(result.frame) == 30
    fronts = {device: result.pareto(device) for device in ("phone", "server")}
    for device, front in fronts.items():
        assert list(front.columns[:3]) == ["architecture", "accuracy", "latency"]
        np.testing.assert_array_equal(front["latency"], result.frame.loc[front.index, f"latency@{device}"])
        assert front["accuracy"].is_monotonic_increasing  # as latency does
    assert (fronts["server"]["latency"] <= 270).all()
    assert sorted(result.pareto().index) == sorted({*fronts["phone"].index, *fronts["server"].index})
    reference = [0.0, 100.0, 300.0]
    each = [result.view("phone").hypervolume([0, 100]), result.view("server").hypervolume([0, 300])]
    assert result.hypervolume(reference) == pytest.approx(sum(each))
    assert result.hypervolume_curve(reference)[-1] == pytest.approx(sum(each))
    assert result.hypervolume() == pytest.approx(result.history.hypervolume)
    best = result.view("server").best("accuracy", latency=250)
    assert best["accuracy"] == result.frame.loc[result.frame["latency@server"] <= 250, "accuracy"].max()
    with pytest.raises(SearchError, match="unknown device 'watch'"):
        result.pareto("watch")


def test_tactics_that_know_nothing_of_devices_are_asked_for_each_in_turn(space, landscape):
    asked = []

    class Tactic:
        def propose(self, history, n, rng):
            asked.append((history.problem.names, history.objectives[1].measure, n, len(history.pending)))
            return history.space.sample_genes(n, rng)

    objectives = [
        landscape.objectives()[0],
        Objective("latency@phone", goal="min", measure=landscape.latency, expensive=False),
        Objective("latency@server", goal="min", measure=landscape.size, expensive=False),
    ]
    search.run(space, objectives, tactic=Tactic(), budget=10, batch_size=5, progress=False)
    phone, server = objectives[1].measure, objectives[2].measure
    names = ["accuracy", "latency"]
    assert asked == [(names, phone, 3, 0), (names, server, 2, 3), (names, server, 3, 0), (names, phone, 2, 3)]
