"""Latencies that others measured and published, as devices that a search can aim at."""

import datetime
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardware.device import Device
from hardware.importing import lookup, rows
from hardware.model import LatencyModel, TableError
from supernet import SuperNetwork

__all__ = ["digest", "import_latency", "is_published", "is_sheet"]

_YAML = (".yaml", ".yml")
_SHEETS = (".csv", ".tsv")


def import_latency(
    path: str | Path,
    net: SuperNetwork,
    device: Device,
    *,
    column: str | None = None,
    fixed: Mapping[str, Any] | None = None,
) -> LatencyModel:
    """The latency model out of published measurements.

    Takes

    - Once-for-All's latency tables (arXiv:1908.09791): a YAML file, or a folder with one for each image size. The
      latency of a network is the sum of the `mean` of its layers, exact for the sizes there are; between two of them it
      is interpolated (linear in the number of pixels), beyond them it is NaN.
    - HAT's CSV files (arXiv:2005.14187): averaged features, and the latencies of encoder and decoder, which are added.
    - CSV files with a column of architectures (JSON objects as `net.space.validate` takes them) or one column for each
      choice of the space (`ks`, `e`, `d`, `r`; lists as JSON or as one digit each) or gene (`ks_0`, `ks_1`, ...), and
      columns of latencies in ms, or in the unit that the column's name ends in (`latency_us`, `latency [s]`). Commas,
      semicolons or tabs separate cells; where it is not commas, decimals may have one.

    What is measured as a whole becomes a `LatencyPredictor`; its `error` is by cross-validation. Cells that are empty
    or NaN are no measurements.

    Args:
        path: file or folder.
        net: the super-network whose sub-networks were measured; its weights do not matter.
        device: names the device; backend "imported" where it is not described by one of ours.
        column: which latency to take where a file has several.
        fixed: values of choices that the file does not tell, as in `{"r": 224}`.

    Raises TableError naming file, line and column of what cannot be read, or what does not fit the super-network.
    """
    path = Path(path)
    files = _files(path)
    if files[0].suffix.lower() in _YAML:
        return lookup.table(files, net, device, _provenance(path, files))
    if is_sheet(path):
        return rows.fitted(path, net, device, column, dict(fixed or {}), _provenance(path, files))
    raise TableError(f"{path}: cannot tell what this is; import takes .csv and .yaml files, or a folder of .yaml files")


def is_published(path: str | Path) -> bool:
    """Whether `import_latency` takes it, by its name: a sheet, .yaml, or a folder."""
    return is_sheet(path) or Path(path).suffix.lower() in _YAML or Path(path).is_dir()


def is_sheet(path: str | Path) -> bool:
    """Whether it holds measurements of whole networks, by its name: .csv or .tsv."""
    return Path(path).suffix.lower() in _SHEETS


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    if not (files := sorted(file for file in path.iterdir() if file.suffix.lower() in _YAML)):
        raise TableError(f"{path}: no .yaml files in this folder")
    return files


def _provenance(path: Path, files: list[Path]) -> dict[str, Any]:
    return {
        "source": path.name,
        "sha256": digest(files),
        "imported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def digest(files: Sequence[Path]) -> str:
    """SHA-256 of files one after the other, in hexadecimal. Raises TableError for one that cannot be read."""
    found = hashlib.sha256()
    for file in files:
        try:
            found.update(file.read_bytes())
        except OSError as error:
            raise TableError(f"cannot read {file}: {error.strerror}") from error
    return found.hexdigest()
