"""The same weights and sentences give the numbers of the original implementation (see the README of the vectors)."""

import importlib.util
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import supernet

from ..conftest import SHARED

FOLDER = SHARED / "vectors" / "transformer"
N_CONFIGS = 8
QUICK = (1, 2)
TOLERANCE = 1e-4


class Reference:
    def __init__(self, folder):
        spec = importlib.util.spec_from_file_location("reference_weights", FOLDER / "reference_weights.py")
        functions = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(functions)
        shapes = json.loads((FOLDER / "keys_bert_base.json").read_text())
        self.state = {name: torch.from_numpy(a) for name, a in functions.reference_state_dict(shapes).items()}
        self.inputs = {name: torch.from_numpy(a) for name, a in functions.text_inputs().items()}
        self.records = json.loads((FOLDER / "bert_base.json").read_text())["sub_networks"]
        self.arrays = np.load(FOLDER / "bert_base.npz")
        self.net = supernet.create("bert", vocab_size=1000)
        save_file(self.state, folder / "model.safetensors")
        self.net.load_checkpoint(folder / "model.safetensors")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    if not FOLDER.is_dir():
        pytest.skip("needs the reference vectors in ../shared, which are not part of the project")
    return Reference(tmp_path_factory.mktemp("bert"))


def test_weights_and_inputs_are_those_of_the_vectors(reference):
    names = {name.removeprefix("shared.") for name in reference.net.state_dict()}
    assert names == set(reference.state)
    for name, tensor in reference.inputs.items():
        np.testing.assert_array_equal(tensor, reference.arrays[name])


@pytest.mark.parametrize("i", [pytest.param(i, marks=[] if i in QUICK else pytest.mark.slow) for i in range(N_CONFIGS)])
def test_outputs(reference, i):
    arrays, inputs = reference.arrays, reference.inputs
    architecture = reference.net.space.validate(reference.records[i]["config"])
    model = reference.net.extract(architecture)
    with torch.inference_mode():
        shared = reference.net(**inputs, architecture=architecture, output_hidden_states=True)
        extracted = model(**inputs)
        inner = model.bert(**inputs)

    def assert_close(found, name):
        np.testing.assert_allclose(found.numpy(), arrays[name][i], rtol=0, atol=TOLERANCE)

    torch.testing.assert_close(extracted.logits, shared.logits, rtol=0, atol=1e-6)
    assert_close(shared.logits, "logits")
    assert_close(inner.pooler_output[:, :64], "pooler_output")
    for hidden in (inner.last_hidden_state, shared.hidden_states[-1]):
        assert_close(hidden[..., :16], "last_hidden_state")
        assert_close(hidden.mean(-1), "last_hidden_mean")
        assert_close(hidden.std(-1, correction=0), "last_hidden_std")


def test_parameters_and_macs(reference):
    costs = reference.net.costs([record["config"] for record in reference.records])
    assert costs["params"].tolist() == [record["params_used"] for record in reference.records]
    products = [record["macs"]["linear"] + record["macs"]["matmul"] for record in reference.records]
    assert costs["macs"].tolist() == products


def test_parameters_as_published_leave_out_norms_and_the_classifier(reference):
    for record in reference.records:
        parameters = reference.net.skeleton(record["config"]).named_parameters()
        counted = sum(p.numel() for n, p in parameters if "LayerNorm" not in n and not n.startswith("classifier"))
        assert counted == record["params"]
