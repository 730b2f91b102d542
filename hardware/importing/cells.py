"""CSV files of measurements: cells that know where they are."""

import ast
import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from hardware.model import TableError
from supernet import Choice


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
            with path.open(newline="", encoding="utf-8-sig") as file:
                delimiter = _delimiter(file.readline())
                file.seek(0)
                reader = csv.reader(file, delimiter=delimiter)
                header = tuple(name.strip() for name in next(reader, []))
                numbered = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise TableError(f"cannot read {path}: {error}") from error
        if not numbered or len(set(header)) < len(header):
            raise TableError(f"{path} must have a header of different names and a row for each architecture")
        for line, row in numbered:
            if len(row) != len(header):
                raise TableError(f"{path}, line {line}: {len(row)} cells, but the header has {len(header)}")
        rows = tuple(dict(zip(header, (cell.strip() for cell in row), strict=True)) for _, row in numbered)
        return cls(path, header, tuple(line for line, _ in numbered), rows, delimiter != ",")

    def without_blanks(self, column: str) -> Self:
        """The rows that have something in a column."""
        filled = [i for i, row in enumerate(self.rows) if row[column]]
        return replace(self, lines=tuple(self.lines[i] for i in filled), rows=tuple(self.rows[i] for i in filled))

    def error(self, row: int, column: str, what: str) -> TableError:
        """An error that names the file, the line and the column of a cell."""
        return TableError(f"{self.path}, line {self.lines[row]}, column {column}: {what}")

    def number(self, row: int, column: str, *, positive: bool = False) -> float:
        """The number in a cell. Raises TableError where there is none (or it is not above 0)."""
        text = self.rows[row][column]
        try:
            value = float(text.replace(",", ".") if self.decimal_comma else text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or (positive and value <= 0.0):
            raise self.error(row, column, f"{text!r} is not a number{' above 0' if positive else ''}")
        return value

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

    def values(self, row: int, choice: Choice) -> Any:
        """The value of a choice in its cell: one of its texts, JSON, or one digit for each position.

        An empty cell is None, where that is one of the values. Raises TableError for anything else.
        """
        text = self.rows[row][choice.name]
        if text in choice.values:
            return text
        if not text and None in choice.values:
            return None
        if choice.repeat is not None and text.isdecimal() and len(text) == choice.repeat:
            return [int(digit) for digit in text]
        try:
            return _parsed(text)
        except json.JSONDecodeError as error:
            expected = f"one of {joined([str(value) for value in choice.values])}"
            if choice.repeat is not None:
                expected = f"{choice.repeat} digits or a JSON list"
            raise self.error(row, choice.name, f"expected {expected}, got {text[:60]!r}") from error


def _delimiter(first_line: str) -> str:
    """What cuts the first line into most cells; a comma where nothing does."""
    return max(",;\t", key=lambda delimiter: len(next(csv.reader([first_line], delimiter=delimiter), [])))


def _parsed(text: str) -> Any:
    """What a cell says as JSON, or else as Python writes it: True, (3, 5), {'r': 224}. Raises JSONDecodeError."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            pass
        raise


def joined(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, at most `most` of them."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
