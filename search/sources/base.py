"""What a source is, and what is read out of it."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search.errors import SearchError
from search.objective import Objective
from supernet.architecture import Architecture

logger = logging.getLogger("search")
_SHOWN = 3


@dataclass(frozen=True)
class Source:
    """Where measurements are, and how to read them where that does not say itself.

    Args:
        path: a store; the folder of a search; a `results.csv`; a results file of DyNAS-T; or any CSV with an
            architecture per row, as JSON or a Python literal in one column, or in columns named after choices or genes.
        columns: for objectives whose column has another name, `{objective: column}`.
        fixed: values of choices for which a CSV has no columns, `{choice: value}`.
        same: whether the values of a CSV were measured as the search itself would measure them, so that they count as
            measured. A store knows that by itself, by the scope of each value.

    Raises SearchError for anything else than that.
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
        """What it is called in messages and in a study's identity."""
        return str(self.path)


@dataclass(frozen=True)
class Known:
    """One value measured elsewhere; `same` where it was measured as the search itself would have."""

    architecture: Architecture
    objective: str
    same: bool
    value: float


def warn(label: str, refused: Sequence[tuple[str, str]], n_rows: int) -> None:
    """Tells which rows were left out of how many: where each is, and why."""
    if refused:
        listed = "; ".join(f"{where}: {why}" for where, why in refused[:_SHOWN])
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        logger.warning("%s: %d of %d rows left out: %s%s", label, len(refused), n_rows, listed, more)
