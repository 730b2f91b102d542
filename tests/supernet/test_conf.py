"""Every file of the configuration groups for super-networks, tasks and experiments composes and builds."""

from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image

import conf
import supernet
from supernet import SuperNetwork
from supernet.families.hat import HatSettings, available_spaces
from supernet.tasks import Task

FOLDER = Path(conf.__file__).parent
OFA = ["ofa_mobilenetv3", "ofa_mobilenetv3_w1.2", "ofa_proxyless", "ofa_resnet50"]
TITLES = {
    "ofa_mobilenetv3": "ofa_mobilenetv3 of width 1",
    "ofa_mobilenetv3_w1.2": "ofa_mobilenetv3 of width 1.2",
    "ofa_proxyless": "ofa_proxyless of width 1.3",
    "ofa_resnet50": "ofa_resnet50 of width 1",
}


def composed(*overrides):
    with initialize_config_module("conf", version_base="1.3"):
        return compose("search", overrides=list(overrides))


@pytest.fixture
def folders(tmp_path):
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(3):
                pixels = np.full((16, 16, 3), 40 * i, dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{i}.png")
    return tmp_path


def built_supernet(config, tmp_path):
    """The super-network of a configuration, with a checkpoint in its authors' layout."""
    settings = {k: v for k, v in config.items() if not k.startswith("_") and k not in ("name", "checkpoint")}
    path = tmp_path / "net.pth"
    supernet.create(config["name"], **settings).save_checkpoint(path, layout="ofa")
    return path


@pytest.mark.parametrize("name", OFA)
def test_super_networks_of_once_for_all(name, tmp_path):
    config = OmegaConf.to_container(composed(f"supernet={name}").supernet)
    assert config["checkpoint"] == "???"
    path = built_supernet(config, tmp_path)
    net = instantiate(composed(f"supernet={name}", f"supernet.checkpoint={path}").supernet)
    assert isinstance(net, SuperNetwork)
    assert net.title == TITLES[name]
    assert net.space.choice("r").values == (128, 160, 192, 224)
    assert net.mean == (0.485, 0.456, 0.406)
    assert net.std == (0.229, 0.224, 0.225)


def test_every_super_network_is_tested():
    assert {path.stem for path in (FOLDER / "supernet").glob("ofa*.yaml")} == set(OFA)


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "experiment").glob("imagenet_ofa*.yaml")))
def test_experiments_need_a_checkpoint_and_a_folder_alone(name, folders):
    unset = OmegaConf.missing_keys(composed(f"experiment={name}"))
    assert unset == {"supernet.checkpoint", "task.root"}
    config = composed(f"experiment={name}", f"task.root={folders}", "supernet.checkpoint=net.pth")
    task = instantiate(config.task)
    assert isinstance(task, Task)
    assert task.name == "imagenet"
    assert config.supernet.name in name
    assert config.output == f"runs/{name}"


def test_there_is_an_experiment_per_super_network():
    assert {path.stem for path in (FOLDER / "experiment").glob("imagenet_ofa*.yaml")} == {f"imagenet_{n}" for n in OFA}


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "supernet").glob("hat_*.yaml")))
def test_super_networks_of_hat_need_a_vocabulary_and_know_their_space(name):
    config = composed(f"supernet={name}").supernet
    assert OmegaConf.is_missing(config, "vocab_size")
    assert f"hat_{config.space}" == name
    assert HatSettings.read(config.space).beam >= 4


def test_a_super_network_of_hat_from_its_configuration(tmp_path):
    net = instantiate(composed("supernet=hat_multi30k_en_de", "supernet.vocab_size=20").supernet)
    assert net.title == "hat_transformer of space multi30k_en_de with 20 words"


def test_there_is_a_configuration_per_space_of_hat():
    assert {path.stem for path in (FOLDER / "supernet").glob("hat_*.yaml")} == {f"hat_{n}" for n in available_spaces()}
