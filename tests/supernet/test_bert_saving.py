"""Sub-networks are saved, and loaded by programs that know transformers alone."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

import supernet

from .bert_models import SPACE, TYPES, classifier, sentences

WITHOUT_US = """
import json, sys
sys.modules.update(dict.fromkeys(("supernet", "hardware", "predictors", "search"), None))  # importing them fails
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

for folder, trusted in json.loads(sys.argv[1]).items():
    for path in (folder, folder + "-again"):  # and once more, as after fine-tuning
        model = AutoModelForSequenceClassification.from_pretrained(path, trust_remote_code=trusted).eval()
        expected = load_file(folder + ".expected")
        inputs = {name: expected[name] for name in ("input_ids", "attention_mask")}
        with torch.no_grad():
            torch.testing.assert_close(model(**inputs).logits, expected["logits"], rtol=0, atol=1e-6)
        model.save_pretrained(folder + "-again")
    print(type(model).__mro__[1].__name__ if trusted else type(model).__name__)
"""
UNIFORM = {"num_layers": 2, "num_attention_heads": 4, "intermediate_size": 6}
RESIZED = {"num_layers": 3, "num_attention_heads": [1, 4, 3], "intermediate_size": [20, 6, 20]}


def saved(net, architecture, folder):
    model = net.extract(architecture)
    model.save_pretrained(folder)
    inputs = sentences()
    with torch.no_grad():
        save_file(inputs | {"logits": model(**inputs).logits}, f"{folder}.expected")
    return model


def run(program, argument, folder):
    result = subprocess.run(
        [sys.executable, "-c", program, argument],
        capture_output=True,
        text=True,
        cwd=folder,
        env={"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": ""},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout.split()


@pytest.mark.parametrize("kinds", [("Bert", "DistilBert"), pytest.param(tuple(TYPES), marks=pytest.mark.slow)])
def test_a_fresh_process_without_this_framework_loads_what_was_saved(kinds, tmp_path):
    expected, folders = [], {}
    for kind in kinds:
        net = supernet.create("bert", model=classifier(kind), **SPACE)
        for name, architecture, trusted in (("uniform", UNIFORM, False), ("resized", RESIZED, True)):
            folder = str(tmp_path / f"{kind}-{name}")
            model = saved(net, architecture, folder)
            folders[folder] = trusted
            expected.append(type(model).__name__)
    assert run(WITHOUT_US, json.dumps(folders), tmp_path) == expected


def test_what_a_stock_configuration_can_say_is_saved_without_code(tmp_path):
    net = supernet.create("bert", model=classifier(), **SPACE)
    saved(net, UNIFORM, tmp_path / "uniform")
    saved(net, RESIZED, tmp_path / "resized")
    assert sorted(p.name for p in (tmp_path / "uniform").iterdir()) == ["config.json", "model.safetensors"]
    assert (tmp_path / "resized" / "resized_layers.py").is_file()
    uniform, resized = (json.loads((tmp_path / n / "config.json").read_text()) for n in ("uniform", "resized"))
    assert "auto_map" not in uniform
    assert (uniform["num_hidden_layers"], uniform["intermediate_size"]) == (2, 6)
    assert resized["num_attention_heads_per_layer"] == [1, 4, 3]
    assert resized["intermediate_size_per_layer"] == [20, 6, 20]
    assert resized["model_type"] == "bert"


@pytest.mark.parametrize("architecture", [UNIFORM, RESIZED], ids=["uniform", "resized"])
@pytest.mark.parametrize("kind", ["Bert", "DebertaV2", "DistilBert", "Roberta"])
def test_library_code_builds_the_sub_network(kind, architecture, tmp_path, monkeypatch):
    net = supernet.create("bert", model=classifier(kind), **SPACE)
    architecture = net.space.validate(architecture)
    model = net.extract(architecture)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    code = net.library_code(architecture)
    assert "supernet" not in code
    names = {}
    exec(compile(code, "library_code", "exec"), names)
    assert type(names["model"]) is type(model)
    torch.testing.assert_close(names["model"](**sentences()).logits, model(**sentences()).logits)
