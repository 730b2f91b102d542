"""Reads the tables that a search left."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from search.errors import SearchError


def row_with(path: Path, column: str, value: int) -> "pd.Series[Any]":
    """The row where `column` holds `value`, its architecture as a mapping. Raises SearchError naming the range."""
    frame = read(path, column)
    rows = frame[frame[column] == value]
    if frame.empty:
        raise SearchError(f"{column}={value}: {path} is empty, the search found nothing to deploy")
    if len(rows) != 1:
        raise SearchError(f"{column}={value}: {path} has {column} {frame[column].min()}..{frame[column].max()}")
    row = rows.iloc[0].copy()
    row["architecture"] = json.loads(row["architecture"])
    return row


def best_rank(path: Path, where: Mapping[str, tuple[str, float]], objectives: list[str], highest: str | None) -> int:
    """Rank of the best value of the first objective among the rows of a front that satisfy the constraints.

    Of the objective called `highest` more is better, of the others less.

    Raises SearchError where none does.
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
    """A table of results. Raises SearchError where columns are missing, OSError where there is no file."""
    frame = pd.read_csv(path)
    if missing := [name for name in ("architecture", *columns) if name not in frame]:
        raise SearchError(f"{path} is no table of a search: it has no column {missing[0]!r}")
    return frame
