"""Tables of the evaluated architectures and of the Pareto front, for files and for the terminal."""

from typing import TYPE_CHECKING, Any

import numpy as np

from search.report.baseline import LABEL, Baseline
from search.report.quantities import quantities
from search.report.views import front_file, spread
from search.result import Result
from supernet.space import Choice

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

_CONSOLE_ROWS = 20


def results_table(result: Result) -> "pd.DataFrame":
    """One row per evaluated architecture, in order.

    Columns: id (0, 1, ...), batch, status, the objectives, their predictions, error, architecture as JSON.
    """
    frame = result.frame
    names = result.history.problem.names
    predictions = [f"predicted_{o.name}" for o in result.history.objectives if o.expensive]
    table = frame[["batch", "status", *names, *predictions, "error"]].reset_index(drop=True)
    table.insert(0, "id", np.arange(len(table)))
    return table.assign(architecture=[architecture.to_json() for architecture in frame["architecture"]])


def front_table(result: Result) -> "pd.DataFrame":
    """The Pareto front, ordered as `Result.pareto`.

    Columns: rank (0, 1, ...), then those of `results_table` but status and error. For several devices, the fronts of
    all, each with its own ranks, and a column device in front.
    """
    import pandas as pd

    if devices := result.history.problem.devices:
        fronts = [front_table(result.view(device)).assign(device=device) for device in devices]
        joined = pd.concat(fronts, ignore_index=True)
        return joined[["device", *joined.columns.drop("device")]]
    rows = results_table(result).drop(columns=["status", "error"])
    front = rows.iloc[result.pareto().index.to_numpy(dtype=np.int64)].reset_index(drop=True)
    front.insert(0, "rank", np.arange(len(front)))
    return front


def console_table(
    result: Result, limit: int = _CONSOLE_ROWS, device: str = "", baseline: Baseline | None = None
) -> "Table":
    """The Pareto front for a terminal: rank, id, objectives and a short description of each architecture.

    Args:
        result: a finished search, as one device sees it.
        device: named in the heading.
        limit: rows shown at most, evenly spaced along the front with both ends.
        baseline: as this device sees it, in a row at the end.
    """
    from rich.table import Table
    from rich.text import Text

    front = result.pareto()
    rows = spread(len(front), limit)
    of_device = f" for {device}" if device else ""
    title = f"Pareto front{of_device}: {len(front)} of {len(result.frame)} evaluated"
    table = Table(title=Text(title, style="table.title"), title_justify="left")
    shown = quantities(result)
    for label in ("rank", "id", *(quantity.label for quantity in shown.values())):
        table.add_column(Text(label), justify="right", no_wrap=True)
    table.add_column("architecture")
    for rank in rows:
        row, id_ = front.iloc[rank], int(front.index[rank])
        numbers = [quantity.number(float(row[name])) for name, quantity in shown.items()]
        described = Text(describe(result, id_), no_wrap=True, overflow="ellipsis")
        table.add_row(*map(Text, (str(rank), str(id_), *numbers)), described)
    if baseline is not None and baseline.known:
        table.add_section()
        numbers = [quantity.number(baseline.value(name)) for name, quantity in shown.items()]
        table.add_row("", "", *map(Text, numbers), Text(LABEL, no_wrap=True, overflow="ellipsis"))
    if len(rows) < len(front):
        table.caption = f"{len(rows)} of {len(front)} rows; {front_file(device)} holds all"
    return table


def describe(result: Result, row: int) -> str:
    """An evaluated architecture in one line, choices with few positions first; "·" marks inactive positions."""
    space = result.history.space
    active = space.active(result.history.genes[row : row + 1])[0]
    starts = np.cumsum([0, *(choice.n_genes for choice in space.choices)])
    architecture = result.frame["architecture"].iloc[row]
    parts = [
        (choice.n_genes, f"{choice.name} {_values_text(choice, architecture[choice.name], active[start:])}")
        for choice, start in zip(space.choices, starts, strict=False)
    ]
    return "  ".join(text for _, text in sorted(parts, key=lambda part: part[0]))


def _values_text(choice: Choice, given: Any, active: Any) -> str:
    values = [given] if choice.repeat is None else given
    separator = "" if all(len(str(value)) == 1 for value in choice.values) else ","
    return separator.join(str(v) if a else "·" for v, a in zip(values, active, strict=False))
