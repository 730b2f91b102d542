"""The examples and the README's code do what they say."""

import runpy
from dataclasses import replace
from pathlib import Path

from supernet import SearchSpace

ROOT = Path(__file__).parents[1]


def test_a_custom_super_network_is_searched_and_deployed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(ROOT / "examples" / "custom_supernetwork.py"))
    result = example["main"](folder=str(tmp_path), epochs=2, budget=12)
    assert len(result.frame) == 12
    assert (tmp_path / "bundle" / "run.py").is_file()


def python_code(section):
    """The first Python block below a heading of the README."""
    text = (ROOT / "README.md").read_text().split(f"\n## {section}\n")[1]
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
