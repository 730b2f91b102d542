"""Searches and stores under interleaved writers and interruptions at any point, drawn by hypothesis."""

import threading

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

import search
from search import Measurement, Objective, Store, Trial, tactics
from search.engines import perform
from search.records import PriorValue
from supernet.space import Choice, SearchSpace

SPACE = SearchSpace(Choice("a", (1, 2, 3), repeat=4), Choice("b", (1, 2)))
ARCHITECTURES = SPACE.sample(40)
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


class Writers(RuleBasedStateMachine):
    """Several connections to one file behave as one store that commits each operation as a whole."""

    connections = Bundle("connections")

    @initialize(target=connections)
    def open_first(self):
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "s.sqlite"
        self.measured, self.trials, self.told, self.opened = {}, [], None, []
        return self.open()

    @rule(target=connections)
    def open(self):
        store = Store(self.path)
        store.bind(SPACE)
        self.opened.append(store)
        return store

    @rule(store=connections, which=st.integers(0, 9), value=st.floats(-5, 5))
    def record(self, store, which, value):
        kept = store.record(Measurement(ARCHITECTURES[which], "a", "", value, None, 0.0))
        assert kept.value == self.measured.setdefault(ARCHITECTURES[which], value)

    @rule(store=connections, size=st.integers(1, 3), behind=st.integers(0, 2))
    def add_batch(self, store, size, behind):
        study = store.study({"one": 1}, 3)
        start = max(0, len(self.trials) - behind)
        new = [a for a in ARCHITECTURES if a not in {t.architecture for t in self.trials}][:size]
        batch = [Trial(start + i, start, architecture) for i, architecture in enumerate(new)]
        if batch:
            held = store.add_batch(study, batch)
            if start == len(self.trials):
                self.trials = self.trials + batch
            assert held == self.trials[start:]

    @rule(store=connections, n_known=st.integers(0, 2), n_told=st.integers(0, 2))
    def begin(self, store, n_known, n_told):
        study = store.study({"other": 2}, 3)
        known = [Trial(i, -1, architecture) for i, architecture in enumerate(ARCHITECTURES[:n_known])]
        told = [PriorValue("a", "x", architecture, 1.0) for architecture in ARCHITECTURES[:n_told]]
        store.begin(study, known, told)
        if self.told is None or self.told == ([], []):
            self.told = (known, told)
        assert (store.trials(study), store.prior_values(study)) == self.told
        assert store.has_begun(study) == (self.told != ([], []))

    @invariant()
    def all_see_the_same(self):
        for store in self.opened[-2:]:
            assert {m.architecture: m.value for m in store.measurements()} == self.measured
            assert store.trials(store.study({"one": 1}, 3)) == self.trials

    def teardown(self):
        for store in getattr(self, "opened", []):
            store.close()
        if hasattr(self, "folder"):
            self.folder.cleanup()


Writers.TestCase.settings = settings(max_examples=15, stateful_step_count=15, **QUIET)
TestWriters = Writers.TestCase


class Shuffled:
    """An engine that keeps several jobs and finishes any of them next."""

    def __init__(self, workers, seed):
        self.workers, self.rng = workers, np.random.default_rng(seed)

    def measure(self, jobs):
        jobs, running = iter(jobs), []
        while True:
            while len(running) < self.workers and (job := next(jobs, None)) is not None:
                running.append(job)
            if not running:
                return
            yield perform(running.pop(self.rng.integers(len(running))))


def searched(store, calls, budget, stop_at=None, **settings):
    weights = np.sin(np.arange(float(SPACE.n_values.sum())))

    def measure(architectures):
        calls.append(architectures[0].to_json())
        if architectures[0]["a"][0] == 2:
            raise RuntimeError("unlucky")
        return SPACE.features(architectures) @ weights

    objectives = [
        Objective("a", measure=measure, scope="v"),
        Objective("b", measure=lambda archs: SPACE.features(archs) @ weights[::-1], scope="v"),
        Objective("c", goal="min", measure=lambda archs: SPACE.features(archs).sum(axis=1), expensive=False),
    ]

    def progress(history):
        if stop_at is not None and len(history) >= stop_at:
            raise KeyboardInterrupt

    return search.run(SPACE, objectives, store=store, budget=budget, progress=progress, **settings)


@given(
    workers=st.integers(1, 4),
    batch_size=st.integers(2, 6),
    stops=st.lists(st.integers(1, 17), max_size=3),
    asynchronous=st.booleans(),
    tactic=st.sampled_from(["random", "nsga2"]),
    seed=st.integers(0, 3),
)
@settings(max_examples=12, **QUIET)
def test_a_search_stopped_anywhere_loses_nothing(
    workers, batch_size, stops, asynchronous, tactic, seed, tmp_path_factory
):
    settings = {"tactic": tactics.create(tactic), "budget": 18, "batch_size": batch_size, "asynchronous": asynchronous}
    path, calls = tmp_path_factory.mktemp("s") / "store.sqlite", []
    for i, stop in enumerate(stops):
        try:
            searched(path, calls, stop_at=stop, engine=Shuffled(workers, seed + i), **settings)
        except KeyboardInterrupt:
            pass
    with Store(path) as store:
        before = {m.architecture.to_json(): m.value for m in (store.measurements("a", "v") if stops else [])}
    result = searched(path, calls, engine=Shuffled(workers, seed), **settings)
    assert len(result.frame) == len(set(result.frame["architecture"])) == 18
    assert len(calls) == len(set(calls)) == 18
    found = {a.to_json(): v for a, v in zip(result.frame["architecture"], result.frame["a"], strict=True)}
    assert {key: value for key, value in before.items() if np.isfinite(value)}.items() <= found.items()
    if not asynchronous:
        whole = searched(None, [], engine=Shuffled(1, 0), **settings)
        assert result.frame.equals(whole.frame)


def test_searches_of_one_study_side_by_side_share_the_work(tmp_path):
    """Threads stand for processes: each has its own connection."""
    calls, results, settings = [[], [], []], [None] * 3, {"tactic": "nsga2", "budget": 30, "batch_size": 6}
    under_way, others_done = threading.Event(), threading.Event()

    class Paused(list):
        """The first search rests within its tenth measurement until the others are done."""

        def append(self, call):
            super().append(call)
            if len(self) == 10:
                under_way.set()
                others_done.wait(240)

    calls[0] = Paused()

    def one(number):
        results[number] = searched(tmp_path / "s.sqlite", calls[number], **settings).frame

    first, *others = (threading.Thread(target=one, args=(number,), daemon=True) for number in range(3))
    first.start()
    assert under_way.wait(120)
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    others_done.set()
    first.join()
    assert results[0].equals(results[1])
    assert results[0].equals(results[2])
    assert len(calls[0]) == 10
    assert not set(calls[0][:9]) & {*calls[1], *calls[2]}
    assert len({call for listed in calls for call in listed}) == 30
