"""The examples and the README's code do what they say."""

import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import supernet.tasks
from hardware import LatencyTable, Protocol
from supernet import SearchSpace

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def less_to_do(monkeypatch):
    """A part of the handwritten digits, and short measurements of few sub-networks."""
    digits = supernet.tasks.digits

    def few(**settings):
        task = digits(**settings | {"n_calibration": 64})
        return replace(task, splits={name: images.subset(range(200)) for name, images in task.splits.items()})

    monkeypatch.setattr(supernet.tasks, "digits", few)
    quick = {"n_probes": 4, "n_held_out": 4, "protocol": Protocol(rounds=6, most_rounds=12)}
    monkeypatch.setattr(LatencyTable, "build", partial(LatencyTable.build, **quick))


def test_a_custom_super_network_is_searched_and_deployed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(ROOT / "examples" / "custom_supernetwork.py"))
    result = example["main"](folder=str(tmp_path), epochs=2, budget=12)
    assert len(result.frame) == 12
    assert (tmp_path / "bundle" / "run.py").is_file()


def test_a_custom_tactic_predictor_and_objective(tmp_path):
    example = runpy.run_path(str(ROOT / "examples" / "custom_tactic.py"))
    results = example["main"](store=str(tmp_path / "store.sqlite"), budget=5)
    assert [len(result.frame) for result in results.values()] == [5, 5]
    assert all((result.frame["status"] == "ok").all() for result in results.values())
    assert results["Linas"].frame["predicted_accuracy"].notna().any()


def test_a_custom_device():
    measured = runpy.run_path(str(ROOT / "examples" / "custom_device.py"))["main"]()
    assert all(smallest.median_ms < largest.median_ms for smallest, largest in measured.values())


def test_searches_are_compared_as_the_guide_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, accuracy in (("tactic=linas", 92.0), ("tactic=random", 91.0)):
        (tmp_path / "runs/compare" / name).mkdir(parents=True)
        rows = f"id,accuracy,macs,status\n0,{accuracy},4e6,ok\n1,99,1e6,infeasible\n"
        (tmp_path / "runs/compare" / name / "results.csv").write_text(rows)
    exec(compile(python_code("Comparing searches", "docs/extending.md"), "extending.md", "exec"), {})
    assert capsys.readouterr().out == "tactic=linas 2000000.0\ntactic=random 1000000.0\n"


def python_code(section, file="README.md"):
    """The first Python block below a heading of a page."""
    text = (ROOT / file).read_text().split(f"\n## {section}\n")[1]
    return text.split("```python\n")[1].split("```")[0]


PROGRAM, CUSTOM = "From Python", "Your own super-network"


def test_the_python_interface_takes_less_than_25_lines():
    assert all(len(python_code(section).strip().splitlines()) < 25 for section in (PROGRAM, CUSTOM))


def part(space):
    """Few of the blocks to measure."""
    values = {"ks": (3,), "e": (3, 4), "d": (2,), "r": (8,)}
    return SearchSpace(*(replace(choice, values=values[choice.name]) for choice in space.choices))


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = python_code(PROGRAM).replace("budget=80", "budget=8").splitlines()
    (made,) = (number for number, line in enumerate(lines) if line.startswith("net = "))
    lines.insert(made + 1, "net.space = part(net.space)")
    exec(compile("\n".join(lines), "README.md", "exec"), {"part": part})
    assert (tmp_path / "bundle" / "run.py").is_file()
    names = {}
    exec(compile(python_code(CUSTOM), "README.md", "exec"), names)
    net = names["TinyNet"]()
    assert net.costs([net.smallest, net.largest])["params"][1] > net.costs([net.smallest])["params"][0]
