"""Checkpoints in the layout of Once-for-All's authors: every spelling loads, all else is refused with a reason."""

import pickle
from collections import OrderedDict

import pytest
import torch

import supernet
from supernet import CheckpointError
from supernet.families.mobilenetv3 import ElasticMobileNetV3, Stage
from supernet.families.proxyless import ElasticProxylessNAS
from supernet.families.resnet import ElasticResNet

from .conftest import randomised
from .ofa_reference import NETWORKS, Reference, require_reference

SMALL = {
    "mobilenetv3": lambda: ElasticMobileNetV3(
        [Stage(16, 2, "re"), Stage(24, 2, squeeze_excite=True)],
        head_widths=(32, 16),
        num_classes=5,
        depths=(1, 2),
        resolutions=(48,),
    ),
    "proxyless": lambda: ElasticProxylessNAS(
        [Stage(16, 2, "re6"), Stage(24, 1, "re6", depth=1)],
        head_width=16,
        num_classes=5,
        depths=(1, 2),
        resolutions=(48,),
    ),
    "resnet": lambda: ElasticResNet(
        stem_width=16, stage_widths=(32, 64), base_depths=(1, 1), depths=(0, 1, 2), num_classes=5, resolutions=(32,)
    ),
}


@pytest.fixture(params=list(SMALL))
def net(request):
    return randomised(SMALL[request.param]())


def published(net):
    """The state in the authors' layout."""
    state = net.state_dict()
    return OrderedDict((theirs, state[own].clone()) for own, theirs in net.published_layout().names.items())


def emptied(net):
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.zero_()
    return net


def first_release(state):
    return {name.replace(".conv.", ".mobile_inverted_conv.", 1) if name.startswith("blocks") else name: tensor
            for name, tensor in state.items()}  # fmt: skip


def static(state):
    return {
        name.replace(".conv.conv.weight", ".conv.weight")
        .replace("bn.bn.", "bn.")
        .replace("linear.linear", "linear"): tensor
        for name, tensor in state.items()
    }


@pytest.mark.parametrize("nested", [True, False], ids=["state_dict", "bare"])
@pytest.mark.parametrize("spelt", [dict, first_release, static])
def test_every_spelling_of_the_authors_loads(net, tmp_path, nested, spelt):
    if spelt is first_release and isinstance(net, ElasticResNet):
        pytest.skip("the first release had no ResNet")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = spelt(published(net))
    torch.save({"state_dict": state, "epoch": 3} if nested else state, tmp_path / "net.pth")
    emptied(net).load_checkpoint(tmp_path / "net.pth")
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("layout", ["own", "ofa"])
def test_both_layouts_come_back(net, tmp_path, layout):
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.save_checkpoint(tmp_path / "deep" / "net", layout=layout)
    emptied(net).load_checkpoint(tmp_path / "deep" / "net")
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_what_is_written_for_the_authors_is_a_plain_dict_of_tensors(net, tmp_path):
    net.save_checkpoint(tmp_path / "net.pth", layout="ofa")
    content = torch.load(tmp_path / "net.pth", weights_only=True)
    assert list(content) == ["state_dict"]
    assert list(content["state_dict"]) == list(published(net))


def test_an_unknown_layout_is_refused(net, tmp_path):
    with pytest.raises(ValueError, match="no checkpoint layout 'onnx': available are own, ofa"):
        net.save_checkpoint(tmp_path / "net", layout="onnx")


def test_missing_unexpected_and_misshapen_tensors_are_listed_in_the_names_of_the_file(net, tmp_path):
    state = published(net)
    missing, misshapen = list(state)[0], list(state)[1]
    del state[missing]
    state[misshapen] = state[misshapen][:-1]
    state["blocks.99.scale"] = torch.zeros(1)
    torch.save(state, tmp_path / "net.pth")
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        net.load_checkpoint(tmp_path / "net.pth")
    message = str(caught.value)
    assert f"1 missing: {missing};" in message
    assert "1 unexpected: blocks.99.scale;" in message
    assert f"1 of another shape: {misshapen} (" in message
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_tensor_that_is_named_twice_is_unexpected(tmp_path):
    net = SMALL["mobilenetv3"]()
    state = published(net)
    state["classifier.linear.linear.bias"] = state["classifier.linear.bias"]
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"1 unexpected: classifier\.linear\.linear\.bias"):
        net.load_checkpoint(tmp_path / "net.pth")


WIDTHS = {
    "ofa_mobilenetv3 of width 1": ("ofa_mobilenetv3", {"width_mult": 1.0}),
    "ofa_mobilenetv3 of width 1.2": ("ofa_mobilenetv3", {"width_mult": 1.2}),
    "ofa_proxyless of width 1.3": ("ofa_proxyless", {}),
    "ofa_resnet50 of width 1": ("ofa_resnet50", {}),
}


@pytest.mark.parametrize("title", list(WIDTHS))
def test_a_file_of_another_network_is_named(title, tmp_path):
    name, settings = WIDTHS[title]
    other = supernet.create(name, **settings)
    other.save_checkpoint(tmp_path / "net.pth", layout="ofa")
    net = SMALL["mobilenetv3"]()
    with pytest.raises(CheckpointError, match=rf"does not fit mobilenetv3: it looks like {title};"):
        net.load_checkpoint(tmp_path / "net.pth")
    assert other.title == title


def test_own_files_say_what_they_were_written_for(tmp_path):
    supernet.create("ofa_mobilenetv3", width_mult=1.2).save_checkpoint(tmp_path / "net.safetensors")
    net = supernet.create("ofa_mobilenetv3", width_mult=1.0)
    with pytest.raises(
        CheckpointError,
        match=r"fit ofa_mobilenetv3 of width 1: it was written for ofa_mobilenetv3 of width 1\.2; \d+ of another",
    ):
        net.load_checkpoint(tmp_path / "net.safetensors")


def test_files_that_hold_no_tensors(tmp_path):
    net = SMALL["mobilenetv3"]()
    for content, message in (
        ({"state_dict": {"a": 1}}, "'a' is no tensor but a int"),
        ([torch.zeros(1)], "holds a list instead of a dict of tensors"),
        ({"a": torch.zeros(1)}, "it looks like no super-network that is known here"),
    ):
        torch.save(content, tmp_path / "net.pth")
        with pytest.raises(CheckpointError, match=message):
            net.load_checkpoint(tmp_path / "net.pth")


def test_a_pickled_module_is_refused(tmp_path):
    net = SMALL["mobilenetv3"]()
    torch.save(net.extract(net.smallest), tmp_path / "model.pth")
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps(torch.nn.Linear))
    for name in ("model.pth", "bare.pkl"):
        with pytest.raises(CheckpointError, match=rf"{name} is refused: .* can run code"):
            net.load_checkpoint(tmp_path / name)


def test_a_truncated_file_is_named(tmp_path):
    net = SMALL["mobilenetv3"]()
    path = tmp_path / "net.pth"
    net.save_checkpoint(path, layout="ofa")
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match=r"net\.pth is not a complete file of torch\.save"):
        net.load_checkpoint(path)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_names_order_and_shapes_are_those_of_the_authors(name):
    require_reference()
    reference = Reference(name)
    net = reference.create()
    state = net.state_dict()
    names = net.published_layout().names
    assert names.keys() == state.keys()
    assert [(theirs, list(state[own].shape)) for own, theirs in names.items()] == list(reference.shapes.items())
