"""What bundles say of themselves: metrics, versions, requirements."""

import importlib.metadata
import json
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import PackageNotFoundError

import numpy as np
import onnxruntime
import pytest
import torch

from hardware import deploy

from .test_bundle import DEVICE, tiny_network


@pytest.fixture(scope="module")
def net():
    return tiny_network()


def test_a_runtime_may_come_from_a_distribution_of_another_name(net, tmp_path, monkeypatch):
    def version(name):
        if name == "onnxruntime":
            raise PackageNotFoundError(name)
        return "1.99" if name == "onnxruntime-gpu" else importlib.metadata.version(name)

    monkeypatch.setattr("hardware.provenance.version", version)
    monkeypatch.setattr("hardware.provenance.packages_distributions", lambda: {"onnxruntime": ["onnxruntime-gpu"]})
    folder = deploy(net, net.smallest, DEVICE, tmp_path / "bundle")
    assert 'onnxruntime-gpu>=1.99; python_version >= "3.11"' in (folder / "requirements.txt").read_text().splitlines()
    versions = json.loads((folder / "metrics.json").read_text())["provenance"]["versions"]
    assert versions["onnxruntime"] == onnxruntime.__version__


def test_what_the_device_measured_stays_with_the_same_model(net, tmp_path):
    folder = deploy(net, net.smallest, DEVICE, tmp_path / "bundle")
    (folder / "run.json").write_text('{"latency": 1}')
    deploy(net, net.smallest, DEVICE, folder, metrics={"measured": {"top1": 0.5}})
    assert (folder / "run.json").read_text() == '{"latency": 1}'
    deploy(net, net.smallest, replace(DEVICE, batch_size=4), folder)
    assert not (folder / "run.json").exists()
    (folder / "run.json").write_text('{"latency": 1}')
    deploy(net, net.largest, replace(DEVICE, batch_size=4), folder)
    assert not (folder / "run.json").exists()
    (folder / "run.json").write_text('{"latency": 1}')
    (folder / "bundle.json").write_bytes(b'{"damaged": ')
    deploy(net, net.largest, replace(DEVICE, batch_size=4), folder)
    assert not (folder / "run.json").exists()


def test_metrics_may_be_numbers_of_numpy_and_pytorch(net, tmp_path):
    numbers = {"top1": np.float32(0.5), "n": np.int64(3), "loss": torch.tensor(2.5), "note": "fine-tuned"}
    folder = deploy(net, net.smallest, DEVICE, tmp_path / "bundle", metrics={"measured": numbers})
    measured = json.loads((folder / "metrics.json").read_text())["measured"]
    assert measured == {"top1": 0.5, "n": 3, "loss": 2.5, "note": "fine-tuned"}


def test_a_bundle_says_which_it_is_and_what_it_needs(net, tmp_path):
    """What `run.py` prints names its bundle, so that results of two bundles are not mixed up."""
    small, again, large = (
        deploy(net, a, DEVICE, tmp_path / name)
        for name, a in [("a", net.smallest), ("b", net.smallest), ("c", net.largest)]
    )
    ids = [json.loads((folder / "bundle.json").read_text())["id"] for folder in (small, again, large)]
    assert ids[0] == ids[1] != ids[2]
    ran = subprocess.run([sys.executable, "-I", small / "run.py", "--repeats", "2"], capture_output=True, check=True)
    assert json.loads(ran.stdout)["bundle"] == ids[0]
    bare = subprocess.run([sys.executable, "-I", "-S", small / "run.py"], capture_output=True, text=True, check=False)
    assert bare.returncode == 1
    assert f"No module named 'numpy': python -m pip install -r {small / 'requirements.txt'}" in bare.stderr
    assert "Traceback" not in bare.stderr
