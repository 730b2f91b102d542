"""The file of a latency table: one JSON object, columns rather than records."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardware.device import Device
from hardware.fitting import TERMS, TRAITS, Correction
from hardware.model import TableError, heading, require_format
from hardware.table import Probe
from hardware.timing import Measurement
from supernet import SearchSpace
from supernet.slots import ABSENT, Slots

if TYPE_CHECKING:
    from hardware.table import LatencyTable

_FORMAT = "supernet-search latency table"
_VERSION = 2
_READABLE = (1, 2)
_COLUMNS = ("median_ms", "quantiles_ms", "interval_ms", "repeats", "stable")


def described(table: "LatencyTable") -> dict[str, Any]:
    """The table as JSON-compatible data."""
    return {
        **heading(table, _FORMAT, _VERSION),
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
        **({"samples": table.samples} if table.samples else {}),
    }


def parsed(data: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """The attributes of a table. Raises TableError, which names the file, for data that are none."""
    try:
        require_format(data, path, _FORMAT, _READABLE)
        space = SearchSpace.from_description(data["space"])
        parts = {
            "device": Device(**data["device"]),
            "slots": Slots.from_description(space, data["slots"]),
            "keys": data["keys"],
            "probes": [
                Probe(space.validate(p["architecture"]), tuple(p["medians_ms"]), p["held_out"]) for p in data["probes"]
            ],
            "provenance": data["provenance"],
            "empty_call_ms": data["empty_call_ms"],
            "error": data["error"],
            "samples": {name: list(values) for name, values in data.get("samples", {}).items()},
            **(_blocks_of_version_1(data) if data["version"] == 1 else _blocks(data)),
        }
        if flaw := _flaw(parts):
            raise TableError(f"{path} is a damaged latency table: {flaw}")
    except TableError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise TableError(f"{path} is not a complete latency table ({type(error).__name__}: {error})") from error
    return parts


def _flaw(parts: Mapping[str, Any]) -> str:
    """What is wrong with the values of a table; "" where nothing is."""
    slots, keys, correction = parts["slots"], parts["keys"], parts["correction"]
    if not all(isinstance(key, str) for key in keys) or len(set(keys)) < len(keys):
        return "its keys are not different texts"
    if unknown := set(parts["blocks"]) - set(keys):
        return f"it holds block {min(unknown)}, which is none of its keys"
    n_genes = slots.space.n_genes
    for slot in slots.slots.values():
        if not all(type(gene) is int and 0 <= gene < n_genes for gene in slot.genes):
            return f"slot {slot.name} depends on genes that the space does not have"
        if not all(type(i) is int and ABSENT <= i < len(keys) for i in slot.cells.values()):
            return f"slot {slot.name} refers to blocks that it does not hold"
    numbers = {
        "the correction": [correction.slope, correction.intercept, *correction.weights.values()],
        "the empty call": [parts["empty_call_ms"]],
        "the error": parts["error"].values(),
        **{f"block {key}": [m.median_ms, *m.quantiles_ms] for key, m in parts["blocks"].items()},
        **{f"the traits of block {key}": values for key, values in parts.get("traits", {}).items()},
        **{f"the samples of {name}": values for name, values in parts["samples"].items()},
        **{f"probe {i}": probe.medians_ms for i, probe in enumerate(parts["probes"])},
    }
    if odd := [name for name, values in numbers.items() if not all(map(_finite, values))]:
        return f"{odd[0]} holds something else than finite numbers"
    if any(ms <= 0 for probe in parts["probes"] for ms in probe.medians_ms):
        return "a probe's latency is not above 0"
    if unknown := set(correction.weights) - set(TERMS):
        return f"the correction counts {min(unknown)!r}, which is none of {', '.join(TERMS)}"
    return ""


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


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
