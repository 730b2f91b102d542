"""CSV files of measurements: cells that know where they are."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from hardware.model import TableError
from supernet import Choice
from supernet.cells import UNKNOWN, choice_columns, choice_values, csv_reader, decimal_mark, mapping_of, number


@dataclass(frozen=True)
class Sheet:
    """The rows of a CSV file with a header.

    Args:
        path: of the file.
        header: names of the columns.
        lines: number of the line in the file, of each row.
        rows: cells by name of their column.
        decimal: the decimal mark that may stand for the point.
    """

    path: Path
    header: tuple[str, ...]
    lines: tuple[int, ...]
    rows: tuple[dict[str, str], ...]
    decimal: str = "."

    @classmethod
    def read(cls, path: Path) -> Self:
        """The rows of a file whose cells commas, semicolons or tabs separate, with or without quotes.

        Raises TableError for a file that is none, or has rows of another length than its header.
        """
        try:
            reader = csv_reader(path)
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
        return cls(path, header, tuple(line for line, _ in numbered), rows, decimal_mark(reader))

    def without_blanks(self, column: str) -> Self:
        """The rows that were measured: neither empty in a column nor NaN."""
        filled = [i for i, row in enumerate(self.rows) if row[column].lower() not in UNKNOWN]
        return replace(self, lines=tuple(self.lines[i] for i in filled), rows=tuple(self.rows[i] for i in filled))

    def error(self, row: int, column: str | None, what: str) -> TableError:
        """An error that names the file, the line and, if it is one cell's, the column."""
        place = "" if column is None else f", column {column}"
        return TableError(f"{self.path}, line {self.lines[row]}{place}: {what}")

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
            return number(text, self.decimal)
        except ValueError:
            return math.nan

    def object(self, row: int, column: str) -> dict[str, Any]:
        """The object in a cell. Raises TableError where there is none."""
        try:
            return dict(mapping_of(self.rows[row][column]))
        except ValueError as error:
            raise self.error(row, column, str(error)) from error

    def columns_of(self, choice: Choice) -> tuple[str, ...]:
        """As `supernet.cells.choice_columns`."""
        return choice_columns(choice, self.header)

    def values(self, row: int, choice: Choice) -> Any:
        """As `supernet.cells.choice_values`. Raises TableError for what cannot be parsed."""
        columns = self.columns_of(choice)
        try:
            return choice_values(choice, [self.rows[row][name] for name in columns])
        except ValueError as error:
            raise self.error(row, columns[0], str(error)) from error


def joined(names: Sequence[str], most: int = 12) -> str:
    """Names for a message, at most `most` of them."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
