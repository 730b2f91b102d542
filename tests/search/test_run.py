import logging
import threading

import numpy as np
import pytest

import search
from search import (
    ConstraintError,
    LocalEngine,
    Measurement,
    Objective,
    Outcome,
    SearchError,
    Store,
    StoreError,
    tactics,
)


@pytest.fixture
def quick(nearest):
    return tactics.create("linas", predictor=nearest, population=20, generations=4)


def searched(space, objectives, tactic="random", budget=12, **settings):
    return search.run(space, objectives, tactic=tactic, budget=budget, **{"progress": False, **settings})


@pytest.mark.parametrize("name", tactics.available())
def test_the_budget_counts_distinct_architectures(name, space, landscape, nearest):
    result = searched(space, landscape.objectives(), name, budget=20, predictor=nearest)
    assert len(result.frame) == len(set(result.frame["architecture"])) == 20
    assert len(landscape.calls) == 20
    assert "budget of 20" in result.ended
    assert set(result.frame["status"]) == {"ok"}


def test_a_search_ends_early_where_the_space_is_used_up(ten, make_landscape, caplog):
    result = searched(ten, make_landscape(ten).objectives(), budget=50)
    assert len(result.frame) == 10
    assert "after 10 evaluations" in result.ended
    assert "ended early" in caplog.text


def test_equal_seeds_give_equal_results_and_others_do_not(space, landscape, quick):
    first, again, other = (searched(space, landscape.objectives(), quick, seed=s).frame for s in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_a_finished_study_measures_nothing_and_a_larger_budget_continues_it(space, landscape, quick, tmp_path):
    settings = {"store": tmp_path / "s.sqlite", "seed": 5}
    first = searched(space, landscape.objectives(), quick, budget=12, **settings)
    assert searched(space, landscape.objectives(), quick, budget=12, **settings).frame.equals(first.frame)
    assert len(landscape.calls) == 12
    longer = searched(space, landscape.objectives(), quick, budget=20, **settings)
    assert longer.frame.iloc[:12].equals(first.frame)
    assert len(landscape.calls) == len(set(landscape.calls)) == 20
    assert searched(space, landscape.objectives(), quick, budget=8, **settings).frame.equals(first.frame.iloc[:8])


def test_studies_share_measurements_of_equal_scope(ten, make_landscape, tmp_path):
    landscape = make_landscape(ten)

    def accuracy(scope):
        return [Objective("accuracy", measure=landscape.accuracy, scope=scope)]

    store = tmp_path / "s.sqlite"
    searched(ten, accuracy("a"), seed=1, budget=10, store=store)
    again = searched(ten, accuracy("a"), seed=2, budget=10, store=store)
    assert len(landscape.calls) == len(again.frame) == 10
    searched(ten, accuracy("b"), seed=1, budget=10, store=store)
    assert len(landscape.calls) == 20
    with Store(store) as opened:
        assert len(opened.studies()) == 3


def test_a_larger_budget_keeps_the_batch_size_of_the_study(space, landscape):
    with Store() as store:
        for budget in (20, 60):
            result = searched(space, landscape.objectives(), "nsga2", budget=budget, store=store)
        assert result.frame["batch"].value_counts().unique().tolist() == [4]


def test_an_interrupted_search_goes_on(space, landscape, quick, tmp_path):
    expected = searched(space, landscape.objectives(), quick, budget=16)
    n_before = len(landscape.calls)

    def interrupted(history):
        if len(history) == 9:
            raise KeyboardInterrupt

    store = tmp_path / "s.sqlite"
    with pytest.raises(KeyboardInterrupt):
        searched(space, landscape.objectives(), quick, budget=16, store=store, progress=interrupted)
    assert len(landscape.calls) == n_before + 9
    assert searched(space, landscape.objectives(), quick, budget=16, store=store).frame.equals(expected.frame)
    assert len(landscape.calls) == n_before + 16


class Faulty:
    """Raises, returns NaN, infinity or a wrong shape for some widths."""

    def __init__(self):
        self.calls = []

    def __call__(self, architectures):
        (architecture,) = architectures
        self.calls.append(architecture)
        faults = {16: [float("nan")], 24: [float("inf")], 32: [1.0, 2.0]}
        if architecture["width"] == 40:
            raise RuntimeError("out of memory")
        return faults.get(architecture["width"], [float(architecture["depth"])])


def test_failures_are_recorded_reported_and_not_repeated(ten, caplog, nearest):
    with Store() as store:
        faulty = Faulty()
        objectives = [
            Objective("accuracy", measure=faulty),
            Objective("cost", goal="min", measure=lambda a: np.array([x["width"] for x in a]), expensive=False),
        ]
        result = searched(ten, objectives, "linas", budget=10, store=store, predictor=nearest, batch_size=10)
        assert len(faulty.calls) == len(set(faulty.calls)) == 10
        again = searched(ten, objectives, "random", budget=10, store=store)
        assert len(faulty.calls) == 10
    errors = {a["width"]: e for a, e in zip(result.failures["architecture"], result.failures["error"], strict=True)}
    assert len(result.failures) == len(again.failures) == 8
    assert errors[40] == "accuracy: RuntimeError: out of memory"
    assert errors[16] == "accuracy: the measured value is nan"
    assert errors[24] == "accuracy: the measured value is inf"
    assert "shape (2,)" in errors[32]
    assert {a["width"] for a in result.pareto()["architecture"]} == {8}
    assert result.failures["accuracy"].isna().all()
    assert "8 of 10 architectures failed" in caplog.text


def test_a_first_batch_that_fails_altogether_stops_the_search(space):
    def broken(architectures):
        raise OSError("no such checkpoint")

    with Store() as store:
        with pytest.raises(SearchError, match=r"all 4 .* first batch failed.*accuracy: OSError: no such checkpoint"):
            searched(space, [Objective("accuracy", measure=broken)], "nsga2", budget=20, store=store)
        assert len(store.measurements()) == 4


def test_failures_are_measured_again_on_request(ten, make_landscape):
    landscape, repaired, calls = make_landscape(ten), [], []

    def accuracy(architectures):
        calls.extend(architectures)
        if not repaired and architectures[0]["width"] > 16:
            raise OSError("the disk is away")
        return landscape.accuracy(architectures)

    settings = {"budget": 10, "batch_size": 5}
    elsewhere = Measurement(ten.sample(1)[0], "accuracy", "x", np.nan, "OSError: still away", 1.0)
    with Store() as store:
        store.bind(ten)
        store.record(elsewhere)
        first = searched(ten, [Objective("accuracy", measure=accuracy, scope="y")], store=store, **settings)
        failed = set(first.failures["architecture"])
        assert 0 < len(failed) < 10
        repaired.append(True)
        calls.clear()
        searched(ten, [Objective("accuracy", measure=accuracy, scope="y")], store=store, **settings)
        assert not calls
        again = searched(
            ten, [Objective("accuracy", measure=accuracy, scope="y")], store=store, retry_failed=True, **settings
        )
        assert [m.error for m in store.measurements("accuracy", "x")] == [elsewhere.error]
    assert sorted(a.to_json() for a in calls) == sorted(a.to_json() for a in failed)
    assert again.failures.empty
    assert len(again.frame) == 10
    known = first.frame[first.frame["status"] == "ok"]
    assert again.frame.loc[known.index, "architecture"].equals(known["architecture"])


def test_a_success_of_another_process_takes_the_place_of_a_failure(ten, make_landscape):
    landscape, calls = make_landscape(ten), []

    def accuracy(architectures):
        calls.extend(architectures)
        if len(calls) == 1:
            raise MemoryError
        if len(calls) == 8:  # the other one has more memory
            store.record(Measurement(calls[0], "accuracy", "", float(landscape.accuracy(calls[:1])[0]), None, 1.0))
        return landscape.accuracy(architectures)

    with Store() as store:
        result = searched(ten, [Objective("accuracy", measure=accuracy)], store=store, budget=10, batch_size=5)
    assert result.failures.empty
    assert len(calls) == 10


def test_a_first_batch_that_failed_altogether_can_be_measured_again(space, landscape):
    def broken(architectures):
        raise OSError("no such checkpoint")

    with Store() as store:
        for _ in range(2):
            with pytest.raises(SearchError, match="with retry_failed they are measured again"):
                searched(space, [Objective("accuracy", measure=broken)], store=store)
        mended = [Objective("accuracy", measure=landscape.accuracy)]
        assert searched(space, mended, store=store, retry_failed=True).failures.empty


def test_impossible_cheap_constraints_are_found_before_anything_is_measured(space, landscape):
    least = landscape.latency(space.sample(1000)).min()
    with pytest.raises(ConstraintError, match=r"latency <= 0.5: the best value found is \d"):
        searched(space, landscape.objectives(), constraints={"latency": ("<=", 0.5)})
    assert landscape.calls == []
    result = searched(space, landscape.objectives(), constraints={"latency": ("<=", 0.8 * least)})
    assert (result.frame["latency"] <= 0.8 * least).all()
    assert len(result.frame) == 12


def test_a_constraint_that_one_device_cannot_meet_is_named_with_it(ten, make_landscape):
    landscape = make_landscape(ten)
    objectives = [
        Objective("accuracy", measure=landscape.accuracy),
        Objective("latency@phone", goal="min", measure=landscape.latency, expensive=False),
        Objective("latency@server", goal="min", measure=landscape.latency, expensive=False),
    ]
    with pytest.raises(ConstraintError, match="latency <= 0.5 for server: the best value found is"):
        searched(ten, objectives, constraints={"latency@server": 0.5})
    assert landscape.calls == []


def test_what_one_device_has_no_use_for_another_takes(ten, make_landscape):
    landscape = make_landscape(ten)
    slow = landscape.latency(ten.decode(ten.enumerate()))
    objectives = [
        Objective("accuracy", measure=landscape.accuracy),
        Objective("latency@phone", goal="min", measure=landscape.latency, expensive=False),
        Objective("latency@server", goal="min", measure=landscape.latency, expensive=False),
    ]
    result = searched(ten, objectives, budget=10, constraints={"latency@server": float(np.sort(slow)[1])})
    assert len(result.frame) == 10
    assert len(result.view("server").frame.query("status == 'ok'")) == 2


def test_constraints_that_exclude_each_other_are_named_together(ten):
    def width(architectures):
        return np.array([a["width"] for a in architectures])

    objectives = [
        Objective("width", goal="min", measure=width, expensive=False),
        Objective("again", goal="min", measure=width, expensive=False),
    ]
    with pytest.raises(ConstraintError, match=r"together: width <= 10, again >= 30"):
        searched(ten, objectives, constraints={"width": ("<=", 10), "again": (">=", 30)})


def test_an_expensive_constraint_is_judged_by_prediction_and_then_exactly(space, landscape):
    middle = np.quantile(landscape.accuracy(space.sample(200)), 0.6)
    constraints = {"accuracy": (">=", middle)}

    class Oracle:
        def fit(self, X, y):
            pass

        def predict(self, X):
            return 100 * (1 - np.exp(-X @ landscape.gain / 10)), np.zeros(len(X))

    linas = tactics.create("linas", predictor=Oracle, population=20, generations=10)
    result = searched(space, landscape.objectives(), linas, budget=24, batch_size=12, constraints=constraints)
    infeasible = result.frame["status"] == "infeasible"
    assert infeasible.any()
    np.testing.assert_array_equal(infeasible, result.frame["accuracy"] < middle)
    assert (result.pareto()["accuracy"] >= middle).all()
    assert not infeasible[result.frame["batch"] > 0].any()


@pytest.mark.parametrize("tactic", tactics.available())
def test_a_budget_may_be_as_small_as_one(tactic, space, landscape):
    assert len(searched(space, landscape.objectives(), tactic, budget=1, batch_size=None).frame) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": 0}, "budget must be an integer of at least 1"),
        ({"budget": 2.5}, "budget must be an integer"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"budget": 10, "batch_size": 30}, "budget 10 is smaller than the first batch of 30"),
        ({"tactic": "tabu"}, "unknown tactic 'tabu': available are"),
        ({"tactic": object()}, "must be a name or have a method propose"),
        ({"tactic": "linas", "predictor": "oracle"}, "unknown predictor 'oracle'"),
        ({"constraints": {"power": ("<=", 3)}}, "allowed are accuracy, latency"),
        ({"constraints": [("<=", 3)]}, "must map objective names"),
        ({"progress": 3}, "progress must be"),
        ({"store": 3}, "store must be"),
    ],
)
def test_bad_arguments_are_refused_at_the_door(space, landscape, settings, message):
    with pytest.raises(SearchError, match=message):
        searched(space, landscape.objectives(), **settings)
    assert landscape.calls == []


def test_a_store_of_another_space_is_refused(space, ten, landscape, make_landscape):
    with Store() as store:
        searched(space, landscape.objectives(), store=store)
        with pytest.raises(StoreError, match="belongs to another search space"):
            searched(ten, make_landscape(ten).objectives(), store=store)


class Sloppy:
    """A custom tactic in the published vocabulary that repeats itself."""

    def propose(self, history, n, rng):
        return [{"width": w, "depth": 1} for w in (8, 8, 16, 24)] if len(history) < 4 else []


def test_a_custom_tactic_may_repeat_itself_and_ends_the_search_with_nothing(ten, make_landscape):
    result = searched(ten, make_landscape(ten).objectives(), Sloppy(), budget=8)
    assert [a["width"] for a in result.frame["architecture"]] == [8, 16, 24]
    assert "after 3 evaluations" in result.ended


class Backwards:
    """An engine that works in threads and answers in reverse order."""

    def measure(self, jobs):
        outcomes = []
        for job in jobs:
            thread = threading.Thread(target=lambda job=job: outcomes.extend(LocalEngine().measure([job])))
            thread.start()
            thread.join()
        yield from reversed(outcomes)


def test_the_order_in_which_an_engine_answers_does_not_matter(space, landscape, quick):
    expected = searched(space, landscape.objectives(3), quick)
    result = searched(space, landscape.objectives(3), quick, engine=Backwards())
    assert result.frame.equals(expected.frame)


def test_an_engine_that_loses_jobs_is_noticed(space, landscape):
    class Lossy:
        def measure(self, jobs):
            yield Outcome(next(iter(jobs)), 1.0, None, 0.0)

    with pytest.raises(RuntimeError, match="Lossy left measurements out"):
        searched(space, landscape.objectives(), engine=Lossy())


def test_linas_beats_random_at_equal_evaluations(space, landscape):
    reference = [landscape.accuracy(space.sample(500)).min(), landscape.latency(space.sample(500)).max()]

    def median(tactic):
        runs = [searched(space, landscape.objectives(), tactic, budget=40, seed=seed) for seed in range(3)]
        return np.median([run.hypervolume(reference) for run in runs])

    linas = tactics.create("linas", predictor="ridge", population=30, generations=10)
    assert median(linas) > 1.1 * median("random")


def test_progress_is_told_of_each_evaluation(space, landscape):
    seen = []
    searched(space, landscape.objectives(), progress=lambda history: seen.append(len(history)))
    assert sorted(set(seen)) == list(range(1, 13))


def test_without_a_terminal_progress_is_logged(space, landscape, caplog):
    caplog.set_level(logging.INFO, logger="search")
    searched(space, landscape.objectives(), progress=True)
    lines = [record.getMessage() for record in caplog.records]
    assert "12/12 evaluated; best: accuracy " in lines[-1]
    assert "; hypervolume" in lines[-1]


def test_the_log_counts_failures_and_names_no_best_of_none(ten, caplog):
    caplog.set_level(logging.INFO, logger="search")
    with pytest.raises(SearchError):
        searched(ten, [Objective("accuracy", measure=lambda architectures: 1 / 0)], budget=10, progress=True)
    lines = [record.getMessage() for record in caplog.records if "evaluated" in record.getMessage()]
    assert lines[-1] == "10/10 evaluated; nothing feasible yet; 10 failed"


def test_on_a_terminal_there_is_a_bar(space, landscape, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    searched(space, landscape.objectives(), progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "12/12" in captured.err
    assert "hypervolume" in captured.err


def test_silence_where_it_is_wanted(space, landscape, caplog, capsys):
    caplog.set_level(logging.INFO, logger="search")
    searched(space, landscape.objectives(), progress=False)
    assert caplog.text == ""
    assert capsys.readouterr() == ("", "")
