"""The applications on texts, as on images: train, search, deploy; tiny data, tiny models."""

import json
import subprocess
import sys

import pandas as pd
import pytest

WORDS = {"a": "ein", "red": "rotes", "big": "großes", "dog": "Tier", "house": "Haus", "tree": "Holz"}
SPACE = """
encoder_embed_dim: [8, 16]
encoder_layer_num: [1]
encoder_ffn_embed_dim: [8, 16]
encoder_self_attention_heads: [2, 4]
decoder_embed_dim: [8, 16]
decoder_layer_num: [1]
decoder_ffn_embed_dim: [8, 16]
decoder_self_attention_heads: [2, 4]
decoder_ende_attention_heads: [2, 4]
decoder_arbitrary_ende_attn: [-1]
qkv_dim: 16
shared_embeddings: all
max_positions: 40
source_length: 6
target_length: 4
beam: 2
dropout: 0.0
attention_dropout: 0.0
"""
QUICK = ["predictor=ridge", "tactic.population=12", "tactic.generations=3", "budget=5", "deploy=[0]"]


def sentences(n, seed=0):
    return [" ".join((list(WORDS) * 3)[(i * 7 + seed) % 5 : (i * 7 + seed) % 5 + 2 + i % 3]) for i in range(n)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    for stem, n in (("train", 60), ("val", 6), ("test_2016_flickr", 6)):
        english = sentences(n, len(stem))
        german = [" ".join(WORDS[word] for word in text.split()) for text in english]
        (folder / f"{stem}.en").write_text("".join(f"{text}\n" for text in english))
        (folder / f"{stem}.de").write_text("".join(f"{text}\n" for text in german))
    (folder / "space.yaml").write_text(SPACE)
    return folder


@pytest.fixture(scope="module")
def tables(pairs, tmp_path_factory):
    """A latency table of the tiny translation space, made up."""
    from hardware import Device, LatencyTable, Measurement
    from hardware.backends import create
    from hardware.provenance import provenance
    from supernet import create as supernet_create
    from supernet.blockmap import REST

    net = supernet_create("hat_transformer", space=pairs / "space.yaml", vocab_size=60)
    net.inference_map.cover()
    blocks = net.inference_map.blocks
    times = {b.key: 0.001 + b.macs * 1e-7 for b in blocks if not b.key.startswith(REST)}
    measured = {key: Measurement(ms, (ms, ms, ms, ms), 1, True) for key, ms in times.items()}
    path = tmp_path_factory.mktemp("tables") / "latency.json"
    device = Device("onnxruntime_cpu", backend="onnxruntime")
    origin = provenance(create("onnxruntime").versions())
    LatencyTable(device, net.inference_map.slots, [b.key for b in blocks], measured, [], origin).save(path)
    return path


@pytest.fixture(scope="module")
def trained(app, pairs, tmp_path_factory):
    """The folder of a tiny translation training."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    ran = app(
        "train", "experiment=train_multi30k_hat", f"task.root={pairs}", f"supernet.space={pairs / 'space.yaml'}",
        "task.vocab_size=60", "recipe.epochs=2", "recipe.batch_size=200", "recipe.device=cpu", "recipe.n_evaluated=0",
        "task.search.max_length=8", f"output={folder}",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return folder, ran


@pytest.fixture(scope="module")
def searched(app, pairs, tables, trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("searched") / "run"
    ran = app(
        "search", "experiment=multi30k_hat", f"task.root={pairs}", f"supernet.space={pairs / 'space.yaml'}",
        "task.vocab_size=60", f"supernet.checkpoint={trained[0] / 'weights.safetensors'}",
        f"task.tokenizer={trained[0] / 'tokenizer.json'}", f"latency_table={tables}", *QUICK,
        "hardware=onnxruntime_cpu", "task.search.max_length=8", f"output={folder}",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    return folder, ran


def test_training_a_translation_super_network(trained):
    folder, ran = trained
    assert "bleu" in ran.out
    assert (folder / "weights.safetensors").exists()
    assert json.loads((folder / "tokenizer.json").read_text())["model"]["type"] == "BPE"
    summary = json.loads((folder / "summary.json").read_text())
    assert "tok:13a" in summary["methods"]["bleu"]
    assert set(summary["metrics"]["largest"]) == {"bleu", "loss"}


def test_searching_and_deploying_a_translation_super_network(searched):
    folder, _ = searched
    results = pd.read_csv(folder / "results.csv")
    assert len(results) == 5
    assert {"bleu", "latency"} <= set(results)
    (bundle,) = (folder / "bundle" / "onnxruntime_cpu").iterdir()
    metrics = json.loads((bundle / "metrics.json").read_text())
    assert metrics["measured"]["validation_bleu"] == pytest.approx(pd.read_csv(folder / "front.csv")["bleu"][0])
    assert "test_bleu" in metrics["measured"]
    command = [sys.executable, bundle / "run.py", "a red dog", "--repeats", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "translation" in json.loads(done.stdout)["predictions"][0]
    assert "tok:13a" in (folder / "report.html").read_text()


def test_deploying_by_constraint_takes_the_best_bleu(app, searched, tmp_path):
    folder, _ = searched
    ran = app("deploy", f"search={folder}", "where=latency <= 1000", f"output={tmp_path / 'best'}")
    assert ran.code == 0, ran.err
    metrics = json.loads((tmp_path / "best" / "metrics.json").read_text())
    assert metrics["measured"]["validation_bleu"] == pytest.approx(pd.read_csv(folder / "front.csv")["bleu"].max())


def test_a_tokenizer_of_other_weights_is_named(app, pairs, trained, tmp_path):
    ran = app(
        "search", "experiment=multi30k_hat", f"task.root={pairs}", f"supernet.space={pairs / 'space.yaml'}",
        "task.vocab_size=60", "supernet.vocab_size=20", "supernet.checkpoint=null", "objectives=[bleu,macs]", *QUICK,
        f"task.tokenizer={trained[0] / 'tokenizer.json'}", f"output={tmp_path / 'run'}",
    )  # fmt: skip
    assert ran.code == 2
    assert "tokens, the model knows 20" in ran.err


def test_unknown_objectives_name_the_metric_too(app, pairs, tmp_path):
    ran = app("search", "objectives=[rouge,macs]", f"output={tmp_path / 'run'}")
    assert ran.code == 2
    assert "unknown objective 'rouge': available are accuracy, macs, params, top1, latency, measured_latency" in ran.err


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for name, n in (("train", 60), ("dev", 12), ("test", 12)):
        rows = [f"a {('bad', 'good')[i % 2]} film number {i % 7}\t{i % 2}\n" for i in range(n)]
        (folder / f"{name}.tsv").write_text("".join(rows))
    return folder


def test_training_searching_and_deploying_a_classifier_of_texts(app, films, tmp_path):
    sizes = ["hidden_size=16", "num_hidden_layers=2", "num_attention_heads=2", "intermediate_size=16", "vocab_size=80"]
    sizes += ["max_position_embeddings=64", "num_labels=2"]
    net = [
        "supernet=bert",
        "supernet.model=null",
        "supernet.sequence_length=8",
        *(f"+supernet.{size}" for size in sizes),
    ]
    task = ["task=sst2", f"task.root={films}", "task.vocab_size=80"]
    recipe = ["recipe=bert", "recipe.epochs=1", "recipe.rank_batches=0", "recipe.device=cpu", "recipe.n_evaluated=0"]
    ran = app("train", *net, *task, *recipe, f"output={tmp_path / 'trained'}")
    assert ran.code == 0, ran.err
    assert "accuracy" in ran.out
    kept = [f"supernet.checkpoint={tmp_path / 'trained' / 'weights.safetensors'}"]
    kept.append(f"task.tokenizer={tmp_path / 'trained' / 'tokenizer.json'}")
    ran = app(
        "search", *net, *task, *kept, *QUICK, "objectives=[accuracy,macs]", f"output={tmp_path / 'searched'}",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    (bundle,) = (tmp_path / "searched" / "bundle" / "onnxruntime_cpu").iterdir()
    command = [sys.executable, bundle / "run.py", "a good film", "--repeats", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    top = json.loads(done.stdout)["predictions"][0]["top"]
    assert {guess["class"] for guess in top} == {"negative", "positive"}
