"""What other programs write into tables: CSV in any dialect, numbers, architectures. Nothing in it is executed."""

import ast
import codecs
import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from supernet.space import Choice

UNKNOWN = ("", "-", "nan", "na", "n/a", "none", "null")
"""What stands in cells without a value, in lower case."""

_DELIMITERS = ",;\t"
_LONGEST = 100_000
_PLAIN_NAMES = {"null": None, "true": True, "false": False}


def csv_reader(path: Path, errors: str = "strict") -> Any:
    """A `csv.reader` of a file in UTF-8 or, with a byte order mark, UTF-16, at its beginning.

    Cells are separated by the comma, semicolon or tab that cuts the first line with text into the most of them.

    Raises OSError, and UnicodeDecodeError unless `errors`, as for `bytes.decode`, says otherwise.
    """
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"
    text = content.decode(encoding, errors)
    header = next(iter(text.lstrip().splitlines()), "")
    delimiter = max(_DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def decimal_mark(reader: Any) -> str:
    """The decimal mark that may stand for the point: a comma, unless it separates the cells of a `csv_reader`."""
    return "." if reader.dialect.delimiter == "," else ","


def number(text: str, decimal: str = ".") -> float:
    """The number in a cell, NaN for what is `UNKNOWN`. Raises ValueError for anything else."""
    plain = text.strip()
    return math.nan if plain.lower() in UNKNOWN else float(plain.removesuffix("%").replace(decimal, "."))


def literal(text: str) -> Any:
    """The value of a JSON text or of a Python literal. Raises ValueError for anything else."""
    if len(text) > _LONGEST:
        raise ValueError(f"a text of {len(text)} characters is too long for an architecture")
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text[:60]!r} is neither JSON nor a Python literal") from error


def mapping_of(cell: Any) -> Mapping[str, Any]:
    """The architecture in a cell of a table, as a mapping. Raises ValueError for a cell that holds something else."""
    value = literal(cell) if isinstance(cell, str) else cell
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{str(cell)[:60]!r} is no mapping of choices to values")
    return value


def choice_columns(choice: Choice, columns: Iterable[str]) -> tuple[str, ...]:
    """The columns with the values of a choice: one of its name, or one for each position; none where some are missing.

    Those of positions are numbered from 0 or 1: ks[0], ks_0, ks.0 or ks0.
    """
    columns = tuple(columns)
    if choice.name in columns or choice.repeat is None:
        return (choice.name,) * (choice.name in columns)
    numbered = re.compile(rf"{re.escape(choice.name)}[\[_. ]?(\d+)]?")
    found = {int(match[1]): name for name in columns if (match := numbered.fullmatch(name))}
    first = int(0 not in found)
    positions = range(first, choice.repeat + first)
    return tuple(found[i] for i in positions) if found.keys() == set(positions) else ()


def choice_values(choice: Choice, cells: Sequence[Any]) -> Any:
    """The values of a choice, as the space takes them, in the cells of its `choice_columns`.

    A cell for all positions is a list, separated values, or one character per position. An empty cell is None, where
    that is one of the values. Raises ValueError for a list that cannot be parsed.
    """
    if len(cells) > 1:
        return [_value(choice, cell) for cell in cells]
    value = _value(choice, cells[0])
    if not isinstance(value, str) or value in choice.values:
        return value
    parts = [part for part in re.split(r"[\s,;|/]+", value.strip("[]()")) if part]
    if len(parts) == 1 and choice.repeat not in (None, 1) and len(value) == choice.n_genes:
        parts = list(value)
    values = [_value(choice, part) for part in parts]
    return values[0] if len(values) == 1 else values


def _value(choice: Choice, cell: Any) -> Any:
    """The value of a choice, or list of values, that a cell stands for; without any its text."""
    if not isinstance(cell, str):
        return cell
    text = cell.strip()
    for value in choice.values:
        if str(value) == text or _number(text) == _number(str(value)) is not None:
            return value
    if not text and None in choice.values:
        return None
    if text[:1] in ("[", "(") and "," in text:  # NumPy writes arrays without commas
        return literal(text)
    return _PLAIN_NAMES.get(text.lower(), text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
