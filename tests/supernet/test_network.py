"""What every super-network has to keep: acting as a sub-network and extracting it are the same function."""

import copy
import pickle

import numpy as np
import pytest
import torch
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

import supernet
from supernet import Choice, SearchSpace, SuperNetwork
from supernet.blocks import count_macs

from .conftest import tiny_mobilenetv3


def sample_of(net, n=8, seed=0):
    return [net.smallest, net.largest, *net.space.sample(min(n, net.space.size), seed)]


def test_extracted_models_equal_the_shared_weights(net):
    for architecture in sample_of(net):
        (inputs,) = net.example_inputs(architecture, batch_size=3)
        with torch.no_grad():
            torch.testing.assert_close(net(inputs, architecture), net.extract(architecture)(inputs), rtol=0, atol=1e-5)


def test_an_extracted_model_owns_its_weights(net):
    architecture = net.space.sample(1, 3)[0]
    (inputs,) = net.example_inputs(architecture)
    model = net.extract(architecture)
    before = model(inputs).detach()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    torch.testing.assert_close(model(inputs), before, rtol=0, atol=0)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not model.training
    assert not any(tensor.is_meta for tensor in model.state_dict().values())


def test_extractions_share_no_module_with_each_other_or_the_super_network(net):
    architecture = net.space.sample(1, 3)[0]
    skeleton = net.skeleton(architecture)
    first, second = net.extract(architecture), net.extract(architecture)
    first.train()
    assert not second.training
    assert not set(map(id, first.modules())) & set(map(id, second.modules()))
    assert net.skeleton(architecture) is not first
    assert skeleton is not second
    (inputs,) = net.example_inputs(architecture)
    torch.testing.assert_close(net(inputs, architecture), second(inputs), rtol=0, atol=1e-5)


def test_gradients_reach_the_shared_weights_and_nothing_outside_the_slice(net):
    net.train()
    (inputs,) = net.example_inputs(net.smallest, batch_size=4)
    net(inputs, net.smallest).square().sum().backward()
    shares = net.share(net.smallest)
    reached = {name: p.grad for name, p in net.shared.named_parameters() if p.grad is not None}
    assert set(reached) == {name for name in shares if name in dict(net.shared.named_parameters())}
    for name, gradient in reached.items():
        computed = "conv_dw" in name or name == "pos_embed"  # by kernel transforms, by resampling
        assert gradient.count_nonzero() <= shares[name].numel() or computed


def test_costs_equal_those_of_the_extracted_model(net):
    architectures = sample_of(net)
    costs = net.costs(architectures)
    for i, architecture in enumerate(architectures):
        model = net.extract(architecture)
        assert costs["params"][i] == sum(p.numel() for p in model.parameters())
        assert costs["macs"][i] == count_macs(model, net.example_inputs(architecture))
    assert costs["macs"].dtype == np.int64


@pytest.mark.parametrize("model", [nn.Linear(12, 5), nn.Sequential(nn.Linear(12, 5)), nn.Identity()], ids=str)
def test_a_space_of_one_architecture_has_costs(model):
    class Single(SuperNetwork):
        space = SearchSpace(Choice("width", (5,)))
        input_shape = (12,)

        def build(self, architecture):
            return copy.deepcopy(model)

    net = Single()
    params = sum(p.numel() for p in model.parameters())
    found = {name: values.tolist() for name, values in net.costs([net.smallest]).items()}
    assert found == {"macs": [60 if params else 0], "params": [params]}


def test_every_block_of_the_space_is_found_without_enumerating_it(net):
    n_blocks = len(net.block_map.cover())
    net.costs(net.space.enumerate()[:5000])
    assert len(net.block_map.blocks) == n_blocks


def test_declared_genes_of_blocks_are_those_found_by_trial():
    mobilenetv3 = tiny_mobilenetv3(n_stages=1, kernel_sizes=(3, 5), expand_ratios=(3, 4))

    class Undeclared(type(mobilenetv3)):
        def block_genes(self):
            return None

    undeclared = copy.deepcopy(mobilenetv3)
    undeclared.__class__ = Undeclared
    architectures = mobilenetv3.space.sample(40, 1)
    declared, found = mobilenetv3.block_map.costs(architectures), undeclared.block_map.costs(architectures)
    np.testing.assert_array_equal(declared["macs"], found["macs"])
    np.testing.assert_array_equal(declared["params"], found["params"])


def test_a_super_network_can_be_copied_and_pickled(net):
    architecture = net.space.sample(1, 5)[0]
    (inputs,) = net.example_inputs(architecture)
    net.costs([architecture])
    expected = net(inputs, architecture)
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        torch.testing.assert_close(again(inputs, architecture), expected)


def test_sub_networks_of_mobilenetv3_are_stock_timm_models(mobilenetv3):
    model = mobilenetv3.extract(mobilenetv3.space.sample(1)[0])
    assert type(model) is MobileNetV3
    assert model.pretrained_cfg["input_size"][0] == 1


def test_small_kernels_are_the_centre_of_large_ones_through_the_transforms(mobilenetv3):
    """With identity transforms the 3x3 kernel is the middle of the 7x7 one; with another matrix it changes."""
    name = "blocks.1.0.conv_dw.weight"
    with torch.no_grad():
        for matrix in mobilenetv3.kernel_transforms.values():
            matrix.copy_(torch.eye(len(matrix)))
    small = mobilenetv3.space.validate({"ks": 3, "e": 6, "d": 2, "r": 16})
    full = dict(mobilenetv3.shared.named_parameters())[name]
    torch.testing.assert_close(mobilenetv3.share(small)[name], full[:, :, 2:5, 2:5])
    with torch.no_grad():
        mobilenetv3.kernel_transforms["blocks_1_0_5to3"].mul_(2)
    torch.testing.assert_close(mobilenetv3.share(small)[name], 2 * full[:, :, 2:5, 2:5])


def test_ofa_mobilenetv3_has_the_published_size_and_takes_published_configurations():
    net = supernet.create("ofa_mobilenetv3", resolutions=(224,))
    assert net.space.size == (9**2 + 9**3 + 9**4) ** 5
    published = {"wid": None, "ks": [7] * 20, "e": [6] * 20, "d": [4] * 5, "r": [224]}
    assert net.space.validate(published) == net.largest
    costs = net.costs([net.largest, net.smallest])
    assert costs["params"].tolist() == [7664760, 3410792]  # of the original's static sub-networks


def test_names_of_super_networks():
    assert "ofa_mobilenetv3" in supernet.available()
    with pytest.raises(ValueError, match="unknown super-network 'ofa_mobilenet': .* did you mean 'ofa_mobilenetv3'"):
        supernet.create("ofa_mobilenet")
    with pytest.raises(supernet.CheckpointError, match="no weights of 'ofa_mobilenetv3' come with this package"):
        supernet.create("ofa_mobilenetv3", resolutions=(224,), checkpoint="embedded")


def test_a_builder_whose_parts_are_not_in_the_largest_is_told_so():
    class Renaming(SuperNetwork):
        space = SearchSpace(Choice("kind", ("a", "b")))
        input_shape = (4,)

        def build(self, architecture):
            return nn.ModuleDict({architecture["kind"]: nn.Linear(4, 4)})

    net = Renaming()
    with pytest.raises(ValueError, match=r"'a.weight' of the sub-network is not part of the largest one"):
        net.share(net.smallest)


class Linear(SuperNetwork):
    space = SearchSpace(Choice("width", (2, 4)))
    input_shape = (4,)

    def build(self, architecture):
        return nn.Sequential(nn.Linear(4, architecture["width"]), nn.Linear(architecture["width"], 3))


def test_the_state_dict_of_the_largest_sub_network_is_a_checkpoint_of_a_family_of_ones_own(tmp_path):
    net, theirs = Linear(), Linear().shared
    torch.save(theirs.state_dict(), tmp_path / "theirs.pt")
    net.load_checkpoint(tmp_path / "theirs.pt")
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(x, net.largest), theirs(x))
    net.save_checkpoint(tmp_path / "back.pt", layout="plain")
    theirs.load_state_dict(torch.load(tmp_path / "back.pt", weights_only=True)["state_dict"])
    torch.save({"0.weight": torch.zeros(4, 4)}, tmp_path / "part.pt")
    with pytest.raises(supernet.CheckpointError, match=r"3 missing: 0.bias, 1.weight, 1.bias"):
        net.load_checkpoint(tmp_path / "part.pt")


def test_what_does_not_learn_stays_so_in_an_extracted_model():
    class Partly(Linear):
        def build(self, architecture):
            model = super().build(architecture)
            model[1].requires_grad_(False)
            model.steps = nn.Parameter(torch.arange(architecture["width"]), requires_grad=False)
            model.register_buffer("mask", torch.ones(architecture["width"]), persistent=False)
            return model

    model = Partly().extract({"width": 2})
    learns = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    assert learns == {"steps": False, "0.weight": True, "0.bias": True, "1.weight": False, "1.bias": False}
    assert model.steps.tolist() == [0, 1]
    assert model.mask.shape == (2,)


def test_weights_that_are_put_in_the_place_of_others_are_those_of_sub_networks():
    net = Linear()
    net.extract(net.smallest)
    other = {name: tensor + 1 for name, tensor in net.state_dict().items()}
    net.load_state_dict(other, assign=True)
    torch.testing.assert_close(net.extract(net.largest)[0].weight, nn.Parameter(other["shared.0.weight"]))


def test_a_call_without_an_architecture_is_told_so():
    net = Linear()
    for inputs in ((), (torch.zeros(1, 4),)):
        with pytest.raises(TypeError, match=r"which sub-network\? give its architecture: net\(x, architecture\)"):
            net(*inputs)


def test_mistakes_in_a_family_of_ones_own_are_named():
    class Nowhere(Linear):
        space = None

    with pytest.raises(TypeError, match="Nowhere has no search space"):
        Nowhere()

    class Forgetful(Linear):
        def build(self, architecture):
            nn.Linear(4, architecture["width"])

    with pytest.raises(TypeError, match=r"Forgetful.build must return a module, got None"):
        Forgetful()

    class Descending(Linear):
        space = SearchSpace(Choice("width", (4, 2)))

    with pytest.raises(ValueError, match=r"'0.weight' .* has shape \(4, 4\), but the largest one gives it \(2, 4\)"):
        Descending().extract({"width": 4})

    class Shapeless(Linear):
        input_shape = (3, 224, 224)

    with pytest.raises(ValueError, match=r"on its example inputs of shape \(1, 3, 224, 224\): set `input_shape`"):
        Shapeless().costs([{"width": 2}])
