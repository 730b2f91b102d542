"""A new device from a few measurements, from the command line."""

import csv
import json
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from hardware import load_latency


def write(path, header, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def on_phone(net, architectures):
    costs = net.costs(architectures)
    return 2 + costs["macs"] / 3e5 + costs["params"] / 1e6


@pytest.fixture(scope="module")
def net(own):
    from accidents_for_tests import small

    return small()


@pytest.fixture(scope="module")
def published(net, tmp_path_factory):
    """Two phones with supernet=small."""
    architectures = net.space.sample(30, 0)
    costs = net.costs(architectures)
    columns = (architectures, 1 + costs["macs"] / 1e5, 1 + costs["params"] / 1e5)
    rows = [(a.to_json(), old, new) for a, old, new in zip(*columns, strict=True)]
    return write(tmp_path_factory.mktemp("published") / "phones.csv", ("architecture", "old", "new"), rows)


@pytest.fixture(scope="module")
def tiny(own, tmp_path_factory):
    """Arguments of a profile of supernet=tiny, with one known device."""
    from accidents_for_tests import Tiny

    net = Tiny()
    architectures = net.space.sample(9, 0)
    rows = [(a.to_json(), 1 + m / 1e6) for a, m in zip(architectures, net.costs(architectures)["macs"], strict=True)]
    path = write(tmp_path_factory.mktemp("tiny") / "known.csv", ("architecture", "ms"), rows)
    return ["supernet=tiny", f"sources=[{path}]", "measurements=5", "--config-dir", own]


def test_which_ten_to_measure_then_the_table_then_a_search(app, own, net, small, published, tmp_path):
    arguments = ["supernet=small", "hardware=imported", "hardware.name=third", f"output={tmp_path}"]
    arguments += [f"sources=[{published}]", "--config-dir", own]
    ran = app("profile", *arguments)
    assert ran.code == 0, ran.err
    path = tmp_path / "measure_third.csv"
    assert f"results={path}" in ran.out
    frame = pd.read_csv(path)
    assert len(frame) == 10
    assert frame["latency_ms"].isna().all()

    ran = app("profile", *arguments, f"results={path}")
    assert ran.code == 2
    assert "fill in the column latency_ms" in ran.err
    ran = app("profile", *arguments)
    assert ran.code == 2
    assert "is there already" in ran.err

    frame["latency_ms"] = on_phone(net, [net.space.validate(json.loads(text)) for text in frame["architecture"]])
    frame.to_csv(path, index=False)
    ran = app("profile", *arguments, f"results={path}")
    assert ran.code == 0, ran.err
    assert "10 measurements and 2 known devices: mean error" in ran.out
    model = load_latency(tmp_path / "latency_third.json")
    unseen = net.space.sample(200, 5)
    assert np.mean(np.abs(model.latency(unseen) / on_phone(net, unseen) - 1)) < 0.1

    searching = [f"latency_table={tmp_path}", f"output={tmp_path / 'search'}", *small[1:], "deploy=none"]
    ran = app("search", "hardware=imported", "hardware.name=third", *searching)
    assert ran.code == 0, ran.err
    front = pd.read_csv(tmp_path / "search" / "front.csv")
    np.testing.assert_allclose(front["latency"], model.latency([json.loads(a) for a in front["architecture"]]))


def test_this_machine_is_measured(app, tiny, tmp_path):
    ran = app("profile", *tiny, "hardware=mine", f"output={tmp_path}")
    assert ran.code == 0, ran.err
    assert "5 measurements and 1 known device:" in ran.out
    model = load_latency(tmp_path / "latency_mine.json")
    assert len(model.latencies_ms) == 5
    assert "onnxruntime" in model.provenance["versions"]


def test_a_bundle_measures_elsewhere(app, tiny, tmp_path):
    arguments = [*tiny, "hardware.name=board", f"output={tmp_path / 'run'}"]
    ran = app("profile", "bundle", *arguments)
    assert ran.code == 0, ran.err
    assert "supernet-profile import sources=[" in ran.out
    shutil.copytree(tmp_path / "run" / "profile_board", tmp_path / "board")
    done = subprocess.run([sys.executable, tmp_path / "board" / "profile.py"], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    ran = app("profile", "import", *arguments, f"results={tmp_path / 'board' / 'results.jsonl'}")
    assert ran.code == 0, ran.err
    model = load_latency(tmp_path / "run" / "latency_board.json")
    assert len(model.latencies_ms) == 5
    assert model.provenance["sources"][0]["device"] == "known_ms"


def test_a_machine_behind_ssh_is_measured(app, tiny, loopback, tmp_path):
    """Ten chosen sub-networks there, a cut connection on the way; the same command goes on."""
    there = ["host=me@127.0.0.1", f"python={sys.executable}", f"ssh='{shlex.join(loopback.ssh)}'"]
    arguments = [*tiny, *there, "hardware.name=board", f"output={tmp_path}"]
    (loopback.folder / "cut").write_text("group 1 of")
    ran = app("profile", *arguments)
    assert ran.code != 0
    assert "me@127.0.0.1, measuring in .cache/" in ran.err
    assert ": the connection failed or was cut" in ran.err
    assert not (tmp_path / "latency_board.json").exists()
    ran = app("profile", *arguments)
    assert ran.code == 0, ran.err
    assert "5 measurements and 1 known device:" in ran.out
    model = load_latency(tmp_path / "latency_board.json")
    assert model.device.name == "board"
    assert len(model.latencies_ms) == len(set(model.architectures)) == 5
    assert model.error["n_architectures"] == 5
    assert "onnxruntime" in model.provenance["versions"]
    again = app("profile", *arguments)
    assert again.code == 0, again.err
    np.testing.assert_array_equal(load_latency(tmp_path / "latency_board.json").latencies_ms, model.latencies_ms)


def test_a_machine_that_cannot_be_reached_is_named(app, tiny, tmp_path):
    ran = app("profile", *tiny, "host=nowhere", "ssh='ssh -F none -p 1'", f"output={tmp_path}")
    assert ran.code == 2
    assert len(ran.err.strip().splitlines()) <= 2
    assert "nowhere" in ran.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["sources=nothing.json"], ["sources must list files"]),
        (["sources=[nothing.json]"], ["nothing.json", "No such file"]),
        (["sources=[nothing.csv]"], ["nothing.csv"]),
        (["measurements=0"], ["must lie in 1..", "got 0"]),
        (["fetch"], ["unknown action 'fetch'"]),
        (["import"], ["not a profile bundle"]),
    ],
)
def test_mistakes(app, tiny, tmp_path, arguments, parts):
    word, settings = [a for a in arguments if "=" not in a], [a for a in arguments if "=" in a]
    ran = app("profile", *word, *tiny, *settings, f"output={tmp_path}")
    assert ran.code == 2, (ran.out, ran.err)
    assert len(ran.err.strip().splitlines()) == 1
    for part in parts:
        assert part in ran.err


def test_sources_of_another_space_are_refused(app, own, published, table, tmp_path):
    settings = ["supernet=tiny", f"sources=[{table}]", f"output={tmp_path}", "--config-dir", own]
    ran = app("profile", *settings)
    assert ran.code == 2
    assert "of another search space" in ran.err
