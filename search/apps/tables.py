"""Reads the CSV tables of a finished search."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from search.errors import SearchError


def row_with(path: Path, column: str, value: int) -> "pd.Series[Any]":
    """The row of a table whose `column` holds `value`, with the architecture as a mapping.

    Raises SearchError, which names number of rows and range of the column, if there is no such row.
    """
    frame = read(path, column)
    rows = frame[frame[column] == value]
    if frame.empty:
        raise SearchError(f"{column}={value}: {path} is empty, the search found nothing to deploy")
    if len(rows) != 1:
        there = f"{column}s {frame[column].min()}..{frame[column].max()}"
        raise SearchError(f"{column}={value}: there are {len(frame)} sub-networks, with {there} ({path})")
    row = rows.iloc[0].copy()
    row["architecture"] = json.loads(row["architecture"])
    return row


def best_rank(path: Path, where: Mapping[str, tuple[str, float]], objectives: list[str], highest: str | None) -> int:
    """Rank of the row of a front that meets the constraints and is best in the first objective.

    Args:
        path: table of the front.
        where: constraints by objective.
        objectives: names; the first one decides.
        highest: the objective of which more is better; of all others less is.

    Raises SearchError for an unknown objective, or if no row meets the constraints.
    """
    front = read(path, "rank", *objectives)
    fitting = front
    for name, (operator, bound) in where.items():
        if name not in objectives:
            raise SearchError(f"where: unknown objective {name!r}; this search has {', '.join(objectives)}")
        fitting = fitting[fitting[name] <= bound] if operator == "<=" else fitting[fitting[name] >= bound]
    if fitting.empty:
        spans = ", ".join(f"{name} {front[name].min():g}..{front[name].max():g}" for name in objectives)
        wanted = " and ".join(f"{name} {operator} {bound:g}" for name, (operator, bound) in where.items())
        raise SearchError(f"no sub-network of the front satisfies {wanted!r}: it spans {spans} ({path})")
    first = fitting[objectives[0]]
    best = first.argmax() if objectives[0] == highest else first.argmin()
    return int(fitting["rank"].iloc[best])


def read(path: Path, *columns: str) -> pd.DataFrame:
    """A table of results or of a front. Raises SearchError if it lacks columns, OSError if there is no file."""
    frame = pd.read_csv(path)
    if missing := [name for name in ("architecture", *columns) if name not in frame]:
        raise SearchError(f"{path} is no table of a search: it has no column {missing[0]!r}")
    return frame
