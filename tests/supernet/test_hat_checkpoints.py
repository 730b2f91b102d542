"""Checkpoints in the layout of HAT's authors (fairseq's): they load and are written, all else is refused."""

import argparse
import importlib
import sys
import types

import pytest
import torch

import supernet
from supernet import CheckpointError

from .hat_reference import small_net

KINDS = {
    "shared": {},
    "decoder": {"shared_embeddings": "decoder", "target_vocab_size": 40},
    "unshared": {"shared_embeddings": "none", "target_vocab_size": 40},
}


@pytest.fixture(params=list(KINDS))
def net(request):
    return small_net(**KINDS[request.param])


def state_of(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def emptied(net):
    with torch.no_grad():
        for tensor in net.state_dict().values():
            tensor.zero_()
    return net


def assert_loads(net, path, before):
    emptied(net).load_checkpoint(path)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def content(net, path):
    net.save_checkpoint(path, layout="hat")
    return torch.load(path, weights_only=False)


@pytest.mark.parametrize("layout", ["own", "hat"])
def test_both_layouts_come_back(net, tmp_path, layout):
    before = state_of(net)
    net.save_checkpoint(tmp_path / "deep" / "net", layout=layout)
    assert_loads(net, tmp_path / "deep" / "net", before)


def test_shared_tables_stay_one_tensor(tmp_path):
    net = small_net()
    net.save_checkpoint(tmp_path / "net.safetensors")
    net.load_checkpoint(tmp_path / "net.safetensors")
    weights = net.shared.encoder.embed.weight, net.shared.decoder.embed.weight, net.shared.decoder.output.weight
    assert len({id(weight) for weight in weights}) == 1


def test_a_state_dict_with_repeated_names_loads(tmp_path):
    net = small_net()
    before = state_of(net)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    assert_loads(net, tmp_path / "net.pth", before)


def test_what_is_written_has_the_names_and_arguments_of_fairseq(net, tmp_path):
    found = content(net, tmp_path / "net.pt")
    shared = net.settings.shared_embeddings
    assert ("decoder.embed_out" in found["model"]) == (shared == "none")
    assert found["args"].share_all_embeddings == (shared == "all")
    assert found["args"].decoder_ffn_embed_dim == 24
    assert found["args"].decoder_arbitrary_ende_attn_choice == [-1, 1, 2]
    projection = found["model"]["decoder.layers.1.encoder_attn.in_proj_weight"]
    layer = net.shared.decoder.layers[1]
    torch.testing.assert_close(projection[:16], layer.memory_attn.q_proj.weight, rtol=0, atol=0)
    torch.testing.assert_close(projection[16:], net.shared.decoder.memories[1].kv_proj.weight, rtol=0, atol=0)
    assert found["model"]["encoder.version"].tolist() == [3.0]
    if shared == "all":
        tables = [found["model"][f"{side}.embed_tokens.weight"] for side in ("encoder", "decoder")]
        torch.testing.assert_close(*tables, rtol=0, atol=0)


def test_files_of_a_whole_training_run_load(net, tmp_path, monkeypatch):
    """They hold half precision, meters of fairseq's, the state of the optimiser."""
    package, meters = types.ModuleType("fairseq"), types.ModuleType("fairseq.meters")

    class AverageMeter:
        def __init__(self):
            self.sum, self.count = 3.0, 2

    AverageMeter.__module__, AverageMeter.__qualname__ = "fairseq.meters", "AverageMeter"
    package.meters, meters.AverageMeter = meters, AverageMeter
    monkeypatch.setitem(sys.modules, "fairseq", package)
    monkeypatch.setitem(sys.modules, "fairseq.meters", meters)
    before = {name: tensor.half().float() for name, tensor in state_of(net).items()}
    found = content(net, tmp_path / "net.pt")
    found["model"] = {name: tensor.half() for name, tensor in found["model"].items()}
    found["extra_state"]["train_meters"] = {"loss": AverageMeter()}
    found["last_optimizer_state"] = {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}
    torch.save(found, tmp_path / "net.pt")
    monkeypatch.undo()
    with pytest.raises(ImportError):
        importlib.import_module("fairseq.meters")
    assert_loads(net, tmp_path / "net.pt", before)


def test_names_of_early_releases_load(tmp_path):
    net = small_net()
    before = state_of(net)
    found = content(net, tmp_path / "net.pt")
    older = {}
    for name, tensor in found["model"].items():
        for side, norms in {
            "encoder": ("self_attn", "final"),
            "decoder": ("self_attn", "encoder_attn", "final"),
        }.items():
            for i, norm in enumerate(norms):
                if name.startswith(side):
                    name = name.replace(f".{norm}_layer_norm.", f".layer_norms.{i}.")
        older[name.replace("._float_tensor", ".weights")] = tensor
    assert "decoder.layers.0.layer_norms.2.bias" in older
    torch.save({"model": older, "args": found["args"]}, tmp_path / "net.pt")
    assert_loads(net, tmp_path / "net.pt", before)


class Harmful:
    def __reduce__(self):
        return print, ("this ran",)


@pytest.mark.parametrize("where", ["args", "model", "extra_state"])
def test_anything_else_that_is_pickled_is_refused(tmp_path, capsys, where):
    net = small_net()
    before = state_of(net)
    found = content(net, tmp_path / "net.pt")
    if where == "args":
        found["args"].user = Harmful()
    else:
        found[where]["harm"] = Harmful()
    torch.save(found, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"net\.pt is refused: .* can run code"):
        net.load_checkpoint(tmp_path / "net.pt")
    assert capsys.readouterr().out == ""
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_a_file_of_another_space_and_vocabulary_is_named(tmp_path):
    other = supernet.create("hat_transformer", space="multi30k_en_de", vocab_size=50)
    found = content(other, tmp_path / "net.pt")
    found["args"].arch, found["args"].data = "transformersuper_iwslt_de_en", "data/binary/mine"
    torch.save(found, tmp_path / "net.pt")
    with pytest.raises(CheckpointError) as caught:
        small_net().load_checkpoint(tmp_path / "net.pt")
    message = str(caught.value)
    assert "does not fit hat_transformer of a space with 30 words" in message
    assert 'it looks like hat_transformer with space "multi30k_en_de", vocab_size=50' in message
    assert "trained as transformersuper_iwslt_de_en" in message
    assert "encoder.embed_tokens.weight (50, 256) instead of (30, 20)" in message


def test_unshared_tables_in_a_space_that_shares_them(tmp_path):
    other = small_net(shared_embeddings="none", target_vocab_size=30)
    other.save_checkpoint(tmp_path / "net.pt", layout="hat")
    with pytest.raises(CheckpointError, match=r"1 unexpected: decoder\.embed_out"):
        small_net().load_checkpoint(tmp_path / "net.pt")


def test_tables_that_should_be_one_but_differ(tmp_path):
    net = small_net()
    found = content(net, tmp_path / "net.pt")
    found["model"]["decoder.embed_tokens.weight"] = found["model"]["decoder.embed_tokens.weight"] + 1
    torch.save(found, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"decoder\.embed_tokens\.weight differs from encoder\.embed_tokens"):
        net.load_checkpoint(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_normalize_before": True}, "trained with encoder_normalize_before=True, this family has False"),
        ({"activation_fn": "gelu"}, "trained with activation_fn='gelu'"),
        ({"vocab_original_scaling": True}, "vocab_original_scaling"),
        (
            {"decoder_ende_attention_heads_choice": [8, 16]},
            r"trained with decoder_ende_attention_heads of \[8, 16\], this space has \[2, 4\]",
        ),
    ],
)
def test_training_arguments_that_mean_another_network(tmp_path, changes, message):
    net = small_net()
    found = content(net, tmp_path / "net.pt")
    found["args"] = argparse.Namespace(**(vars(found["args"]) | changes))
    torch.save(found, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=message):
        net.load_checkpoint(tmp_path / "net.pt")
