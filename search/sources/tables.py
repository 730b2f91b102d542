"""Measurements from tables: our own results, those of DyNAS-T, any CSV or DataFrame."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import SearchError
from search.objective import Objective, usable
from search.sources.base import KnownValue, Source, warn
from supernet.architecture import ArchitectureError
from supernet.cells import choice_columns, choice_values, csv_reader, decimal_mark, mapping_of, number
from supernet.space import SearchSpace

_ARCHITECTURE = ("architecture", "subnetwork", "subnet", "config", "arch")
_ALIKE = (
    {
        "accuracy",
        "top1",
        "top1acc",
        "top1accuracy",
        "accuracytop1",
        "acc",
        "acc1",
        "sst2acc",
        "accuracysst2",
        "bleu",
        "bleuscore",
    },
    {"latency", "latencyms", "measuredlatency"},
    {"macs", "flops"},
    {"params", "parameters", "modelparameters"},
)

Row = tuple[str, Mapping[str, Any] | str]
"""Where the row is, as in "line 3", and its cells by column; a text instead of cells says why there are none."""


@dataclass(frozen=True)
class Table:
    """A table before its values are understood: names of the columns, rows as they come, the decimal mark of texts."""

    source: Source
    columns: Sequence[str]
    rows: Iterable[Row]
    decimal: str = "."


def csv_table(source: Source, path: Path) -> Table:
    """The table in a CSV file with a header line. Raises SearchError for other files, OSError for unreadable ones.

    Cells are separated by whatever gives the header line the most columns of ",", ";" and tabs; unless that is ",",
    numbers may have a decimal comma.
    """
    try:
        reader = csv_reader(path, errors="replace")
        columns = next([name.strip() for name in row] for row in reader if row)
    except (StopIteration, csv.Error) as error:
        raise SearchError(f"{source.label} is neither a store nor a CSV with a header line") from error
    if repeated := [name for name, n in Counter(columns).items() if name and n > 1]:
        raise SearchError(f"{source.label} has several columns {repeated[0]!r}: rename all but the one that counts")
    return Table(source, columns, _csv_rows(reader, columns), decimal_mark(reader))


def _csv_rows(reader: Any, columns: Sequence[str]) -> Iterator[Row]:
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield f"line {reader.line_num}", str(error)
            continue
        where = f"line {reader.line_num}"
        if len(cells) == len(columns):
            yield where, dict(zip(columns, cells, strict=True))
        elif cells:
            yield where, f"{len(cells)} cells, the header has {len(columns)}"


def of_table(table: Table, space: SearchSpace, objectives: Sequence[Objective]) -> list[KnownValue]:
    """Values of the objectives in a table. Rows that cannot be read are left out with a warning.

    Raises SearchError where no row is left, or the table lacks columns.
    """
    column_of = _objective_columns(table, objectives)
    decimal = table.decimal
    read_architecture, zero_is_unknown = _architecture_reader(table, space)
    found, refused, n_rows = list[KnownValue](), list[tuple[str, str]](), 0
    for where, row in table.rows:
        n_rows += 1
        try:
            if isinstance(row, str):
                raise ValueError(row)
            architecture = space.validate({**table.source.fixed, **read_architecture(row)})
            values = {name: _number(row[column], column, decimal) for name, column in column_of.items()}
        except ValueError as error:
            refused.append((where, str(error)))
            continue
        found += [
            KnownValue(architecture, name, table.source.same, value)
            for name, value in values.items()
            if usable(value) and not (zero_is_unknown and value == 0)
        ]
    if not found:
        first = f"; {refused[0][0]}: {refused[0][1]}" if refused else ""
        raise SearchError(f"nothing in {table.source.label} can be used ({n_rows} rows){first}")
    warn(table.source.label, refused, n_rows)
    return found


def _architecture_reader(table: Table, space: SearchSpace) -> tuple[Any, bool]:
    """A function from a row's cells to an architecture's mapping; and whether 0 means "not measured", as in DyNAS-T."""
    column = next((name for name in table.columns if _plain(name) in _ARCHITECTURE), None)
    try:
        by_choice = _choice_columns(space, table)
    except ValueError as error:
        by_choice = {}
        if column is None:
            label = table.source.label
            text = f"{label} holds no architectures: it has no column 'architecture', and {error}"
            raise SearchError(text) from error
    if column is None or by_choice:  # beside columns of choices, "arch" or "config" is a name
        return (lambda row: _from_columns(space, by_choice, row)), False
    return (lambda row: mapping_of(row[column])), _plain(column) == "subnetwork"


def _choice_columns(space: SearchSpace, table: Table) -> dict[str, tuple[str, ...]]:
    """Columns of each choice; those that are fixed, or have one value only, need none. Raises ArchitectureError."""
    found = {choice.name: choice_columns(choice, table.columns) for choice in space.choices}
    for choice in space.choices:
        if not found[choice.name] and choice.name not in table.source.fixed and len(choice.values) > 1:
            raise ArchitectureError(
                f"no column for {choice.name!r}: give its value for all rows, as in fixed={{{choice.name!r}: ...}}"
            )
    return {name: columns for name, columns in found.items() if columns}


def _objective_columns(table: Table, objectives: Sequence[Objective]) -> dict[str, str]:
    """Column of each objective: the one the source names, else one of its name or of a usual synonym.

    Raises SearchError where there is none for any objective.
    """
    source, columns, found = table.source, table.columns, dict[str, str]()
    for objective in objectives:
        named = source.columns.get(objective.name, source.columns.get(objective.quantity))
        if named is not None and named not in columns:
            raise SearchError(f"{source.label} has no column {named!r}: it has {', '.join(columns)}")
        exact = next((name for name in (named, objective.name, objective.quantity) if name in columns), None)
        name = _plain(objective.quantity)
        alike = next((names for names in _ALIKE if name in names), {name})
        column = exact or next((column for column in columns if _plain(column) in alike), None)
        if column is not None:
            found[objective.name] = column
    if not found:
        names = ", ".join(objective.name for objective in objectives)
        raise SearchError(
            f"{source.label} has no column for {names or 'an expensive objective'}: it has {', '.join(columns)}; "
            f"say which one it is with columns={{objective: column}}"
        )
    return found


def _from_columns(
    space: SearchSpace, by_choice: Mapping[str, tuple[str, ...]], row: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        name: choice_values(space.choice(name), [row[column] for column in columns])
        for name, columns in by_choice.items()
    }


def _number(cell: Any, column: str, decimal: str) -> float:
    """The value of a cell, NaN where it is empty or says so."""
    if cell is None:
        return float("nan")
    try:
        return number(cell, decimal) if isinstance(cell, str) else float(cell)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{column}: {cell!r} is not a number") from error


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
