"""Checkpoints: round trip, and every way in which a file can be wrong."""

import copy
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from supernet import CheckpointError, Choice, SearchSpace, SuperNetwork
from supernet.checkpoint import read


class Linear(SuperNetwork):
    space = SearchSpace(Choice("width", (2, 4)))

    def build(self, architecture):
        return torch.nn.Linear(4, architecture["width"])


def test_saved_weights_come_back_with_their_header(net, tmp_path):
    path = tmp_path / "sub" / "net.safetensors"
    net.save_checkpoint(path, {"epochs": "3"})
    other = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    other.load_checkpoint(path)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], tensor, rtol=0, atol=0)
    header = read(path)[1]
    assert header["epochs"] == "3"
    assert header["space"] == net.space.fingerprint


@pytest.mark.parametrize("layout", ["own", "plain"])
def test_weights_stay_where_writing_others_fails(tmp_path, layout, monkeypatch):
    net, path = Linear(), tmp_path / "weights"
    net.save_checkpoint(path, layout=layout)
    before = path.read_bytes()

    def full(tensors, file, **settings):
        Path(file).write_bytes(b"half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr("supernet.checkpoint.save_file", full)
    monkeypatch.setattr("torch.save", full)
    with pytest.raises(OSError, match="no space left"):
        net.save_checkpoint(path, layout=layout)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_headers_of_every_length_are_read(tmp_path):
    """The length is the first byte of the file: 128 looks like a pickle."""
    lengths = set()
    for n in range(0, 256, 4):
        path = tmp_path / f"{n}.safetensors"
        save_file({"weight": torch.arange(3.0)}, path, metadata={"note": "x" * n})
        lengths.add(path.read_bytes()[0])
        assert read(path)[0]["weight"].tolist() == [0, 1, 2]
    assert 128 in lengths


def test_a_checkpoint_of_another_family_is_refused_whole(net, mobilenetv3, tmp_path):
    from supernet.families.mobilenetv3 import ElasticMobileNetV3, Stage

    other = ElasticMobileNetV3([Stage(16, 2)], head_widths=(24, 16), in_chans=1, family="another")
    other.save_checkpoint(tmp_path / "other.safetensors")
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(
        CheckpointError, match=r"does not fit .*: it was written for another; .*(missing|another shape)"
    ):
        net.load_checkpoint(tmp_path / "other.safetensors")
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_truncated_and_missing_files_are_named(mobilenetv3, tmp_path):
    path = tmp_path / "net.safetensors"
    mobilenetv3.save_checkpoint(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match="not a complete safetensors file"):
        mobilenetv3.load_checkpoint(path)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        mobilenetv3.load_checkpoint(tmp_path / "absent")


class Bomb:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def test_a_pickle_does_not_run(mobilenetv3, tmp_path):
    marker = tmp_path / "code-ran"
    torch.save({"state_dict": Bomb(str(marker))}, tmp_path / "bomb.pth")
    with pytest.raises(CheckpointError, match="can run code"):
        mobilenetv3.load_checkpoint(tmp_path / "bomb.pth")
    assert not marker.exists()
