"""Profile bundles: measured by a program that knows nothing of this framework, on this machine and over SSH."""

import ast
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware import Device, DeviceError, LatencyTable, Protocol, TableError
from hardware.remote import Host, RemoteError, read_measurements, read_profile, write_profile_bundle
from hardware.remote.templates.ledger import Ledger, LedgerError, digest_of
from supernet.families.mobilenetv3 import ElasticMobileNetV3, Stage

QUICK = Protocol(rounds=3, most_rounds=4, sample_ms=0.2)
DEVICE = Device("board", "onnxruntime")


@pytest.fixture(scope="module")
def net():
    settings = {"stem_width": 8, "head_widths": (24, 16), "num_classes": 5, "in_chans": 1, "resolutions": (16,)}
    return ElasticMobileNetV3(
        [Stage(8, 2, "re")], **settings, depths=(1, 2), kernel_sizes=(3, 5, 7), expand_ratios=(3,)
    )


@pytest.fixture(scope="module")
def fresh(net, tmp_path_factory):
    """A bundle that nobody ran."""
    folder = tmp_path_factory.mktemp("fresh") / "bundle"
    options = {"n_probes": 4, "n_held_out": 4, "group": 3, "protocol": QUICK, "progress": False}
    return write_profile_bundle(net, DEVICE, folder, **options)


@pytest.fixture(scope="module")
def measured(fresh, tmp_path_factory):
    """The same, after its program ran elsewhere and its results came back."""
    there, here = tmp_path_factory.mktemp("there") / "copy", tmp_path_factory.mktemp("here") / "bundle"
    shutil.copytree(fresh, here)
    shutil.copytree(fresh, there, ignore=shutil.ignore_patterns("table.json"))
    done = run_program(there)
    assert done.returncode == 0, done.stderr
    shutil.copy(there / "results.jsonl", here)
    return here


@pytest.fixture
def bundle(fresh, tmp_path):
    return Path(shutil.copytree(fresh, tmp_path / "bundle"))


def run_program(folder, **options):
    command = [sys.executable, "-I", str(folder / "profile.py")]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=240, **options)


def test_results_become_the_table_of_the_device(net, measured):
    table = read_profile(measured)
    assert table.complete
    assert table.device == DEVICE
    assert set(table.blocks) == {block.key for block in net.inference_map.cover()}
    assert table.provenance["versions"].keys() == {"onnxruntime"}
    assert table.error["n_architectures"] == 4
    told = [json.loads(line) for line in (measured / "results.jsonl").read_text().splitlines()]
    assert all(f"{table.blocks[key].median_ms}" in json.dumps(told) for key in table.blocks)
    assert (table.latency([net.smallest, net.largest]) > 0).all()


def test_the_program_runs_with_python_3_9(bundle):
    """As far as that can be seen here: without what the standard library had later."""
    code = (
        "import datetime, runpy, sys; del datetime.UTC; sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    program = [sys.executable, "-I", "-c", code, str(bundle / "profile.py")]
    done = subprocess.run(program, capture_output=True, text=True, cwd="/", timeout=240)
    assert done.returncode == 0, done.stderr
    for path in bundle.rglob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 9))


def bytes_at_once(folder):
    """The size of all models of a group, for each group."""
    groups = json.loads((folder / "manifest.json").read_text())["groups"]
    with zipfile.ZipFile(folder / "models.zip") as archive:
        sizes = {info.filename.removesuffix(".onnx"): info.file_size for info in archive.infolist()}
    return [sum(sizes[name] for name in [*group["blocks"], *group["whole"]]) for group in groups]


def test_what_is_on_the_device_at_once_fits_its_memory(net, tmp_path):
    options = {"n_probes": 4, "n_held_out": 4, "protocol": QUICK, "progress": False}
    plenty = bytes_at_once(write_profile_bundle(net, DEVICE, tmp_path / "plenty", **options))
    bundle = write_profile_bundle(net, DEVICE, tmp_path / "small", **options, memory_mb=0.05)
    assert len(plenty) == 1
    assert len(bytes_at_once(bundle)) > 2
    assert max(bytes_at_once(bundle)) < plenty[0] / 2
    assert run_program(bundle).returncode == 0
    table = read_profile(bundle)
    assert table.complete
    assert set(table.blocks) == {block.key for block in net.inference_map.cover()}
    assert all(1 <= len(probe.medians_ms) <= 2 for probe in table.probes)


def test_measurements_of_whole_sub_networks_take_turns_where_memory_is_small(net, tmp_path):
    chosen = net.space.sample(3)
    options = {"architectures": chosen, "protocol": QUICK, "progress": False, "memory_mb": 0.02}
    bundle = write_profile_bundle(net, DEVICE, tmp_path / "few", **options)
    assert len(bytes_at_once(bundle)) == 3
    assert run_program(bundle).returncode == 0
    architectures, latencies, _ = read_measurements(bundle)
    assert architectures == chosen
    assert (latencies > 0).all()


def test_sizes_that_hold_nothing_are_refused(net, tmp_path):
    for name, value in {"group": 0, "memory_mb": 0, "architectures": []}.items():
        with pytest.raises(ValueError, match=f"{name} must"):
            write_profile_bundle(net, DEVICE, tmp_path / "b", progress=False, **{name: value})


def test_cores_that_a_machine_lacks_are_refused_there(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["device"]["cores"] = [9999]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    done = run_program(bundle)
    assert done.returncode == 1
    assert "core 9999 of the device" in done.stderr


def test_blocks_of_a_bundle_take_as_long_as_here(net, measured):
    here = LatencyTable.build(net, DEVICE, n_probes=4, protocol=QUICK, progress=False)
    there = read_profile(measured)
    ratios = [there.blocks[key].median_ms / here.blocks[key].median_ms for key in here.blocks]
    assert 0.1 < np.median(ratios) < 10  # made-up weights, other process, busy machine: the same work


def test_the_program_imports_nothing_of_this_framework(fresh):
    code = "".join(path.read_text() for path in fresh.rglob("*.py"))
    for package in ("torch", "supernet", "hardware", "scipy"):
        assert f"import {package}" not in code
        assert f"from {package}" not in code


KILLED = """
import os, runpy, signal, sys
class Deadly:
    def write(self, text):
        if "group 2" in text:
            os.kill(os.getpid(), signal.SIGKILL)
    def flush(self): pass
sys.argv = sys.argv[1:]
sys.stderr = Deadly()
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_stopped_program_goes_on(bundle):
    killed = subprocess.run([sys.executable, "-I", "-c", KILLED, str(bundle / "profile.py")])
    assert killed.returncode == -signal.SIGKILL
    with pytest.raises(TableError, match=r"1 of \d+ groups"):
        read_profile(bundle)
    kept = (bundle / "results.jsonl").read_bytes().splitlines()[:2]
    assert run_program(bundle).returncode == 0
    assert (bundle / "results.jsonl").read_bytes().splitlines()[:2] == kept
    assert read_profile(bundle).complete


def test_a_line_cut_off_half_way_is_measured_again(measured, tmp_path):
    bundle = shutil.copytree(measured, tmp_path / "bundle")
    content = (bundle / "results.jsonl").read_bytes()
    (bundle / "results.jsonl").write_bytes(content[:-40])
    assert run_program(bundle).returncode == 0
    again = (bundle / "results.jsonl").read_bytes()
    assert again.splitlines()[:-1] == content.splitlines()[:-1]
    assert read_profile(bundle).complete


def _faster(line):
    data = json.loads(line)
    name = next(iter(data["record"]["measurements"]))
    data["record"]["measurements"][name]["median_ms"] /= 2
    return json.dumps(data).encode()


TAMPERED = {
    "a number": lambda lines: [lines[0], _faster(lines[1]), *lines[2:]],
    "the last number": lambda lines: [*lines[:-1], _faster(lines[-1])],
    "order": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "a missing line": lambda lines: [lines[0], *lines[2:]],
    "the machine": lambda lines: [lines[0].replace(b'"cpu":"', b'"cpu":"Other '), *lines[1:]],
    "no JSON": lambda lines: [lines[0], b"latency,1.0", *lines[2:]],
    "nothing": lambda lines: [],
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED.keys())
def test_tampered_results_are_rejected(measured, tmp_path, tamper):
    lines = tamper((measured / "results.jsonl").read_bytes().splitlines())
    changed = tmp_path / "results.jsonl"
    changed.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(TableError, match=r"results\.jsonl"):
        read_profile(measured, changed)


def _one(records):
    return next(iter(records[1]["measurements"].values()))


FORGED = {
    "no number": lambda records: _one(records).update(median_ms="fast"),
    "no interval": lambda records: _one(records).update(interval_ms=[1.0]),
    "NaN": lambda records: _one(records).update(median_ms=float("nan")),
    "a group twice": lambda records: records.append(records[-1]),
    "another group": lambda records: records[1].update(index=1),
    "no measurements": lambda records: records[1].update(measurements=None),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_results_that_make_no_sense_are_rejected_however_well_sealed(measured, tmp_path, forge):
    root = digest_of(measured / "manifest.json")
    records = Ledger(measured / "results.jsonl", root).read()
    forge(records)
    ledger = Ledger(tmp_path / "results.jsonl", root)
    for record in records:
        ledger.append(record)
    with pytest.raises(TableError, match=r"results\.jsonl"):
        read_profile(measured, tmp_path / "results.jsonl")


def test_a_table_that_was_changed_here_is_rejected(measured, tmp_path):
    bundle = shutil.copytree(measured, tmp_path / "bundle")
    text = (bundle / "table.json").read_text()
    (bundle / "table.json").write_text(text.replace('"threads":1', '"threads":4'))
    with pytest.raises(TableError, match=r"table\.json was changed"):
        read_profile(bundle)


def test_results_of_another_bundle_are_rejected(net, measured, tmp_path):
    other = write_profile_bundle(net, DEVICE, tmp_path / "b", n_probes=3, protocol=QUICK, progress=False)
    with pytest.raises(TableError, match="another bundle"):
        read_profile(other, measured / "results.jsonl")


def test_a_damaged_bundle_is_not_measured(bundle):
    content = bytearray((bundle / "models.zip").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "models.zip").write_bytes(content)
    done = run_program(bundle)
    assert done.returncode == 1
    assert "copy the bundle again" in done.stderr


def test_a_folder_with_other_things_is_left_alone(net, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="something else"):
        write_profile_bundle(net, DEVICE, tmp_path, protocol=QUICK, progress=False)
    with pytest.raises(TableError, match="not a profile bundle"):
        read_profile(tmp_path)


def test_a_bundle_with_results_is_not_replaced(net, measured, tmp_path):
    bundle = shutil.copytree(measured, tmp_path / "bundle")
    before = (bundle / "results.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match=r"results.jsonl, which a device measured: import it, then remove it"):
        write_profile_bundle(net, DEVICE, bundle, protocol=QUICK, progress=False)
    assert (bundle / "results.jsonl").read_bytes() == before
    (bundle / "results.jsonl").write_bytes(b"")
    with pytest.raises(TableError, match=r"results.jsonl holds no measurement yet: run `python3 profile.py`"):
        read_profile(bundle)


def test_what_is_no_bundle_is_not_taken_to_a_host(tmp_path):
    with pytest.raises(TableError, match="is not a profile bundle"):
        Host("board").profile(tmp_path)


def test_only_onnx_runtime_is_profiled_elsewhere(net, tmp_path):
    with pytest.raises(DeviceError, match="onnxruntime"):
        write_profile_bundle(net, Device("d", "torch"), tmp_path / "b", progress=False)


# --- ledger ---

RECORDS = st.lists(
    st.dictionaries(st.text(max_size=3), st.integers() | st.floats(allow_nan=False), max_size=3), max_size=5
)


@settings(max_examples=15, deadline=None)
@given(records=RECORDS, cut=st.integers(0, 200))
def test_a_ledger_cut_anywhere_keeps_its_whole_lines(records, cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "l"
    ledger = Ledger(path, "root")
    for record in records:
        ledger.append(record)
    content = path.read_bytes() if records else b""
    path.write_bytes(content[: max(0, len(content) - cut)])
    again = Ledger(path, "root")
    kept = again.read()
    assert kept == records[: len(kept)]
    assert len(kept) == content[: max(0, len(content) - cut)].count(b"\n")
    for record in records[len(kept) :]:
        again.append(record)
    assert Ledger(path, "root").read() == records


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_ledger_notices_any_changed_byte(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("ledger") / "l"
    ledger = Ledger(path, "root")
    for value in range(3):
        ledger.append({"value": value, "where": "here"})
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(content) - 2))
    content[position] = data.draw(st.integers(33, 126).filter(lambda byte: byte != content[position]))
    path.write_bytes(content)
    try:
        assert Ledger(path, "root").read() == [{"value": v, "where": "here"} for v in range(3)]
    except LedgerError as error:
        assert "line" in str(error)  # noqa: PT017


# --- SSH ---


def host_of(loopback, **changes):
    return Host("someone@127.0.0.1", **{"python": sys.executable, "ssh": loopback.ssh, **changes})


def test_a_machine_behind_ssh_is_profiled_in_one_call(loopback, bundle):
    said = []
    assert host_of(loopback).profile(bundle, said.append) == bundle / "results.jsonl"
    assert read_profile(bundle).complete
    assert any("copying" in line for line in said)
    assert any("group 1 of" in line for line in said)
    said.clear()
    host_of(loopback).profile(bundle, said.append)  # everything is there
    assert not any("copying" in line or "group 1" in line for line in said)


def test_a_cut_connection_is_gone_on_from(loopback, net, tmp_path):
    options = {"n_probes": 4, "group": 2, "protocol": QUICK, "progress": False, "seed": 5}
    bundle = write_profile_bundle(net, DEVICE, tmp_path / "bundle", **options)
    (loopback.folder / "cut").write_text("group 3 of")
    with pytest.raises(RemoteError, match="cut.*goes on"):
        host_of(loopback).profile(bundle)
    n_done = len((bundle / "results.jsonl").read_bytes().splitlines())
    assert n_done >= 3  # the machine and two groups came back
    said = []
    host_of(loopback).profile(bundle, said.append)
    assert read_profile(bundle).complete
    assert not any("copying" in line or "group 2 of" in line for line in said)


def test_what_a_host_forgot_goes_there_again(loopback, measured, tmp_path):
    bundle, said = Path(shutil.copytree(measured, tmp_path / "bundle")), []
    before = (bundle / "results.jsonl").read_bytes()
    (bundle / "results.jsonl").write_bytes(b"\n".join(before.splitlines()[:-1]) + b"\n")
    host_of(loopback, folder="fresh").profile(bundle, said.append)
    assert [line.split("group ")[1][0] for line in said if "group " in line and " of " in line][:1] == ["4"]
    after = (bundle / "results.jsonl").read_bytes()
    assert after.splitlines()[:-1] == before.splitlines()[:-1]
    assert read_profile(bundle).complete


def test_paths_on_the_host_may_begin_at_home(loopback, bundle):
    home = loopback.folder / "home"
    home.mkdir(exist_ok=True)
    (home / "my python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (home / "my python").chmod(0o755)
    host = host_of(loopback, python="~/my python", folder="~/kept here")
    host.profile(bundle)
    assert read_profile(bundle).complete
    assert (home / "kept here").is_dir()


def test_what_fails_behind_ssh_is_told(loopback, bundle):
    with pytest.raises(RemoteError, match="no-such-python"):
        host_of(loopback, python="no-such-python").profile(bundle)
    with pytest.raises(RemoteError, match="failed or was cut"):
        host_of(loopback, ssh=("ssh", "-F", "none", "-p", "1")).profile(bundle)
    with pytest.raises(RemoteError, match="there is no program no-such-ssh on this machine"):
        host_of(loopback, ssh=("no-such-ssh",))
    with pytest.raises(ValueError, match="host must be"):
        Host("-oProxyCommand=touch owned")
