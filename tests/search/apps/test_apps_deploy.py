"""`supernet-deploy`: from a finished search to a bundle."""

import json
import shutil

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from .test_apps_errors import refused


@pytest.fixture
def found(finished, tmp_path):
    """A copy of a finished search without its bundles."""
    folder = tmp_path / "found"
    shutil.copytree(finished[0], folder, ignore=shutil.ignore_patterns("bundle"))
    return folder


def metrics_of(bundle):
    return json.loads((bundle / "metrics.json").read_text())


def architecture_of(bundle):
    return json.loads((bundle / "architecture.json").read_text())["architecture"]


def test_by_rank_writes_the_bundle_that_the_search_writes(app, finished, found):
    ran = app("deploy", f"search={found}", "rank=0")
    assert ran.code == 0, ran.err
    bundle = found / "bundle/onnxruntime_cpu/0"
    assert str(bundle) in ran.out
    assert "test_top1" in ran.out
    before = finished[0] / "bundle/onnxruntime_cpu/0"
    for part in ("predicted", "measured", "macs", "params"):
        assert metrics_of(bundle)[part] == metrics_of(before)[part]
    weights, weights_before = (load_file(folder / "model.safetensors") for folder in (bundle, before))
    torch.testing.assert_close(weights, weights_before, rtol=0, atol=0)
    assert not list(found.glob("*deploy*"))


def test_by_id_into_a_folder_of_ones_choice(app, found, tmp_path):
    assert app("deploy", f"search={found}", "id=3", f"output={tmp_path / 'mine'}").code == 0
    row = pd.read_csv(found / "results.csv").iloc[3]
    assert architecture_of(tmp_path / "mine") == json.loads(row["architecture"])
    assert metrics_of(tmp_path / "mine")["measured"]["validation_top1"] == row["accuracy"]


def test_where_takes_the_best_one_that_satisfies_it(app, found, tmp_path):
    front = pd.read_csv(found / "front.csv")
    bound = front["latency"].iloc[1] if len(front) > 1 else front["latency"].iloc[0]
    output = tmp_path / "mine"
    assert app("deploy", f"search={found}", f"where=latency <= {bound}", f"output={output}").code == 0
    fitting = front[front["latency"] <= bound]
    assert architecture_of(output) == json.loads(fitting.loc[fitting["accuracy"].idxmax(), "architecture"])


@pytest.mark.parametrize("form", ["text", "file", "bundle file"])
def test_an_architecture_given_by_hand(app, found, tmp_path, form):
    text = pd.read_csv(found / "results.csv")["architecture"][2]
    given = text
    if form != "text":
        (tmp_path / "a.json").write_text(text if form == "file" else json.dumps({"architecture": json.loads(text)}))
        given = tmp_path / "a.json"
    ran = app("deploy", f"search={found}", f"architecture={given}")
    assert ran.code == 0, ran.err
    (bundle,) = (found / "bundle/onnxruntime_cpu").iterdir()
    row = pd.read_csv(found / "results.csv").iloc[2]
    assert architecture_of(bundle) == json.loads(text)
    assert metrics_of(bundle)["measured"]["validation_top1"] == row["accuracy"]
    assert metrics_of(bundle)["predicted"]["latency_ms"] == pytest.approx(row["latency"])


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["rank=0", "id=0"], ["in one way", "rank and id"]),
        (["rank=first"], ["rank", "'first'", "ends"]),
        (["rank=1.5"], ["rank", "1.5", "ends"]),
        (["device=3"], ["device=3", "onnxruntime_cpu"]),
        (["rank=[0,99]"], ["rank=99", "0.."]),
        (["supernet=ofa_resnet50"], ["'supernet' is no setting of this application", "--help"]),
        (["undo"], ["unknown action 'undo'", "deploy, overview"]),
        (["action=undo"], ["unknown action 'undo'", "deploy, overview"]),
        (["format=torchscript"], ["unknown bundle format 'torchscript'", "onnx, openvino, torch_export"]),
        (["format={phone: onnx}"], ["format: unknown device 'phone'", "onnxruntime_cpu"]),
        (["where=latency@phone <= 5"], ["where: unknown device 'phone'", "onnxruntime_cpu"]),
        (["rank=99"], ["rank=99: there are", "sub-networks, with ranks 0..", "front.csv"]),
        (["id=8"], ["id=8", "0..7"]),
        (["id=-1"], ["id=-1"]),
        (["where=latency <= 0.000001"], ["no sub-network of the front satisfies", "latency"]),
        (["where=power <= 1"], ["unknown objective 'power'", "accuracy, latency"]),
        (["where=fast"], ["cannot read the constraint 'fast'"]),
        (['architecture={"ks": [9]}'], ["ks", "9"]),
        (['architecture={"ks": 3, "e": 3, "d": 2, "r": 7}'], ["r", "7"]),
        (['architecture={"ks": '], ["not a JSON object"]),
        (["architecture=/nowhere.json"], ["/nowhere.json"]),
        (["architecture=3"], ["JSON object", "3"]),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(app, found, arguments, parts):
    before = sorted(found.rglob("*"))
    assert refused(app("deploy", f"search={found}", *arguments), *parts)
    assert sorted(found.rglob("*")) == before


def test_a_folder_without_a_search_is_refused_and_not_made(app, tmp_path):
    assert refused(app("deploy", f"search={tmp_path / 'nothing'}", "rank=0"), "no finished search", "nothing")
    assert not (tmp_path / "nothing").exists()


def test_something_else_than_a_bundle_is_not_replaced(app, found, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    assert refused(app("deploy", f"search={found}", "rank=0", f"output={tmp_path / 'mine'}"), "mine")
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_one_bundle_for_each_search_of_a_multirun(app, found, tmp_path):
    for name in ("seed=0", "seed=1"):
        shutil.copytree(found, tmp_path / "many" / name)
    ran = app("deploy", f"search={tmp_path / 'many'}", "rank=0", f"output={tmp_path / 'out'}")
    assert ran.code == 0, ran.err
    for name in ("seed=0", "seed=1"):
        assert (tmp_path / "out" / name / "run.py").exists()


def test_the_overview_of_a_multirun_names_devices_and_leads_to_the_reports(app, finished, tmp_path):
    bundle = next(path.parent for path in finished[0].glob("bundle/*/*/bundle.json"))
    for name in ("hardware=a", "hardware=b"):
        shutil.copytree(bundle, tmp_path / name / "bundle" / name[-1] / "0")
        shutil.copy(finished[0] / "report.html", tmp_path / name)
        (tmp_path / name / ".hydra").mkdir()
    ran = app("deploy", "overview", f"search={tmp_path}")
    assert ran.code == 0, ran.err
    page = (tmp_path / "overview.html").read_text()
    for name in ("a", "b"):
        assert f'<a href="#hardware={name}/bundle/{name}/0">{name}/0</a>' in page
        assert f'<a href="hardware%3D{name}/report.html">hardware={name}/report.html</a>' in page
