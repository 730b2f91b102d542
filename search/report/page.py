"""The report as one HTML file that needs no other files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.report import charts, strips
from search.report.baseline import Baseline
from search.report.panels import N_SHADES
from search.report.sections import Section
from search.report.templates import environment
from search.report.views import by_device
from search.result import Result

_N_FAILURES = 200
_ERROR_HEAD, _ERROR_LENGTH = 160, 4000


@dataclass(frozen=True)
class Failure:
    """A failed evaluation; `head` is the first line of the error, `rest` all of it if that was cut, else ""."""

    id: int
    batch: int
    head: str
    rest: str
    architecture: str


def render(
    result: Result,
    title: str,
    chosen: Mapping[str, Sequence[int]],
    device: Mapping[str, Any],
    provenance: Mapping[str, Any],
    baseline: Baseline | None = None,
) -> str:
    """The page as HTML.

    Args:
        result: of a finished search.
        title: heading.
        chosen: by device, ids (rows of `result.frame`) to point out.
        device: JSON-compatible data to show at the end.
        provenance: nested JSON-compatible data to show after it; the settings of the search follow.
        baseline: to compare the front with.
    """
    fits, views = charts.fits(result), by_device(result)
    paired = len(views) == 1 and sum(fit.panel is not None for fit in fits) == 1
    return (
        environment()
        .get_template("report.html")
        .render(
            title=title,
            cards=headline(result),
            goals=[(objective.name, objective.goal) for objective in result.history.problem.targets],
            n_evaluated=len(result.frame),
            n_shades=N_SHADES,
            ended=result.ended,
            sections=[
                Section.of(view, device, chosen.get(device, ()), baseline and baseline.view(device), wide=not paired)
                for device, view in views.items()
            ],
            paired=paired,
            fits=fits,
            fixed=strips.fixed(result.history.space),
            row_height=strips.ROW_HEIGHT,
            head_height=strips.HEAD_HEIGHT,
            label_width=strips.LABEL_WIDTH,
            failures=_failures(result),
            n_failed=int(result.frame["error"].notna().sum()),
            provenance=[
                (heading, flattened(data))
                for heading, data in (("device", device), ("provenance", provenance), ("search", result.identity))
            ],
        )
    )


def flattened(data: Any, path: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Nested JSON-compatible data as pairs (path of keys, value as text); a list of plain values is one pair."""
    nested: list[tuple[str, Any]]
    if isinstance(data, Mapping):
        nested = [(str(key), value) for key, value in data.items()]
    elif isinstance(data, (list, tuple)) and any(isinstance(value, (Mapping, list, tuple)) for value in data):
        nested = [(str(number), value) for number, value in enumerate(data, start=1)]
    elif isinstance(data, (list, tuple)):
        return [(" ".join(path), ", ".join(map(_plain, data)) or "–")]
    else:
        return [(" ".join(path), _plain(data))]
    return [line for key, value in nested for line in flattened(value, (*path, key))]


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None or value == "" else str(value)


def headline(result: Result) -> list[tuple[str, str, str]]:
    """Key figures of the whole search: label, value, remark."""
    history = result.history
    before, n_failed = history.n_known_before, int(np.count_nonzero(~history.measured))
    failed = [f"{n_failed / len(history):.1%} of all"] if n_failed else []
    failed += [f"{n_partial:,} more on one of the devices"] if (n_partial := len(result.partial)) else []
    n_batches = len(np.unique(history.batches[history.batches >= 0]))
    remark = f"in {n_batches:,} batch{'' if n_batches == 1 else 'es'}" + (
        f", {before:,} known before" if before else ""
    )
    return [
        ("evaluations", f"{len(history) - before:,}", remark),
        ("failed", f"{n_failed:,}", ", ".join(failed) or "none"),
    ]


def _failures(result: Result) -> list[Failure]:
    """What lacks a value, be it for one of several devices."""
    found = []
    for row, failed in result.frame.dropna(subset="error").head(_N_FAILURES).iterrows():
        error = str(failed["error"])
        first, *more = error.splitlines() or [""]
        cut = len(first) > _ERROR_HEAD
        head = first[:_ERROR_HEAD] + ("…" if cut or more else "")
        rest = error[:_ERROR_LENGTH] + ("…" if len(error) > _ERROR_LENGTH else "") if cut or more else ""
        found.append(Failure(int(str(row)), int(failed["batch"]), head, rest, failed["architecture"].to_json()))
    return found
