"""Searches that are killed with SIGKILL and started again, in fresh processes with other hash seeds."""

import json
import signal
import time

import pytest

STUDY = """
import json, os, signal, sys
from pathlib import Path
import numpy as np
import search
from search import Objective, tactics
from supernet.space import Choice, SearchSpace

store, log, seed, moment, at, pause = sys.argv[1:]
space = SearchSpace(Choice("a", (1, 2, 3), repeat=10), Choice("b", (1, 2)))
weights = np.sin(np.arange(32.0))

def die(now, n):
    if (now, n) == (moment, int(at)):
        os.kill(os.getpid(), signal.SIGKILL)

def accuracy(architectures):
    die("measure", len(Path(log).read_text().splitlines()))
    (architecture,) = architectures
    if float(pause):
        import time; time.sleep(float(pause))
    with open(log, "a") as file:
        file.write(architecture.to_json() + "\\n")
    if architecture["a"][0] == 2:
        raise RuntimeError("unlucky")
    return space.features(architectures) @ weights

class LeastSquares:
    def fit(self, X, y):
        self.w = np.linalg.lstsq(X, y, rcond=1e-3)[0]
    def predict(self, X):
        return X @ self.w, np.ones(len(X))

class Dying:
    def __init__(self, tactic):
        self.tactic = tactic
    def propose(self, history, n, rng):
        proposal = self.tactic.propose(history, n, rng)
        die("propose", len(history))
        return proposal

objectives = [Objective("accuracy", measure=accuracy, scope="v1"),
              Objective("cost", goal="min", measure=lambda a: space.features(a) @ np.arange(32.0), expensive=False)]
tactic = Dying(tactics.create("linas", predictor=LeastSquares, population=20, generations=4))
result = search.run(space, objectives, tactic=tactic, budget=30, batch_size=7, seed=int(seed), store=store,
                    progress=lambda history: die("progress", len(history)))
assert "sklearn" not in sys.modules, "only other tactics need it, and it takes long to import"
rows = [[a.to_json(), *map(repr, row)] for a, *row in result.frame.itertuples(index=False)]
print(json.dumps([rows, result.hypervolume()]))
"""


@pytest.fixture
def start(start_fresh, tmp_path):
    def start(folder, moment="never", at=-1, hash_seed=0, seed=3, pause=0.0):
        folder = tmp_path / folder
        folder.mkdir(exist_ok=True)
        (folder / "log").touch()
        return start_fresh(STUDY, folder / "store.sqlite", folder / "log", seed, moment, at, pause, hash_seed=hash_seed)

    return start


def calls(folder):
    return (folder / "log").read_text().splitlines()


def finished(process):
    output, _ = process.communicate()
    assert process.returncode == 0
    return json.loads(output)


def test_a_search_killed_at_any_moment_ends_like_one_that_was_not(start, tmp_path):
    expected = start("whole")
    for i, (moment, at) in enumerate([("measure", 3), ("propose", 7), ("progress", 11)]):
        process = start("killed", moment, at, hash_seed=i)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    rows, hypervolume = finished(start("killed", hash_seed=9))
    assert [rows, hypervolume] == finished(expected)
    assert len(rows) == 30
    assert any("unlucky" in row[4] for row in rows)
    assert calls(tmp_path / "killed") == calls(tmp_path / "whole")
    assert len(set(calls(tmp_path / "killed"))) == 30


def test_a_kill_from_outside_repeats_at_most_the_measurement_in_progress(start, tmp_path):
    process = start("outside", pause=0.01)
    (tmp_path / "outside" / "log").touch()
    deadline = time.monotonic() + 60
    while len(calls(tmp_path / "outside")) < 9 and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    rows, _ = finished(start("outside"))
    assert len(rows) == 30
    assert 30 <= len(calls(tmp_path / "outside")) <= 31


def test_processes_that_search_at_once_in_one_store(start, tmp_path):
    """Two run the same study, one another: the same rows for the former, and all three finish."""
    (tmp_path / "shared").mkdir()
    running = [start("shared", seed=seed, pause=0.002) for seed in (3, 3, 4)]
    (first, _), (second, _), (other, _) = map(finished, running)
    assert first == second
    assert first != other
    assert len(other) == 30
