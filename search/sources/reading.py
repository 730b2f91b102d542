"""Reads the sources of a warm start, whatever their format."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.errors import SearchError
from search.objective import Objective
from search.sources.base import KnownValue, Source, warn
from search.sources.tables import Table, csv_table, of_table
from search.store import Store
from supernet.space import SearchSpace


def read(given: Any, space: SearchSpace, objectives: Sequence[Objective]) -> dict[str, list[KnownValue]]:
    """Values of the expensive objectives that the sources hold, by label of the source.

    Rows that cannot be read are left out, with a warning that names them.

    Args:
        given: a path, a `Source`, a mapping with its fields, a `Store`, a DataFrame, or a list of these.
        space: architectures outside of it cannot be read.
        objectives: of the search; columns of the expensive ones are found by name, or by what they are usually called.

    Raises SearchError for a source without any usable value, OSError for a file that cannot be read.
    """
    wanted = [objective for objective in objectives if objective.expensive]
    found: dict[str, list[KnownValue]] = {}
    for source in map(_source, given if isinstance(given, (list, tuple)) else [given]):
        if isinstance(source, Source):
            source.require_objectives(objectives)
        label, known = _read_one(source, space, wanted)
        found[label if label not in found else f"{label} ({len(found)})"] = known
    return found


def described_sources(given: Any) -> list[Any]:
    """The sources of a warm start as JSON-compatible data, for the identity of a study."""
    items = given if isinstance(given, (list, tuple)) else [given]
    return [_described(_source(item)) for item in items]


def _described(item: Any) -> Any:
    if isinstance(item, Store):
        return _label(item)
    if not isinstance(item, Source):
        return (
            {type(item).__name__: hashlib.sha256(item.to_csv().encode()).hexdigest()[:16]} if _is_frame(item) else None
        )
    more = {"columns": dict(item.columns), "fixed": dict(item.fixed), "same": item.same}
    return {"path": item.label, **{name: value for name, value in more.items() if value}}


def _label(store: Store) -> str:
    return "a store in memory" if store.path is None else str(store.path)


def _is_frame(item: Any) -> bool:
    return hasattr(item, "columns") and hasattr(item, "to_dict")


def _source(item: Any) -> Any:
    """Paths and mappings become a `Source`; stores and tables stay as they are."""
    if isinstance(item, Mapping):
        fields = {str(key): value for key, value in item.items()}
        if "path" not in fields or fields.keys() - {"path", "columns", "fixed", "same"}:
            raise SearchError(f"warm_start takes path, columns, fixed and same, got {', '.join(fields)}")
        return Source(
            fields["path"], fields.get("columns") or {}, fields.get("fixed") or {}, bool(fields.get("same", False))
        )
    return Source(item) if isinstance(item, (str, os.PathLike)) else item


def _read_one(source: Any, space: SearchSpace, objectives: list[Objective]) -> tuple[str, list[KnownValue]]:
    if isinstance(source, Store):
        return _label(source), _of_store(source, _label(source), space, objectives)
    if _is_frame(source):
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
    """The path itself, or the store or results in the folder of a search."""
    if not path.is_dir():
        return path
    found = next((path / name for name in ("store.sqlite", "results.csv") if (path / name).exists()), None)
    if found is None:
        raise SearchError(f"{path} is no folder of a search: it holds neither store.sqlite nor results.csv")
    return found


def _of_store(store: Store, label: str, space: SearchSpace, objectives: list[Objective]) -> list[KnownValue]:
    found, refused = list[KnownValue](), list[tuple[str, str]]()
    for number, (mapping, name, scope, value) in enumerate(store.plain_measurements(), start=1):
        meant = [objective for objective in objectives if name in (objective.name, objective.quantity)]
        try:
            architecture = space.validate(mapping) if meant else None
        except ValueError as error:
            refused.append((f"measurement {number}", str(error)))
            continue
        if architecture is not None:
            found += [KnownValue(architecture, o.name, (name, scope) == (o.name, o.scope), value) for o in meant]
    if not found:
        names = ", ".join(objective.name for objective in objectives) or "an expensive objective"
        raise SearchError(f"{label} holds no measurement of {names} in this search space")
    warn(label, refused, len(found) + len(refused))
    return found
