"""Text classification tasks out of files: any TSV or CSV, SST-2."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supernet.tasks.splits import stratified_split
from supernet.tasks.text.classification import TextClassification
from supernet.tasks.text.tables import Column, Text, TextSet, read_table
from supernet.tasks.text.tokenization import load_tokenizer, train_for_classification

_ENDINGS = (".tsv", ".csv", ".txt", ".tsv.gz", ".csv.gz", ".txt.gz")
_VALIDATION_NAMES = ("validation", "val", "valid", "dev")
_TEST_NAMES = ("test",)

Table = tuple[list[Text], list[str]]


def text_classification(
    root: str | Path,
    *,
    text: Column | Sequence[Column] = "text",
    label: Column = "label",
    header: bool | None = None,
    validation: float = 0.1,
    test: float = 0.1,
    class_names: Sequence[str] | None = None,
    tokenizer: str | Path | None = None,
    vocab_size: int = 8000,
    name: str | None = None,
    **settings: Any,
) -> TextClassification:
    """Any TSV or CSV files with a column of texts (or two, for pairs) and one of labels; may be packed by gzip.

    Where `root` is a folder, it holds `train.tsv` (or .csv, .txt) and files for validation (`validation`, `val`,
    `valid` or `dev`) and, where there is one, `test`; without one for validation a fixed part of the training texts is
    set aside. Where it is a file, fixed parts of it become validation and test. Which text goes where depends on the
    hash of text and label alone.

    Args:
        root: the folder or the file.
        text: column of the texts by name, or by number from 0; two of them for pairs.
        label: column of the labels.
        header: whether the first line of a file names its columns; None: if a column is given by name.
        validation: fraction of the texts to set aside where there is no file of them.
        test: likewise, where `root` is a file; 0: none.
        class_names: the labels themselves in the order of the model's classes, or other names for them by their order
            (of numbers where all are numbers, else of the alphabet).
        tokenizer: of the models: a `tokenizer.json`, a folder in Hugging Face's layout, or a name on its hub; None:
            BPE trained on the training texts, always the same for the same texts.
        vocab_size: most tokens of a tokenizer that is trained.
        name: of the task; None: that of the folder or file.
        settings: arguments of TextClassification, such as `max_length` and `metric`.

    Raises FileNotFoundError for missing files, ValueError for what cannot be read or labels that training never shows.
    """
    root = Path(root)
    files = _files(root)
    tables = {split: read_table(path, text, label, header) for split, path in files.items()}
    values = _ordered(set(tables["train"][1]))
    names = _names(values, class_names)
    if set(names) == set(values):
        values = list(names)
    sets = {split: _indexed(files[split], table, values) for split, table in tables.items()}
    splits = _complete(root, sets, validation, test if root.is_file() else 0.0)
    trained_on = (part for one in splits["train"].texts for part in ((one,) if isinstance(one, str) else one))
    return TextClassification(
        name=name or root.name.partition(".")[0],
        splits=splits,
        class_names=names,
        tokenizer=load_tokenizer(tokenizer) if tokenizer else train_for_classification(trained_on, vocab_size),
        **settings,
    )


def sst2(root: str | Path, *, tokenizer: str | Path | None = None, **settings: Any) -> TextClassification:
    """The Stanford Sentiment Treebank, two classes: 6,920 / 872 / 1,821 sentences, or GLUE's release of it.

    `root` holds `train.tsv`, `dev.tsv` and, with labels, `test.tsv` (which may be packed by gzip). Each line is a
    sentence, a tab and 0 or 1; or, as in GLUE, the first line is `sentence`, tab, `label`.

    Args:
        root: the folder.
        tokenizer: as for `text_classification`.
        settings: arguments of `text_classification`.
    """
    train = _files(Path(root))["train"]
    first, _ = read_table(train, 0, 1, header=False)
    columns: dict[str, Any] = {"text": 0, "label": 1, "header": first[0] == "sentence"}
    defaults: dict[str, Any] = {"name": "sst2", "class_names": ("negative", "positive"), "max_length": 64}
    return text_classification(root, tokenizer=tokenizer, **defaults | columns | settings)


def _files(root: Path) -> dict[str, Path]:
    """The files of a folder by split; a single file is "train"."""
    if root.is_file():
        return {"train": root}
    if not root.is_dir():
        raise FileNotFoundError(f"no texts at {root}: give a folder with train.tsv, or a file")
    known = {"train": ("train",), "validation": _VALIDATION_NAMES, "test": _TEST_NAMES}
    files: dict[str, Path] = {}
    for split, stems in known.items():
        found = (path for stem in stems for ending in _ENDINGS if (path := root / f"{stem}{ending}").is_file())
        for path in list(found)[:1]:
            files[split] = path
    if "train" not in files:
        raise FileNotFoundError(
            f"{root} holds no training texts: train{_ENDINGS[0]}, or with {', '.join(_ENDINGS[1:])}"
        )
    return files


def _ordered(labels: set[str]) -> list[str]:
    try:
        return sorted(labels, key=float)
    except ValueError:
        return sorted(labels)


def _names(values: Sequence[str], given: Sequence[str] | None) -> tuple[str, ...]:
    if len(values) < 2:
        raise ValueError(f"the training texts have one label, {values[0]!r}: there is nothing to tell apart")
    if given is not None and len(given) != len(values):
        raise ValueError(f"class_names has {len(given)} names for {len(values)} labels: {', '.join(values[:9])}")
    return tuple(given or values)


def _indexed(path: Path, table: Table, values: Sequence[str]) -> TextSet:
    index = {value: i for i, value in enumerate(values)}
    if unknown := [label for label in table[1] if label not in index]:
        raise ValueError(f"{path}: label {unknown[0]!r} does not occur in training ({', '.join(values[:9])})")
    return TextSet(tuple(table[0]), tuple(index[label] for label in table[1]))


def _complete(root: Path, sets: dict[str, TextSet], validation: float, test: float) -> dict[str, TextSet]:
    """The splits, with fixed parts of the training texts in place of missing ones."""
    if "validation" in sets:
        return sets
    fractions = {"validation": validation, "test": test}
    if not validation > 0 or test < 0 or validation + test >= 1:
        raise ValueError(f"validation must be above 0, test at least 0, and their sum below 1, got {fractions}")
    train = sets["train"]
    sizes = {split: round(fraction * len(train)) for split, fraction in fractions.items()}
    if not sizes["validation"] or (test and not sizes["test"]):
        raise ValueError(f"{root} holds {len(train)} texts: too few to set aside {fractions}")
    keys = [repr(pair) for pair in zip(train.texts, train.labels, strict=True)]
    remaining, parts = stratified_split(keys, train.labels, list(sizes.values()))
    cut = {split: train.subset(part) for split, part in zip(sizes, parts, strict=True) if len(part)}
    return {**sets, "train": train.subset(remaining), **cut}
