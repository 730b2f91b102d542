"""A bundle runs alone, says when it is wrong, and replaces an older one only when whole."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import hardware
from hardware.bundle import OnnxModule, ParityError, deploy
from supernet import Architecture, Choice, SearchSpace, SuperNetwork
from supernet.families.mobilenetv3 import ElasticMobileNetV3, Stage
from supernet.tasks import ImageArray, ImageClassification

DEVICE = hardware.Device("cpu-1t", "onnxruntime", threads=1, batch_size=2)
CLASSES = ("ant", "bee", "cat / lynx", "dog", "élan")
METRICS = {"predicted": {"top1": 91.25}, "measured": {"top1": 90.5}}

ALONE = """
import runpy, sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {forbidden}:
            raise ModuleNotFoundError(f"{{name}} is not on this device")
sys.meta_path.insert(0, Forbidden())
sys.argv = {arguments}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
ABSENT = {"supernet", "hardware", "search", "predictors", "torch", "timm", "PIL", "safetensors", "onnx"}


def run(folder, *arguments, absent=ABSENT, cwd=None):
    """Runs `run.py` as another process, without these packages; returns exit code, report and stderr."""
    code = ALONE.format(forbidden=absent, arguments=[str(folder / "run.py"), *map(str, arguments)])
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=cwd or folder)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def tiny_network():
    torch.manual_seed(0)
    stages = [Stage(16, 2, "re"), Stage(24, 2, "hs", squeeze_excite=True)]
    net = ElasticMobileNetV3(
        stages, stem_width=8, head_widths=(32, 48), num_classes=5, resolutions=(24, 32), depths=(1, 2)
    )
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # fresh ones are all alike: a wrong slice would not show
            for tensor in (module.running_var, module.weight):
                nn.init.uniform_(tensor, 0.5, 2.0)
            for tensor in (module.running_mean, module.bias):
                nn.init.normal_(tensor)
    return net.eval()


def tiny_task():
    rng = np.random.default_rng(0)

    def split(n):
        coarse = rng.integers(0, 256, (n, 5, 4, 3), dtype=np.uint8)
        images = np.stack([np.asarray(Image.fromarray(c).resize((37, 48), Image.Resampling.BICUBIC)) for c in coarse])
        return ImageArray(images, rng.integers(0, 5, n))

    splits = {"train": split(60), "validation": split(20), "test": split(61)}
    return ImageClassification(name="blobs", splits=splits, class_names=CLASSES, batch_size=16, n_calibration=40)


@pytest.fixture(scope="module")
def net():
    return tiny_network()


@pytest.fixture(scope="module")
def task():
    return tiny_task()


@pytest.fixture(scope="module")
def architecture(net):
    return net.space.sample(3, seed=1)[0]


@pytest.fixture(scope="module")
def bundle(net, task, architecture, tmp_path_factory):
    return deploy(net, architecture, DEVICE, tmp_path_factory.mktemp("a") / "b" / "bundle", task=task, metrics=METRICS)


@pytest.fixture
def copied(bundle, tmp_path):
    return Path(shutil.copytree(bundle, tmp_path / "copied"))


# --- what is in it ---


def test_files_and_metrics(bundle, net, architecture):
    for name in ("README.md", "requirements.txt", "run.py", "model.onnx", "sample.npz"):
        assert (bundle / name).stat().st_size > 0
    metrics = json.loads((bundle / "metrics.json").read_text())
    costs = net.costs([architecture])
    assert (metrics["macs"], metrics["params"]) == (costs["macs"][0], costs["params"][0])
    assert {kind: metrics[kind] for kind in METRICS} == METRICS
    assert metrics["latency"]["median_ms"] > 0
    assert hardware.Device(**metrics["device"]) == DEVICE
    assert metrics["parity"]["relative_difference"] <= 1e-4
    described = json.loads((bundle / "architecture.json").read_text())
    assert net.space.validate(described["architecture"]) == architecture
    assert (described["supernet"], described["space"]) == (net.name, net.space.fingerprint)
    with safe_open(bundle / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["architecture"]) == described["architecture"]
    assert not [path for path in bundle.parent.iterdir() if path != bundle]


def test_weights_are_the_recalibrated_ones_and_load_into_the_plain_model(bundle, net, task, architecture):
    model = net.build(architecture)
    model.load_state_dict(load_file(bundle / "model.safetensors"))
    with np.load(bundle / "sample.npz") as sample:
        inputs, expected = torch.from_numpy(sample["input"]), torch.from_numpy(sample["output"])
    torch.testing.assert_close(model.eval()(inputs), expected, rtol=1e-5, atol=1e-5)
    assert (net(inputs, architecture) - expected).abs().max() > 1e-2  # the shared statistics are others
    transform = task.input_transform(model)
    torch.testing.assert_close(inputs[0], transform(task.samples("validation", 1)[0][0]))


def test_requirements_are_numpy_and_the_runtime(bundle):
    lines = (bundle / "requirements.txt").read_text().splitlines()
    assert {line.partition(";")[0].partition(">")[0] for line in lines} == {"numpy", "onnxruntime"}
    assert any(line.startswith(f"numpy>={np.__version__};") for line in lines)


# --- run.py ---


def test_runs_alone_and_classifies_as_pytorch_does(bundle, tmp_path):
    images = sorted((bundle / "samples").iterdir())
    code, report, _ = run(bundle, *images, "--repeats", 5, cwd=tmp_path)
    assert code == 0
    assert report["parity"]["ok"]
    assert report["latency"].items() >= {"repeats": 5, "threads": 1, "batch": 2}.items()
    assert 0 < report["latency"]["p10_ms"] <= report["latency"]["median_ms"] <= report["latency"]["p90_ms"]
    assert {"python", "numpy", "onnxruntime"} <= set(report["versions"])
    assert report["cpu"]["model"]
    with np.load(bundle / "sample.npz") as sample:
        probabilities = torch.from_numpy(sample["output"]).softmax(1)
    assert len(images) == len(probabilities)
    for entry, image, expected in zip(report["predictions"], images, probabilities, strict=True):
        assert entry["file"] == str(image)
        assert [guess["index"] for guess in entry["top"]] == expected.argsort(descending=True).tolist()
        for guess in entry["top"]:
            assert guess["class"] == CLASSES[guess["index"]]
            assert guess["probability"] == pytest.approx(float(expected[guess["index"]]), abs=1e-4)


def test_options_override_the_device(bundle):
    code, report, _ = run(bundle, "--threads", 2, "--batch", 5, "--repeats", 3)
    assert code == 0
    assert report["latency"].items() >= {"repeats": 3, "threads": 2, "batch": 5}.items()
    assert report["predictions"] == []


@pytest.mark.parametrize("wrong", ["--threads=0", "--repeats=-1", "--batch=x", "--colour"])
def test_wrong_options_are_refused(bundle, wrong):
    code, report, message = run(bundle, wrong)
    assert (code, report) == (2, None)
    assert wrong.partition("=")[0] in message


def test_images_that_cannot_be_read_do_not_stop_the_others(bundle, tmp_path):
    good = next((bundle / "samples").iterdir())
    broken, photo = tmp_path / "broken.png", tmp_path / "photo.jpg"
    broken.write_bytes(good.read_bytes()[:70])
    Image.new("RGB", (20, 20)).save(photo)
    code, report, message = run(bundle, broken, tmp_path / "missing.png", tmp_path, photo, good, "--repeats", 3)
    assert code == 1
    errors = [entry.get("error", "") for entry in report["predictions"]]
    for error, part in zip(errors, ["truncated PNG", "No such file", "directory", "install Pillow", ""], strict=True):
        assert part in error
    assert len(report["predictions"][-1]["top"]) == 5
    assert "missing.png" in message
    code, report, _ = run(bundle, photo, "--repeats", 3, absent=ABSENT - {"PIL"})
    assert (code, len(report["predictions"][0]["top"])) == (0, 5)


def test_a_tampered_sample_is_noticed(copied):
    with np.load(copied / "sample.npz") as file:
        sample = dict(file)
    sample["output"][1] *= 1.01
    np.savez(copied / "sample.npz", **sample)
    code, report, message = run(copied)
    assert code == 1
    assert report["parity"]["ok"] is False
    assert report["parity"]["relative_difference"] > 1e-3
    assert "latency" not in report
    assert "differs" in message


def test_tampered_weights_are_noticed(copied):
    model = onnx.load(copied / "model.onnx")
    weight = max(model.graph.initializer, key=lambda tensor: np.prod(tensor.dims))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    onnx.save(model, copied / "model.onnx")
    code, report, _ = run(copied)
    assert code == 1
    assert report["parity"]["relative_difference"] > 1e-4


@pytest.mark.parametrize("name", ["model.onnx", "sample.npz"])
@pytest.mark.parametrize("how", ["cut", "missing"])
def test_damaged_bundles_end_with_a_message(copied, name, how):
    path = copied / name
    data = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    code, report, message = run(copied)
    assert code == 1
    assert report["parity"]["ok"] is False
    assert report["error"] in message


# --- without a task, other families, given models ---


class TwoInputs(SuperNetwork):
    """Token ids and a float mask in; two outputs, as a tuple."""

    space = SearchSpace(Choice("width", (4, 8)))

    def build(self, architecture: Architecture) -> nn.Module:
        return _Mixer(architecture["width"])

    def example_inputs(self, architecture, batch_size=1):
        generator = torch.Generator().manual_seed(0)
        ids = torch.randint(0, 11, (batch_size, 6), generator=generator)
        return ids, torch.rand(batch_size, 6, generator=generator)

    def library_code(self, architecture):
        return "loaded = 'by the family'"


class _Mixer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding, self.head = nn.Embedding(11, width), nn.Linear(width, 3)

    def forward(self, ids, mask):
        return self.head((self.embedding(ids) * mask[..., None]).sum(1)), mask


def test_several_inputs_without_a_task(tmp_path):
    net = TwoInputs()
    folder = hardware.bundle.deploy(net, net.smallest, DEVICE, tmp_path / "bundle")
    with np.load(folder / "sample.npz") as sample:
        assert {name: sample[name].dtype for name in sample.files} == {
            "input": np.int64,
            "input_1": np.float32,
            "output": np.float32,
        }
    code, report, _ = run(folder, "a.png", "--batch", 7, "--repeats", 3)
    assert code == 1
    assert report["parity"]["ok"]
    assert "without a task" in report["predictions"][0]["error"]
    assert "loaded = 'by the family'" in (folder / "README.md").read_text()
    assert not (folder / "preprocessing.json").exists()


def test_a_given_model_is_deployed_as_it_is(net, task, architecture, tmp_path):
    model = net.extract(architecture)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    folder = deploy(net, architecture, DEVICE, tmp_path / "bundle", task=task, model=model)
    assert model.training
    torch.testing.assert_close(load_file(folder / "model.safetensors"), before, rtol=0, atol=0)


def test_the_torch_backend_is_measured_too(net, architecture, tmp_path):
    folder = deploy(net, architecture, hardware.Device("eager", "torch"), tmp_path / "bundle")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert "torch" in metrics["provenance"]["versions"]
    assert metrics["latency"]["median_ms"] > 0


# --- accuracy through ONNX Runtime ---


def test_accuracy_through_the_runtime_equals_pytorchs(bundle, net, task, architecture):
    model = net.build(architecture)
    model.load_state_dict(load_file(bundle / "model.safetensors"))
    expected = task.evaluate(model.eval(), "test")
    for module in (OnnxModule(bundle), OnnxModule(bundle / "model.onnx", like=model)):
        assert module.num_classes == 5
        found = task.evaluate(module, "test")
        assert found["top1"] == expected["top1"]
        assert found["loss"] == pytest.approx(expected["loss"], rel=1e-4)


def test_a_missing_onnx_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        OnnxModule(tmp_path)


def test_too_many_inputs_are_not_passed_over(bundle):
    with pytest.raises(TypeError, match="the model takes input, got 2 inputs"):
        OnnxModule(bundle)(torch.zeros(1), torch.zeros(1))


# --- failures while writing ---


class Stateful(nn.Module):
    """Adds a constant that the exporter freezes at another value."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x):
        return self.linear(x) + (5.0 if torch.onnx.is_in_onnx_export() else 0.0)


class Untraceable(SuperNetwork):
    space = SearchSpace(Choice("width", (1,)))
    input_shape = (4,)

    def build(self, architecture):
        return Stateful()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_wrong_export_is_an_error_and_the_old_bundle_stays(bundle, copied):
    net = Untraceable()
    before = contents(copied)
    with pytest.raises(ParityError, match=r"differs from the PyTorch model by \d"):
        deploy(net, net.smallest, DEVICE, copied)
    assert contents(copied) == before
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


def test_a_bundle_is_replaced_as_a_whole(copied):
    (copied / "left-over.txt").write_text("old")
    interrupted = copied.parent / f".{copied.name}.partial"
    interrupted.mkdir()
    (interrupted / "left-over.txt").write_text("half")
    net = TwoInputs()
    deploy(net, net.largest, DEVICE, copied)
    assert not (copied / "left-over.txt").exists()
    assert not (copied / "preprocessing.json").exists()
    assert json.loads((copied / "architecture.json").read_text())["architecture"] == {"width": 8}
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


def test_other_folders_and_files_are_never_replaced(tmp_path):
    net = TwoInputs()
    (tmp_path / "thesis.txt").write_text("precious")
    for place in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(FileExistsError, match=str(place)):
            deploy(net, net.largest, DEVICE, place)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        deploy(TwoInputs(), {"width": 4}, DEVICE, tmp_path / "file" / "bundle")


def test_a_full_disk_is_reported_with_the_folder(tmp_path, monkeypatch):
    def full(*_args, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match=r"No space left on device.*bundle"):
        deploy(TwoInputs(), {"width": 4}, DEVICE, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_write_nothing(net, tmp_path):
    with pytest.raises(ValueError, match="'accuracy'"):
        deploy(net, net.smallest, DEVICE, tmp_path / "bundle", metrics={"accuracy": {"top1": 1.0}})
    for value in (float("nan"), torch.zeros(2), object()):
        with pytest.raises(ValueError, match="metrics: measured 'top1' must be a finite number or a text, got"):
            deploy(net, net.smallest, DEVICE, tmp_path / "bundle", metrics={"measured": {"top1": value}})
    with pytest.raises(ValueError, match="ks"):
        deploy(net, dict(net.smallest) | {"ks": [4] * 4}, DEVICE, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []
