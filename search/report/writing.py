"""Writes the files that a finished search leaves in its folder."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import SearchError
from search.report.baseline import Baseline
from search.report.page import render
from search.report.picture import front_png
from search.report.tables import front_table, results_table
from search.report.views import by_device, front_file
from search.result import Result
from supernet.files import written_whole

Chosen = Sequence[Mapping[str, Any] | int]
"""Architectures, or their ids (rows of `Result.frame`)."""


def write_report(
    result: Result,
    directory: str | os.PathLike[str],
    *,
    title: str,
    device: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    chosen: Chosen | Mapping[str, Chosen] | None = None,
    baseline: Baseline | None = None,
) -> dict[str, Path]:
    """Writes `results.csv`, `front.csv`, `front.png` and `report.html` into a folder, replacing existing ones.

    For several devices, `front.csv` holds the fronts of all, and there is a `front_<device>.csv` for each.

    Args:
        result: of a finished search.
        directory: created if it does not exist.
        title: heading of page and picture.
        device: settings of the device, as JSON-compatible data, to show on the page; of several devices by name.
        provenance: how the numbers were obtained, as nested JSON-compatible data, to show on the page.
        chosen: architectures or their ids to point out, as those that are deployed; for several devices, by device.
        baseline: the largest sub-network, with which the front is compared; None: what the search knows of it.

    Returns: paths by file name. Raises SearchError if `chosen` has an architecture that was not evaluated, OSError if a
    file cannot be written; every file is then either complete or as it was.
    """
    views = by_device(result)
    ids = {name: [_id(result, item) for item in items] for name, items in _chosen_by_device(views, chosen).items()}
    contents = {"results.csv": _csv(results_table(result)), "front.csv": _csv(front_table(result))}
    contents |= {front_file(name): _csv(front_table(view)) for name, view in views.items()}
    baseline = baseline or Baseline.of(result)
    contents["front.png"] = front_png(result, title, baseline)
    contents["report.html"] = render(result, title, ids, device or {}, provenance or {}, baseline).encode()
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with written_whole(folder / name) as part:
            part.write_bytes(content)
    return {name: folder / name for name in contents}


def _chosen_by_device(views: Mapping[str, Result], chosen: Any) -> Mapping[str, Chosen]:
    given = chosen if isinstance(chosen, Mapping) else dict.fromkeys(views, chosen or ())
    if unknown := [name for name in given if name not in views]:
        raise SearchError(f"chosen: unknown device {unknown[0]!r}, this search has {', '.join(views) or 'none'}")
    return given


def _id(result: Result, chosen: Mapping[str, Any] | int) -> int:
    n_evaluated = len(result.frame)
    if not isinstance(chosen, Mapping):
        if not 0 <= chosen < n_evaluated:
            raise SearchError(f"chosen: there is no evaluation {chosen}, ids are 0..{n_evaluated - 1}")
        return int(chosen)
    architecture = result.history.space.validate(chosen)
    for row, evaluated in enumerate(result.frame["architecture"]):
        if evaluated == architecture:
            return row
    raise SearchError(f"chosen: {architecture.to_json()} is none of the {n_evaluated} architectures evaluated")


def _csv(table: Any) -> bytes:
    return bytes(table.to_csv(index=False, lineterminator="\n").encode())
