"""CSV files of whole networks that were measured, as latency predictors."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.device import Device
from hardware.importing.cells import Sheet, joined
from hardware.model import TableError
from hardware.predicted import LatencyPredictor
from supernet import Architecture, ArchitectureError, SearchSpace, SuperNetwork
from supernet.families.hat import LATENCY_FEATURES
from supernet.families.hat.published import n_attended

FEWEST = 5
"""Measurements below which nothing can be fitted."""

_ARCHITECTURE = "architecture"
_NOT_LATENCIES = ("row", "id", "index", "unnamed: 0", "")
_SPREADS = ("std", "stdev", "sd", "var", "count", "repeats")
_MS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1e3),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "usec", "microsecond", "microseconds"), 1e-3),
    **dict.fromkeys(("ns", "nsec", "nanosecond", "nanoseconds"), 1e-6),
}
"""Units that a column's name may end in, in ms."""
_HAT_LATENCIES = ("latency_mean_encoder", "latency_mean_decoder")

Values = NDArray[np.float64]


def fitted(
    path: Path,
    net: SuperNetwork,
    device: Device,
    column: str | None,
    fixed: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> LatencyPredictor:
    """The predictor out of a CSV file, as `hardware.import_latency` says."""
    sheet, columns, averaged = _opened(path, net, column)
    if len(sheet.rows) < FEWEST:
        raise TableError(f"{path} holds {len(sheet.rows)} measurements of {' + '.join(columns)}: give {FEWEST} or more")
    rows = _averages(sheet, net.space) if averaged else _genes(sheet, net.space, fixed)
    latencies = _latencies(sheet, columns)
    return LatencyPredictor.fit(
        device,
        net.space,
        rows,
        latencies,
        description="hat_averages" if averaged else "genes",
        provenance={**provenance, "column": " + ".join(columns), "n_measurements": len(rows)},
    )


def measurements(
    path: Path, net: SuperNetwork, column: str | None = None, fixed: Mapping[str, Any] | None = None
) -> tuple[list[Architecture], Values]:
    """The architectures of a CSV file, and their latencies in ms, shape (n,); rows without a latency are left out.

    Raises TableError naming file, line and column, for no measurement at all, and for files of averaged features.
    """
    sheet, columns, averaged = _opened(path, net, column)
    if averaged:
        raise TableError(f"{path} holds averaged features only: architectures are needed here")
    if not sheet.rows:
        raise TableError(f"{path} holds no measurement yet: fill in the column {columns[0]}")
    return net.space.decode(_genes(sheet, net.space, fixed or {}).astype(np.int64)), _latencies(sheet, columns)


def latency_columns(path: Path, net: SuperNetwork) -> list[str | None]:
    """What `column` may be to import each of the latencies in a CSV file; [None] where they belong together."""
    sheet = Sheet.read(path)
    if set(LATENCY_FEATURES) <= set(sheet.header):
        return [None]
    return [*_candidates(sheet, net.space)]


def _opened(path: Path, net: SuperNetwork, column: str | None) -> tuple[Sheet, tuple[str, ...], bool]:
    """The rows with latencies, the columns that these are in, and whether architectures are given by averages."""
    sheet = Sheet.read(path)
    averaged = set(LATENCY_FEATURES) <= set(sheet.header)
    if not (averaged or _described_by(sheet, net.space)):
        names = joined([choice.name for choice in net.space.choices])
        raise TableError(
            f"{path} must have a column {_ARCHITECTURE!r}, or one for each of {names}; it has {joined(sheet.header)}"
        )
    columns = _latency_columns(sheet, net.space, column, averaged)
    for name in columns:
        sheet = sheet.without_blanks(name)
    return sheet, columns, averaged


def _described_by(sheet: Sheet, space: SearchSpace) -> tuple[str, ...]:
    """The columns that tell the architecture: one called so, or all of choices, or the first with JSON objects."""
    if named := [name for name in sheet.header if name.lower() == _ARCHITECTURE]:
        return (named[0],)
    if of_choices := [name for choice in space.choices for name in sheet.columns_of(choice)]:
        return tuple(of_choices)
    return tuple(name for name in sheet.header if sheet.rows[0][name].startswith("{"))[:1]


def _latencies(sheet: Sheet, columns: tuple[str, ...]) -> Values:
    """In ms, shape (n,): sums over columns, each in the unit that its name ends in."""
    return np.array(
        [
            sum(ms_per_unit(name) * sheet.number(row, name, positive=True) for name in columns)
            for row in range(len(sheet.rows))
        ]
    )


def ms_per_unit(column: str) -> float:
    """How many ms the unit is that the name of a column ends in, as in `latency_us` or `latency [s]`; 1 for others."""
    words = _words(column)
    return _MS.get(words[-1], 1.0) if words else 1.0


def _words(name: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", name.lower())


def _latency_columns(sheet: Sheet, space: SearchSpace, column: str | None, averaged: bool) -> tuple[str, ...]:
    if column is not None:
        if column not in sheet.header:
            raise TableError(f"{sheet.path} has no column {column!r}: it has {joined(sheet.header)}")
        return (column,)
    if averaged:
        if missing := [name for name in _HAT_LATENCIES if name not in sheet.header]:
            raise TableError(f"{sheet.path} has no column {missing[0]!r}: give the column of latencies")
        return _HAT_LATENCIES
    named = _candidates(sheet, space)
    if not named:
        raise TableError(f"{sheet.path} has no column of latencies in ms: it has {joined(sheet.header)}")
    if len(named) != 1:
        raise TableError(
            f"{sheet.path} has {len(named)} columns that may be latencies: give column=..., one of {joined(named)}"
        )
    return (named[0],)


def _candidates(sheet: Sheet, space: SearchSpace) -> list[str]:
    """Columns that may be latencies."""
    known = {*_described_by(sheet, space), *(choice.name for choice in space.choices)}
    others = [
        name
        for name in sheet.header
        if name not in known and name.lower() not in _NOT_LATENCIES and not set(_SPREADS) & set(_words(name))
    ]
    called = [name for name in others if "latency" in name.lower()]
    return called or [name for name in others if sheet.holds_numbers(name)] or others


def _genes(sheet: Sheet, space: SearchSpace, fixed: Mapping[str, Any]) -> Values:
    """Genes of the architectures, shape (n, n_genes)."""
    described = _described_by(sheet, space)
    present = [choice for choice in space.choices if set(sheet.columns_of(choice)) & set(described)]
    architectures = []
    for row in range(len(sheet.rows)):
        if present:
            mapping = {choice.name: sheet.values(row, choice) for choice in present}
        else:
            mapping = sheet.object(row, described[0])
        try:
            architectures.append(space.validate({**fixed, **mapping}))
        except ArchitectureError as error:
            raise sheet.error(row, None if present else described[0], str(error)) from error
    return space.encode(architectures).astype(np.float64)


def _averages(sheet: Sheet, space: SearchSpace) -> Values:
    """HAT's averaged features, shape (n, 10)."""
    choices = {choice.name: choice for choice in space.choices}
    rows = np.array([[sheet.number(row, name) for name in LATENCY_FEATURES] for row in range(len(sheet.rows))])
    for name, column in zip(LATENCY_FEATURES, rows.T, strict=True):
        choice = choices.get(name.removesuffix("_avg"))
        if choice is None:
            raise TableError(f"{sheet.path} is of HAT's translation Transformers: this super-network has no {name!r}")
        values = [n_attended(v) if choice.name == "decoder_arbitrary_ende_attn" else v for v in choice.values]
        if not ((column > min(values) - 1e-3) & (column < max(values) + 1e-3)).any():
            raise TableError(
                f"{sheet.path} is of another super-network: {name} is {column.min():g}..{column.max():g} there, "
                f"{min(values)}..{max(values)} here"
            )
    return rows
