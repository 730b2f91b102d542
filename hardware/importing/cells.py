"""CSV files of measurements: cells that know where they are."""

import ast
import csv
import io
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from hardware.model import TableError
from supernet import Choice

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks: what spreadsheets call Unicode text
_NOT_MEASURED = ("", "nan", "na", "n/a", "none", "null")


@dataclass(frozen=True)
class Sheet:
    """The rows of a CSV file with a header.

    Args:
        path: of the file.
        header: names of the columns.
        lines: number of the line in the file, of each row.
        rows: cells by name of their column.
        decimal_comma: whether 1,5 may be a number: commas do not separate cells.
    """

    path: Path
    header: tuple[str, ...]
    lines: tuple[int, ...]
    rows: tuple[dict[str, str], ...]
    decimal_comma: bool = False

    @classmethod
    def read(cls, path: Path) -> Self:
        """The rows of a file whose cells commas, semicolons or tabs separate, with or without quotes.

        Raises TableError for a file that is none, or has rows of another length than its header.
        """
        try:
            content = path.read_bytes()
            encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
            delimiter = _delimiter(content.decode(encoding).lstrip())
            reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding, newline=""), delimiter=delimiter)
            numbered = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise TableError(f"cannot read {path}: {error}") from error
        header = tuple(name.strip() for name in numbered.pop(0)[1]) if numbered else ()
        if not numbered or len(set(header)) < len(header):
            raise TableError(f"{path} must have a header of different names and a row for each architecture")
        for line, row in numbered:
            if len(row) != len(header):
                raise TableError(f"{path}, line {line}: {len(row)} cells, but the header has {len(header)}")
        rows = tuple(dict(zip(header, (cell.strip() for cell in row), strict=True)) for _, row in numbered)
        return cls(path, header, tuple(line for line, _ in numbered), rows, delimiter != ",")

    def without_blanks(self, column: str) -> Self:
        """The rows that were measured: neither empty in a column nor NaN."""
        filled = [i for i, row in enumerate(self.rows) if row[column].lower() not in _NOT_MEASURED]
        return replace(self, lines=tuple(self.lines[i] for i in filled), rows=tuple(self.rows[i] for i in filled))

    def error(self, row: int, column: str, what: str) -> TableError:
        """An error that names the file, the line and the column of a cell."""
        return TableError(f"{self.path}, line {self.lines[row]}, column {column}: {what}")

    def holds_numbers(self, column: str) -> bool:
        """Whether there is a number in some cell of a column."""
        return any(math.isfinite(self._number(row[column])) for row in self.rows)

    def number(self, row: int, column: str, *, positive: bool = False) -> float:
        """The number in a cell. Raises TableError where there is none (or it is not above 0)."""
        text = self.rows[row][column]
        value = self._number(text)
        if not math.isfinite(value) or (positive and value <= 0.0):
            raise self.error(row, column, f"{text!r} is not a number{' above 0' if positive else ''}")
        return value

    def _number(self, text: str) -> float:
        try:
            return float(text.replace(",", ".") if self.decimal_comma else text)
        except ValueError:
            return math.nan

    def object(self, row: int, column: str) -> dict[str, Any]:
        """The object in a cell. Raises TableError where there is none."""
        text = self.rows[row][column]
        try:
            value = _parsed(text)
        except json.JSONDecodeError as error:
            raise self.error(row, column, f"not JSON ({error}): {text[:60]!r}") from error
        if not isinstance(value, dict):
            raise self.error(row, column, f"not a JSON object: {text[:60]!r}")
        return value

    def columns_of(self, choice: Choice) -> tuple[str, ...]:
        """The columns with the values of a choice: one, or as many as it has positions; none where there are not all.

        Those of positions are numbered from 0 or 1: ks[0], ks_0 or ks0.
        """
        if choice.name in self.header or choice.repeat is None:
            return (choice.name,) * (choice.name in self.header)
        numbered = re.compile(rf"{re.escape(choice.name)}[\[_. ]?(\d+)]?")
        found = {int(match[1]): name for name in self.header if (match := numbered.fullmatch(name))}
        from_1 = 0 not in found
        positions = range(from_1, choice.repeat + from_1)
        return tuple(found[i] for i in positions) if found.keys() == set(positions) else ()

    def values(self, row: int, choice: Choice) -> Any:
        """The value of a choice in its cells: one of its texts, JSON, or one digit or number for each position.

        An empty cell is None, where that is one of the values. Raises TableError for anything else.
        """
        columns = self.columns_of(choice)
        if len(columns) > 1:
            return [self._value(row, name, choice.values, None) for name in columns]
        return self._value(row, columns[0], choice.values, choice.repeat)

    def _value(self, row: int, column: str, values: Sequence[Any], repeat: int | None) -> Any:
        text = self.rows[row][column]
        if text in values:
            return text
        if not text and None in values:
            return None
        if repeat is not None and text.isdecimal() and len(text) == repeat:
            return [int(digit) for digit in text]
        try:
            return _parsed(text, repeat)
        except json.JSONDecodeError as error:
            expected = f"one of {joined([str(value) for value in values])}"
            if repeat is not None:
                expected = f"{repeat} digits or a JSON list"
            raise self.error(row, column, f"expected {expected}, got {text[:60]!r}") from error


def _delimiter(text: str) -> str:
    """What cuts the first line into most cells; a comma where nothing does."""
    first = next(iter(text.splitlines()), "")
    return max(",;\t", key=lambda delimiter: len(next(csv.reader([first], delimiter=delimiter), [])))


def _parsed(text: str, repeat: int | None = None) -> Any:
    """What a cell says as JSON, or else as Python writes it: True, (3, 5), {'r': 224}. Raises JSONDecodeError.

    Also `repeat` values with blanks between them, as NumPy writes arrays: [3 5 7].
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass
        if repeat is not None and len(values := text.strip("[]").split()) == repeat > 1:
            return [_parsed(value) for value in values]
        raise


def joined(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, at most `most` of them."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
