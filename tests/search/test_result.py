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
    with pytest.raises(SearchError, match="meets latency <= 0"):
        result.best("accuracy", latency=0)


def test_hypervolume_from_a_given_and_the_default_reference(result):
    frame = result.frame
    points, goals = frame[["accuracy", "latency", "size"]].to_numpy(), ["max", "min", "min"]
    reference = [0.0, points[:, 1].max() + 1, points[:, 2].max() + 1]
    assert result.hypervolume(reference) == pytest.approx(search.hypervolume(points, reference, goals))
    for point in (None, reference):
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
    with pytest.raises(SearchError, match="no evaluated architecture is feasible"):
        result.best("accuracy")
