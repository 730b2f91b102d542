import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, matthews_corrcoef
from torch import Tensor, nn

import supernet
from supernet.tasks import Augmentation, Task, TextClassification, TokenizerError, sst2, text_classification
from supernet.training import Recipe, train

SST2 = Path(__file__).parents[3] / ".." / "shared" / "data" / "sst2"
GOOD, BAD, PLAIN = ("good", "fine", "great"), ("bad", "awful", "poor"), ("a", "film", "with", "some", "scenes")


def sentences(n: int, seed: int = 0) -> list[tuple[str, str]]:
    """Sentences of several lengths with one word that decides."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        words = rng.choice(PLAIN, rng.integers(1, 12)).tolist()
        words.insert(int(rng.integers(len(words) + 1)), str(rng.choice((BAD, GOOD)[i % 2])))
        rows.append((" ".join(words), str(i % 2)))
    return rows


def write(path: Path, rows: list[tuple[str, ...]], separator: str = "\t") -> Path:
    text = "".join(separator.join(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("films")
    write(root / "train.tsv.gz", sentences(120))
    write(root / "dev.tsv", sentences(40, 1))
    return root


@pytest.fixture(scope="module")
def task(folder):
    return text_classification(folder, text=0, label=1, class_names=("bad", "good"), vocab_size=200)


class Words(supernet.SuperNetwork):
    """Sums of word vectors, elastic in width; padding must not count."""

    space = supernet.SearchSpace(supernet.Choice("width", (4, 8)))

    def build(self, architecture: supernet.Architecture) -> nn.Module:
        return WordsModel(architecture["width"])


class WordsModel(nn.Module):
    def __init__(self, width: int, n_classes: int = 2) -> None:
        super().__init__()
        self.words, self.classes = nn.Embedding(200, width), nn.Linear(width, n_classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        found = self.words(input_ids) * attention_mask[..., None]
        return {"logits": self.classes(found.sum(1) / attention_mask.sum(1, keepdim=True))}


def words(seed: int = 0) -> Words:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Words()


def tiny_bert(**changes):
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 200, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    settings = {**sizes, "intermediate_size": 16, "max_position_embeddings": 128, **changes}
    return transformers.BertForSequenceClassification(transformers.BertConfig(**settings)).eval()


# --- files ---


def test_a_folder_with_files_for_splits(task):
    assert isinstance(task, Task)
    assert (task.n_samples("train"), task.n_samples("validation")) == (120, 40)
    assert task.class_names == ("bad", "good")
    assert task.samples("validation", 2) == [(sentences(40, 1)[0][0], 0), (sentences(40, 1)[1][0], 1)]
    with pytest.raises(ValueError, match="has no split 'test': it has train, validation"):
        task.n_samples("test")


def test_a_single_csv_with_quotes_and_names_is_cut(tmp_path):
    rows = [("id", "verdict", "review"), *((str(i), ("no", "yes")[int(b)], f'"{a}, {i}"')
                                           for i, (a, b) in enumerate(sentences(60)))]  # fmt: skip
    path = write(tmp_path / "all.csv", rows, ",")
    first, again = (text_classification(path, text="review", label="verdict", vocab_size=300) for _ in range(2))
    assert [first.n_samples(split) for split in ("train", "validation", "test")] == [48, 6, 6]
    assert first.class_names == ("no", "yes")
    texts = [text for split in first.splits.values() for text in split.texts]
    assert sorted(texts) == sorted(f"{a}, {i}" for i, (a, _) in enumerate(sentences(60)))
    assert first.fingerprint == again.fingerprint
    assert set(first.splits["test"].texts) == set(again.splits["test"].texts)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    lines = ["text,label", *(f'"{text}",{label}' for text, label in sentences(60))]
    (tmp_path / "all.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    task = text_classification(tmp_path / "all.csv", vocab_size=200)
    assert sum(task.n_samples(split) for split in task.splits) == 60


def test_numbers_are_ordered_as_numbers(tmp_path):
    path = write(tmp_path / "stars.tsv", [(a, str(i % 11)) for i, (a, _) in enumerate(sentences(66))])
    assert text_classification(path, text=0, label=1).class_names == tuple(map(str, range(11)))


def test_labels_may_be_given_in_the_order_of_a_models_classes(tmp_path):
    path = write(tmp_path / "all.tsv", [(a, ("no", "yes")[int(b)]) for a, b in sentences(60)])
    usual, turned = (
        text_classification(path, text=0, label=1, class_names=names, tokenizer=None, vocab_size=200)
        for names in (None, ("yes", "no"))
    )
    assert turned.class_names == ("yes", "no")
    labels = dict(zip(turned.splits["train"].texts, turned.splits["train"].labels, strict=True))
    assert {labels.get(text, 1 - label) + label for text, label in usual.samples("train", 40)} == {1}
    model = tiny_bert(id2label={0: "YES", 1: "NO"}, vocab_size=300)
    assert turned.evaluate(model)["accuracy"] >= 0
    with pytest.raises(ValueError, match=r"the classes no, yes, .* another order: give class_names=\[yes, no\]"):
        usual.evaluate(model)
    usual.evaluate(tiny_bert(id2label={0: "LABEL_0", 1: "LABEL_1"}, vocab_size=300))


def test_pairs_of_texts_have_types(tmp_path):
    rows = [("a", "b", "label"), *((f"one {a}", f"two {a}", b) for a, b in sentences(40))]
    task = text_classification(write(tmp_path / "p.tsv", rows), text=["a", "b"], label="label", vocab_size=200)
    inputs = task.prepare(tiny_bert(), [text for text, _ in task.samples("validation", 2)])
    row, types = inputs["input_ids"][0], inputs["token_type_ids"][0]
    separator = task.tokenizer.token_to_id("[SEP]")
    places = (row == separator).nonzero().flatten().tolist()
    assert len(places) == 2
    assert types[: places[0] + 1].sum() == 0
    assert types[places[0] + 1 : places[1] + 1].min() == 1


def test_the_stanford_sentiment_treebank():
    if not SST2.is_dir():
        pytest.skip(f"no data at {SST2}")
    task = sst2(SST2)
    assert [task.n_samples(split) for split in ("train", "validation", "test")] == [6920, 872, 911]
    assert sum(task.splits["train"].labels) == 3610
    assert sum(task.splits["test"].labels) == 454
    assert task.class_names == ("negative", "positive")


def test_sst2_as_glue_releases_it(tmp_path):
    for name in ("train", "dev"):
        write(tmp_path / f"{name}.tsv", [("sentence", "label"), *sentences(20)])
    task = sst2(tmp_path)
    assert task.n_samples("train") == 20
    assert task.samples("train", 1) == [(sentences(20)[0][0], 0)]


# --- tokens ---


def test_batches_are_as_bert_takes_them(task):
    model = tiny_bert()
    texts = ["a good film", "some bad scenes with a film"]
    inputs = task.prepare(model, texts)
    assert list(inputs) == ["input_ids", "attention_mask", "token_type_ids"]
    expected = [task.tokenizer.encode(text).ids for text in texts]
    rows = zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
    assert [row[mask.bool()].tolist() for row, mask in rows] == expected
    assert inputs["input_ids"][0, -1] == task.tokenizer.token_to_id("[PAD]")
    assert model(**inputs).logits.shape == (2, 2)
    assert set(task.prepare(WordsModel(4), texts)) == {"input_ids", "attention_mask"}


def test_long_texts_are_cut_with_their_special_tokens(folder):
    task = text_classification(folder, text=0, label=1, max_length=5)
    (row,) = task.prepare(WordsModel(4), ["film " * 50])["input_ids"]
    assert len(row) == 5
    assert row[-1] == task.tokenizer.token_to_id("[SEP]")


def test_a_tokenizer_of_a_file_a_folder_or_transformers(folder, task, tmp_path):
    from transformers import PreTrainedTokenizerFast

    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "tokenizer.json").write_bytes(task.files["tokenizer.json"])
    saved = PreTrainedTokenizerFast(tokenizer_object=task.tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    saved.save_pretrained(tmp_path / "saved")
    for source in (tmp_path / "own" / "tokenizer.json", tmp_path / "own", tmp_path / "saved"):
        other = text_classification(folder, text=0, label=1, tokenizer=source)
        model = tiny_bert()
        texts = [text for text, _ in task.samples("validation", 5)]
        torch.testing.assert_close(other.prepare(model, texts), task.prepare(model, texts))


# --- metrics ---


def test_metrics_are_those_of_scikit_learn_and_independent_of_batches(task):
    model = words().extract({"width": 8})
    with torch.inference_mode():
        texts = [text for text, _ in task.samples("validation", 40)]
        alone = torch.cat([model(**task.prepare(model, [text]))["logits"] for text in texts])
    labels, answers = np.arange(40) % 2, alone.argmax(1).numpy()
    metrics = task.evaluate(model)
    assert next(iter(metrics)) == task.metric == "accuracy"
    assert metrics["accuracy"] == pytest.approx(100 * (labels == answers).mean())
    assert metrics["f1"] == pytest.approx(100 * f1_score(labels, answers))
    assert metrics["mcc"] == pytest.approx(100 * matthews_corrcoef(labels, answers))
    assert metrics["loss"] == pytest.approx(float(nn.functional.cross_entropy(alone, torch.from_numpy(labels))), 1e-5)


def test_pickled_tasks_measure_the_same(task):
    model = words().extract({"width": 8})
    expected = task.evaluate(model)
    data = pickle.dumps(task)
    assert pickle.loads(data).evaluate(model) == expected
    assert pickle.loads(data).fingerprint == task.fingerprint


def test_a_super_network_learns_to_classify_texts(task, tmp_path):
    recipe = Recipe(
        epochs=15, batch_size=16, optimiser="adamw", learning_rate=0.05, warmup_epochs=1, weight_decay=0,
        schedule="linear", n_evaluated=0, evaluate_every=0, device="cpu",
    )  # fmt: skip
    summary = train(words(), task, recipe, tmp_path, progress=False)
    assert summary.metrics["largest"]["accuracy"] > 95
    assert summary.metrics["smallest"]["accuracy"] > 90


# --- mistakes ---


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (lambda t: t.evaluate(tiny_bert(vocab_size=20)), TokenizerError, r"\d+ tokens, the model knows 20"),
        (lambda t: t.evaluate(tiny_bert(pad_token_id=3)), TokenizerError, "pads with token 0, the model expects 3"),
        (lambda t: t.evaluate(tiny_bert(max_position_embeddings=99)), ValueError, "the model has 99 positions"),
        (lambda t: t.evaluate(tiny_bert(num_labels=3)), ValueError, "has 2 classes.*num_labels=2"),
        (
            lambda t: next(t.train_batches(tiny_bert(), batch_size=2, rng=None, augmentation=Augmentation(flip=0.5))),
            ValueError,
            "augmentation is for images",
        ),
    ],
)
def test_models_that_do_not_fit_are_named(task, action, error, message):
    with pytest.raises(error, match=message):
        action(task)


ROWS = sentences(30)


@pytest.mark.parametrize(
    ("rows", "settings", "error", "message"),
    [
        (ROWS, {"text": "sentence", "label": 1}, ValueError, "no column 'sentence': its first line names"),
        (ROWS, {"text": 0, "label": 2}, ValueError, r"all.tsv, line 1: 2 columns, but column 2"),
        ([], {"text": 0, "label": 1}, ValueError, "holds no rows"),
        ([(a, "1") for a, _ in ROWS], {"text": 0, "label": 1}, ValueError, "have one label, '1'"),
        (ROWS, {"text": 0, "label": 1, "class_names": "abc"}, ValueError, "3 names for 2 labels: 0, 1"),
        (ROWS, {"text": 0, "label": 1, "validation": 0.001}, ValueError, "too few to set aside"),
        (ROWS, {"text": 0, "label": 1, "validation": 1.5}, ValueError, "their sum below 1"),
        (ROWS, {"text": 0, "label": 1, "max_length": 2}, ValueError, "max_length must be above 2"),
        (ROWS, {"text": 0, "label": 1, "metric": "bleu"}, ValueError, "metric must be one of accuracy, f1, mcc"),
        (
            ROWS,
            {"text": 0, "label": 1, "tokenizer": "no/such/folder"},
            TokenizerError,
            "no tokenizer at 'no/such/folder'",
        ),
        (ROWS, {"text": 0, "label": 1, "tokenizer": "x.json"}, TokenizerError, "cannot read a tokenizer from x.json"),
    ],
)
def test_mistakes_in_files_and_settings_are_named(tmp_path, rows, settings, error, message):
    path = write(tmp_path / "all.tsv", rows)
    with pytest.raises(error, match=message):
        text_classification(path, **settings)


def test_other_mistakes_in_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="no texts at"):
        text_classification(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match="holds no training texts"):
        text_classification(tmp_path)
    write(tmp_path / "train.tsv", ROWS)
    write(tmp_path / "dev.tsv", [("a film", "7")])
    with pytest.raises(ValueError, match=r"dev.tsv: label '7' does not occur in training \(0, 1\)"):
        text_classification(tmp_path, text=0, label=1)
    (tmp_path / "train.tsv").write_bytes(b"caf\xe9\t1\n")
    with pytest.raises(ValueError, match="train.tsv is not text in UTF-8"):
        text_classification(tmp_path, text=0, label=1)
    (tmp_path / "train.tsv").unlink()
    (tmp_path / "train.tsv.gz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="cannot read .*train.tsv.gz"):
        text_classification(tmp_path, text=0, label=1)
    assert TextClassification.__doc__
