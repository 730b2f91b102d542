"""The sections of the report, one for each front: of a device, or of the whole search."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.report import charts
from search.report.baseline import Baseline
from search.report.panels import Panel
from search.report.quantities import Quantity, quantities
from search.report.strips import Numbers, Strip, numbers, scalars, strips
from search.report.views import front_file, spread
from search.result import Result

_N_TABLE = 300
_N_PICTURED = 32


@dataclass(frozen=True)
class Row:
    """One architecture of the table: `numbers` pairs each sortable value with its text.

    `compared` says how it differs from the largest sub-network.
    """

    rank: int | None
    id: int
    chosen: bool
    numbers: tuple[tuple[float, str], ...]
    architecture: str
    compared: str = ""


@dataclass(frozen=True)
class Section:
    """A front and the architectures on it.

    Args:
        device: its name; "" in a search for one device.
        file: name of the file with the front.
        cards: key figures: label, value, remark.
        constraints: as text.
        n_front: number of architectures on the front.
        n_violating: number of measured architectures that violate a constraint.
        n_failed: number of architectures that are not measured.
        has_chosen: whether any architecture is pointed out.
        single: whether only one objective has a goal, so that there is no front.
        front_panels: diagrams of the front.
        hypervolume_panel: diagram of hypervolume over evaluations.
        columns: objectives of the table.
        rows: rows of the table.
        pictured: the rows whose genes are drawn.
        strips: pictures of their repeated choices.
        numbers: their objectives and scalar choices as text.
        baseline: the row of the largest sub-network; None where nothing is known of it.
        remark: on what is not known of it.
        has_baseline: whether a diagram shows it.
    """

    device: str
    file: str
    cards: list[tuple[str, str, str]]
    constraints: list[str]
    n_front: int
    n_violating: int
    n_failed: int
    has_chosen: bool
    single: bool
    front_panels: list[Panel]
    hypervolume_panel: Panel
    columns: list[Quantity]
    rows: list[Row]
    pictured: list[Row]
    strips: list[Strip]
    numbers: Numbers
    baseline: Row | None
    remark: str
    has_baseline: bool

    @classmethod
    def of(
        cls, result: Result, device: str, chosen: Sequence[int], baseline: Baseline | None = None, *, wide: bool
    ) -> "Section":
        """The section of a result for one device; `wide`: its hypervolume diagram is as wide as the page."""
        front = result.pareto().index.tolist()
        baseline = baseline if baseline is not None and baseline.known else None
        rows = _rows(result, front, chosen, baseline)
        panels = charts.front_panels(result, chosen, baseline)
        pictured = [row for row in rows if row.id in {*(front[i] for i in spread(len(front), _N_PICTURED)), *chosen}]
        genes = result.history.genes[[row.id for row in pictured]]
        shown = list(quantities(result).values())
        texts = [(quantity.label, [row.numbers[i][1] for row in pictured]) for i, quantity in enumerate(shown)]
        return cls(
            device,
            front_file(device),
            _cards(result),
            [str(constraint) for constraint in result.history.constraints],
            len(front),
            int(np.count_nonzero(result.history.measured & ~result.history.feasible)),
            int(np.count_nonzero(~result.history.measured)),
            bool(chosen),
            len(result.history.problem.targets) == 1,
            panels,
            charts.hypervolume_panel(result, wide=wide),
            shown,
            rows,
            pictured,
            strips(result.history.space, genes),
            numbers(texts + scalars(result.history.space, genes)),
            None if baseline is None else _row_of_baseline(baseline, shown),
            baseline.remark if baseline else "",
            any(mark.kind == "baseline" for panel in panels for mark in panel.marks),
        )


def _cards(result: Result) -> list[tuple[str, str, str]]:
    history, front, volume = result.history, result.pareto(), result.hypervolume()
    feasible = int(history.feasible.sum())
    several = len(history.problem.targets) > 1
    if not several:
        cards = [("feasible", f"{feasible:,}", f"of {int(history.measured.sum()):,} measured")]
    else:
        cards = [("on the front", f"{len(front):,}", f"of {feasible:,} feasible")]
        shown = Quantity.of("hypervolume", [volume]).number(volume)
        cards.append(("hypervolume", shown, "beyond the first batch's worst"))
    for objective, quantity in zip(history.objectives, quantities(result).values(), strict=True):
        where = "on the front" if several else "the best"
        wanted = {"max": "higher is better", "min": "lower is better", None: "only bounded"}[objective.goal]
        remark = f"{where}, {wanted}"
        cards.append((quantity.label, quantity.span(front[objective.name]), remark))
    return cards


def _row_of_baseline(baseline: Baseline, shown: list[Quantity]) -> Row:
    texts = tuple((value, q.number(value)) for value, q in zip(baseline.values.tolist(), shown, strict=True))
    return Row(None, -1, False, texts, baseline.architecture.to_json())


def _rows(result: Result, front: list[int], chosen: Sequence[int], baseline: Baseline | None) -> list[Row]:
    """The front, thinned if it is long, then chosen architectures that are not on it."""
    shown, frame = quantities(result), result.frame
    rank_of = {row: rank for rank, row in enumerate(front)}
    ranks = sorted({*spread(len(front), _N_TABLE), *(rank_of[row] for row in chosen if row in rank_of)})
    ids = [*(front[rank] for rank in ranks), *(row for row in dict.fromkeys(chosen) if row not in rank_of)]

    def row_of(row: int) -> Row:
        values: list[Any] = [(float(frame[name].iloc[row]), quantity) for name, quantity in shown.items()]
        texts = tuple((value, quantity.number(value)) for value, quantity in values)
        architecture = frame["architecture"].iloc[row]
        compared = "" if baseline is None else baseline.compared(result, row)
        if baseline is not None and architecture == baseline.architecture:
            compared = "the same"
        return Row(rank_of.get(row), row, row in chosen, texts, architecture.to_json(), compared)

    return [row_of(row) for row in ids]
