import gzip
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from torch.nn import functional

import supernet
from supernet.decoding import BeamSearch
from supernet.tasks import (
    Augmentation,
    ParallelText,
    Task,
    TokenizerError,
    Translation,
    fairseq_translation,
    multi30k,
    translation,
)
from supernet.tasks.text import bleu
from supernet.tasks.text.batching import padded
from supernet.tasks.text.tokenization import train_for_translation
from supernet.training import Recipe, train

from .test_fairseq import write_cached, write_mmap

MULTI30K = Path(__file__).parents[3] / ".." / "shared" / "data" / "multi30k"
WORDS = {"a": "ein", "red": "rotes", "big": "großes", "dog": "Hund", "house": "Haus", "tree": "Baum", "sees": "sieht"}
SPACE = {
    "encoder_embed_dim": [24, 32], "encoder_layer_num": [1], "encoder_ffn_embed_dim": [32, 64],
    "encoder_self_attention_heads": [2, 4], "decoder_embed_dim": [24, 32], "decoder_layer_num": [1],
    "decoder_ffn_embed_dim": [32, 64], "decoder_self_attention_heads": [2, 4],
    "decoder_ende_attention_heads": [2, 4], "decoder_arbitrary_ende_attn": [-1], "qkv_dim": 32,
    "shared_embeddings": "all", "max_positions": 40, "source_length": 8, "target_length": 8, "beam": 3,
    "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip
SEARCH = {"beam": 3, "length_penalty": 0.6, "max_length": 20}


def pairs(n: int, seed: int = 0) -> ParallelText:
    rng = np.random.default_rng(seed)
    chosen = [rng.choice(list(WORDS), rng.integers(2, 6)).tolist() for _ in range(n)]
    return ParallelText(
        tuple(f"The {' '.join(words)}." for words in chosen),
        tuple(f"Das {' '.join(WORDS[word] for word in words)}." for words in chosen),
    )


def write(folder: Path, stem: str, found: ParallelText, packed: bool = False) -> None:
    for language, lines in (("en", found.sources), ("de", found.targets)):
        data = "".join(f"{line}\n" for line in lines).encode()
        path = folder / f"{stem}.{language}{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(data) if packed else data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("toy")
    write(root, "train", pairs(300), packed=True)
    write(root, "val", pairs(30, 1))
    write(root, "test", pairs(20, 2))
    return root


def toy(folder: Path, **settings: object) -> Translation:
    return translation(folder, source="en", target="de", **{"vocab_size": 80, "search": SEARCH, **settings})


@pytest.fixture(scope="module")
def task(folder):
    return toy(folder)


def tiny_net(vocab_size: int = 80, seed: int = 0, **changes: object) -> supernet.SuperNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return supernet.create("hat_transformer", space=SPACE, vocab_size=vocab_size, **changes)


@pytest.fixture(scope="module")
def trained(task, tmp_path_factory):
    recipe = Recipe(
        epochs=22, batch_size=200, optimiser="adamw", learning_rate=1e-2, schedule="cosine", warmup_steps=20,
        weight_decay=0, label_smoothing=0, n_random=0, distillation=0.5, evaluate_every=0, n_evaluated=0, device="cpu",
    )  # fmt: skip
    net = tiny_net()
    return net, train(net, task, recipe, tmp_path_factory.mktemp("training"), progress=False)


# --- data ---


def test_files_of_a_folder(task):
    assert isinstance(task, Task)
    assert [task.n_samples(split) for split in ("train", "validation", "test")] == [300, 30, 20]
    assert task.samples("test", 1) == [(pairs(20, 2).sources[0], pairs(20, 2).targets[0])]
    assert task.metric == "bleu"
    with pytest.raises(ValueError, match="has no split 'dev': it has train, validation, test"):
        task.n_samples("dev")


def test_files_of_other_names_and_pairs_set_aside(tmp_path):
    write(tmp_path, "corpus", pairs(100))
    (tmp_path / "corpus.en").rename(tmp_path / "english.txt")
    (tmp_path / "corpus.de").rename(tmp_path / "german.txt")
    first, again = (toy(tmp_path, train=("english.txt", "german.txt"), validation=0.2) for _ in range(2))
    assert (first.n_samples("train"), first.n_samples("validation")) == (80, 20)
    assert first.fingerprint == again.fingerprint
    assert not set(first.splits["train"].sources) & set(first.splits["validation"].sources)


def test_multi30k():
    if not MULTI30K.is_dir():
        pytest.skip(f"no data at {MULTI30K}")
    task = multi30k(MULTI30K, vocab_size=2000)
    assert [task.n_samples(split) for split in ("train", "validation", "test")] == [29000, 1014, 1000]
    source, target = task.samples("test", 1)[0]
    assert (source[:5], target[:9]) == ("A man", "Ein Mann ")
    for text in task.splits["validation"].targets:
        assert task.vocabulary.decode(task.vocabulary.encode([text])[0]) == text


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_tokenizers_are_always_the_same_and_lose_nothing(task, kind):
    texts = [*task.splits["train"].sources, *task.splits["train"].targets]
    first, again = (train_for_translation(texts, 90, kind) for _ in range(2))
    assert first.to_str() == again.to_str()
    assert [first.token_to_id(token) for token in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]
    vocabulary = supernet.tasks.Vocabulary(first)
    for text in texts[:50]:
        (ids,) = vocabulary.encode([text])
        assert ids[-1] == 2
        assert vocabulary.decode(ids) == text


def test_a_tokenizer_from_its_file(task, folder, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(task.files["tokenizer.json"])
    again = toy(folder, tokenizer=tmp_path / "tokenizer.json")
    assert again.fingerprint == task.fingerprint
    assert toy(folder, vocab_size=70).fingerprint != task.fingerprint
    assert toy(folder, search={**SEARCH, "beam": 1}).fingerprint != task.fingerprint
    assert toy(folder, batch_tokens=99).fingerprint == task.fingerprint


# --- batches ---


def test_training_batches_are_as_fairseq_makes_them(task):
    net = tiny_net()
    batches = list(task.train_batches(net.largest, batch_size=200, rng=np.random.default_rng(0)))
    assert len(batches) == task.n_batches(200)
    seen = []
    for (source, previous), targets in batches:
        assert max(source.numel(), previous.numel()) <= 200
        for src, prev, target in zip(source.tolist(), previous.tolist(), targets.tolist(), strict=True):
            words = [i for i in target if i >= 0]
            assert src[-1] == words[-1] == 2
            assert src == [1] * src.count(1) + src[src.count(1) :]
            assert prev[: len(words)] == [2, *words[:-1]]
            assert set(prev[len(words) :]) <= {1}
            seen.append((task.vocabulary.decode(src), task.vocabulary.decode(words)))
    train_pairs = task.splits["train"]
    assert sorted(seen) == sorted(zip(train_pairs.sources, train_pairs.targets, strict=True))


def test_pairs_that_are_too_long_are_left_out_of_training_alone(folder):
    longest = toy(folder, max_tokens=7)
    batches = list(longest.train_batches(None, batch_size=100, rng=np.random.default_rng(0)))
    n = sum(len(targets) for _, targets in batches)
    assert 0 < n < 300
    assert max(targets.shape[1] for _, targets in batches) <= 7
    with pytest.raises(ValueError, match="has a pair of .* tokens, max_tokens is 7"):
        toy(folder, max_tokens=7, metrics=("loss",)).evaluate(tiny_net().extract(tiny_net().smallest))
    short = tiny_net(max_positions=6, source_length=4, target_length=4)
    with pytest.raises(ValueError, match=r"the train split has a pair of \d+ tokens, the model has 6 .*max_tokens=6"):
        next(toy(folder).train_batches(short.skeleton(short.largest), batch_size=99, rng=np.random.default_rng(0)))
    with pytest.raises(ValueError, match=r"the validation split has a pair of .* the model has 6 positions"):
        toy(folder, metrics=("loss",)).evaluate(short.extract(short.smallest))
    with pytest.raises(ValueError, match="all training pairs have more than 2 tokens"):
        toy(folder, max_tokens=2).n_batches(10)


# --- metrics ---


def test_it_learns_to_translate(task, trained):
    net, summary = trained
    assert list(summary.metrics["largest"]) == ["bleu", "tokenized_bleu", "loss", "perplexity"]
    assert summary.metrics["largest"]["bleu"] > 60
    assert summary.metrics["smallest"]["bleu"] > 50
    model = net.extract(net.largest)
    assert task.translate(model, ["The red dog sees a tree."]) == ["Das rotes Hund sieht ein Baum."]


def test_bleu_is_that_of_the_corpus_by_beam_search(task, trained):
    model = trained[0].extract(trained[0].smallest)
    split = task.splits["test"]
    hypotheses = []
    for ids in task.vocabulary.encode(split.sources):  # one by one
        best = BeamSearch(**SEARCH)(model, torch.from_numpy(ids.astype(np.int64))[None])[0][0]
        hypotheses.append(task.vocabulary.decode(best.tokens))
    assert task.translate(model, split.sources) == hypotheses
    metrics = task.evaluate(model, "test")
    assert metrics["bleu"] == pytest.approx(BLEU().corpus_score(hypotheses, [list(split.targets)]).score)
    assert task.score(hypotheses, split.targets) == {name: metrics[name] for name in ("bleu", "tokenized_bleu")}
    assert task.score(split.targets, split.targets) == pytest.approx({"bleu": 100, "tokenized_bleu": 100})


def test_loss_is_per_token_and_independent_of_batches(task, trained, folder):
    model = trained[0].extract(trained[0].smallest)
    total, n = 0.0, 0
    for source, target in task.samples("test", 20):
        src, tgt = (torch.from_numpy(task.vocabulary.encode([text])[0].astype(np.int64)) for text in (source, target))
        with torch.inference_mode():
            scores = model(src[None], torch.cat([torch.tensor([2]), tgt[:-1]])[None])[0]
        total += float(functional.cross_entropy(scores, tgt, reduction="sum"))
        n += len(tgt)
    other = toy(folder, metrics=["loss", "perplexity"], batch_tokens=30)
    found = other.evaluate(model, "test")
    assert found == pytest.approx({"loss": total / n, "perplexity": math.exp(total / n)}, rel=1e-5)
    assert task.evaluate(model, "test")["loss"] == pytest.approx(found["loss"], rel=1e-5)


def test_a_part_of_the_validation_split(task, folder):
    model = tiny_net().extract(tiny_net().smallest)
    part = toy(folder, n_validation=5, metrics=("loss",))
    chosen = pairs(30, 1).subset(np.array([0, 7, 14, 21, 29]))
    expected = Translation(
        name="part", splits={"validation": chosen}, source_language="en", target_language="de",
        vocabulary=task.vocabulary, metrics=("loss",),
    )  # fmt: skip
    assert part.evaluate(model) == pytest.approx(expected.evaluate(model))
    assert part.evaluate(model, "test") == toy(folder, metrics=("loss",)).evaluate(model, "test")
    assert part.fingerprint != toy(folder, metrics=("loss",)).fingerprint


def test_methods_name_the_signature(task):
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in task.methods["bleu"]
    assert "beam 3, length penalty 0.6" in task.methods["bleu"]


def test_tokenized_bleu_splits_compounds_and_punctuation():
    hypotheses, references = ["Ein blau-weißes Boot."], ["Ein blau-grünes Boot."]
    tokens = [bleu.moses_tokenized(texts, "de") for texts in (hypotheses, references)]
    assert tokens[0] == ["Ein blau-weißes Boot ."]
    precisions = [8 / 9, 6 / 8, 4 / 7, 2 / 6]  # of Ein blau ##AT##-##AT## weißes Boot fährt dort so .
    found = bleu.tokenized_bleu(["Ein blau-weißes Boot fährt dort so ."], ["Ein blau-grünes Boot fährt dort so ."])
    assert found == pytest.approx(100 * math.prod(precisions) ** 0.25)
    assert bleu.moses_detokenized(["Ein Hund , der &quot; bellt &quot; ."], "de") == ['Ein Hund, der "bellt".']


def test_pickled_tasks_measure_the_same(task, trained):
    model = trained[0].extract(trained[0].smallest)
    again = pickle.loads(pickle.dumps(task))
    assert again.fingerprint == task.fingerprint
    assert again.evaluate(model, "test") == task.evaluate(model, "test")


def test_inputs_of_raw_sentences(task):
    model = tiny_net().extract(tiny_net().smallest)
    source, previous = task.prepare(model, ["A dog.", "A red dog sees."])
    assert source[0, 0] == 1
    assert previous.tolist() == [[2], [2]]
    assert model(source, previous).shape == (2, 1, 80)


# --- what fairseq binarised ---


@pytest.fixture(params=[write_mmap, write_cached])
def binarised(request, tmp_path):
    """Moses' tokens, one word in two parts, and one that is unknown."""
    for language, words in (("en", [*WORDS, ".", "ca@@", "t"]), ("de", [*WORDS.values(), ".", "Kat@@", "ze"])):
        (tmp_path / f"dict.{language}.txt").write_text("".join(f"{word} 9\n" for word in words))
        sentences = [[4, 7, 11, 2], [4, 5, 12, 13, 11, 2], [4, 3, 11, 2]]
        for split, chosen in (("train", sentences), ("train1", sentences[:2]), ("valid", sentences)):
            request.param(tmp_path / f"{split}.en-de.{language}", chosen, "i4")
    return tmp_path


def test_binarised_texts_are_a_task(binarised):
    task = fairseq_translation(binarised, source="en", target="de", search=SEARCH)
    assert (task.n_samples("train"), task.n_samples("validation")) == (5, 3)
    assert task.samples("validation", 3)[1:] == [
        ("a red ca@@ t .", "ein rotes Kat@@ ze ."),
        ("a <unk> .", "ein <<unk>> ."),
    ]
    net = tiny_net(16, target_vocab_size=16, shared_embeddings="none")
    (source, previous), targets = next(task.train_batches(None, batch_size=99, rng=np.random.default_rng(0)))
    rows = {tuple(i for i in row if i != 1) for row in source.tolist()}
    assert (4, 5, 12, 13, 11, 2) in rows
    model = net.extract(net.smallest)
    assert model(source, previous).shape[:2] == targets.shape
    assert set(task.evaluate(model)) == {"bleu", "tokenized_bleu", "loss", "perplexity"}
    assert task.target_vocabulary.decode([4, 12, 13, 11, 2]) == "ein Katze ."
    found = task.score(["ein Hund .", "ein rotes Katze .", "ein <unk> ."], task.splits["validation"].targets)
    assert found["bleu"] == pytest.approx(BLEU().corpus_score(
        ["ein Hund.", "ein rotes Katze.", "ein <unk>."], [["ein Hund.", "ein rotes Katze.", "ein <<unk>>."]]).score
    )  # fmt: skip


def test_mistakes_in_binarised_folders(binarised):
    with pytest.raises(FileNotFoundError, match=r"dict.fr.txt"):
        fairseq_translation(binarised, source="en", target="fr")
    for path in binarised.glob("valid*"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"no valid.en-de.en.idx"):
        fairseq_translation(binarised, source="en", target="de")


# --- mistakes ---


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda t, m: t.translate(m, ["A dog.", "  "]), ValueError, "the source '  ' is empty"),
        (lambda t, m: t.translate(m, ["dog " * 300]), ValueError, r"has \d+ tokens, task 'toy\d*' takes 256"),
        (lambda t, m: t.translate(m, ["dog " * 60]), ValueError, "the model has 40 positions"),
        (lambda t, _: t.evaluate(tiny_net(50).extract(tiny_net(50).smallest)), TokenizerError,
         r"source vocabulary of task .* has (\d+) tokens, the model knows 50.*vocab_size=\1"),
        (lambda t, m: next(t.train_batches(m, batch_size=9, rng=None, augmentation=Augmentation(flip=1))), ValueError,
         "augmentation is for images"),
    ],
)  # fmt: skip
def test_what_cannot_be_translated_is_named(task, action, error, message):
    net = tiny_net()
    with pytest.raises(error, match=message):
        action(task, net.extract(net.smallest))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"metrics": ["rouge"]}, ValueError, "metrics must be some of bleu, .*'rouge'"),
        ({"max_tokens": 0}, ValueError, "max_tokens must be at least 1"),
        ({"search": {"beam": 0}}, ValueError, "beam must be"),
        ({"kind": "wordpiece"}, ValueError, "must be bpe or unigram"),
        ({"vocab_size": 4}, ValueError, "vocab_size must be above 4"),
        ({"test": "newstest"}, FileNotFoundError, r"no file .*newstest.en \(nor newstest.en.gz\) for the test split"),
        ({"validation": 1.5}, ValueError, "too few to set aside 1.5"),
    ],
)
def test_mistakes_in_settings_are_named(folder, settings, error, message):
    with pytest.raises(error, match=message):
        toy(folder, **settings)


def test_mistakes_in_files_are_named(tmp_path, task):
    with pytest.raises(FileNotFoundError, match=r"no train.en and train.de"):
        toy(tmp_path)
    (tmp_path / "train.en").write_text("one\ntwo\n")
    with pytest.raises(FileNotFoundError, match="no file .*train.de"):
        toy(tmp_path)
    (tmp_path / "train.de").write_text("eins\n")
    with pytest.raises(ValueError, match=r"train.en has 2 lines, .*train.de has 1"):
        toy(tmp_path)
    (tmp_path / "train.de").write_text("eins\n \n")
    with pytest.raises(ValueError, match=r"train.de, line 2 is empty"):
        toy(tmp_path)
    (tmp_path / "train.de").write_bytes(b"gr\xfcn\nzwei\n")
    with pytest.raises(ValueError, match=r"train.de is not text in UTF-8"):
        toy(tmp_path)
    write(tmp_path, "train", pairs(60))
    other = tmp_path / "other.json"
    classification = supernet.tasks.text.tokenization.train_for_classification(["some words"], 20)
    classification.save(str(other))
    with pytest.raises(TokenizerError, match="other ids than translation models expect: <s> is None"):
        toy(tmp_path, tokenizer=other)


def test_padding_does_not_count(task, trained):
    model = trained[0].extract(trained[0].smallest)
    (ids,) = task.vocabulary.encode(["A red dog."])
    alone = model(*task.prepare(model, ["A red dog."]))
    wide = padded([ids, np.arange(4, 30)], 1, left=True)[:1]
    torch.testing.assert_close(model(wide, torch.tensor([[2]])), alone, rtol=1e-4, atol=1e-5)
