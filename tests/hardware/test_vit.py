"""Vision transformers from the super-network to the device: blocks, tables, bundles, searches."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import hardware
import search
import supernet
from hardware import Device, LatencyTable, Protocol
from hardware.bundle import deploy
from supernet.tasks import ImageArray, ImageClassification
from supernet.validation import Validation

QUICK = Protocol(rounds=3, most_rounds=4, sample_ms=0.2)
SETTINGS = {"patch_size": 4, "depths": (1, 2), "hidden_sizes": (16, 32), "heads": (1, 2), "mlp_sizes": (16, 64)}
SETTINGS |= {"head_dim": 16, "resolutions": (16,), "num_classes": 3}


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return supernet.create("vit", **SETTINGS).eval()


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    images = ImageArray(rng.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8), np.arange(24) % 3)
    splits = dict.fromkeys(("train", "validation", "test"), images)
    return ImageClassification(name="noise", splits=splits, class_names=("a", "b", "c"), image_size=16, crop_pct=1.0)


@pytest.mark.parametrize("backend", ["onnxruntime", "torch"])
def test_a_table_holds_every_block_and_orders_the_ends(backend):
    net = supernet.create("vit", **SETTINGS | {"hidden_sizes": (16, 256), "mlp_sizes": (16, 1024)}).eval()
    table = LatencyTable.build(net, Device("here", backend), n_probes=4, protocol=QUICK, progress=False)
    assert table.complete
    assert len(table.blocks) == 2 * 2 * 2 + 3 * 2  # layers by width, heads and neurons; patches, norm, head by width
    smallest, largest = table.latency([net.smallest, net.largest])
    assert 0 < smallest < largest


def test_a_bundle_runs_and_its_readme_rebuilds_the_model_with_timm(net, task, tmp_path):
    architecture = net.space.validate(
        {"num_layers": 2, "hidden_size": 32, "num_attention_heads": [1, 2], "intermediate_size": [64, 16], "r": 16}
    )
    folder = deploy(net, architecture, Device("here", "onnxruntime"), tmp_path / "bundle", task=task)
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "run.py"), *map(str, folder.glob("samples/*.png")), "--repeats", "2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert report["parity"]["ok"]
    assert len(report["predictions"]) == 4
    code = (folder / "README.md").read_text().partition("```python\n")[2].partition("```")[0]
    assert "timm" in code
    assert "supernet" not in code
    scope = {"__name__": "rebuilt"}
    exec(code.replace("model.safetensors", str(folder / "model.safetensors")), scope)
    (images,) = net.example_inputs(architecture, 2)
    with torch.no_grad():
        torch.testing.assert_close(scope["model"](images), net(images, architecture), rtol=0, atol=1e-5)
    assert load_file(folder / "model.safetensors").keys() == scope["model"].state_dict().keys()


def test_a_search_over_its_space(net, task):
    objectives = [
        search.Objective("accuracy", goal="max", measure=Validation(net, task)),
        search.Objective("macs", goal="min", measure=lambda archs: net.costs(archs)["macs"], expensive=False),
    ]
    result = search.run(net.space, objectives, tactic="random", budget=8, seed=0, progress=False)
    assert len(result.frame) == 8
    assert hardware.measure(net.extract(result.best("accuracy")["architecture"]), net.example_inputs(net.largest),
                            Device("here", "torch"), QUICK).median_ms > 0  # fmt: skip
