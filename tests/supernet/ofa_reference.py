"""The reference vectors of Once-for-All beside the checkout: networks, weights, images, expected outputs."""

import importlib.util
import json
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

import supernet

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "ofa"
NETWORKS = {
    "ofa_mbv3_w1.0": ("ofa_mobilenetv3", {"width_mult": 1.0}),
    "ofa_mbv3_w1.2": ("ofa_mobilenetv3", {"width_mult": 1.2}),
    "ofa_proxyless_w1.3": ("ofa_proxyless", {"width_mult": 1.3}),
    "ofa_resnet50": ("ofa_resnet50", {}),
}


def require_reference():
    if not FOLDER.is_dir():
        pytest.skip("needs the reference vectors in ../shared/vectors/ofa, which are not part of the project")


@cache
def reference_weights():
    """The module that makes weights and images, as the vectors bring it."""
    specification = importlib.util.spec_from_file_location("ofa_reference_weights", FOLDER / "reference_weights.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def tensors(state):
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


@dataclass(frozen=True)
class Reference:
    """One of the networks: its records, its expected arrays, its weights in the authors' layout."""

    name: str

    @cached_property
    def record(self):
        return json.loads((FOLDER / f"{self.name}.json").read_text())

    @cached_property
    def configs(self):
        return self.record["configs"]

    @cached_property
    def shapes(self):
        return json.loads((FOLDER / f"keys_{self.name}.json").read_text())

    @cached_property
    def state(self):
        return reference_weights().reference_state_dict(self.shapes)

    @cached_property
    def arrays(self):
        with np.load(FOLDER / f"{self.name}.npz") as archive:
            return dict(archive)

    def images(self, config, purpose, n):
        size = config["config"]["r"]
        text = f"{self.name}/{config['id']}/{purpose}"
        return torch.from_numpy(reference_weights().reference_input((n, 3, size, size), text))

    def create(self, **settings):
        name, own = NETWORKS[self.name]
        return supernet.create(name, **own, **settings)

    def loaded(self, folder):
        """The super-network with the reference weights, through a file as its authors publish it."""
        path = folder / f"{self.name}.pth"
        torch.save({"state_dict": tensors(self.state)}, path)
        net = self.create()
        net.load_checkpoint(path)
        path.unlink()
        return net.eval()
