"""Bundles of every format run alone, by the runtime of their device, and compute what PyTorch computes."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from hardware import Device, DeviceError, processor
from hardware.bundle import FormatError, ParityError, deploy, formats
from supernet import Choice, SearchSpace, SuperNetwork

from .test_bundle import run

OURS = {"supernet", "hardware", "search", "predictors"}
MODEL_FILES = {"onnx": "model.onnx", "openvino": "model.xml", "torch_export": "model.pt2", "executorch": "model.pte"}


class Small(SuperNetwork):
    """Two inputs, one output."""

    space = SearchSpace(Choice("width", (4, 8)))

    class Model(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
            self.head = nn.Linear(width + 2, 5)

        def forward(self, image, extra):
            return self.head(torch.cat([self.body(image).flatten(1), extra], 1))

    def example_inputs(self, architecture, batch_size=1):
        generator = torch.Generator().manual_seed(0)
        shapes = ((batch_size, 3, 12, 12), (batch_size, 2))
        return tuple(torch.randn(shape, generator=generator) for shape in shapes)

    def build(self, architecture):
        return self.Model(architecture["width"])


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Small().eval()


def needed(form):
    """Skips the test where what writes the format is not installed."""
    package = {"onnx": "onnxruntime", "torch_export": "torch"}.get(form, form)
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


@pytest.mark.parametrize("form", formats())
def test_bundles_of_every_format_run_alone(net, form, tmp_path):
    needed(form)
    device = Device("here", "onnxruntime", batch_size=2)
    bundle = deploy(net, net.largest, device, tmp_path / "bundle", format=form)
    assert (bundle / MODEL_FILES[form]).stat().st_size > 0
    metrics = json.loads((bundle / "metrics.json").read_text())
    assert metrics["format"] == form
    assert metrics["bytes"] >= sum(p.numel() * 4 for p in net.build(net.largest).parameters())
    code, report, errors = run(bundle, "--repeats", 3, absent=OURS)
    assert code == 0, errors
    assert report["parity"]["ok"]
    assert report["parity"]["relative_difference"] < 1e-4
    assert report["latency"]["batch"] == 2
    with np.load(bundle / "sample.npz") as sample:
        assert set(sample.files) == {"input", "input_1", "output"}


@pytest.mark.parametrize(
    ("backend", "form"), [("onnxruntime", "onnx"), ("openvino", "openvino"), ("torch", "torch_export")]
)
def test_the_format_is_that_of_the_devices_backend(net, backend, form, tmp_path):
    needed(form)
    bundle = deploy(net, net.smallest, Device("here", backend), tmp_path / "bundle")
    assert (bundle / MODEL_FILES[form]).exists()


INTERRUPTED = """
import signal
import numpy
import runtime

with numpy.load("sample.npz") as sample:
    inputs = {name: sample[name] for name in sample.files if name != "output"}
models = [runtime.load(".", 1), runtime.load(".", 1)]
for model in models:
    model(inputs)
models.pop(0)
del models, model
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_program_that_is_done_with_its_models_can_be_interrupted(net, tmp_path):
    needed("openvino")  # which moves the stack of signal handlers
    bundle = deploy(net, net.smallest, Device("here"), tmp_path / "bundle", format="openvino")
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=bundle, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.slow
def test_a_bundle_of_a_compiling_device_compiles(net, tmp_path, monkeypatch):
    bundle = deploy(net, net.largest, Device("here", "torch_compile"), tmp_path / "bundle")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    code, report, errors = run(bundle, "--repeats", 3, absent=OURS)
    assert code == 0, errors
    assert report["parity"]["ok"]
    assert list((tmp_path / "compiled").rglob("*.so"))


@pytest.mark.slow
def test_a_damaged_program_is_found_by_its_runtime(net, tmp_path):
    bundle = deploy(net, net.smallest, Device("here", "torch"), tmp_path / "bundle")
    other = deploy(net, net.largest, Device("here", "torch"), tmp_path / "other")
    (bundle / "model.pt2").write_bytes((other / "model.pt2").read_bytes())
    code, report, _ = run(bundle, absent=OURS)
    assert code == 1
    assert not report["parity"]["ok"]


def test_lower_precision_is_checked_with_a_wider_tolerance(net, tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "computes", lambda precision: True)
    bundle = deploy(net, net.largest, Device("here", "torch", precision="bf16"), tmp_path / "bundle")
    parity = json.loads((bundle / "metrics.json").read_text())["parity"]
    assert 1e-4 < parity["relative_difference"] <= parity["tolerance"] == 5e-2


def test_a_device_that_is_elsewhere_gets_a_bundle_without_a_latency(net, tmp_path):
    device = Device("board", "onnxruntime", threads=4, machine="pdp11")
    bundle = deploy(net, net.largest, device, tmp_path / "bundle")
    assert "latency" not in json.loads((bundle / "metrics.json").read_text())
    assert "not measured yet" in (bundle / "README.md").read_text()


def test_what_a_format_needs_is_named(net, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "executorch", None)
    with pytest.raises(DeviceError, match=r"format 'executorch' need executorch: pip install .*\[executorch\]"):
        deploy(net, net.largest, Device("here"), tmp_path / "bundle", format="executorch")
    with pytest.raises(ValueError, match="unknown bundle format 'torchscript'; have executorch, onnx"):
        deploy(net, net.largest, Device("here"), tmp_path / "bundle", format="torchscript")
    assert not (tmp_path / "bundle").exists()


def test_a_format_that_computes_something_else_is_refused(net, tmp_path, monkeypatch):
    class Wrong(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *inputs):
            return 1.01 * self.module(*inputs)

    parts = net.parts

    def changed(model, architecture):
        from dataclasses import replace

        return {name: replace(part, module=Wrong(part.module)) for name, part in parts(model, architecture).items()}

    monkeypatch.setattr(net, "parts", changed, raising=False)
    with pytest.raises(ParityError, match=r"model\.pt2 differs from the PyTorch model by 0\.0"):
        deploy(net, net.largest, Device("here", "torch"), tmp_path / "bundle")


def test_what_a_format_cannot_take_is_said(net, tmp_path, monkeypatch):
    class Refusing(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *inputs):
            raise RuntimeError("operator 'sorcery' is not supported\nsecond line")

    from dataclasses import replace

    parts = net.parts

    def changed(model, architecture):
        return {name: replace(part, module=Refusing(part.module)) for name, part in parts(model, architecture).items()}

    monkeypatch.setattr(net, "parts", changed, raising=False)
    message = r"model\.onnx cannot be written in format 'onnx' \(RuntimeError: operator 'sorcery'.*format=\.\.\.$"
    with pytest.raises(FormatError, match=message):
        deploy(net, net.largest, Device("here"), tmp_path / "bundle")
    assert not list(tmp_path.iterdir())
