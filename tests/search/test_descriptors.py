"""Descriptors: what predictors are told beside genes, computed once, and used where it helps."""

import numpy as np
import pytest

import search
import supernet
from search import Descriptor, Descriptors, SearchError
from search.history import History
from search.problem import Problem
from search.tactics.fitting import fitted
from supernet.space import Choice, SearchSpace, within_depth

SPACE = SearchSpace(
    Choice("width", (1, 2, 4), repeat=6, active=within_depth("depth", [6])), Choice("depth", (4, 5, 6), repeat=1)
)


def size(architectures):
    return [float(np.prod(a["width"][: a["depth"][0]])) for a in architectures]


def hidden(architectures):
    """Decides half of the accuracy, and cannot be told from the genes."""
    pairs = zip(size(architectures), architectures, strict=True)
    return [float(int(value) * 7 % 11 + 3 * a["depth"][0] % 5) for value, a in pairs]


def accuracy(architectures):
    return 50.0 + np.log(size(architectures)) + hidden(architectures)


def noise(architectures):
    """The same for the same architecture, and nothing that it could depend on."""
    seeds = [[ord(letter) for letter in a.to_json()] for a in architectures]
    return [np.random.default_rng(seed).normal() for seed in seeds]


class Counting:
    """A proxy that knows what it was asked for."""

    scope = "weights"

    def __init__(self, function):
        self.function, self.asked = function, []

    def __call__(self, architectures):
        self.asked += architectures
        return self.function(architectures)


def objectives():
    return [
        search.Objective("accuracy", measure=accuracy),
        search.Objective("cost", goal="min", measure=lambda a: [sum(x["width"]) for x in a], expensive=False),
    ]


def history_of(n, descriptors):
    problem = Problem.of(SPACE, objectives(), None, descriptors)
    architectures = SPACE.sample(n, seed=0)
    values = np.c_[accuracy(architectures), problem.cheap_values(SPACE.encode(architectures))[:, 1]]
    batches = np.zeros(n, dtype=np.int64)
    empty = History.empty(problem)
    return History(problem, SPACE.encode(architectures), values, batches, empty.pending, empty.pending_batches)


def run(descriptors, store=None, budget=24, tactic="linas"):
    settings = {"tactic": tactic, "batch_size": 8, "predictor": "ridge", "progress": False}
    return search.run(SPACE, objectives(), budget=budget, descriptors=descriptors, store=store, **settings)


def test_a_helpful_descriptor_improves_what_is_predicted_and_a_useless_one_is_dropped():
    useful, useless = Descriptor("hidden", measure=hidden), Descriptor("noise", measure=noise)
    genes = SPACE.encode(SPACE.sample(200, seed=1))
    truth = accuracy(SPACE.decode(genes))
    plain = fitted(history_of(20, []), "ridge")
    described = fitted(history_of(20, [useful, useless]), "ridge")
    assert described.needed.tolist() == [True, False]
    errors = [np.abs(fit.values(genes)[:, 0] - truth).mean() for fit in (plain, described)]
    assert errors[1] < 0.5 * errors[0]


def test_a_proxy_is_computed_once_per_architecture_and_for_few(tmp_path):
    proxy = Counting(hidden)
    descriptors = [Descriptor("proxy", measure=proxy, expensive=True)]
    first = run(descriptors, tmp_path / "store.sqlite", budget=16)
    assert len(set(proxy.asked)) == len(proxy.asked) <= 16 + 4 * 8
    assert set(first.frame["architecture"][:8]) <= set(proxy.asked)
    again = Counting(proxy.function)
    descriptors = [Descriptor("proxy", measure=again, expensive=True)]
    longer = run(descriptors, tmp_path / "store.sqlite", budget=24)
    assert list(longer.frame["architecture"][:16]) == list(first.frame["architecture"])
    assert not set(again.asked) & set(proxy.asked)
    assert list(run(descriptors, budget=24).frame["architecture"]) == list(longer.frame["architecture"])


def test_proxies_of_other_weights_are_computed_anew(tmp_path):
    architectures = SPACE.sample(3, seed=0)
    with search.Store(tmp_path / "store.sqlite") as store:
        store.bind(SPACE)
        for scope, value in (("old", 1.0), ("new", 2.0), ("old", 3.0)):
            item = Descriptor("proxy", measure=lambda a, value=value: [value] * len(a), expensive=True, scope=scope)
            found = Descriptors.of([item]).kept_in(store)(architectures)
            assert found.tolist() == [[1.0 if scope == "old" else 2.0]] * 3


def test_cheap_ones_come_first_and_are_asked_for_many_at_once():
    cheap = Counting(size)
    items = [Descriptor("proxy", measure=noise, expensive=True), Descriptor("size", measure=cheap)]
    problem = Problem.of(SPACE, objectives(), None, items)
    assert [item.name for item in problem.descriptors.items] == ["size", "proxy"]
    genes = SPACE.encode(SPACE.sample(50, seed=0))
    np.testing.assert_array_equal(problem.described(genes)[:, 0], size(SPACE.decode(genes)))
    assert problem.described(genes).shape == (50, 1)
    assert len(cheap.asked) == 100
    assert Problem.of(SPACE, objectives()).described(genes).shape == (50, 0)


def test_each_device_sees_the_descriptors():
    latencies = [
        search.Objective(f"latency@{d}", goal="min", measure=size, expensive=False) for d in ("phone", "board")
    ]
    descriptors = [Descriptor("hidden", measure=hidden)]
    problem = Problem.of(SPACE, [objectives()[0], *latencies], None, descriptors)
    genes = SPACE.encode(SPACE.sample(5, seed=0))
    np.testing.assert_array_equal(problem.view("phone").problem.described(genes), problem.described(genes))
    settings = {"tactic": "linas", "predictor": "ridge", "batch_size": 8, "progress": False}
    assert len(search.run(SPACE, problem.objectives, budget=16, descriptors=descriptors, **settings).frame) == 16


def test_a_missing_number_harms_nobody(tmp_path):
    broken = Descriptor("broken", measure=lambda a: [np.nan] * len(a), expensive=True)
    holes = Descriptor("holes", measure=lambda a: np.where(np.array(size(a)) > 16, np.inf, np.log(size(a))))
    result = run([broken, holes], tmp_path / "store.sqlite")
    assert len(result.frame) == 24
    predicted = result.frame["predicted_accuracy"] if "predicted_accuracy" in result.frame else []
    assert np.isfinite(np.array(predicted[8:], dtype=float)).all()


def test_searches_with_other_descriptors_are_other_studies(tmp_path):
    run([], tmp_path / "store.sqlite", budget=8)
    run([Descriptor("size", measure=size)], tmp_path / "store.sqlite", budget=8)
    with search.Store(tmp_path / "store.sqlite") as store:
        assert len(store.studies()) == 2
        assert len(store.measurements("accuracy")) == 8


@pytest.mark.parametrize("tactic", ["bayesian", "weaknas", "nsga2", "random"])
def test_every_tactic_takes_descriptors(tactic):
    settings = {"tactic": tactic, "batch_size": 8, "progress": False}
    descriptors = [Descriptor("size", measure=size), Descriptor("proxy", measure=noise, expensive=True)]
    assert len(search.run(SPACE, objectives(), budget=16, descriptors=descriptors, **settings).frame) == 16


@pytest.fixture(scope="module")
def digits_net():
    return supernet.create("digits_mobilenetv3")


def test_costs_of_a_super_network(digits_net):
    genes = digits_net.space.sample_genes(20, np.random.default_rng(0))
    architectures = digits_net.space.decode(genes)
    items = search.cost_descriptors(digits_net)
    assert [item.name for item in items] == ["macs", "params", "depth"]
    columns = Descriptors.of(items)(architectures)
    costs = digits_net.costs(architectures)
    np.testing.assert_array_equal(columns[:, :2], np.c_[costs["macs"], costs["params"]])
    np.testing.assert_array_equal(columns[:, 2], digits_net.space.active(genes).sum(axis=1))


def test_mistakes_are_named(digits_net):
    item = Descriptor("size", measure=size)
    with pytest.raises(SearchError, match="descriptors need distinct names, got"):
        run([item, item])
    with pytest.raises(SearchError, match=r"descriptors must be a list of search.Descriptor, got \['macs'\]"):
        run(["macs"])
    with pytest.raises(SearchError, match="unknown descriptor 'flops': available are macs, params, depth"):
        search.cost_descriptors(digits_net, ["flops"])
    with pytest.raises(SearchError, match=r"descriptor 'size': measure must return an array of shape \(8,\)"):
        run([Descriptor("size", measure=lambda a: [1.0])])
    with pytest.raises(SearchError, match="descriptor 'size' failed: KeyError: 'kernel'"):
        run([Descriptor("size", measure=lambda a: [x["kernel"] for x in a])])
    with pytest.raises(SearchError, match="every descriptor needs a name"):
        Descriptor(" ", measure=size)
    with pytest.raises(SearchError, match="measure must be a function"):
        Descriptor("size", measure=1)
    with pytest.raises(SearchError, match="descriptor 'size': scope must be a string, got 5"):
        Descriptor("size", measure=size, scope=5)
