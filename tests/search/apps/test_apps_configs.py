"""Every configuration file composes and builds; users bring their own; training makes what a search takes."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

import conf
from hardware import DeviceError

CONF = Path(conf.__file__).parent
FILES = sorted(str(path.relative_to(CONF).with_suffix("")) for path in CONF.glob("*/*.yaml"))
ABSENT = {
    "engine/gpus": (torch.cuda.is_available, "sees no GPU"),
    "engine/ray": (lambda: importlib.util.find_spec("ray") is not None, "pip install ray"),
}
WITHOUT_DATA = {
    "task/arrays": "no arrays at",
    "task/cifar10": "no complete CIFAR-10",
    "task/multi30k": "holds no parallel texts",
    "task/packed_images": "no packed images",
    "task/sst2": "holds no training texts",
    "task/text_classification": "holds no training texts",
}
SMALL = {"width_mult": 0.5, "resolutions": [32], "num_classes": 10}


def substitutes(group, config, tmp_path):
    """Small values for what is mandatory or large."""
    if group == "supernet":
        config.checkpoint = None
        config.update({key: value for key, value in SMALL.items() if key in config})
    if group == "task" and OmegaConf.is_missing(config, "root"):
        from PIL import Image

        config.root = str(tmp_path)
        for folder in ("train/cat", "train/dog", "val/cat", "val/dog"):
            (tmp_path / folder).mkdir(parents=True)
            for i in range(6):
                Image.new("RGB", (8, 8), (40 * i, 0, 0)).save(tmp_path / folder / f"{i}.png")


@pytest.mark.parametrize("file", FILES)
def test_every_configuration_composes_and_builds(file, tmp_path):
    group = file.partition("/")[0]
    application = "train" if group == "recipe" or file.startswith("experiment/train_") else "search"
    with initialize_config_module("conf", version_base="1.3"):
        config = compose(application, overrides=[file.replace("/", "=")])
    if group == "experiment":
        assert (config.budget if application == "search" else config.recipe.epochs) > 0
        return
    part = config[group]
    substitutes(group, part, tmp_path)
    if OmegaConf.missing_keys(part):  # a family's own mandatory settings: its tests build it
        return
    if file in WITHOUT_DATA:  # built as far as there is none
        with pytest.raises(InstantiationException, match=WITHOUT_DATA[file]):
            instantiate(part)
        return
    if file in ABSENT and not ABSENT[file][0]():
        with pytest.raises(InstantiationException, match=ABSENT[file][1]):  # built as far as this machine goes
            instantiate(part)
        return
    assert instantiate(part) is not None


@pytest.mark.parametrize("path", sorted((CONF / "hardware").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_ready_device_runs_here_or_says_what_is_missing(path):
    settings = OmegaConf.load(path)
    settings.name = path.stem
    device = instantiate(settings)
    assert {"backend", "batch_size", "precision"} <= set(settings)  # can be given on the command line
    try:
        device.require_here()
    except DeviceError as error:
        assert re.match(rf"device '{path.stem}': .*(needs|machine|measured elsewhere|processor|core )", str(error))  # noqa: PT017


@pytest.mark.parametrize("name", [path.stem for path in CONF.glob("*.yaml")])
def test_every_application_composes(name):
    with initialize_config_module("conf", version_base="1.3"):
        assert compose(name) is not None


def test_own_configurations_are_found(app, small, tmp_path):
    ran = app("search", *small, "hardware=mine", "budget=4", "deploy=[0]", f"output={tmp_path}")
    assert ran.code == 0, ran.err
    assert (tmp_path / "bundle/mine/0/run.py").exists()
    assert (tmp_path / "latency_mine.json").exists()


TINY_RECIPE = ["recipe.epochs=1", "recipe.warmup_epochs=0", "recipe.n_random=0", "recipe.n_evaluated=0"]


def test_a_search_takes_what_a_training_makes(app, own, small, tmp_path):
    ran = app(
        "train",
        "--config-dir",
        own,
        "supernet=small",
        "+task.n_calibration=32",
        *TINY_RECIPE,
        "recipe.batch_size=512",
        f"output={tmp_path / 'train'}",
    )
    assert ran.code == 0, ran.err
    weights = tmp_path / "train/weights.safetensors"
    assert str(weights) in ran.out
    assert "largest" in ran.out
    ran = app(
        "search", *small, "budget=4", "deploy=none", f"supernet.checkpoint={weights}", f"output={tmp_path / 'run'}"
    )
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        ("recipe.epoch=1", "'recipe.epoch'"),
        ("+recipe.epoch=1", "'epoch'"),
        ("recipe.epochs=0", "epochs"),
        ("recipe.device=abacus", "abacus"),
    ],
)
def test_mistakes_in_recipes_are_named(app, tmp_path, argument, part):
    ran = app("train", argument, f"output={tmp_path}")
    assert ran.code == 2, ran.err
    assert part in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_profile_of_a_ready_table(app, own, table, tmp_path):
    ran = app("profile", "--config-dir", own, "supernet=small", f"latency_table={table}", f"output={tmp_path}")
    assert ran.code == 0, ran.err
    assert "blocks on onnxruntime_cpu" in ran.out
    assert max(map(len, ran.out.splitlines()[:2])) <= 120
    assert json.loads((tmp_path / "latency_onnxruntime_cpu.json").read_text())["device"]["threads"] == 1


OWN_NETWORK = """
from torch import nn
from supernet import Choice, SearchSpace, SuperNetwork

class Mine(SuperNetwork):
    space = SearchSpace(Choice("width", (4, 8, 16)), Choice("kernel", (1, 3)))
    input_shape = (1, 32, 32)

    def build(self, architecture):
        width, kernel = architecture["width"], architecture["kernel"]
        return nn.Sequential(nn.Conv2d(1, width, kernel, padding=kernel // 2), nn.BatchNorm2d(width), nn.ReLU(),
                             nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))
"""


def test_a_super_network_in_the_folder_where_it_is_searched(app, tmp_path, monkeypatch):
    (tmp_path / "conf/supernet").mkdir(parents=True)
    (tmp_path / "conf/supernet/mine.yaml").write_text("_target_: network_in_this_folder.Mine\ncheckpoint: null\n")
    (tmp_path / "network_in_this_folder.py").write_text(OWN_NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    own = ["--config-dir", "conf", "supernet=mine"]
    search = [*own, "objectives=[accuracy,macs]", "budget=4", "predictor=ridge", "deploy=[0]"]
    first = app("search", *search, "output=first")
    assert first.code == 0, first.err
    from network_in_this_folder import Mine

    torch.save(Mine().shared.state_dict(), "mine.pt")
    second = app("search", *search, "supernet.checkpoint=mine.pt", "output=second")
    assert second.code == 0, second.err
    assert (tmp_path / "second/bundle/onnxruntime_cpu/0/run.py").exists()
    wrong = app("search", *search, "supernet.checkpoint=first/store.sqlite", "output=third")
    assert (wrong.code, "first/store.sqlite is not a complete" in wrong.err) == (2, True)
