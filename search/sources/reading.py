"""Reads what is known from elsewhere into one form."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import SearchError
from search.objective import Objective
from search.sources.base import Known, Source, warn
from search.sources.tables import Table, csv_table, of_table
from search.store import Store
from supernet.space import SearchSpace


def read(given: Any, space: SearchSpace, objectives: Sequence[Objective]) -> dict[str, list[Known]]:
    """Values of expensive objectives by source.

    Rows that cannot be read are left out with a warning that names them.

    Args:
        given: a path, a `Source`, a mapping with its fields, a `Store`, a DataFrame, or a list of these.
        space: architectures outside of it cannot be read.
        objectives: those that are expensive are looked for, by name or by what such columns are usually called.

    Raises SearchError where there is nothing to be read at all, OSError where a file cannot be.
    """
    wanted = [objective for objective in objectives if objective.expensive]
    found: dict[str, list[Known]] = {}
    for source in map(_source, given if isinstance(given, (list, tuple)) else [given]):
        if isinstance(source, Source):
            source.require_objectives(objectives)
        label, known = _read_one(source, space, wanted)
        found[label if label not in found else f"{label} ({len(found)})"] = known
    return found


def described_sources(given: Any) -> list[Any]:
    """What a study's identity holds of its warm start."""
    items = given if isinstance(given, (list, tuple)) else [given]
    return [_described(_source(item)) for item in items]


def _described(item: Any) -> Any:
    if not isinstance(item, Source):
        return str(item.path) if isinstance(item, Store) else type(item).__name__
    more = {"columns": dict(item.columns), "fixed": dict(item.fixed), "same": item.same}
    return {"path": item.label, **{name: value for name, value in more.items() if value}}


def _source(item: Any) -> Any:
    """Paths and mappings as a `Source`; the others as they are."""
    if isinstance(item, Mapping):
        fields = {str(key): value for key, value in item.items()}
        if "path" not in fields or fields.keys() - {"path", "columns", "fixed", "same"}:
            raise SearchError(f"warm_start takes path, columns, fixed and same, got {', '.join(fields)}")
        return Source(
            fields["path"], fields.get("columns") or {}, fields.get("fixed") or {}, bool(fields.get("same", False))
        )
    return Source(item) if isinstance(item, (str, os.PathLike)) else item


def _read_one(source: Any, space: SearchSpace, objectives: list[Objective]) -> tuple[str, list[Known]]:
    if isinstance(source, Store):
        return str(source.path), _of_store(source, str(source.path), space, objectives)
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        rows = [(f"row {i}", row) for i, row in zip(source.index, source.to_dict("records"), strict=True)]
        table = Table(Source("DataFrame"), [str(column) for column in source.columns], rows)
        return table.source.label, of_table(table, space, objectives)
    if not isinstance(source, Source):
        raise SearchError(f"warm_start must be a path, a search.Source, a store or a DataFrame, got {source!r}")
    path = _file(Path(source.path).expanduser())
    with path.open("rb") as file:
        is_store = file.read(16) == b"SQLite format 3\0"
    if not is_store:
        return source.label, of_table(csv_table(source, path), space, objectives)
    with Store(path) as store:
        return source.label, _of_store(store, source.label, space, objectives)


def _file(path: Path) -> Path:
    """The path, or in a folder of a search its store or results."""
    if not path.is_dir():
        return path
    found = next((path / name for name in ("store.sqlite", "results.csv") if (path / name).exists()), None)
    if found is None:
        raise SearchError(f"{path} is no folder of a search: it holds neither store.sqlite nor results.csv")
    return found


def _of_store(store: Store, label: str, space: SearchSpace, objectives: list[Objective]) -> list[Known]:
    found, refused = list[Known](), list[tuple[str, str]]()
    for number, (mapping, name, scope, value) in enumerate(store.plain_measurements(), start=1):
        meant = [objective for objective in objectives if name in (objective.name, objective.quantity)]
        try:
            architecture = space.validate(mapping) if meant else None
        except ValueError as error:
            refused.append((f"measurement {number}", str(error)))
            continue
        if architecture is not None:
            found += [Known(architecture, o.name, (name, scope) == (o.name, o.scope), value) for o in meant]
    if not found:
        names = ", ".join(objective.name for objective in objectives) or "an expensive objective"
        raise SearchError(f"{label} holds no measurement of {names} in this search space")
    warn(label, refused, len(found) + len(refused))
    return found
