"""What a search leaves, and how it goes on."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from search import Store


def rows(path):
    return pd.read_csv(path)


def test_a_search_leaves_the_documented_files(finished):
    folder, ran = finished
    names = {path.name for path in folder.iterdir()}
    files = {"results.csv", "front.csv", "front.png", "report.html", "store.sqlite", "latency_onnxruntime_cpu.json"}
    assert names - {"store.sqlite-wal", "store.sqlite-shm"} == files | {".hydra", "bundle", "supernet-search.log"}
    assert (folder / "bundle/onnxruntime_cpu/0/run.py").is_file()
    assert len(rows(folder / "results.csv")) == 8
    front = rows(folder / "front.csv")
    assert front["rank"].tolist() == list(range(len(front)))
    assert front["latency"].is_monotonic_increasing
    assert (folder / "front.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert ran.err == ""


def test_the_console_shows_the_front_within_80_columns(finished):
    folder, ran = finished
    lines = ran.out.splitlines()
    table = [line for line in lines if line.startswith(("┏", "┃", "│", "└"))]
    assert len(table) >= 5
    assert max(map(len, table)) <= 80
    assert lines[-1] == f"results in {folder}"
    assert any(line.startswith("8 architectures evaluated") for line in lines)
    logged = [line for line in lines if "/8 evaluated" in line or line.startswith("deployed rank")]
    assert len(logged) == len(set(logged)) > 0


def test_the_same_command_again_is_quick_and_changes_nothing(app, accidental, finished, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(finished[0], folder)
    ran = app("search", *accidental, "deploy=none", f"output={folder}")
    assert ran.code == 0
    assert not (tmp_path / "validated.txt").exists()  # nothing was measured again
    assert (folder / "results.csv").read_bytes() == (finished[0] / "results.csv").read_bytes()


def test_a_larger_budget_goes_on(app, small, finished, tmp_path):
    folder = tmp_path / "more"
    shutil.copytree(finished[0], folder)
    ran = app("search", *small, "budget=10", "deploy=none", f"output={folder}")
    assert ran.code == 0
    assert len(rows(folder / "results.csv")) == 10
    pd.testing.assert_frame_equal(rows(folder / "results.csv")[:8], rows(finished[0] / "results.csv"))


def test_the_bundle_runs_and_is_as_accurate_as_its_metrics_say(finished):
    from accidents_for_tests import few

    from hardware import OnnxModule

    bundle = finished[0] / "bundle/onnxruntime_cpu/0"
    metrics = json.loads((bundle / "metrics.json").read_text())
    assert few().evaluate(OnnxModule(bundle), "test")["top1"] == metrics["measured"]["test_top1"]
    best = rows(finished[0] / "front.csv").iloc[0]
    assert metrics["measured"]["validation_top1"] == best["accuracy"]
    assert metrics["predicted"]["latency_ms"] == pytest.approx(best["latency"])
    assert set(metrics["predicted"]) <= {"latency_ms", "validation_top1"}
    assert set(metrics["measured"]) == {"validation_top1", "test_top1", "test_loss"}
    ran = subprocess.run([sys.executable, "run.py"], cwd=bundle, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["parity"]["ok"] is True


def test_devices_of_a_multirun_share_the_measured_accuracies(app, small, table, tmp_path):
    tables_of = f"latency_table='{table.parent}/latency_${{hardware.name}}.json'"
    one_batch = ["budget=6", "batch_size=6", "deploy=none", tables_of]
    ran = app("search", "-m", *small[1:], *one_batch, "hardware=onnxruntime_cpu,torch_cpu", f"output={tmp_path}")
    assert ran.code == 0, ran.err
    assert {path.name for path in tmp_path.iterdir()} >= {"hardware=onnxruntime_cpu", "hardware=torch_cpu"}
    tables = [rows(tmp_path / f"hardware={device}" / "results.csv") for device in ("onnxruntime_cpu", "torch_cpu")]
    assert tables[0]["architecture"].tolist() == tables[1]["architecture"].tolist()
    assert tables[0]["accuracy"].tolist() == tables[1]["accuracy"].tolist()
    assert not list(tmp_path.glob("*/store.sqlite"))
    with Store(tmp_path / "store.sqlite") as store:
        assert len(store.measurements("accuracy")) == 6
        assert len(store.studies()) == 2  # each device has its own search


def test_failed_measurements_are_recorded_and_reported(app, accidental, tmp_path):
    settings = ["task.accidents=[[2,raise],[4,no number]]", "budget=6", "deploy=none", f"output={tmp_path / 'run'}"]
    ran = app("search", *accidental, *settings)
    assert ran.code == 0, ran.err
    table = rows(tmp_path / "run/results.csv")
    assert table["status"].tolist() == ["ok", "ok", "failed", "ok", "failed", "ok"]
    assert "RuntimeError: out of luck" in table["error"][2]
    assert "is nan" in table["error"][4]
    assert table["error"].notna().sum() == 2
    assert "2 failed" in ran.out
    assert "id 2: accuracy: RuntimeError: out of luck" in ran.out
    page = (tmp_path / "run/report.html").read_text()
    assert "out of luck" in page
    assert "is nan" in page


def test_an_interrupted_search_says_how_to_go_on(app, accidental, finished, tmp_path):
    folder = tmp_path / "run"
    command = [*accidental, "budget=4", "deploy=none", f"output={folder}"]
    ran = app("search", *command, "task.accidents=[[2,SIGINT]]")
    assert ran.code == 130
    assert ran.err == "supernet-search: interrupted; run the same command again to go on\n"
    assert app("search", *command).code == 0
    results, expected = ((path / "results.csv").read_text().splitlines() for path in (folder, finished[0]))
    assert results == expected[:5]
    assert len((tmp_path / "validated.txt").read_text().splitlines()) == 4


def test_constraints_hold_and_a_shared_store_lies_where_it_was_asked_for(app, small, finished, tmp_path):
    bound = rows(finished[0] / "results.csv")["latency"].median()
    settings = [f"constraints=latency <= {bound} and accuracy >= 10", f"store={tmp_path / 'shared.sqlite'}"]
    ran = app("search", *small, "budget=5", "deploy=none", *settings, f"output={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    assert (rows(tmp_path / "run/results.csv")["latency"] <= bound).all()
    assert (tmp_path / "shared.sqlite").exists()
    assert not (tmp_path / "run/store.sqlite").exists()


def test_the_largest_is_measured_beside_the_budget_on_request(app, small, finished, tmp_path):
    bound = rows(finished[0] / "results.csv")["latency"].median()
    settings = [*small, f"constraints=latency <= {bound}", "budget=5", "deploy=[0]", f"output={tmp_path}"]
    ran = app("search", *settings)
    assert ran.code == 0, ran.err
    assert " faster than the largest sub-network)" in ran.out
    assert "baseline=true measures what is not known" in (tmp_path / "report.html").read_text()
    found = rows(tmp_path / "results.csv")
    ran = app("search", *settings, "baseline=true")
    assert ran.code == 0, ran.err
    assert re.search(r"deployed rank 0: .*× faster, .* points (less|more) accuracy than the largest", ran.out)
    pd.testing.assert_frame_equal(rows(tmp_path / "results.csv"), found)
    with Store(tmp_path / "store.sqlite") as store:
        assert len(store.measurements("accuracy")) == 6


def test_exact_objectives_need_no_latency_table(app, other_space, tmp_path):
    settings = [*other_space, "objectives=[accuracy,macs,params]", "tactic=random", "budget=4", "deploy=none"]
    ran = app("search", *settings, f"output={tmp_path}")
    assert ran.code == 0, ran.err
    assert not list(tmp_path.glob("latency_*"))
    with (tmp_path / "results.csv").open() as file:
        assert {"macs", "params"} <= set(next(csv.reader(file)))


def test_what_a_constraint_names_and_is_no_objective_is_only_bounded(app, small, finished, tmp_path):
    bound = rows(finished[0] / "results.csv")["latency"].median()
    settings = ["objectives=accuracy", f"constraints=latency <= {bound}", "budget=6", "deploy=none"]
    ran = app("search", *small, *settings, f"output={tmp_path}")
    assert ran.code == 0, ran.err
    found = rows(tmp_path / "results.csv")
    assert (found["latency"] <= bound).all()
    assert rows(tmp_path / "front.csv")["accuracy"].unique() == found["accuracy"].max()
    ran = app("deploy", f"search={tmp_path}", f"where=latency <= {bound}", f"output={tmp_path / 'again'}")
    assert ran.code == 0, ran.err


@pytest.fixture(scope="module")
def for_two_devices(app, small, table, tmp_path_factory):
    """The folder of a finished search for two devices, and what it printed."""
    folder = tmp_path_factory.mktemp("devices") / "run"
    tables_of = f"latency_table='{table.parent}/latency_${{hardware.name}}.json'"
    settings = ["devices=[onnxruntime_cpu,mine]", "deploy=[0]", "constraints=accuracy >= 10", "budget=8"]
    ran = app("search", *small[1:], tables_of, *settings, f"output={folder}")
    assert ran.code == 0, ran.err
    return folder, ran


def test_one_search_serves_two_devices(for_two_devices):
    folder, ran = for_two_devices
    results = rows(folder / "results.csv")
    assert {"accuracy", "latency@onnxruntime_cpu", "latency@mine"} <= set(results.columns)
    assert len(results) == 8
    with Store(folder / "store.sqlite") as store:
        assert len(store.measurements("accuracy")) == 8
        assert len(store.studies()) == 1
    fronts = rows(folder / "front.csv")
    for device in ("onnxruntime_cpu", "mine"):
        assert (folder / f"bundle/{device}/0/run.py").is_file()
        assert (folder / f"latency_{device}.json").is_file()
        front = rows(folder / f"front_{device}.csv")
        assert front["latency"].is_monotonic_increasing
        assert len(fronts[fronts["device"] == device]) == len(front)
        assert f"Pareto front for {device}: {len(front)} of 8" in ran.out
    page = (folder / "report.html").read_text()
    assert page.count('<h2 class="device"') == 2
    assert page.count(">deployed</span>") == 2 * 2  # in a legend and in a table each


def test_bundles_of_a_search_for_two_devices(app, for_two_devices, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(for_two_devices[0], folder)
    ran = app("deploy", f"search={folder}", "where='accuracy >= 10'", "device=mine", f"output={tmp_path / 'one'}")
    assert ran.code == 0, ran.err
    assert json.loads((tmp_path / "one/bundle.json").read_text())["device"]["name"] == "mine"
    ran = app("deploy", f"search={folder}", "id=2")
    assert ran.code == 0, ran.err
    measured = rows(folder / "results.csv").iloc[2]
    for device in ("onnxruntime_cpu", "mine"):
        metrics = json.loads((folder / f"bundle/{device}/id-2/metrics.json").read_text())
        assert metrics["predicted"]["latency_ms"] == pytest.approx(measured[f"latency@{device}"])
    ran = app("deploy", f"search={folder}", "rank=0", "device=phone")
    assert ran.code == 2
    assert "device=phone: this search was for onnxruntime_cpu, mine" in ran.err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["devices=[onnxruntime_cpu,phone]"], "phone"),
        (["devices=[torch_cpu,torch_cpu]"], "each once"),
        (["devices=torch_cpu"], "must list options of hardware"),
        (["devices=[torch_cpu]", "hardware=torch_cpu"], "hardware or devices, not both"),
        (["hardware=[torch_cpu,onnxruntime_cpu]"], "devices=[a,b]"),
        (["engine=processes", "engine.workers=2", "objectives=[accuracy,measured_latency]"], "machine for itself"),
        (
            ["engine=processes", "engine.workers=2", "objectives=[accuracy,energy]"],
            "energy needs the machine for itself",
        ),
    ],
)
def test_devices_and_engines_are_checked_before_anything_is_measured(app, small, settings, message, tmp_path):
    ran = app("search", *small, *settings, f"output={tmp_path / 'run'}")
    assert ran.code == 2
    assert message in ran.err
    assert not (tmp_path / "run/store.sqlite").exists()


def test_a_search_starts_from_what_another_one_measured(app, small, finished, tmp_path):
    def started(warm_start, name):
        settings = [f"warm_start={warm_start}", "seed=3", "budget=4", "deploy=none", f"output={tmp_path / name}"]
        ran = app("search", *small, *settings)
        assert ran.code == 0, ran.err
        return rows(tmp_path / name / "results.csv")

    before = rows(finished[0] / "results.csv")
    same = started(finished[0], "same")
    assert same["batch"].tolist() == [-1] * 8 + [0] * 4
    assert set(same["architecture"][:8]) == set(before["architecture"])
    assert "8 known before" in (tmp_path / "same/report.html").read_text()
    table = {"path": str(finished[0] / "results.csv"), "columns": {"accuracy": "accuracy"}}
    assert started(json.dumps(table), "informed")["batch"].tolist() == [0] * 4
    ran = app("search", *small, f"warm_start={finished[0] / 'front.png'}", f"output={tmp_path / 'x'}")
    assert ran.code == 2
    assert "front.png" in ran.err


def test_proxies_are_computed_once_and_kept_in_the_store(app, small, tmp_path):
    def synflows(budget):
        settings = ["tactic=linas", "predictor=ridge", "batch_size=4", "descriptors=[synflow]", f"budget={budget}"]
        settings += ["objectives=[accuracy,macs]", "deploy=none", f"output={tmp_path / 'run'}"]
        ran = app("search", *small, *settings)
        assert ran.code == 0, ran.err
        with Store(tmp_path / "run/store.sqlite") as store:
            return store.measurements("synflow")

    first = synflows(8)
    assert set(first) <= set(synflows(10))
    assert len({found.architecture for found in first}) == len(first) >= 4


def test_peak_memory_is_an_objective_and_energy_where_it_is_counted(app, other_space, tmp_path):
    settings = ["objectives=[accuracy,peak_memory]", "tactic=random", "budget=3", "deploy=none"]
    ran = app("search", *other_space, *settings, f"output={tmp_path / 'a'}")
    assert ran.code == 0, ran.err
    assert (pd.read_csv(tmp_path / "a/results.csv")["peak_memory"] > 0).all()
    if not Path("/sys/class/powercap").exists():
        ran = app("search", *other_space, "objectives=[accuracy,energy]", "budget=4", f"output={tmp_path / 'b'}")
        assert ran.code == 2
        assert "shows no energy counter" in ran.err
