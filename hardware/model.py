"""Latency models, which predict the latency of any architecture on a device, and their files."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hardware.device import Device
from supernet import ArchitectureError, SearchSpace
from supernet.files import written_whole

_OURS = "supernet-search "


class TableError(ValueError):
    """A latency table cannot be read, or belongs to another device, machine or space."""


class LatencyModel(Protocol):
    """Latency in ms of every architecture of a space on one device: tables, predictors, transferred latencies.

    Attributes:
        device: what it is the latency of.
        provenance: where the numbers come from, as JSON-compatible data.
        error: `mape_percent` and `spearman` (rank correlation) on measured architectures that were not fitted to, and
            their number `n_architectures`; empty where there are none.
    """

    @property
    def device(self) -> Device: ...  # noqa: D102
    @property
    def provenance(self) -> dict[str, Any]: ...  # noqa: D102
    @property
    def error(self) -> dict[str, float]: ...  # noqa: D102

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures `latency` takes."""
        ...

    @property
    def scope(self) -> str:
        """Digest of all that a latency depends on except the architecture: equal scopes predict equally."""
        ...

    def latency(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Latency of one inference of a batch in ms, shape (n_architectures,); NaN where it is not known."""
        ...

    def describe(self) -> dict[str, Any]:
        """All of it as JSON-compatible data."""
        ...

    def save(self, path: str | Path) -> None:
        """Writes one JSON file, which `hardware.load_latency` reads."""
        ...


class Saved(ABC):
    """A latency model that is kept in a JSON file."""

    device: Device
    error: dict[str, float]

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """All of it as JSON-compatible data."""

    @classmethod
    @abstractmethod
    def from_description(cls, data: Mapping[str, Any], path: str | Path) -> Self:
        """What `describe` described. Raises TableError, which names the file, for anything else."""

    def __repr__(self) -> str:
        error = ", ".join(f"{name} {value:.4g}" for name, value in self.error.items()) or "not known"
        return f"{type(self).__name__}(device {self.device.name!r}, error: {error})"

    @contextmanager
    def _naming_device(self) -> Iterator[None]:
        """Says whose latency was asked for, where an architecture is not of the space."""
        try:
            yield
        except ArchitectureError as error:
            raise ArchitectureError(
                f"the latency model of device {self.device.name!r} takes architectures of its own space: {error}"
            ) from error

    def save(self, path: str | Path) -> None:
        """Writes one JSON file (atomically)."""
        write_json(self.describe(), Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote; raises TableError for anything else."""
        return cls.from_description(read_json(Path(path)), path)


def load_latency(path: str | Path) -> LatencyModel:
    """Reads what any latency model's `save` wrote. Raises TableError for anything else."""
    return latency_model(read_json(Path(path)), path)


def latency_model(data: Mapping[str, Any], path: str | Path) -> LatencyModel:
    """The latency model that `describe` described. Raises TableError, which names the file, for anything else."""
    from hardware import predicted
    from hardware.table import LatencyTable
    from hardware.transferring import model as transferred

    if data.get("format") == predicted.FORMAT:
        return predicted.LatencyPredictor.from_description(data, path)
    if data.get("format") == transferred.FORMAT:
        return transferred.TransferredLatency.from_description(data, path)
    return LatencyTable.from_description(data, path)


def heading(model: LatencyModel, kind: str, version: int) -> dict[str, Any]:
    """The entries that every file of a latency model begins with."""
    return {
        "format": kind,
        "version": version,
        "device": model.device.describe(),
        "provenance": model.provenance,
        "error": model.error,
    }


def require_format(data: Mapping[str, Any], path: str | Path, kind: str, versions: Sequence[int]) -> None:
    """Raises TableError unless the heading of a file is of this kind and one of these versions."""
    found, what = data.get("format"), kind.removeprefix(_OURS)
    if found != kind:
        ours = isinstance(found, str) and found.startswith(_OURS)
        hint = f" but {found!r}, so try `hardware.load_latency`" if ours else ""
        raise TableError(f"{path} holds no {what}{hint}")
    if data.get("version") not in versions:
        raise TableError(
            f"{path} holds a {what} of version {data.get('version')}: this package reads version "
            f"{' or '.join(map(str, versions))}; update it, or make the file again"
        )
    for name in ("provenance", "error"):
        if not isinstance(data.get(name, {}), dict):
            raise TableError(f"{path} is damaged: its {name} is no mapping")


def digest(decisive: Any) -> str:
    """Short hash of JSON-compatible data."""
    return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file. Raises TableError where there is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TableError(f"cannot read the latency table {path}: {error}") from error
    except ValueError as error:
        raise TableError(f"{path} is not a complete latency table ({type(error).__name__}: {error})") from error
    if not isinstance(data, dict):
        raise TableError(f"{path} is not a latency table: it holds no JSON object")
    return data


def write_json(data: Mapping[str, Any], path: Path) -> None:
    """Writes an object atomically; folders are made."""
    with written_whole(path) as part:
        part.write_text(json.dumps(data, separators=(",", ":")), encoding="utf-8")
