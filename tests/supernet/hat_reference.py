"""The reference vectors of HAT's translation super-network beside the checkout, and small networks for other tests."""

import argparse
import importlib.util
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import supernet

FOLDER = Path(__file__).parents[3] / "shared" / "vectors" / "transformer"

SMALL = {
    "encoder_embed_dim": [12, 20],
    "encoder_layer_num": [3],
    "encoder_ffn_embed_dim": [8, 16],
    "encoder_self_attention_heads": [2, 4],
    "decoder_embed_dim": [12, 20],
    "decoder_layer_num": [1, 2, 3],
    "decoder_ffn_embed_dim": [8, 16, 24],
    "decoder_self_attention_heads": [2, 4],
    "decoder_ende_attention_heads": [2, 4],
    "decoder_arbitrary_ende_attn": [-1, 1, 2],
    "qkv_dim": 16,
    "shared_embeddings": "all",
    "max_positions": 40,
    "source_length": 7,
    "target_length": 5,
    "beam": 3,
}


def small_net(**changes):
    """A small super-network with weights that differ everywhere."""
    words = {name: changes.pop(name) for name in ("target_vocab_size",) if name in changes}
    torch.manual_seed(0)
    net = supernet.create("hat_transformer", space=SMALL | changes, vocab_size=30, **words)
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.add_(torch.randn(tensor.shape) * 0.1)
    return net.eval()


def require_reference():
    if not FOLDER.is_dir():
        pytest.skip("needs the reference vectors in ../shared/vectors/transformer, which are not part of the project")


def record(name):
    require_reference()
    return json.loads((FOLDER / name).read_text())


@cache
def reference_weights():
    """The module that makes weights and inputs, as the vectors bring it."""
    specification = importlib.util.spec_from_file_location("hat_weights", FOLDER / "reference_weights.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@cache
def reference_arrays():
    with np.load(FOLDER / "hat_wmt14_en_de.npz") as arrays:
        return dict(arrays)


def reference_state():
    arrays = reference_weights().reference_state_dict(record("keys_hat_wmt14_en_de.json"))
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def reference_net(folder):
    """The super-network of the vectors, loaded from a file as fairseq writes it."""
    content = {"args": argparse.Namespace(arch="transformersuper_wmt_en_de"), "model": reference_state()}
    torch.save(content, folder / "hat.pt")
    net = supernet.create("hat_transformer", space="wmt14_en_de", vocab_size=1000)
    net.load_checkpoint(folder / "hat.pt")
    return net.eval()
