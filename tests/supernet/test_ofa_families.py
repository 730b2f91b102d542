"""Once-for-All's spaces: published configurations, canonical forms, exact sizes, stock models."""

import numpy as np
import pytest
import torch
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3

import supernet
from supernet import ArchitectureError
from supernet.families.resnet import ElasticResNet

from .conftest import randomised
from .test_ofa_checkpoints import SMALL

BLOCKS = 9**2 + 9**3 + 9**4  # kernel sizes and expansions of a stage of 2, 3 or 4 blocks
SIZES = {
    "ofa_mobilenetv3": BLOCKS**5,
    "ofa_proxyless": 9 * BLOCKS**5,
    "ofa_resnet50": 2 * 2 * 3**5 * (3**2 + 3**3 + 3**4) ** 3 * (3**4 + 3**5 + 3**6),
}


@pytest.fixture(scope="module", params=list(SIZES))
def net(request):
    return supernet.create(request.param)


@pytest.fixture(params=list(SMALL))
def small(request):
    return randomised(SMALL[request.param]())


def test_the_space_counts_distinct_networks(net):
    n_resolutions = len(net.space.choice("r").values)
    assert net.space.size == SIZES[net.name] * n_resolutions


def test_every_drawn_resolution_is_published(net):
    assert set(range(128, 225, 4)) <= set(net.space.choice("r").values)


def test_configurations_survive_json(net):
    for architecture in net.space.sample(20, 0):
        values = dict(architecture) | {"wid": None, "r": [architecture["r"]]}
        assert net.space.validate(values) == architecture


@pytest.mark.parametrize("family", ["ofa_mobilenetv3", "ofa_resnet50"])
def test_resolutions_may_come_in_any_order_and_as_numpy_numbers(family):
    usual = supernet.create(family, resolutions=(128, 160))
    other = supernet.create(family, resolutions=np.array([160, 128]))
    assert other.space.fingerprint == usual.space.fingerprint
    for wrong in (224, (), ("224",), None):
        with pytest.raises(ValueError, match="resolutions must be a list of numbers, at least one, got"):
            supernet.create(family, resolutions=wrong)


def test_widths_of_resnet_count_from_the_smallest():
    small = {"stem_width": 16, "stage_widths": (32, 64), "base_depths": (1, 1), "depths": (0, 1), "num_classes": 3}
    nets = [ElasticResNet(width_mults=mults, **small) for mults in ((0.5, 1.0), (1.0, 0.5))]
    assert nets[0].space.fingerprint == nets[1].space.fingerprint
    assert nets[1].costs([nets[1].smallest, nets[1].largest])["params"].tolist() == sorted(
        nets[0].costs([nets[0].smallest, nets[0].largest])["params"].tolist()
    )


def test_published_configurations_of_mobile_networks():
    mobile = supernet.create("ofa_mobilenetv3")
    published = {"wid": None, "ks": [7] * 20, "e": [6] * 20, "d": [4] * 5, "r": [224]}
    assert mobile.space.validate(published) == mobile.largest
    assert mobile.space.validate({"ks": 7, "e": 6, "d": 4, "r": 224}) == mobile.largest
    whole = {"ks": np.array([7] * 20), "e": [6.0] * 20, "d": tuple([4] * 5), "image_size": 224}
    assert mobile.space.validate(whole) == mobile.largest
    with pytest.raises(ArchitectureError, match="wid: 1.2 is not None"):
        mobile.space.validate(published | {"wid": 1.2})


def test_the_depth_of_the_sixth_stage_of_proxyless_is_one():
    proxyless = supernet.create("ofa_proxyless", resolutions=(224,))
    full = {"ks": [7] * 21, "e": [6] * 21}
    expected = proxyless.space.validate(full | {"d": [4, 3, 2, 4, 4, 1]})
    assert expected["d"] == (4, 3, 2, 4, 4, 1)
    assert proxyless.space.validate(full | {"d": [4, 3, 2, 4, 4]}) == expected
    assert proxyless.space.validate(full | {"d": [4, 3, 2, 4, 4, 4]}) == expected
    assert proxyless.space.validate({"ks": [7] * 20, "e": [6] * 20, "d": [4, 3, 2, 4, 4]}) == expected  # its largest
    for depths, message in (([1, 3, 2, 4, 4], r"d\[0\]: 1 is not one of \(2, 3, 4\)"), ([4] * 4, "d needs 6 values")):
        with pytest.raises(ArchitectureError, match=message):
            proxyless.space.validate(full | {"d": depths})
    *_, last = (g for g, label in enumerate(proxyless.space.labels) if label.startswith("ks["))
    assert proxyless.space.active(proxyless.space.encode([proxyless.smallest]))[0, last]


def test_settings_of_blocks_that_do_not_run_are_inert():
    mobile = supernet.create("ofa_mobilenetv3", resolutions=(224,))
    values = {"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5}
    changed = {name: list(value) for name, value in values.items()}
    changed["ks"][3], changed["e"][18] = 7, 6
    assert mobile.space.validate(changed) == mobile.space.validate(values)
    changed["ks"][4] = 5  # the first block of the second stage: settings stay with their block
    assert mobile.space.validate(changed)["ks"][4] == 5


def test_equal_forms_of_resnet():
    resnet = supernet.create("ofa_resnet50", resolutions=(224,))
    base = {"d": [0, 0, 1, 2, 0], "e": [0.25] * 18, "w": [0, 1, 2, 0, 1, 2]}
    canonical = resnet.space.validate(base)
    inert = [i for i in range(18) if i not in {0, 1, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15}]
    for same in (
        base | {"d": [1, 0, 1, 2, 0]},
        base | {"w": [1, 1, 2, 0, 1, 2]},
        base | {"e": [0.35 if i in inert else 0.25 for i in range(18)]},
    ):
        assert resnet.space.validate(same) == canonical
    for other in (base | {"d": [2, 0, 1, 2, 0]}, base | {"w": [2, 1, 2, 0, 1, 2]}, base | {"w": [0, 0, 2, 0, 1, 2]}):
        assert resnet.space.validate(other) != canonical


def test_middle_widths_of_resnet_differ_for_all_ratios():
    """Else two architectures would build the same network."""
    resnet = supernet.create("ofa_resnet50", resolutions=(224,))
    genes = resnet.space.encode([resnet.smallest])
    for label in resnet.space.labels:
        if label.startswith("e["):
            variants = np.repeat(genes, 3, axis=0)
            variants[:, resnet.space.labels.index(label)] = range(3)
            active = resnet.space.active(genes)[0, resnet.space.labels.index(label)]
            assert len(np.unique(resnet.costs(variants)["macs"])) == (3 if active else 1)


def test_small_networks_act_as_the_extracted_ones(small):
    for architecture in [small.smallest, small.largest, *small.space.sample(6, 3)]:
        (images,) = small.example_inputs(architecture, batch_size=2)
        with torch.no_grad():
            expected = small.extract(architecture)(images)
            torch.testing.assert_close(small(images, architecture), expected, rtol=0, atol=1e-5)


def test_gradients_reach_the_shared_weights(small):
    small.train()
    (images,) = small.example_inputs(small.largest, batch_size=4)
    small(images, small.largest).square().sum().backward()
    for name, parameter in small.shared.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_mobile_sub_networks_are_stock_models():
    assert type(SMALL["mobilenetv3"]().extract(SMALL["mobilenetv3"]().smallest)) is MobileNetV3
    model = SMALL["proxyless"]().extract(SMALL["proxyless"]().smallest)
    assert type(model) is EfficientNet
    assert {m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-3}


@pytest.mark.parametrize("name", ["mobilenetv3", "proxyless"])
def test_library_code_rebuilds_the_model(name, tmp_path, monkeypatch):
    from safetensors.torch import save_file

    net = randomised(SMALL[name]())
    architecture = net.space.sample(1, 4)[0]
    model = net.extract(architecture)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(net.library_code(architecture), scope)
    (images,) = net.example_inputs(architecture, batch_size=2)
    with torch.no_grad():
        torch.testing.assert_close(scope["model"](images), model(images), rtol=0, atol=0)
