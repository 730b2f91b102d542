"""Reads bundles for the overview."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.errors import SearchError

BACK = "run.json"
"""File in a bundle's folder with what `run.py` printed on the device."""

_MANIFEST = "bundle.json"
_USUAL_DEVICE = {"threads": 1, "batch_size": 1, "precision": "fp32", "cores": [], "machine": None}
_USUAL_METRICS = {"predicted": {}, "measured": {}, "format": "onnx"} | dict.fromkeys(
    ("bytes", "params", "macs"), math.nan
)
_LATENCY_KEYS = {"median_ms", "p10_ms", "p90_ms", "repeats"}


@dataclass(frozen=True)
class Latency:
    """A measured latency of one batch.

    Args:
        ms: median.
        how: number of inferences, their span, and the processor, as text.
    """

    ms: float
    how: str


@dataclass(frozen=True)
class Bundle:
    """A deployed sub-network.

    Args:
        path: of its folder, relative to the page, with slashes.
        run: command that runs it, in its folder.
        device: settings of its device.
        metrics: content of `metrics.json`.
        architecture: as JSON text.
        back: content of `run.json`, what `run.py` printed on the device; None without that file.
    """

    path: str
    run: str
    device: Mapping[str, Any]
    metrics: Mapping[str, Any]
    architecture: str
    back: Mapping[str, Any] | None

    @classmethod
    def read(cls, folder: Path, top: Path) -> "Bundle":
        """The bundle in a folder. Raises SearchError naming the file that cannot be read, or what it lacks."""
        manifest, metrics = _object(folder / _MANIFEST), _object(folder / "metrics.json")
        back = _back(folder / BACK, manifest) if (folder / BACK).exists() else None
        try:
            return cls(
                folder.relative_to(top).as_posix(),
                manifest.get("run", "python run.py"),
                _USUAL_DEVICE | manifest["device"],
                _USUAL_METRICS | metrics | {"parity": dict(metrics["parity"])},
                json.dumps(_object(folder / "architecture.json")["architecture"]),
                back,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SearchError(
                f"{folder} is no complete bundle ({type(error).__name__}: {error}): deploy it anew"
            ) from error

    @property
    def accuracies(self) -> dict[str, float]:
        """Measured metrics of the sub-network's outputs by name, without losses."""
        return {name: value for name, value in self.metrics["measured"].items() if not name.endswith("loss")}

    @property
    def methods(self) -> dict[str, str]:
        """How metrics among `accuracies` are computed, by name, if the bundle says so."""
        shown = {name.partition("_")[2] or name for name in self.accuracies}
        return {name: text for name, text in self.metrics.get("methods", {}).items() if name in shown}

    @property
    def predicted_ms(self) -> float:
        """Latency in ms by the latency table; NaN without one."""
        return float(self.metrics["predicted"].get("latency_ms", float("nan")))

    @property
    def megabytes(self) -> float:
        """Size of the model's files in 10^6 bytes; NaN if the bundle does not say."""
        return float(self.metrics["bytes"]) / 1e6

    @property
    def measured(self) -> Latency | None:
        """The latency that `run.py` measured on the device, else that measured when the bundle was made; or None."""
        if self.back is not None and self.differs is None:
            found = self.back["latency"]
            where = self.back.get("versions", {}).get("gpu") or self.back.get("cpu", {}).get("model", "")
            span = f"80 % within {found['p10_ms']:.4g} – {found['p90_ms']:.4g} ms"
            return Latency(
                found["median_ms"], f"by run.py: median of {found['repeats']} inferences, {span}, on {where}"
            )
        if "latency" not in self.metrics:
            return None
        found, origin = self.metrics["latency"], self.metrics["provenance"]
        low, high = found.get("interval_ms") or (None, None)
        span = "" if low is None else f", 95 % interval {low:.4g} – {high:.4g} ms"
        where = origin.get("accelerator") or origin["cpu"]
        return Latency(
            found["median_ms"], f"median of {found['repeats']} inferences{span}, on {where}, {origin['date'][:10]}"
        )

    @property
    def not_measured(self) -> str:
        """Why no latency was measured when the bundle was made; "" if that is unknown, or plain from the device."""
        elsewhere = self.device.get("backend") == "imported"
        return "" if elsewhere else str(self.metrics.get("not_measured", ""))

    @property
    def differs(self) -> str | None:
        """Why the output of `run.py` on the device is wrong; None if it is right, or there is none."""
        if self.back is None:
            return None
        parity = self.back.get("parity", {})
        if parity.get("ok") and "latency" in self.back:
            return None
        return str(self.back.get("error") or "its output differs from PyTorch's")


def bundles_below(top: Path) -> list[Bundle]:
    """Bundles in a folder and below it, by path, numbers in numerical order. Raises SearchError if there is none."""
    folders = [path.parent for path in top.rglob(_MANIFEST) if not path.parent.name.startswith(".")]
    if not folders:
        raise SearchError(f"{top}: no bundles there; `supernet-deploy search=...` makes them")
    found = [Bundle.read(folder, top) for folder in folders]
    return sorted(
        found,
        key=lambda bundle: [(len(part), part) if part.isdigit() else (0, part) for part in bundle.path.split("/")],
    )


def _back(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What `run.py` printed: parity with PyTorch and, if it holds, latency.

    Raises SearchError for anything else, what another bundle printed, and a latency with other settings.
    """
    printed = _object(path)
    latency = printed.get("latency") if isinstance(printed.get("parity"), dict) else {}
    if latency is not None and not (
        isinstance(latency, dict) and all(_is_number(latency.get(k)) for k in _LATENCY_KEYS)
    ):
        raise SearchError(f"{path} is not what run.py prints: bring its output back once more, or remove the file")
    if printed.get("bundle") not in (None, manifest.get("id")):
        raise SearchError(f"{path} is what run.py of another bundle printed: bring back that of this one, or remove it")
    for setting, own in (("threads", "threads"), ("batch", "batch_size")):
        meant = {**_USUAL_DEVICE, **manifest.get("device", {})}[own]
        if (used := (latency or {}).get(setting, meant)) != meant:
            raise SearchError(f"{path} is of {setting} {used}, the device has {meant}: run run.py without options")
    return printed


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SearchError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise SearchError(f"{path} holds no JSON object")
    return found
