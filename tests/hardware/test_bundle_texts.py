"""Bundles that classify texts and translate sentences, with numpy, ONNX Runtime and tokenizers alone."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_model

import hardware
import supernet
from hardware.bundle import OnnxModule, ParityError, deploy
from hardware.bundle.formats import ONNX
from hardware.bundle.templates import translating
from supernet.decoding import BeamSearch
from supernet.tasks import ParallelText, TextClassification, Translation, Vocabulary
from supernet.tasks.text.fairseq import vocabulary as fairseq_vocabulary
from supernet.tasks.text.tables import TextSet
from supernet.tasks.text.tokenization import train_for_classification, train_for_translation

from .test_bundle import ABSENT, run

DEVICE = hardware.Device("cpu-1t", "onnxruntime", threads=1, batch_size=2)
SPACE = {
    "encoder_embed_dim": [16, 24], "encoder_layer_num": [3], "encoder_ffn_embed_dim": [16, 32],
    "encoder_self_attention_heads": [2, 4], "decoder_embed_dim": [16, 24], "decoder_layer_num": [1, 2],
    "decoder_ffn_embed_dim": [16, 32], "decoder_self_attention_heads": [2, 4], "decoder_ende_attention_heads": [2, 4],
    "decoder_arbitrary_ende_attn": [-1, 1, 2], "qkv_dim": 16, "shared_embeddings": "all", "max_positions": 30,
    "source_length": 6, "target_length": 5, "beam": 3, "dropout": 0.1, "attention_dropout": 0.1,
}  # fmt: skip
SOURCES = ("A dog runs.", "The cat sees a dog and a mouse.", "Süße Mäuse!", "A house", "dogs and cats", "No")
TARGETS = ("Ein Hund läuft.", "Die Katze sieht Hund und Maus.", "Sweet mice!", "Ein Haus", "Hunde, Katzen", "Nein")


def seeded(make, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


# --- classification ---


def bert(seed=0):
    sizes = {"vocab_size": 60, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    more = {"intermediate_size": 32, "max_position_embeddings": 20, "num_labels": 3}
    net = seeded(
        lambda: supernet.create(
            "bert", depths=[1, 2], heads=[1, 2], ffn_sizes=[16, 32], sequence_length=8, **sizes, **more
        ),
        seed,
    )
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    return net.eval()


@pytest.fixture(scope="module")
def texts():
    tokenizer = train_for_classification([*SOURCES, *TARGETS], 60)
    samples = TextSet(SOURCES, (0, 1, 2, 0, 1, 2))
    return TextClassification(
        name="moods", splits={"validation": samples, "test": samples}, class_names=("good", "bad", "süß"),
        tokenizer=tokenizer, max_length=12,
    )  # fmt: skip


@pytest.fixture(scope="module")
def classifier(texts, tmp_path_factory):
    net = bert()
    architecture = net.space.sample(1, seed=3)[0]
    folder = deploy(net, architecture, DEVICE, tmp_path_factory.mktemp("bert") / "bundle", task=texts)
    return net, architecture, folder


def test_a_bundle_classifies_texts_as_pytorch_does(classifier, texts):
    net, architecture, folder = classifier
    model = net.extract(architecture)
    given = ["A dog runs.", "The cat sees a dog and a mouse and a house and much more than fits."]
    code, report, _ = run(folder, *given, "--repeats", 3)
    assert code == 0
    assert report["parity"]["ok"]
    assert report["latency"]["batch"] == 2
    with torch.no_grad():
        expected = [model(**texts.prepare(model, [text])).logits[0].softmax(0) for text in given]
    for entry, text, probabilities in zip(report["predictions"], given, expected, strict=True):
        assert entry["text"] == text
        assert {guess["class"]: guess["probability"] for guess in entry["top"]} == pytest.approx(
            dict(zip(texts.class_names, probabilities.tolist(), strict=True)), abs=1e-5
        )
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert {line.partition(";")[0].partition(">")[0] for line in lines} == {"numpy", "onnxruntime", "tokenizers"}
    assert "python run.py 'A dog runs.'" in (folder / "README.md").read_text()


def test_the_exported_model_takes_the_place_of_the_plain_one(classifier, texts):
    net, architecture, folder = classifier
    expected = texts.evaluate(net.extract(architecture), "test")
    assert texts.evaluate(OnnxModule(folder), "test") == pytest.approx(expected, rel=1e-5)


def test_texts_that_cannot_be_classified_do_not_stop_the_others(classifier):
    code, report, message = run(classifier[2], " ", "a\tb", "A dog.", "--repeats", 2)
    assert code == 1
    errors = [entry.get("error", "") for entry in report["predictions"]]
    assert errors == ["the text is empty", "this model takes one text without tabs", ""]
    assert "no answer for ' ', 'a\\tb'" in message


def test_pairs_of_texts(tmp_path):
    samples = TextSet(tuple(zip(SOURCES, TARGETS, strict=True)), (0, 1, 2, 0, 1, 2))
    task = TextClassification(
        name="pairs", splits={"validation": samples}, class_names=("yes", "no", "maybe"),
        tokenizer=train_for_classification([*SOURCES, *TARGETS], 60), max_length=20,
    )  # fmt: skip
    net = bert()
    folder = deploy(net, net.smallest, DEVICE, tmp_path / "bundle", task=task)
    model = net.extract(net.smallest)
    code, report, _ = run(folder, "A dog\tEin Hund", "A dog", "--repeats", 2)
    assert code == 1
    assert report["predictions"][1]["error"] == "this model takes two texts with a tab in between"
    best = report["predictions"][0]["top"][0]
    with torch.no_grad():
        expected = model(**task.prepare(model, [("A dog", "Ein Hund")])).logits[0].softmax(0)
    assert best["probability"] == pytest.approx(float(expected.max()), abs=1e-5)


# --- translation ---


def hat(vocab_size=90, seed=0, **changes):
    net = seeded(lambda: supernet.create("hat_transformer", space=SPACE, vocab_size=vocab_size, **changes), seed)
    with torch.no_grad():
        for parameter in net.parameters():  # wide enough that hypotheses differ, and some of them end
            parameter *= 2.0
        tables = {id(p): p for name, p in net.named_parameters() if "embed" in name or "output" in name}
        for table in tables.values():
            table[2] *= 2.0
    return net.eval()


@pytest.fixture(scope="module")
def pairs():
    samples = ParallelText(SOURCES, TARGETS)
    return Translation(
        name="pets", splits={"validation": samples, "test": samples}, source_language="en", target_language="de",
        vocabulary=Vocabulary(train_for_translation([*SOURCES, *TARGETS], 90)),
        search=BeamSearch(beam=3, length_penalty=0.8, max_length=12), max_tokens=29,
    )  # fmt: skip


@pytest.fixture(scope="module")
def translator(pairs, tmp_path_factory):
    net = hat()
    architecture = net.space.validate(dict(net.largest) | {"decoder_arbitrary_ende_attn": [2, 1]})
    folder = deploy(net, architecture, DEVICE, tmp_path_factory.mktemp("hat") / "bundle", task=pairs)
    return net, architecture, folder


def test_a_bundle_translates_as_pytorch_does(translator, pairs):
    net, architecture, folder = translator
    expected = pairs.translate(net.extract(architecture), SOURCES)
    assert len(set(expected)) > 3
    code, report, _ = run(folder, *SOURCES, "--repeats", 2)
    assert code == 0
    assert [entry["translation"] for entry in report["predictions"]] == expected
    assert [entry["text"] for entry in report["predictions"]] == list(SOURCES)
    assert report["parity"]["ok"]
    assert report["latency"].items() >= {"repeats": 2, "batch": 2}.items()


def test_what_a_translation_bundle_holds(translator, pairs):
    net, architecture, folder = translator
    assert (folder / "encoder.onnx").exists()
    assert (folder / "decoder.onnx").exists()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["methods"] == dict(pairs.methods)
    assert metrics["latency"]["median_ms"] > 0
    model = net.build(architecture)
    load_model(model, folder / "model.safetensors")
    assert pairs.translate(model, SOURCES) == pairs.translate(net.extract(architecture), SOURCES)
    lines = (folder / "requirements.txt").read_text().splitlines()
    assert {line.partition(";")[0].partition(">")[0] for line in lines} == {"numpy", "onnxruntime", "tokenizers"}


def test_sentences_that_cannot_be_translated(translator):
    long = "dog " * 40
    code, report, message = run(translator[2], "", long, "☃☃", "A dog ☃.", "--repeats", 2)
    assert code == 1
    first, second, third, last = report["predictions"]
    assert first["error"] == "nothing to translate: the text is empty"
    assert "tokens, the model takes 30: split it" in second["error"]
    assert third["error"] == "the tokenizer knows nothing of this text"
    assert last["unknown"] == ["☃"]
    assert last["translation"]
    assert "no answer for" in message


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_another_model_is_noticed(translator, tmp_path, part):
    _, architecture, folder = translator
    other = hat(seed=1)
    copied = Path(shutil.copytree(folder, tmp_path / "copied"))
    ONNX.write(other.parts(other.extract(architecture), architecture)[part], copied / f"{part}.onnx")
    code, report, message = run(copied)
    assert code == 1
    assert report["parity"]["relative_difference"] > 1e-2
    assert "differs" in message


def test_a_wrong_export_is_refused(pairs, tmp_path, monkeypatch):
    net = hat()
    parts = net.parts

    def other(model, architecture):
        return parts(hat(seed=1).extract(architecture), architecture)

    monkeypatch.setattr(net, "parts", other)
    with pytest.raises(ParityError, match=r"encoder.onnx and decoder.onnx differs from the PyTorch model by"):
        deploy(net, net.smallest, DEVICE, tmp_path / "bundle", task=pairs)
    assert not (tmp_path / "bundle").exists()


searches = st.fixed_dictionaries(
    {"beam": st.integers(1, 5), "length_penalty": st.sampled_from([0.0, 0.6, 1.0]), "min_length": st.integers(0, 3),
     "max_length": st.integers(3, 12), "max_length_per_token": st.sampled_from([0.0, 1.3])}
)  # fmt: skip


@given(searches, st.lists(st.integers(4, 89), min_size=1, max_size=9), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_beam_search_in_numpy_equals_that_in_pytorch(translator, search, words, place):
    net, _, _ = translator
    model = net.extract(net.space.sample(4, seed=1)[place])
    encoder, decoder = (torch_part(part) for part in net.parts(model, net.largest).values())
    pasts = [[layer.heads, 16 // layer.heads] for layer in model.sizes.decoder.layers]
    found, score = translating.Translator(encoder, decoder, search, pasts, 30).translate([*words, 2])
    best = BeamSearch(**search)(model, torch.tensor([[*words, 2]]))[0]
    expected = {hypothesis.tokens: hypothesis.score for hypothesis in best}
    assert score == pytest.approx(best[0].score, rel=1e-4, abs=1e-5)
    assert expected[tuple(found)] == pytest.approx(score, rel=1e-4, abs=1e-5)


def torch_part(part):
    """The part as a bundle's runtime would run it."""

    def compute(inputs):
        with torch.no_grad():
            outputs = part.module(*(torch.from_numpy(np.asarray(inputs[name])) for name in part.inputs))
        return [tensor.numpy() for tensor in outputs]

    return compute


def test_words_of_a_fairseq_dictionary(tmp_path):
    words = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "a", "do@@", "g", "cat", "runs", "."])}
    samples = ParallelText(("a do@@ g runs .", "a cat .", "runs a cat", "do@@ g"), ("a cat .", "a", "cat", "do@@ g"))
    task = Translation(
        name="words", splits={"validation": samples}, source_language="en", target_language="de",
        vocabulary=fairseq_vocabulary(words), search=BeamSearch(beam=2, max_length=8),
    )  # fmt: skip
    net = hat(10)
    folder = deploy(net, net.largest, DEVICE, tmp_path / "bundle", task=task)
    code, report, _ = run(folder, *samples.sources, "--repeats", 2)
    assert code == 0
    expected = task.translate(net.extract(net.largest), samples.sources)
    assert [entry["translation"] for entry in report["predictions"]] == expected


def test_a_translation_model_needs_its_task(texts, pairs, tmp_path):
    net = hat()
    with pytest.raises(ValueError, match="hat_transformer cannot be deployed without a task: .*encoder and decoder"):
        deploy(net, net.smallest, DEVICE, tmp_path / "bundle")
    with pytest.raises(ValueError, match=r"cannot be deployed with task 'moods'"):
        deploy(net, net.smallest, DEVICE, tmp_path / "bundle", task=texts)
    assert not list(tmp_path.iterdir())
    assert ONNX.runtime.ENDING == ".onnx"
    assert "tokenizers" not in ABSENT


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("torch_export", "executorch")]


@pytest.mark.parametrize("format_", ["openvino", *SLOW])
def test_other_formats_translate_and_classify_alike(texts, pairs, tmp_path, format_):
    pytest.importorskip({"torch_export": "torch"}.get(format_, format_))
    absent = ABSENT - ({"torch", "onnx"} if format_ == "executorch" else {"torch"})  # PyTorch's compiler asks for onnx
    net = hat()
    architecture = net.space.validate(dict(net.largest) | {"decoder_arbitrary_ende_attn": [2, 1]})
    device = replace(DEVICE, backend="openvino" if format_ == "openvino" else DEVICE.backend)
    folder = deploy(net, architecture, device, tmp_path / "hat", task=pairs, format=format_)
    assert "not_measured" in json.loads((folder / "metrics.json").read_text())  # left to run.py
    code, report, _ = run(folder, *SOURCES, "--repeats", 2, absent=absent)
    assert code == 0
    assert [entry["translation"] for entry in report["predictions"]] == pairs.translate(
        net.extract(architecture), SOURCES
    )
    net = bert()
    folder = deploy(net, net.smallest, DEVICE, tmp_path / "bert", task=texts, format=format_)
    code, report, _ = run(folder, "A dog runs.", "--repeats", 2, absent=absent)
    assert (code, len(report["predictions"][0]["top"])) == (0, 3)


@pytest.mark.gpu
def test_translations_on_a_gpu_are_those_on_a_cpu(pairs, tmp_path):
    net = hat()
    folder = deploy(net, net.largest, hardware.Device("gpu", "cuda_graphs"), tmp_path / "hat", task=pairs)
    code, report, errors = run(folder, *SOURCES, "--repeats", 2, absent=ABSENT - {"torch", "onnx"})
    assert code == 0, errors
    assert [entry["translation"] for entry in report["predictions"]] == pairs.translate(
        net.extract(net.largest), SOURCES
    )
