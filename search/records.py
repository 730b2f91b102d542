"""What a store holds of searches: studies, trials, measurements, and values of warm starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from search.objective import finite_or_failed
from supernet.architecture import Architecture


@dataclass(frozen=True)
class Study:
    """One search in a store.

    Args:
        id: its row.
        identity: the settings of the search; runs with equal settings continue the same study.
        batch_size: architectures per proposal, fixed when the study was created.
        created: when, in UTC (ISO 8601).
    """

    id: int
    identity: dict[str, Any]
    batch_size: int
    created: str


@dataclass(frozen=True)
class Trial:
    """A proposed architecture.

    Args:
        position: in the study, counted from 0.
        batch: number of the proposal; -1 for architectures that a warm start brought along.
        architecture: canonical.
        predicted: by objective, the mean that the tactic predicted when it proposed the architecture.
    """

    position: int
    batch: int
    architecture: Architecture
    predicted: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """Value of an expensive objective, or NaN and why it failed. Any value that is not finite has failed.

    Args:
        architecture: that was measured.
        objective: its name.
        scope: what the value depends on beside the architecture, see `Objective`.
        value: finite; NaN where the measurement failed.
        error: why it failed; None where it did not.
        seconds: that it took.
        created: when, in UTC (ISO 8601).
    """

    architecture: Architecture
    objective: str
    scope: str
    value: float
    error: str | None
    seconds: float
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    def __post_init__(self) -> None:
        value, error = finite_or_failed(self.value, self.error)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "error", error)


@dataclass(frozen=True)
class PriorValue:
    """A value that a warm start took from elsewhere: it informs the tactic, and is no measurement of the study.

    Args:
        objective: its name in the study.
        source: where the value comes from.
        architecture: canonical.
        value: in the unit of the source.
    """

    objective: str
    source: str
    architecture: Architecture
    value: float
