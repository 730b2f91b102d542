"""Bundles of one search for several devices, of which one is elsewhere, and the page about them."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from hardware import Device, LatencyTable

from .test_apps_errors import refused

HERE, BOARD = "onnxruntime_cpu", "board"


@pytest.fixture(scope="module")
def searched(app, own, small, table, tmp_path_factory):
    """The folder of a search for this machine and a board, not to be changed."""
    folder = tmp_path_factory.mktemp("searched") / "run"
    board = Device(BOARD, "onnxruntime", threads=4, machine="pdp11")
    tables = tmp_path_factory.mktemp("tables")
    shutil.copy(table, tables)
    replace(LatencyTable.load(table), device=board).save(tables / f"latency_{BOARD}.json")
    (own / "hardware/board.yaml").write_text(
        f"_target_: hardware.Device\nname: {BOARD}\nthreads: 4\nmachine: pdp11\nbackend: onnxruntime\n"
    )
    settings = [f"devices=[{HERE},{BOARD}]", f"latency_table={tables}", "budget=4", "deploy=[0]", f"output={folder}"]
    ran = app("search", *small[1:], *settings)
    assert ran.code == 0, ran.err
    assert "overview of what is deployed: bundle/overview.html" in ran.out
    return folder


@pytest.fixture
def found(searched, tmp_path):
    """A copy without its bundles."""
    shutil.copytree(searched, tmp_path / "found", ignore=shutil.ignore_patterns("bundle"))
    return tmp_path / "found"


def metrics_of(bundle):
    return json.loads((bundle / "metrics.json").read_text())


def rows_of(page):
    """Texts of the table's rows, by the path of the bundle."""
    import re

    body = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in body.split("<tr>")[1:]]
    plain = [[re.sub(r"<[^>]*>", "", cell).strip() for cell in row] for row in cells]
    return {row[0]: row[1:] for row in plain}


def test_a_search_deploys_for_a_device_elsewhere_too(searched):
    here, board = (metrics_of(searched / f"bundle/{name}/0") for name in (HERE, BOARD))
    assert here["latency"]["median_ms"] > 0
    assert "not_measured" not in here
    assert "latency" not in board
    assert "pdp11" in board["not_measured"]
    assert board["parity"]["ok"]


def test_the_overview_tells_what_is_deployed_where(searched):
    page = (searched / "bundle/overview.html").read_text()
    rows = rows_of(page)
    assert list(rows) == [f"{BOARD}/0", f"{HERE}/0"]
    for name in (HERE, BOARD):
        best, metrics = pd.read_csv(searched / f"front_{name}.csv").iloc[0], metrics_of(searched / f"bundle/{name}/0")
        told = rows[f"{name}/0"]
        assert told[0] == f"{best['accuracy']:.2f}"
        assert told[2] == f"{best['latency']:.3g}"
        assert told[4] == f"{metrics['bytes'] / 1e6:.2f}"
        assert f'href="{name}/0/"' in page
        assert f"cd {name}/0 &amp;&amp; pip install -r requirements.txt\npython run.py samples/*.png" in page
    assert rows[f"{BOARD}/0"][3] == "not measured here"
    assert rows[f"{HERE}/0"][3].startswith(f"{metrics_of(searched / f'bundle/{HERE}/0')['latency']['median_ms']:.3g}")
    assert "pdp11" in page
    assert "http" not in page  # nothing is loaded from elsewhere


def test_all_bundles_at_once_each_within_its_own_constraint(app, found):
    fronts = {name: pd.read_csv(found / f"front_{name}.csv") for name in (HERE, BOARD)}
    tight, wide = fronts[BOARD]["latency"].min(), fronts[HERE]["latency"].max()
    where = f"where=latency <= {wide} and latency@{BOARD} <= {tight} and accuracy >= 1"
    ran = app("deploy", f"search={found}", where, f"format={{{HERE}: onnx}}")
    assert ran.code == 0, ran.err
    assert f"overview in {found / 'bundle/overview.html'}" in ran.out
    assert (found / f"bundle/{BOARD}/0/model.onnx").exists()
    best = int(fronts[HERE]["accuracy"].idxmax())
    assert (found / f"bundle/{HERE}/{best}/model.onnx").exists()
    assert set(rows_of((found / "bundle/overview.html").read_text())) == {f"{BOARD}/0", f"{HERE}/{best}"}


@pytest.mark.slow
def test_a_format_for_one_of_the_devices(app, found):
    assert app("deploy", f"search={found}", "rank=0", f"format={{{HERE}: pt2}}").code == 0
    assert (found / f"bundle/{BOARD}/0/model.onnx").exists()
    assert (found / f"bundle/{HERE}/0/model.pt2").exists()
    assert "runs format 'onnx'" in metrics_of(found / f"bundle/{HERE}/0")["not_measured"]  # left to run.py


def test_without_a_choice_it_is_that_of_the_search(app, found, tmp_path):
    ran = app("deploy", f"search={found}", f"output={tmp_path / 'out'}")
    assert ran.code == 0, ran.err
    assert (tmp_path / "out" / HERE / "run.py").exists()
    assert list(rows_of((tmp_path / "out/overview.html").read_text())) == [BOARD, HERE]


def test_what_run_py_told_on_the_device_goes_into_the_overview(app, searched, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(searched, folder)
    bundle = folder / f"bundle/{BOARD}/0"
    command = [sys.executable, "run.py", "--repeats", "3"]
    ran = subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=True)
    (bundle / "run.json").write_text(ran.stdout)
    assert app("deploy", "overview", f"search={folder}").code == 0
    page = (folder / "bundle/overview.html").read_text()
    assert rows_of(page)[f"{BOARD}/0"][3].startswith(f"{json.loads(ran.stdout)['latency']['median_ms']:.3g}")
    assert "by run.py: median of 3 inferences" in page
    (bundle / "run.json").write_text(json.dumps({"parity": {"ok": False}, "error": "the model <b>differs</b>"}))
    assert app("deploy", "overview", f"search={folder}").code == 0
    page = (folder / "bundle/overview.html").read_text()
    assert "the model &lt;b&gt;differs&lt;/b&gt;" in page
    assert rows_of(page)[f"{BOARD}/0"][3] == "not measured here"
    for damaged in ("[1]", "{}", json.dumps({"parity": {"ok": True}, "latency": {"median_ms": 1.0}})):
        (bundle / "run.json").write_text(damaged)
        assert refused(app("deploy", "overview", f"search={folder}"), str(bundle / "run.json"))
    told = json.loads(ran.stdout)
    for mistake, message in [
        ({"bundle": "that of another rank"}, "is what run.py of another bundle printed"),
        ({"latency": told["latency"] | {"threads": 16}}, "is of threads 16, the device has 4"),
        ({"latency": told["latency"] | {"batch": 16}}, "is of batch 16, the device has 1"),
        ({"latency": told["latency"] | {"median_ms": float("nan")}}, "is not what run.py prints"),
    ]:
        (bundle / "run.json").write_text(json.dumps(told | mistake))
        assert refused(app("deploy", "overview", f"search={folder}"), message)
    (bundle / "metrics.json").write_text("{")
    assert refused(app("deploy", "overview", f"search={folder}"), str(bundle / "metrics.json"))


def test_the_overview_needs_bundles(app, found):
    assert refused(app("deploy", "overview", f"search={found}"), "no bundles", str(found / "bundle"))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["device=[board,phone]"], ["device=phone", f"{HERE}, {BOARD}"]),
        (["format={phone: onnx}"], ["format: unknown device 'phone'", f"{HERE}, {BOARD}"]),
        ([f"where=latency@{BOARD} <= 0.000001"], ["no sub-network", f"front_{BOARD}.csv"]),
        (["where=latency@phone <= 1"], ["where: unknown device 'phone'"]),
    ],
)
def test_mistakes_are_found_before_a_bundle_is_made(app, found, arguments, parts):
    assert refused(app("deploy", f"search={found}", *arguments), *parts)
    assert not (found / "bundle").exists()
