"""Sources of a warm start, and the values that are read from them."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.errors import SearchError
from search.objective import Objective, readable
from supernet.architecture import Architecture

logger = logging.getLogger("search")
_SHOWN = 3


@dataclass(frozen=True)
class Source:
    """A file of measurements to start a search from, and how to read it where the file does not tell.

    Args:
        path: a store; the folder of a search; a `results.csv`; a results file of DyNAS-T; or any CSV with one
            architecture per row, as JSON or a Python literal in one column, or in columns named after choices or genes.
        columns: `{objective: column}` for objectives whose column has another name.
        fixed: `{choice: value}` for choices that have no column in a CSV.
        same: whether the values of a CSV were measured just as the search would measure them (same weights, data and
            device), so that they count as measured. Of a store's values the recorded scope tells this.

    Raises SearchError for a path, columns or fixed values of another type.
    """

    path: str | os.PathLike[str]
    columns: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    same: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, (str, os.PathLike)):
            raise SearchError(f"a source needs a path, got {self.path!r}")
        for name in ("columns", "fixed"):
            if not isinstance(getattr(self, name), Mapping):
                raise SearchError(f"{self.label}: {name} must be a mapping, got {getattr(self, name)!r}")

    def require_objectives(self, objectives: Iterable[Objective]) -> None:
        """Raises SearchError where `columns` names an objective that is none of these."""
        known = dict.fromkeys(name for o in objectives for name in (o.name, o.quantity))
        if unknown := [name for name in self.columns if name not in known]:
            raise SearchError(f"{self.label}: columns names {unknown[0]!r}, but the objectives are {', '.join(known)}")

    @property
    def label(self) -> str:
        """Its name in messages and in the identity of a study."""
        return readable(str(self.path))


@dataclass(frozen=True)
class KnownValue:
    """A value that was measured elsewhere.

    Args:
        architecture: canonical in the space of the search.
        objective: its name in the search.
        same: whether it was measured just as the search would measure it, and so counts as measured.
        value: finite, in the unit of the source.
    """

    architecture: Architecture
    objective: str
    same: bool
    value: float


def warn(label: str, refused: Sequence[tuple[str, str]], n_rows: int) -> None:
    """Logs which of `n_rows` rows were left out: pairs of where a row is, and why."""
    if refused:
        listed = "; ".join(f"{where}: {why}" for where, why in refused[:_SHOWN])
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        logger.warning("%s: %d of %d rows left out: %s%s", label, len(refused), n_rows, listed, more)
