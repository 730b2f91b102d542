"""Closed-form costs equal those of the modules, the published counts, and are quick."""

import csv

import numpy as np
import pytest

import supernet
from supernet.blocks import count_macs

from .test_ofa_checkpoints import SMALL


@pytest.fixture(params=list(SMALL))
def net(request):
    return SMALL[request.param]()


def test_costs_are_those_of_the_extracted_models(net):
    architectures = [net.smallest, net.largest, *net.space.sample(8, 1)]
    costs = net.costs(architectures)
    for i, architecture in enumerate(architectures):
        model = net.extract(architecture)
        assert costs["params"][i] == sum(p.numel() for p in model.parameters())
        assert costs["macs"][i] == count_macs(model, net.example_inputs(architecture))


def test_closed_form_and_blocks_agree(net):
    architectures = net.space.sample(60, 2)
    closed, by_blocks = net.costs(architectures), net.block_map.costs(architectures)
    for name in ("macs", "params"):
        np.testing.assert_array_equal(closed[name], by_blocks[name])


@pytest.mark.parametrize("name", ["ofa_mobilenetv3", "ofa_proxyless", "ofa_resnet50"])
def test_published_networks_agree_at_odd_sizes_of_maps(name):
    net = supernet.create(name)
    drawn = zip(net.space.sample(3), (132, 176, 212), strict=True)
    architectures = [net.space.validate(dict(architecture) | {"r": size}) for architecture, size in drawn]
    costs = net.costs(architectures)
    for i, architecture in enumerate(architectures):
        model = net.skeleton(architecture).eval()
        assert costs["params"][i] == sum(p.numel() for p in model.parameters())
        inputs = [tensor.to("meta") for tensor in net.example_inputs(architecture)]
        assert costs["macs"][i] == count_macs(model, inputs)


@pytest.mark.parametrize("name", ["ofa_mobilenetv3", "ofa_proxyless", "ofa_resnet50"])
def test_two_thousand_architectures_take_less_than_a_second(name, takes_seconds):
    """The super-network, the architectures and their costs from nothing, in processor time."""

    def from_nothing():
        net = supernet.create(name)
        return net.costs(net.space.sample(2000))

    assert takes_seconds(1, from_nothing)
    assert len(np.unique(from_nothing()["macs"])) > 1000


def test_every_row_of_the_published_measurements(shared):
    path = shared / "measurements" / "ofa_mbv3_imagenet_top1.csv"
    with path.open() as file:
        rows = list(csv.DictReader(file))
    net = supernet.create("ofa_mobilenetv3", resolutions=(224,))
    costs = net.costs([{name: [int(v) for v in row[name]] for name in ("ks", "e", "d")} for row in rows])
    assert len(rows) > 1000
    np.testing.assert_array_equal(costs["params"], [int(row["params"]) for row in rows])
    np.testing.assert_array_equal(costs["macs"], [int(row["macs"]) for row in rows])
