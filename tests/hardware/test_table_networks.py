"""Latency tables of unusual super-networks: of one part, of one architecture, of blocks that are called many times."""

import pytest
import torch
from torch import nn

from hardware import Device, LatencyTable
from supernet import Choice, SearchSpace, SuperNetwork

from .test_table import DEVICE, QUICK


class Gated(nn.Module):
    """A layer that is called with a keyword."""

    def __init__(self, inner):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, inner), nn.ReLU(), nn.Linear(inner, 8))

    def forward(self, x, *, gate):
        return x + gate * self.layers(x)


class Recurrent(SuperNetwork):
    """One inference runs the model three times on growing inputs."""

    space = SearchSpace(Choice("inner", (8, 64, 256), repeat=2))
    input_shape = (4, 8)

    class Model(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.layers = nn.ModuleList(Gated(i) for i in inner)

        def forward(self, x):
            for layer in self.layers:
                x = layer(x, gate=torch.sigmoid(x))
            return x

    class Thrice(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            for _ in range(3):
                x = torch.cat([x, self.model(x)], dim=1)
            return x

    def build(self, architecture):
        return self.Model(architecture["inner"])

    def inference(self, model, architecture):
        return self.Thrice(model)


class Product(nn.Module):
    """A layer whose parameter is used outside of any module."""

    def __init__(self, width):
        super().__init__()
        self.layer = nn.Linear(32, width)

    def forward(self, x):
        return nn.functional.linear(x, self.layer.weight)


@pytest.mark.parametrize(
    ("layer", "widths"),
    [
        (lambda width: nn.Sequential(nn.Linear(32, width)), (256,)),
        (lambda width: nn.Linear(32, width), (256,)),
        (lambda width: nn.Linear(32, width), (8, 8192)),
        (Product, (8, 8192)),
    ],
    ids=["one architecture", "one architecture without children", "no children", "children that are not called"],
)
def test_spaces_and_models_of_one_part_have_tables(layer, widths, tmp_path):
    class Single(SuperNetwork):
        space = SearchSpace(Choice("width", widths))
        input_shape = (64, 32)

        def build(self, architecture):
            return layer(architecture["width"])

    net = Single().eval()
    table = LatencyTable.build(net, DEVICE, protocol=QUICK, progress=False)
    table.save(tmp_path / "table.json")
    assert len(table.blocks) == len(table.probes) == len(widths)
    latencies = LatencyTable.load(tmp_path / "table.json").latency([net.smallest, net.largest])
    assert (latencies > 0).all()
    assert latencies[0] < latencies[1] or len(widths) == 1


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_blocks_with_keywords_and_several_calls_are_profiled(backend):
    net = Recurrent().eval()
    table = LatencyTable.build(net, Device("here", backend), n_probes=4, n_held_out=0, protocol=QUICK, progress=False)
    assert table.complete
    assert len(table.blocks) == 3
    assert (table.latency(net.space.decode(net.space.enumerate())) > 0).all()
