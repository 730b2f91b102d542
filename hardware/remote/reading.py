"""From what a device measured to its latency table."""

import json
from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardware.building import extended
from hardware.model import TableError
from hardware.remote.packing import EMPTY, FORMAT, PROBE, TABLE, probe_name
from hardware.remote.templates.ledger import Ledger, LedgerError, digest_of
from hardware.remote.templates.profile import MANIFEST, RESULTS
from hardware.table import LatencyTable
from hardware.timing import Measurement
from supernet import Architecture

_MACHINE = ("cpu", "cores", "system", "python", "versions", "date")


def read_profile(folder: str | Path, results: str | Path | None = None) -> LatencyTable:
    """The latency table out of a profile bundle and what its `profile.py` measured.

    Args:
        folder: the bundle, as `write_profile_bundle` left it here.
        results: the file that came back; None: `results.jsonl` in the folder.

    Raises TableError for results that were changed, are incomplete, or belong to another bundle; the message names the
    line, or says how much is missing.
    """
    table, groups = _opened(Path(folder), results)
    for blocks, whole in groups:
        probes = {int(name.removeprefix(PROBE)): m for name, m in whole.items() if name != EMPTY}
        table = extended(table, blocks, probes, whole[EMPTY])
    return table


def read_measurements(
    folder: str | Path, results: str | Path | None = None
) -> tuple[list[Architecture], NDArray[np.float64], dict[str, Any]]:
    """Whole sub-networks of a profile bundle, their latencies in ms on the device, shape (n,), and the provenance.

    Takes the arguments of `read_profile`, and raises what it does.
    """
    table, groups = _opened(Path(folder), results)
    medians = [
        np.median([whole[name].median_ms for _, whole in groups if name in whole])
        for name in map(probe_name, range(len(table.probes)))
    ]
    return [probe.architecture for probe in table.probes], np.array(medians), table.provenance


def _opened(
    folder: Path, results: str | Path | None
) -> tuple[LatencyTable, list[tuple[dict[str, Measurement], dict[str, Measurement]]]]:
    """The table without measurements, and those of each group, by name: of blocks, and of whole models."""
    results = folder / RESULTS if results is None else Path(results)
    manifest = read_manifest(folder)
    records = _records(results, digest_of(folder / MANIFEST))
    groups, n_groups = records[1:], len(manifest["groups"])
    if [group.get("index") for group in groups] != list(range(min(len(groups), n_groups))):
        raise TableError(f"{results} holds other groups than this bundle: measure again")
    if len(groups) < n_groups:
        raise TableError(
            f"{results} holds {len(groups)} of {n_groups} groups: run `python3 profile.py` on the "
            "device again, it measures the others"
        )
    table = LatencyTable.load(folder / TABLE)
    if digest_of(folder / TABLE) != manifest["table_sha256"]:
        raise TableError(f"{folder / TABLE} was changed, or is of another bundle: write the bundle again")
    table = replace(table, provenance={key: records[0][key] for key in _MACHINE})
    measured = []
    for line, (record, names) in enumerate(zip(groups, manifest["groups"], strict=True), start=2):
        where = f"{results}, line {line}"
        measured.append((_measurements(record, names["blocks"], where), _measurements(record, names["whole"], where)))
    return table, measured


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a profile bundle says of itself. Raises TableError for a folder that is none."""
    if not (folder / MANIFEST).exists():
        raise TableError(f"{folder} is not a profile bundle: `supernet-profile bundle` writes one, bundle=... names it")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(f"{folder} is not a profile bundle: {error}") from error
    if not isinstance(manifest, dict) or any(manifest.get(key) != value for key, value in FORMAT.items()):
        raise TableError(f"{folder / MANIFEST} is not of a profile bundle of version {FORMAT['version']}")
    return manifest


def _records(results: Path, root: str) -> list[dict[str, Any]]:
    if not results.exists():
        raise TableError(
            f"{results} does not exist: run `python3 profile.py` in the bundle on the device, bring it back"
        )
    try:
        records = Ledger(results, root).read()
    except (LedgerError, OSError) as error:
        raise TableError(f"{error}") from error
    if not records:
        raise TableError(f"{results} holds no measurement yet: run `python3 profile.py` in the bundle on the device")
    kinds = [record.get("kind") if isinstance(record, dict) else None for record in records]
    if kinds != ["machine", *["group"] * (len(records) - 1)] or any(key not in records[0] for key in _MACHINE):
        raise TableError(f"{results} is not what profile.py of this bundle writes")
    return records


def _measurements(record: Mapping[str, Any], names: list[str], where: str) -> dict[str, Measurement]:
    """Measurements of a record, by name; `where` is its place in the file, for messages."""
    try:
        found = {name: Measurement.from_description(record["measurements"][name]) for name in names}
    except (KeyError, TypeError, ValueError) as error:
        raise TableError(f"{where}: not the measurements of this group ({type(error).__name__}: {error})") from error
    for name, measurement in found.items():
        if not (isfinite(measurement.median_ms) and measurement.median_ms > 0):
            raise TableError(f"{where}: the latency of {name} is {measurement.median_ms}")
    return found
