"""Devices that are elsewhere, from the command line."""

import json
import shutil
import subprocess
import sys

import pytest


@pytest.fixture
def there(app, own, tmp_path):
    """Arguments of a profile, and the bundle that `supernet-profile bundle` wrote for a device, taken there."""
    arguments = ["supernet=tiny", "hardware.name=board", "check=3", f"output={tmp_path / 'run'}", "--config-dir", own]
    ran = app("profile", "bundle", *arguments)
    assert ran.code == 0, ran.err
    assert "python3 profile.py" in ran.out
    shutil.copytree(tmp_path / "run" / "profile_board", tmp_path / "board")
    return arguments, tmp_path / "board"


def test_a_table_of_a_device_elsewhere(app, there, tmp_path):
    arguments, board = there
    ran = app("profile", "import", *arguments)
    assert ran.code == 2
    assert "run `python3 profile.py`" in ran.err
    subprocess.run([sys.executable, board / "profile.py"], check=True, capture_output=True, timeout=120)
    ran = app("profile", "import", *arguments, f"results={board / 'results.jsonl'}")
    assert ran.code == 0, ran.err
    assert "smallest sub-network" in ran.out
    table = json.loads((tmp_path / "run" / "latency_board.json").read_text())
    assert table["device"]["name"] == "board"
    without_name = [given for given in arguments if "name=" not in str(given)]
    ran = app("profile", "import", *without_name, f"bundle={board}", f"results={board / 'results.jsonl'}")
    assert ran.out.strip().endswith("latency_board.json")
    changed = (board / "results.jsonl").read_text().replace('"median_ms":', '"median_ms":1', 1)
    (board / "results.jsonl").write_text(changed)
    ran = app("profile", "import", *arguments, f"results={board / 'results.jsonl'}")
    assert ran.code == 2
    assert "line 2" in ran.err


def test_a_bundle_of_other_settings_is_not_run_on_a_host(app, there):
    arguments, _ = there
    ran = app("profile", *arguments, "hardware.batch_size=8", "host=nowhere")
    assert ran.code == 2
    for part in ("profile_board", "device", "'batch_size': 1", "'batch_size': 8", "remove it"):
        assert part in ran.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["fetch"], ["unknown action 'fetch'", "build, bundle, import"]),
        (["check=3", "fetch"], ["unknown action 'fetch'"]),
        (["host=-v"], ["host must be", "-v"]),
        (["bundle", "hardware=torch_cpu"], ["onnxruntime", "torch"]),
        (["import", "bundle=/nowhere"], ["/nowhere", "not a profile bundle"]),
    ],
)
def test_mistakes(app, own, tmp_path, arguments, parts):
    ran = app("profile", *arguments, "supernet=tiny", f"output={tmp_path}", "--config-dir", own)
    assert ran.code == 2, (ran.out, ran.err)
    assert len(ran.err.strip().splitlines()) == 1
    for part in parts:
        assert part in ran.err
