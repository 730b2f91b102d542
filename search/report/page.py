"""The page: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.report import charts, strips
from search.report.panels import N_SHADES
from search.report.quantities import Quantity
from search.report.views import quantities, spread
from search.result import Result

_N_TABLE = 300
_N_PICTURED = 32
_N_FAILURES = 200
_ERROR_HEAD, _ERROR_LENGTH = 160, 4000


@dataclass(frozen=True)
class Row:
    """One architecture of the table: `numbers` pairs each sortable value with its text."""

    rank: int | None
    id: int
    chosen: bool
    numbers: tuple[tuple[float, str], ...]
    architecture: str


@dataclass(frozen=True)
class Failure:
    """One failed evaluation; `rest` is the whole error where `head` had to be cut."""

    id: int
    batch: int
    head: str
    rest: str
    architecture: str


def render(
    result: Result, title: str, chosen: Sequence[int], device: Mapping[str, Any], provenance: Mapping[str, Any]
) -> str:
    """The page as HTML.

    Args:
        result: a finished search.
        title: heading.
        chosen: ids (rows of `result.frame`) to point out.
        device: JSON-like data, shown at the end.
        provenance: likewise, nested; the search's own settings follow it.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("search.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    front = result.pareto().index.tolist()
    fits = charts.fits(result)
    paired = sum(fit.panel is not None for fit in fits) == 1
    rows = _rows(result, front, chosen)
    pictured = [row for row in rows if row.id in set(_pictured(front, chosen))]
    return environment.get_template("report.html").render(
        title=title,
        headline=headline(result),
        goals=[(objective.name, objective.goal) for objective in result.history.objectives],
        constraints=[str(constraint) for constraint in result.history.constraints],
        n_evaluated=len(result.frame),
        n_front=len(front),
        n_shades=N_SHADES,
        n_violating=int(np.count_nonzero(result.history.measured & ~result.history.feasible)),
        ended=result.ended,
        has_chosen=bool(chosen),
        front_panels=charts.front_panels(result, chosen),
        hypervolume_panel=charts.hypervolume_panel(result, wide=not paired),
        paired=paired,
        fits=fits,
        pictured=pictured,
        strips=strips.strips(result.history.space, _genes(result, pictured)),
        numbers=_numbers(result, pictured),
        fixed=strips.fixed(result.history.space),
        row_height=strips.ROW_HEIGHT,
        head_height=strips.HEAD_HEIGHT,
        label_width=strips.LABEL_WIDTH,
        columns=list(quantities(result).values()),
        rows=rows,
        failures=_failures(result),
        n_failed=len(result.failures),
        provenance=[
            (heading, flattened(data))
            for heading, data in (("device", device), ("provenance", provenance), ("search", result.identity))
        ],
    )


def flattened(data: Any, path: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Nested JSON-like data as lines of (where, value); lists of plain values stay together."""
    nested: list[tuple[str, Any]]
    if isinstance(data, Mapping):
        nested = [(str(key), value) for key, value in data.items()]
    elif isinstance(data, (list, tuple)) and any(isinstance(value, (Mapping, list, tuple)) for value in data):
        nested = [(str(number), value) for number, value in enumerate(data, start=1)]
    elif isinstance(data, (list, tuple)):
        return [(" ".join(path), ", ".join(map(str, data)) or "–")]
    else:
        return [(" ".join(path), "–" if data is None or data == "" else str(data))]
    return [line for key, value in nested for line in flattened(value, (*path, key))]


def headline(result: Result) -> list[tuple[str, str, str]]:
    """Numbers at the top: label, value, remark."""
    history = result.history
    n_failed = int(np.count_nonzero(~history.measured))
    n_batches = len(np.unique(history.batches))
    front, volume = result.pareto(), result.hypervolume()
    cards = [
        ("evaluations", f"{len(history):,}", f"in {n_batches:,} batch{'' if n_batches == 1 else 'es'}"),
        ("failed", f"{n_failed:,}", f"{n_failed / len(history):.1%} of all" if n_failed else "none"),
        ("on the front", f"{len(front):,}", f"of {int(history.feasible.sum()):,} feasible"),
        ("hypervolume", Quantity.of("hypervolume", [volume]).number(volume), "beyond the first batch's worst"),
    ]
    for objective, quantity in zip(history.objectives, quantities(result).values(), strict=True):
        remark = f"on the front, {'higher' if objective.goal == 'max' else 'lower'} is better"
        cards.append((quantity.label, quantity.span(front[objective.name]), remark))
    return cards


def _rows(result: Result, front: list[int], chosen: Sequence[int]) -> list[Row]:
    """The front, thinned where it is long, then what was chosen beside it."""
    shown, frame = quantities(result), result.frame
    rank_of = {row: rank for rank, row in enumerate(front)}
    ranks = sorted({*spread(len(front), _N_TABLE), *(rank_of[row] for row in chosen if row in rank_of)})
    ids = [*(front[rank] for rank in ranks), *(row for row in dict.fromkeys(chosen) if row not in rank_of)]
    return [
        Row(
            rank_of.get(row),
            row,
            row in chosen,
            tuple((float(frame[name].iloc[row]), q.number(float(frame[name].iloc[row]))) for name, q in shown.items()),
            frame["architecture"].iloc[row].to_json(),
        )
        for row in ids
    ]


def _pictured(front: list[int], chosen: Sequence[int]) -> list[int]:
    return [*(front[i] for i in spread(len(front), _N_PICTURED)), *chosen]


def _genes(result: Result, rows: list[Row]) -> Any:
    return result.history.genes[[row.id for row in rows]]


def _numbers(result: Result, rows: list[Row]) -> strips.Numbers:
    shown = list(quantities(result).values())
    columns = [(quantity.label, [row.numbers[i][1] for row in rows]) for i, quantity in enumerate(shown)]
    return strips.numbers(columns + strips.scalars(result.history.space, _genes(result, rows)))


def _failures(result: Result) -> list[Failure]:
    found = []
    for row, failed in result.failures.head(_N_FAILURES).iterrows():
        error = str(failed["error"] or "no value")
        first, *more = error.splitlines() or [""]
        cut = len(first) > _ERROR_HEAD
        head = first[:_ERROR_HEAD] + ("…" if cut or more else "")
        rest = error[:_ERROR_LENGTH] + ("…" if len(error) > _ERROR_LENGTH else "") if cut or more else ""
        found.append(Failure(int(str(row)), int(failed["batch"]), head, rest, failed["architecture"].to_json()))
    return found
