"""The file of a latency table: one JSON object, columns rather than records."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware.device import Device
from hardware.fitting import TRAITS, Correction
from hardware.model import TableError, read_json, write_json
from hardware.table import Probe
from hardware.timing import Measurement
from supernet import SearchSpace
from supernet.slots import Slots

if TYPE_CHECKING:
    from hardware.table import LatencyTable

_FORMAT = "supernet-search latency table"
_VERSION = 2
_READABLE = (1, 2)
_COLUMNS = ("median_ms", "quantiles_ms", "interval_ms", "repeats", "stable")


def write(table: "LatencyTable", path: Path) -> None:
    """Atomically; folders are made."""
    write_json(described(table), path)


def described(table: "LatencyTable") -> dict[str, Any]:
    """The table as JSON-compatible data."""
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "device": table.device.describe(),
        "provenance": table.provenance,
        "error": table.error,
        "correction": table.correction.describe(),
        "empty_call_ms": table.empty_call_ms,
        "space": table.space.describe(),
        "probes": [
            {
                "architecture": json.loads(probe.architecture.to_json()),
                "medians_ms": list(probe.medians_ms),
                "held_out": probe.held_out,
            }
            for probe in table.probes
        ],
        "keys": table.keys,
        "blocks": _columns(table.blocks),
        "traits": {trait: [table.traits[key][i] for key in table.traits] for i, trait in enumerate(TRAITS)}
        | {"keys": list(table.traits)},
        "slots": table.slots.describe(),
    }


def read(path: Path) -> dict[str, Any]:
    """The attributes of a table. Raises TableError for a file that is none."""
    data = read_json(path)
    try:
        if data.get("format") != _FORMAT or data.get("version") not in _READABLE:
            raise TableError(f"{path} is not a latency table of version {' or '.join(map(str, _READABLE))}")
        space = SearchSpace.from_description(data["space"])
        return {
            "device": Device(**data["device"]),
            "slots": Slots.from_description(space, data["slots"]),
            "keys": data["keys"],
            "probes": [
                Probe(space.validate(p["architecture"]), tuple(p["medians_ms"]), p["held_out"]) for p in data["probes"]
            ],
            "provenance": data["provenance"],
            "empty_call_ms": data["empty_call_ms"],
            "error": data["error"],
            **(_blocks_of_version_1(data) if data["version"] == 1 else _blocks(data)),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise TableError(f"{path} is not a complete latency table ({type(error).__name__}: {error})") from error


def _blocks(data: Mapping[str, Any]) -> dict[str, Any]:
    columns, traits = data["blocks"], data["traits"]
    records = zip(*(columns[name] for name in _COLUMNS), strict=True)
    blocks = [Measurement.from_description(dict(zip(_COLUMNS, record, strict=True))) for record in records]
    return {
        "blocks": dict(zip(columns["keys"], blocks, strict=True)),
        "correction": Correction(**data["correction"]),
        "traits": dict(zip(traits["keys"], zip(*(traits[trait] for trait in TRAITS), strict=True), strict=True)),
    }


def _blocks_of_version_1(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "blocks": {key: Measurement.from_description(record) for key, record in data["blocks"].items()},
        "correction": Correction(data["slope"], data["intercept"]),
    }


def _columns(blocks: Mapping[str, Measurement]) -> dict[str, list[Any]]:
    records = [measurement.describe() for measurement in blocks.values()]
    return {"keys": list(blocks)} | {name: [record[name] for record in records] for name in _COLUMNS}
