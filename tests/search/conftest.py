import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from search import History, Objective, Problem
from supernet.space import Choice, SearchSpace, within_depth

BENCHMARKS = Path(__file__).parents[2] / "benchmarks" / "search"


@pytest.fixture
def benchmarks(monkeypatch):
    """Modules of the benchmarks, which are not installed, can be imported meanwhile."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    yield
    own = {path.stem for path in BENCHMARKS.iterdir()}
    for name in [name for name in sys.modules if name not in before and name.partition(".")[0] in own]:
        del sys.modules[name]


def staged_space():
    """45 genes, some of them inactive."""
    active = within_depth("d", (4,) * 5)
    return SearchSpace(
        Choice("ks", (3, 5, 7), repeat=20, active=active),
        Choice("e", (3, 4, 6), repeat=20, active=active),
        Choice("d", (2, 3, 4), repeat=5),
    )


def ten_space():
    return SearchSpace(Choice("width", (8, 16, 24, 32, 40)), Choice("depth", (1, 2)))


class Landscape:
    """Accuracy with a nonlinear part, a cost and a second quality measure; counts what is measured."""

    def __init__(self, space, seed=0):
        rng = np.random.default_rng(seed)
        self.space = space
        n = int(space.n_values.sum())
        grade = np.concatenate([np.linspace(0.3, 1, int(k)) for k in space.n_values])
        self.gain, self.price = grade * rng.uniform(0.2, 1, n), grade * rng.uniform(0.2, 1, n)
        self.calls = []

    def accuracy(self, architectures):
        self.calls += [a.to_json() for a in architectures]
        return 100 * (1 - np.exp(-self.space.features(architectures) @ self.gain / 10))

    def latency(self, architectures):
        return 1 + self.space.features(architectures) @ self.price

    def size(self, architectures):
        return self.space.features(architectures).sum(axis=1) ** 1.5

    def objectives(self, n=2):
        return [
            Objective("accuracy", goal="max", measure=self.accuracy),
            Objective("latency", goal="min", measure=self.latency, expensive=False),
            Objective("size", goal="min", measure=self.size),
            Objective("margin", goal="max", measure=lambda a: np.sqrt(self.latency(a)), expensive=False),
        ][:n]


class Nearest:
    """A predictor: the value of the nearest architecture known."""

    def fit(self, X, y):
        self.X, self.y = np.asarray(X, dtype=float), np.asarray(y, dtype=float)
        return self

    def predict(self, X):
        distances = ((np.asarray(X, dtype=float)[:, None] - self.X[None]) ** 2).sum(axis=2)
        weights = np.exp(-distances)
        mean = (weights @ self.y + 1e-9 * self.y.mean()) / (weights.sum(axis=1) + 1e-9)
        return mean, np.ones(len(mean))


def measured_history(space, objectives, n, constraints=None, seed=0):
    problem = Problem.of(space, objectives, constraints)
    genes = space.sample_genes(n, np.random.default_rng(seed))
    architectures = space.decode(genes)
    values = np.stack([objective.values(architectures) for objective in problem.objectives], axis=1)
    return History.empty(problem).extended(genes, values, batch=0)


@pytest.fixture
def space():
    return staged_space()


@pytest.fixture
def ten():
    return ten_space()


@pytest.fixture
def landscape(space):
    return Landscape(space)


@pytest.fixture
def make_landscape():
    return Landscape


@pytest.fixture
def nearest():
    return Nearest


@pytest.fixture
def make_history():
    return measured_history


PRELUDE = """
import sys, types
package = types.ModuleType("supernet")  # spaces need numpy only: spare each process the start of torch
package.__path__ = [{path!r}]
sys.modules["supernet"] = package
"""


@pytest.fixture
def start_fresh():
    """Starts Python code in a process of its own; what still runs at the end is killed."""
    root = Path(__file__).parents[2]
    running = []

    def start(code, *arguments, hash_seed=0):
        environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        code = PRELUDE.format(path=str(root / "supernet")) + code
        command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()
