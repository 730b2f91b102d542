"""A new device from a few measurements and the latencies of known devices: `supernet-profile sources=[...]`."""

import csv
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from hardware import (
    Device,
    LatencyModel,
    LatencyPredictor,
    choose_measurements,
    import_latency,
    load_latency,
    measure_end_to_end,
    transfer,
)
from hardware.backends import create
from hardware.device import plain_name
from hardware.importing import digest, is_published, is_sheet
from hardware.importing.rows import latency_columns, measurements
from hardware.provenance import provenance
from hardware.remote import read_measurements, write_profile_bundle
from search.apps.elsewhere import bundle_folder, profile_on_host, say_how_to_profile
from search.apps.latencies import require_space
from search.apps.setup import Setup
from search.errors import SearchError
from supernet import Architecture

logger = logging.getLogger(__name__)

Measured = tuple[Sequence[Architecture], NDArray[np.float64], dict[str, Any]]


def transferred(setup: Setup) -> LatencyModel | None:
    """The latency model of the configured device; None if its measurements have to be made elsewhere first."""
    config = setup.config
    sources = known_devices(setup)
    measured = _measured(setup, sources)
    if measured is None:
        return None
    architectures, latencies, origin = measured
    return transfer(sources, setup.device, architectures, latencies, provenance=origin, seed=config.seed)


def known_devices(setup: Setup) -> list[LatencyModel]:
    """Latency models of the files in `sources`. Raises SearchError if it is no list, or for another search space."""
    given = setup.config.sources
    if isinstance(given, str):
        raise SearchError(f"sources must list files, as in sources=[{given}]")
    found: list[LatencyModel] = []
    for name in given:
        for model in _read(setup, str(name)):
            require_space(model, setup.net, name)
            found.append(model)
    return found


def _read(setup: Setup, name: str) -> list[LatencyModel]:
    """The latency models in a file: a saved one, or published latencies, of all columns or as in `FILE.csv:COLUMN`."""
    with_column = re.fullmatch(r"(.+\.[ct]sv):(.+)", name, re.IGNORECASE)
    text, column = with_column.groups() if with_column else (name, "")
    path = Path(text).expanduser()
    if is_sheet(path):
        columns = [column] if column else latency_columns(path, setup.net)
        return [_imported(setup, path, own) for own in columns]
    if is_published(path):
        return [import_latency(path, setup.net, Device(plain_name(path.stem), "imported"))]
    return [load_latency(path)]


def _imported(setup: Setup, path: Path, column: str | None) -> LatencyModel:
    """The latency model of a column of a CSV file; the fit is kept in the output folder."""
    name = plain_name(f"{path.stem}_{column}" if column else path.stem)
    kept = setup.folder / f"source_{name}.json"
    if kept.exists():
        earlier = load_latency(kept)
        if earlier.provenance.get("sha256") == digest([path]) and earlier.provenance.get("fixed") == _fixed(setup):
            return earlier
    logger.info("fitting %s%s", path, f", column {column}" if column else "")
    model = import_latency(path, setup.net, Device(name, "imported"), column=column, fixed=_fixed(setup))
    if isinstance(model, LatencyPredictor):
        model.provenance["fixed"] = _fixed(setup)
    model.save(kept)
    return model


def _fixed(setup: Setup) -> dict[str, Any]:
    return dict(setup.config.fixed)


def _measured(setup: Setup, sources: Sequence[LatencyModel]) -> Measured | None:
    """Measurements of the device: given, or made here or over SSH; None after writing down what to measure."""
    config, device = setup.config, setup.device
    if config.results is not None and (device.backend == "imported" or is_sheet(config.results)):
        architectures, latencies = measurements(Path(config.results), setup.net, config.column, _fixed(setup))
        return architectures, latencies, {"source": Path(config.results).name}
    if config.action == "import" or config.results is not None:
        return read_measurements(bundle_folder(setup), config.results)
    chosen = choose_measurements(sources, config.measurements, seed=config.seed)

    def write(folder: Path) -> None:
        settings = {"memory_mb": config.memory, "seed": config.seed}
        write_profile_bundle(setup.net, device, folder, architectures=chosen, **settings)

    if config.action == "bundle":
        write(bundle_folder(setup))
        say_how_to_profile(bundle_folder(setup), f"sources=[{','.join(map(str, config.sources))}] ")
        return None
    if config.host is not None:
        profile_on_host(setup, write)
        return read_measurements(bundle_folder(setup))
    if device.backend == "imported":
        _write_down(setup, chosen)
        return None
    found = measure_end_to_end(setup.net, chosen, device)
    backend = create(device.backend)
    latencies = np.array([measurement.median_ms for measurement in found])
    return chosen, latencies, provenance(backend.versions(), backend.accelerator())


def _write_down(setup: Setup, chosen: Sequence[Architecture]) -> None:
    """Writes a CSV file to fill in with measurements. Raises SearchError if it exists: it may be filled in already."""
    path = setup.folder / f"measure_{setup.device.name}.csv"
    if path.exists():
        raise SearchError(f"{path} is there already: give results={path} when it is filled in, or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("architecture", "latency_ms"))
        writer.writerows((architecture.to_json(), "") for architecture in chosen)
    Console().print(
        f"{path}\n"
        f"1. measure these {len(chosen)} sub-networks on {setup.device.name}, and fill in the column latency_ms\n"
        f"2. then the same command with results={path}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
