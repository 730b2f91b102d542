"""Measuring in several processes: crashes, time limits, interrupts, proposals while others measure."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import search
from hardware import Device
from search import Job, Objective, ProcessEngine, RayEngine, SearchError, Store, tactics
from search.apps.search_app import require_undisturbed

MEASURES = '''
import os, signal, threading, time

def value(architectures):
    return [float(sum(a["ks"])) for a in architectures]

class Logged:
    """Writes down who measured what when; accidents by the first kernel size."""
    def __init__(self, log, accidents=(), seconds=0.0):
        self.log, self.accidents, self.seconds = str(log), dict(accidents), seconds
    def __call__(self, architectures):
        (architecture,) = architectures
        with open(self.log, "a") as file:
            file.write(f"{os.getpid()} {architecture.to_json()}\\n")
        accident = self.accidents.get(architecture["ks"][0])
        if accident == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if accident == "exit":
            os._exit(7)
        if accident == "hang":
            time.sleep(60)
        if accident == "raise":
            raise RuntimeError("unlucky")
        time.sleep(self.seconds)
        return value(architectures)

class Unpicklable:
    def __init__(self): self.lock = threading.Lock()
    def __call__(self, architectures): return value(architectures)

class Unrestorable:
    def __reduce__(self): return int, ("not a number",)
    def __call__(self, architectures): return value(architectures)

def environment(architectures):
    return [float(os.environ["CUDA_VISIBLE_DEVICES"] + os.environ["OMP_NUM_THREADS"]) for _ in architectures]
'''


SEED = 3  # draws all three first kernel sizes among 8 architectures


@pytest.fixture
def measures(tmp_path, monkeypatch):
    """A module that worker processes can import."""
    (tmp_path / "measures_for_tests.py").write_text(MEASURES)
    monkeypatch.syspath_prepend(tmp_path)
    import measures_for_tests

    yield measures_for_tests
    del sys.modules["measures_for_tests"]


@pytest.fixture
def engine():
    made = []

    def make(*arguments, **settings):
        made.append(ProcessEngine(*arguments, **{"threads": 1, **settings}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def searched(space, measure, engine, budget=12, tactic="random", **settings):
    objective = Objective("accuracy", measure=measure, scope="v1")
    settings = {"batch_size": 4, "progress": False, **settings}
    return search.run(space, [objective], tactic=tactic, budget=budget, engine=engine, **settings)


def lines(log):
    return [line.split(maxsplit=1) for line in Path(log).read_text().splitlines()]


def running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{process}/stat")  # one that has ended, and nobody asked how, is still listed
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


def wait_until(happened, seconds=120):
    """Fails if something does not happen within a time that is ample on any machine."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def errors_by_kernel(result):
    """Error, or "", by the first kernel size."""
    rows = zip(result.frame["architecture"], result.frame["error"].fillna(""), strict=True)
    return {architecture["ks"][0]: error for architecture, error in rows}


def test_workers_measure_what_one_process_would(space, measures, engine, log):
    expected = searched(space, measures.value, None)
    result = searched(space, measures.Logged(log), engine(2), asynchronous=False)
    assert result.frame.equals(expected.frame)
    workers = {worker for worker, _ in lines(log)}
    assert len(workers) == 2
    assert str(os.getpid()) not in workers


def test_a_closure_can_be_sent(space, engine):
    result = searched(space, lambda archs: [float(a["d"][0]) for a in archs], engine(1), budget=4)
    assert result.frame["accuracy"].tolist() == [float(a["d"][0]) for a in result.frame["architecture"]]


def test_what_crashes_or_hangs_costs_one_measurement(space, measures, engine, log):
    accidents = {3: "kill", 5: "hang"}
    timed = engine(2, timeout=2)
    result = searched(space, measures.Logged(log, accidents), timed, budget=8, batch_size=8, seed=SEED)
    assert errors_by_kernel(result) == {
        3: "accuracy: the worker was killed by SIGKILL",
        5: "accuracy: not measured within the timeout of 2 s",
        7: "",
    }
    assert len(lines(log)) == len({architecture for _, architecture in lines(log)}) == 8


def test_exit_codes_and_exceptions_are_named(space, measures, engine, log):
    result = searched(
        space, measures.Logged(log, {3: "exit", 5: "raise"}), engine(1), budget=8, batch_size=8, seed=SEED
    )
    errors = errors_by_kernel(result)
    assert errors[3] == "accuracy: the worker ended with exit code 7"
    assert errors[5] == "accuracy: RuntimeError: unlucky"


def test_an_idle_worker_that_dies_is_replaced(space, measures, engine):
    one = engine(1)
    jobs = [Job(a, Objective("a", measure=measures.value)) for a in space.sample(2)]
    (first,) = one.measure(jobs[:1])
    one._crew[0]._process.kill()
    one._crew[0]._process.wait()
    (second,) = one.measure(jobs[1:])
    assert first.error is None
    assert second.error is None


def test_objectives_that_cannot_travel_are_named(space, measures, engine):
    with pytest.raises(SearchError, match="'accuracy' cannot be sent to other processes .*LocalEngine"):
        searched(space, measures.Unpicklable(), engine(1))
    with Store() as store:
        with pytest.raises(SearchError, match="cannot restore an objective: ValueError"):
            searched(space, measures.Unrestorable(), engine(1), store=store)
        assert store.measurements() == []


def test_a_worker_that_cannot_start_is_no_failed_measurement(space, measures, engine, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Store() as store:
        with pytest.raises(SearchError, match="could not start: it ended with exit code 1"):
            searched(space, measures.value, engine(2), store=store)
        assert store.measurements() == []


def test_workers_end_with_the_search(space, measures, engine, log):
    searched(space, measures.Logged(log), engine(2), budget=4)
    for worker in {int(worker) for worker, _ in lines(log)}:
        assert not running(worker)


def test_each_worker_sees_its_gpu_and_its_threads(space, measures, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    made = ProcessEngine(gpus="all", threads=3)
    assert made.workers == 2
    jobs = [Job(a, Objective("a", measure=measures.environment)) for a in space.sample(12)]
    seen = {outcome.value for outcome in made.measure(jobs)}
    made.close()
    assert seen == {43.0, 63.0}
    with pytest.raises(SearchError, match=r"some of those seen here \(4, 6\), got \[0\]"):
        ProcessEngine(gpus=[0])
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(SearchError, match="sees no GPU"):
        ProcessEngine(gpus="all")


def test_workers_with_gpus_of_their_own_do_not_disturb_each_other(monkeypatch):
    models = ["A", "A", "B"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,4,6")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("torch.cuda.get_device_name", models.__getitem__)
    apart = ProcessEngine(gpus=[2, 4])
    cpu, gpu = Device("c", backend="torch"), Device("g", backend="cuda_graphs")
    require_undisturbed(["measured_latency", "energy"], [gpu], apart)
    require_undisturbed(["accuracy"], [cpu], ProcessEngine(workers=2))
    for engine in (ProcessEngine(gpus="all"), ProcessEngine(gpus=[2, 4], workers=4), ProcessEngine(workers=2)):
        with pytest.raises(SearchError, match="energy needs the machine for itself: .* engine=gpus"):
            require_undisturbed(["energy"], [gpu], engine)
    with pytest.raises(SearchError, match="measured_latency needs the machine for itself: .* engine.workers=1$"):
        require_undisturbed(["measured_latency"], [gpu, cpu], apart)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers must be an integer of at least 1, got 0"),
        ({"timeout": 0}, "timeout must"),
        ({"timeout": float("inf")}, "timeout must"),
        ({"timeout": "5"}, "timeout must"),
        ({"threads": 0}, "threads must be an integer of at least 1, got 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(SearchError, match=message):
        ProcessEngine(**settings)


def test_without_ray_its_engine_says_what_to_install():
    try:
        import ray  # noqa: F401
    except ImportError:
        with pytest.raises(SearchError, match="pip install ray"):
            RayEngine(2)


# --- proposals while others measure ---


class Slots:
    """An engine of several workers in one thread: finishes jobs in an order that a generator draws."""

    def __init__(self, workers, seed=0):
        self.workers, self.rng, self.most = workers, np.random.default_rng(seed), 0

    def measure(self, jobs):
        jobs, running = iter(jobs), []
        while True:
            while len(running) < self.workers and (job := next(jobs, None)) is not None:
                running.append(job)
            self.most = max(self.most, len(running))
            if not running:
                return
            yield search.engines.perform(running.pop(self.rng.integers(len(running))))


class Watched:
    """A tactic that notes what it was shown."""

    def __init__(self, tactic):
        self.tactic, self.shown = tactic, []

    def propose(self, history, n, rng):
        self.shown.append((n, len(history), len(history.pending)))
        return self.tactic.propose(history, n, rng)


@pytest.fixture(params=tactics.available())
def tactic(request, nearest):
    quick = {"linas": {"population": 20, "generations": 4}}.get(request.param, {})
    if "predictor" in tactics.settings_of(request.param):
        quick["predictor"] = nearest
    return tactics.create(request.param, **quick)


@pytest.mark.parametrize("n_objectives", [2, 3])
def test_every_tactic_proposes_while_others_measure(space, landscape, tactic, n_objectives):
    watched, slots = Watched(tactic), Slots(4)
    objectives = landscape.objectives(n_objectives)
    result = search.run(space, objectives, tactic=watched, budget=20, engine=slots, batch_size=6, progress=False)
    assert len(result.frame) == len(set(result.frame["architecture"])) == 20
    assert len(landscape.calls) == len(set(landscape.calls)) == 20
    assert slots.most == 4
    n_first, *later = [n for n, _, _ in watched.shown]
    assert (n_first, set(later)) == (6, {1})
    assert all(1 <= pending <= 3 for _, _, pending in watched.shown[1:])
    assert set(result.frame["status"]) == {"ok"}


def test_batches_stay_whole_where_that_is_asked_for(space, landscape):
    watched = Watched(tactics.create("random"))
    settings = {"budget": 10, "batch_size": 5, "progress": False}
    search.run(space, landscape.objectives(), tactic=watched, engine=Slots(3), asynchronous=False, **settings)
    assert watched.shown == [(5, 0, 0), (5, 5, 0)]


@pytest.mark.parametrize("stop_at", [1, 5, 6, 11, 19])
def test_an_asynchronous_search_that_was_stopped_measures_nothing_twice(space, landscape, stop_at, tmp_path):
    settings = {"tactic": "nsga2", "budget": 20, "batch_size": 6, "store": tmp_path / "s.sqlite"}

    def stop(history):
        if len(history) >= stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.run(space, landscape.objectives(), engine=Slots(4), progress=stop, **settings)
    with Store(settings["store"]) as store:
        before = {m.architecture.to_json(): m.value for m in store.measurements()}
    assert len(before) == stop_at
    n_before = len(landscape.calls)
    result = search.run(space, landscape.objectives(), engine=Slots(4, seed=1), progress=False, **settings)
    assert len(landscape.calls) == n_before + 20 - stop_at
    assert not set(landscape.calls[n_before:]) & set(before)
    found = {a.to_json(): v for a, v in zip(result.frame["architecture"], result.frame["accuracy"], strict=True)}
    assert before.items() <= found.items()


def test_all_of_the_first_batch_failing_ends_an_asynchronous_search(space):
    def broken(architectures):
        raise OSError("no such checkpoint")

    with pytest.raises(SearchError, match="all 6 architectures of the first batch failed"):
        searched(space, broken, Slots(3), batch_size=6, budget=40)


def test_a_space_that_is_used_up_ends_an_asynchronous_search(ten, make_landscape):
    result = search.run(
        ten, make_landscape(ten).objectives(), tactic="nsga2", budget=50, engine=Slots(4), progress=False
    )
    assert len(result.frame) == 10
    assert "after 10 evaluations" in result.ended


INTERRUPTED = """
import sys
import search
from supernet.space import Choice, SearchSpace
from measures_for_tests import Logged
space = SearchSpace(Choice("ks", (3, 5, 7), repeat=12))
search.run(space, [search.Objective("a", measure=Logged(sys.argv[1], seconds=0.2), scope="v1")], tactic="random",
           budget=40, store=sys.argv[2], engine=search.ProcessEngine(2, threads=1), progress=False)
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_workers_do_not_outlive_a_search_that_is_stopped(measures, log, tmp_path, sent):
    path = os.pathsep.join(map(str, (tmp_path, Path(__file__).parents[2])))
    command = [sys.executable, "-c", INTERRUPTED, str(log), str(tmp_path / "s.sqlite")]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)
    wait_until(lambda: log.exists() and len(lines(log)) >= 5 and len({worker for worker, _ in lines(log)}) == 2)
    process.send_signal(sent)
    assert process.wait(120) != 0
    workers = {int(worker) for worker, _ in lines(log)}
    assert len(workers) == 2
    wait_until(lambda: not any(map(running, workers)))
    with Store(tmp_path / "s.sqlite") as store:
        assert len(lines(log)) - 2 <= len(store.measurements()) <= len(lines(log))


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore::FutureWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_actors_of_ray_measure_what_one_process_would(space, measures, log, monkeypatch):
    pytest.importorskip("ray", reason="needs Ray: pip install ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path or "." for path in sys.path))  # what a cluster has installed
    expected = searched(space, measures.value, None, budget=8, seed=SEED)
    made = RayEngine(2, timeout=5.0, cpus=0.5)
    accidents = {3: "kill", 5: "raise"}
    plain = searched(space, measures.value, made, budget=8, seed=SEED, asynchronous=False)
    assert plain.frame.equals(expected.frame)
    result = searched(space, measures.Logged(log, accidents), made, budget=8, batch_size=8, seed=SEED)
    errors = errors_by_kernel(result)
    assert "Ray actor) has died" in errors[3]
    assert errors[5] == "accuracy: RuntimeError: unlucky"
    assert errors[7] == ""
    assert len({worker for worker, _ in lines(log)}) >= 2
    with pytest.raises(SearchError, match="cannot restore an objective"):
        searched(space, measures.Unrestorable(), made, budget=8)
