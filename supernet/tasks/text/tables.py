"""Labelled texts out of TSV and CSV files."""

import csv
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

Text = str | tuple[str, str]
"""One text, or a pair of them."""

Column = str | int
"""A column by its name in the first line, or by its number from 0 in a file without such a line."""


@dataclass(frozen=True)
class TextSet:
    """Texts with a class index each."""

    texts: tuple[Text, ...]
    labels: tuple[int, ...]

    def __repr__(self) -> str:
        return f"TextSet({len(self)} texts)"

    def __len__(self) -> int:
        return len(self.texts)

    def subset(self, indices: NDArray[np.int64]) -> "TextSet":
        """These samples in this order."""
        return TextSet(tuple(self.texts[i] for i in indices), tuple(self.labels[i] for i in indices))

    @property
    def digest(self) -> str:
        """Digest of all texts and labels."""
        return hashlib.sha256(repr((self.texts, self.labels)).encode()).hexdigest()


def read_table(
    path: Path, text: Column | Sequence[Column], label: Column, header: bool | None = None
) -> tuple[list[Text], list[str]]:
    """Texts and labels of a file: comma-separated with quotes if it is called .csv, else tab-separated; may be .gz.

    Args:
        path: the file.
        text: the column of the texts, or two of them for pairs.
        label: the column of the labels.
        header: whether the first line names the columns; None: if a column is given by name.

    Raises FileNotFoundError, and ValueError for a missing column, a row without it, or text that is not UTF-8.
    """
    chosen = [text] if isinstance(text, (str, int)) else list(text)
    if len(chosen) not in (1, 2):
        raise ValueError(f"text must name one column, or two for pairs of texts, got {chosen!r}")
    rows = _rows(path)
    columns = [*chosen, label]
    named = any(isinstance(column, str) for column in columns)
    first = rows.pop(0)[1] if (named if header is None else header) and rows else []
    indices = [_index(path, column, first) for column in columns]
    texts: list[Text] = []
    labels: list[str] = []
    for number, row in rows:
        if len(row) <= max(indices):
            raise ValueError(f"{path}, line {number}: {len(row)} columns, but column {max(indices)} (from 0) is needed")
        parts = [row[i] for i in indices[:-1]]
        texts.append(parts[0] if len(parts) == 1 else (parts[0], parts[1]))
        labels.append(row[indices[-1]].strip())
    if not texts:
        raise ValueError(f"{path} holds no rows")
    return texts, labels


def open_text(path: Path) -> TextIO:
    """A text file, or one packed by gzip, in UTF-8 with or without a mark of it; line ends are kept as they are."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, with their line numbers from 1."""
    comma = Path(path.name.removesuffix(".gz")).suffix == ".csv"
    try:
        with open_text(path) as file:
            reader = csv.reader(file) if comma else csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            return [(reader.line_num, row) for row in reader if row]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}") from error
    except (csv.Error, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"cannot read {path}: {error}") from error


def _index(path: Path, column: Column, names: list[str]) -> int:
    if isinstance(column, int):
        return column
    if column not in names:
        raise ValueError(f"{path} has no column {column!r}: its first line names {', '.join(names) or 'none'}")
    return names.index(column)
