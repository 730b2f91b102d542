"""Mistakes of callers, and of tactics and engines that they wrote, are named; what can be kept is kept."""

import re
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

import hardware.backends
import predictors
import search
import supernet.registry
from search import Constraint, Measurement, Objective, Outcome, Proposal, SearchError, Store, tactics
from search.report import write_report


def width(architectures):
    return [float(a["width"]) for a in architectures]


ACCURACY = Objective("accuracy", measure=width)


def searched(space, objectives=(ACCURACY,), budget=10, **settings):
    settings = {"tactic": "random", "progress": False, **settings}
    return search.run(space, objectives, budget=budget, **settings)


def views(result):
    return [result.view(device) for device in result.history.problem.devices]


class Proposing:
    """A tactic that proposes the same whatever it is asked for."""

    def __init__(self, proposed):
        self.proposed = proposed

    def propose(self, history, n, rng):
        assert n > 0
        return self.proposed


class Answering:
    """An engine of which every measurement comes to the same."""

    def __init__(self, value, error=None):
        self.value, self.error = value, error

    def measure(self, jobs):
        for job in jobs:
            yield Outcome(job, self.value, self.error, 0.1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tactic": type(tactics.create("random"))}, r"not its class: give Random\(\.\.\.\)"),
        ({"engine": "processes"}, r"engine must be an object with measure\(jobs\).*got 'processes'"),
        ({"engine": search.ProcessEngine}, "engine must be an object"),
        ({"objectives": None}, "objectives must be a list of search.Objective, got None"),
        ({"name": 3}, "name must be a string or None, got 3"),
        ({"asynchronous": "no"}, "asynchronous must be True or False, got 'no'"),
        ({"descriptors": None}, "descriptors must be a list of search.Descriptor, got None"),
        ({"budget": np.True_}, "budget must be an integer"),
        ({"constraints": {"accuracy": ("<=", 10**400)}}, "'accuracy'.*the bound must be a finite number"),
    ],
)
def test_bad_arguments_are_named(ten, settings, message):
    with pytest.raises(SearchError, match=message):
        searched(ten, **settings)


def test_integers_of_numpy_and_large_ones_are_integers(ten):
    wanted = searched(ten, budget=6, seed=2, batch_size=3).frame
    again = searched(ten, budget=np.int64(6), seed=np.int64(2), batch_size=np.int32(3))
    assert again.frame.equals(wanted)
    assert again.identity["batch_size"] == 3
    assert len(searched(ten, budget=6, seed=10**40, constraints={"accuracy": ("<=", 10**30)}).frame) == 6


@pytest.mark.parametrize("name", ["id", "rank", "device", "latency@a/b"])
def test_names_that_results_need_for_themselves_are_refused(name):
    with pytest.raises(SearchError, match=f"objective name '{name}'"):
        Objective(name, measure=width)


@pytest.mark.parametrize("name", ["Genauigkeit ä 精度", "a,b", "predicted", "accuracy@my phone"])
def test_any_other_name_can_be_reported(ten, tmp_path, name):
    result = searched(ten, [Objective(name, measure=width)])
    files = write_report(result, tmp_path, title=name)
    assert name.partition("@")[0] in files["front.csv"].read_text(encoding="utf-8")


def test_a_device_needs_a_goal(ten):
    objectives = [Objective("a@phone", measure=width), Objective("b@board", goal=None, measure=width)]
    with pytest.raises(SearchError, match="device 'board' has no objective with a goal"):
        searched(ten, objectives)


def test_close_bounds_make_different_studies(ten):
    cost = Objective("cost", goal="min", measure=width, expensive=False)
    with Store() as store:
        for bound in (12345678, 12345679, 12345678.0):
            searched(ten, [ACCURACY, cost], constraints={"cost": ("<=", bound)}, store=store)
        assert len(store.studies()) == 2
    assert [str(Constraint("a", "<=", bound)) for bound in (20.0, 0.1, 1e9)] == ["a <= 20", "a <= 0.1", "a <= 1e+09"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.int64(3), np.int64(4)),
        ({"a": 1}, {"a": 2}),
        (np.arange(3), np.arange(4)),
        (partial(width, 1), partial(width, 2)),
    ],
)
def test_tactics_with_other_settings_make_other_studies(ten, one, other):
    @dataclass
    class Drawing:
        setting: object

        def propose(self, history, n, rng):
            return history.space.sample_genes(n, rng)

    with Store() as store:
        for setting in (one, other, one):
            searched(ten, tactic=Drawing(setting), store=store, batch_size=5)
        assert len(store.studies()) == 2


def test_other_data_to_start_from_make_another_study(ten):
    frame = searched(ten, budget=4).frame
    with Store() as store:
        for given in (frame, frame.iloc[:2], frame.copy()):
            searched(ten, warm_start=given, store=store, budget=2)
        assert len(store.studies()) == 2


def test_a_predictor_that_is_not_used_is_said(ten, caplog):
    searched(ten, predictor="ridge", budget=2)
    assert "tactic 'random' predicts nothing: predictor='ridge' is not used" in caplog.text


@pytest.mark.parametrize(
    ("proposed", "message"),
    [
        (None, "Proposing.propose must return architectures, or genes of shape"),
        ([{"width": 9, "depth": 1}], "Proposing.propose must.*width: 9 is not one of"),
        (np.zeros((2, 5)), r"Proposing.propose must.*genes must have shape \(n, 2\)"),
        (Proposal(np.zeros((2, 2), dtype=np.int64), np.zeros(2)), r"must predict values of shape \(2, 1\)"),
    ],
)
def test_a_tactic_that_proposes_nonsense_is_named(ten, proposed, message):
    with pytest.raises(SearchError, match=message):
        searched(ten, tactic=Proposing(proposed))


def test_a_tactic_may_propose_more_than_it_is_asked_for(ten):
    devices = [Objective(f"latency@{name}", goal="min", measure=width, expensive=False) for name in ("a", "b")]
    result = searched(ten, [ACCURACY, *devices], tactic=Proposing(ten.enumerate()), batch_size=2)
    assert len(result.frame) == 10
    assert result.frame["batch"].value_counts().tolist() == [2] * 5


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e200])
def test_an_engine_that_answers_with_no_finite_number_reports_a_failure(ten, value):
    with pytest.raises(SearchError, match=re.escape(f"accuracy: the measured value is {value}")):
        searched(ten, engine=Answering(value))


def test_an_engine_may_answer_with_numbers_of_numpy(ten):
    assert set(searched(ten, engine=Answering(np.float32(2)), store=None).frame["accuracy"]) == {2.0}


def test_errors_that_are_no_unicode_are_kept_readable(ten, tmp_path):
    def broken(architectures):
        if architectures[0]["width"] == 8:
            raise OSError("no file caf\udce9.bin")
        return width(architectures)

    result = searched(ten, [Objective("accuracy", measure=broken)], store=tmp_path / "s.sqlite")
    assert set(result.failures["error"]) == {"accuracy: OSError: no file caf\\udce9.bin"}
    write_report(result, tmp_path, title="t")


@pytest.mark.parametrize("arguments", [{"name": "caf\udce9"}, {"name": "a", "scope": "caf\udce9.bin"}])
def test_names_that_no_file_can_hold_are_refused(arguments):
    with pytest.raises(SearchError, match="name and scope must be valid Unicode"):
        Objective(measure=width, **arguments)


def test_sources_may_have_undecodable_names(ten, tmp_path):
    path = tmp_path / "caf\udce9.csv"
    searched(ten, budget=5).frame.assign(architecture=lambda f: [a.to_json() for a in f["architecture"]]).to_csv(path)
    assert len(searched(ten, tactic="linas", warm_start=path, store=tmp_path / "s.sqlite").frame) == 10


def test_a_measurement_is_finite_or_has_failed(ten):
    (architecture,) = ten.sample(1)
    with Store() as store:
        store.bind(ten)
        kept = store.record(Measurement(architecture, "accuracy", "", np.inf, None, 0.0))
        assert np.isnan(kept.value)
        assert kept.error == "the measured value is inf"


def test_a_value_that_one_device_lacks_is_said(ten):
    def only(widths):
        return lambda architectures: [float(a["width"]) if a["width"] in widths else np.nan for a in architectures]

    devices = [
        Objective("latency@a", goal="min", measure=only([8]), expensive=False),
        Objective("latency@b", goal="min", measure=only([16, 24, 32, 40]), expensive=False),
    ]
    result = searched(ten, [ACCURACY, *devices])
    errors = dict(zip((a["width"] for a in result.frame["architecture"]), result.frame["error"], strict=True))
    assert errors[8] == "latency@b: not a finite number"
    assert errors[40] == "latency@a: not a finite number"
    assert set(result.frame["status"]) == {"ok"}
    assert len(result.partial) == 10
    assert result.best("accuracy")["accuracy"] == 40
    assert result.best("latency@a")["latency@a"] == 8
    assert result.hypervolume() == result.history.hypervolume == sum(view.hypervolume() for view in views(result)) > 0
    assert len(result.pareto("a")) == len(result.pareto("b").query("latency == 16")) == 2


def test_what_fails_on_one_device_serves_the_others_and_the_predictors(ten, nearest, caplog, tmp_path):
    learnt = []

    class Learner(nearest):
        def fit(self, X, y):
            learnt.append(y.tolist())
            return super().fit(X, y)

    def small_only(architectures):
        if architectures[0]["width"] > 16:
            raise MemoryError("too large for b")
        return width(architectures)

    devices = [
        Objective("measured_latency@a", goal="min", measure=width),
        Objective("measured_latency@b", goal="min", measure=small_only),
    ]
    tactic = tactics.create("linas", predictor=Learner, population=20, generations=4)
    result = searched(ten, [ACCURACY, *devices], tactic=tactic, batch_size=8)
    failed = result.frame["measured_latency@b"].isna()
    assert failed.sum() == len(result.partial) == 6
    assert result.failures.empty
    assert sorted(set(result.pareto("a")["accuracy"])) == [8, 16, 24, 32, 40]
    assert sorted(set(result.pareto("b")["accuracy"])) == [8, 16]
    assert result.view("b").failures.index.tolist() == result.partial.index.tolist()
    first = result.frame[result.frame["batch"] == 0]
    assert first["accuracy"].tolist() in learnt
    assert (
        "6 of 10 architectures have no value for one of the devices; the first error: measured_latency@b: MemoryE"
        in (caplog.text)
    )
    page = write_report(result, tmp_path, title="")["report.html"].read_text()
    assert page.count("too large for b") == 6
    assert page.count("6 failed, not shown") == 1
    assert "6 more on one of the devices" in page


def test_settings_of_a_tactic_are_those_that_it_takes():
    assert "_memory" not in tactics.settings_of("bayesian")

    @tactics.register("stepping for tests")
    class Stepping:
        def __init__(self, step):
            self.step = step

    try:
        assert tactics.create("stepping for tests", step=3).step == 3
    finally:
        del search.tactics.base.registry.known["stepping for tests"]


@pytest.mark.parametrize(
    ("register", "taken"),
    [
        (tactics.register, "random"),
        (predictors.register, "ridge"),
        (hardware.backends.register, "torch"),
        (hardware.bundle.kinds.register, "translation"),
        (supernet.registry.register, "bert"),
    ],
)
def test_a_name_that_is_taken_is_refused(register, taken):
    with pytest.raises(ValueError, match=rf"'{taken}' is already \w+\..*\w+: choose another name"):
        register(taken)(Proposing)
