import contextlib
import io
import logging
import sys
from dataclasses import dataclass
from unittest.mock import patch

import absl.logging
import pytest
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode

import search.apps

# Hydra closes all log handlers, and that of absl (which runtimes import) would close what pytest captures with it
absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


def run_in_process(name, *arguments):
    """What `supernet-<name>` does with these arguments, without the start of a process."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    root, argv = logging.getLogger(), sys.argv
    handlers, level = root.handlers[:], root.level
    GlobalHydra.instance().clear()
    sys.argv = [f"supernet-{name}", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.ExitStack() as stack:
            if "-m" not in arguments:  # to learn that no configuration asks for a multirun, Hydra composes all twice
                stack.enter_context(patch.object(Hydra, "get_mode", lambda *_, **__: RunMode.RUN, create=True))
            getattr(search.apps, name)()
    except SystemExit as exit_:
        code = exit_.code or 0
    finally:
        for handler in [handler for handler in root.handlers if handler not in handlers]:
            handler.close()
        root.handlers[:], sys.argv = handlers, argv
        root.setLevel(level)
        GlobalHydra.instance().clear()
    return Ran(code, out.getvalue(), err.getvalue())


def stand_in_table(net, device, backend, path):
    """A latency table without measuring: blocks cost what their MACs say."""
    from hardware import Device, LatencyTable, Measurement
    from hardware.backends import create
    from hardware.provenance import provenance
    from supernet.blockmap import REST

    net.block_map.cover()
    blocks = net.block_map.blocks
    times = {b.key: 0.001 + b.macs * 1e-7 for b in blocks if not b.key.startswith(REST)}
    measured = {key: Measurement(ms, (ms, ms, ms, ms), 1, True) for key, ms in times.items()}
    origin = provenance(create(backend).versions())
    LatencyTable(Device(device, backend), net.block_map.slots, [b.key for b in blocks], measured, [], origin).save(path)


@pytest.fixture(scope="session")
def app():
    return run_in_process


@pytest.fixture(scope="session")
def own(tmp_path_factory):
    """A folder of a user's own configurations, and modules that Python finds.

    Holds supernet=small, a part of the embedded one, supernet=tiny with another space, hardware=mine, task=few, the
    first digits, and task=accidental, which takes task.log=FILE and task.accidents=[[N,what happens at validation N]].
    """
    folder = tmp_path_factory.mktemp("own")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def table(own, tmp_path_factory):
    """A ready latency table of supernet=small for onnxruntime_cpu; those of torch_cpu and mine lie beside it."""
    from accidents_for_tests import small

    folder, net = tmp_path_factory.mktemp("tables"), small()
    for device, backend in (("onnxruntime_cpu", "onnxruntime"), ("torch_cpu", "torch"), ("mine", "onnxruntime")):
        stand_in_table(net, device, backend, folder / f"latency_{device}.json")
    return folder / "latency_onnxruntime_cpu.json"


@pytest.fixture(scope="session")
def small(own, table):
    """Arguments of a small search."""
    quick = ["predictor=ridge", "tactic.population=20", "tactic.generations=4", "task=few", "+task.n_calibration=32"]
    return [f"latency_table={table}", "budget=8", *quick, "supernet=small", "--config-dir", own]


@pytest.fixture(scope="session")
def finished(app, small, tmp_path_factory):
    """The folder of a small finished search, not to be changed, with what it printed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    ran = app("search", *small, "deploy=[0]", f"output={folder}")
    assert ran.code == 0, ran.err
    return folder, ran


@pytest.fixture
def accidental(small, tmp_path):
    """Arguments of the small search, with a log of validations and room for accidents."""
    return [*small, "task=accidental", f"task.log={tmp_path / 'validated.txt'}"]


@pytest.fixture
def other_space(own):
    """Arguments that choose a super-network with another space."""
    return ["--config-dir", own, "supernet=tiny"]


FILES = {
    "supernet/small.yaml": "_target_: accidents_for_tests.small\nname: digits_mobilenetv3\ncheckpoint: embedded\n",
    "supernet/tiny.yaml": "_target_: accidents_for_tests.Tiny\n",
    "hardware/mine.yaml": "_target_: hardware.Device\nname: mine\nbackend: onnxruntime\nthreads: 1\nbatch_size: 1\n",
    "task/few.yaml": "_target_: accidents_for_tests.few\n",
    "task/accidental.yaml": "_target_: accidents_for_tests.Accidental\nlog: ???\naccidents: []\n",
    "accidents_for_tests.py": '''
"""Super-networks and a task for tests."""
import os, signal
from dataclasses import replace
from pathlib import Path
from torch import nn
import supernet
from supernet import Choice, SearchSpace, SuperNetwork
from supernet.tasks import digits

def small(name="digits_mobilenetv3", checkpoint="embedded"):
    net = supernet.create(name, checkpoint=checkpoint)
    fewer = {"ks": (3, 5), "e": (3, 4), "d": (2, 3), "r": (8, 16)}
    net.space = SearchSpace(*(replace(choice, values=fewer[choice.name]) for choice in net.space.choices))
    return net

def few(**settings):
    task = digits(**settings)
    return replace(task, splits={name: images.subset(range(100)) for name, images in task.splits.items()})

class Tiny(SuperNetwork):
    space = SearchSpace(Choice("width", (4, 8, 16)), Choice("kernel", (1, 3, 5)))
    input_shape = (1, 32, 32)

    def build(self, architecture):
        width, kernel = architecture["width"], architecture["kernel"]
        return nn.Sequential(nn.Conv2d(1, width, kernel, padding=kernel // 2), nn.ReLU(),
                             nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))

class Accidental:
    def __init__(self, log, accidents, **settings):
        self._digits, self._log, self._accidents = few(**settings), Path(log), dict(accidents)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._digits, name)

    def evaluate(self, model, split="validation"):
        metrics = self._digits.evaluate(model, split)
        if split != "validation":
            return metrics
        n = len(self._log.read_text().splitlines()) if self._log.exists() else 0
        accident = self._accidents.get(n)
        if accident in ("SIGKILL", "SIGINT"):
            os.kill(os.getpid(), getattr(signal, accident))
        with self._log.open("a") as file:
            file.write(f"{sum(p.numel() for p in model.parameters())}\\n")
        if accident == "raise":
            raise RuntimeError("out of luck")
        return {"top1": float("nan")} if accident == "no number" else metrics
''',
}
