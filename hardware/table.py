"""Latency tables: what every block of a super-network costs on a device, and so what any architecture costs."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from hardware.backends import create
from hardware.device import Device, DeviceError
from hardware.measuring import Measurement, Protocol, measure_interleaved
from hardware.provenance import provenance
from supernet import Architecture, SearchSpace, SuperNetwork
from supernet.blockmap import REST, Block
from supernet.slots import Slots

_FORMAT = "supernet-search latency table"
_VERSION = 1
_CHUNK = 256  # blocks measured in turns and kept together

Progress = Callable[[str, int, int], None]
"""Called with what is being measured, how many are done, and how many there are."""


class TableError(ValueError):
    """A latency table cannot be read, or belongs to another device, machine or space."""


@dataclass(frozen=True)
class Probe:
    """An end-to-end measurement beside the sum of its blocks, both in ms."""

    architecture: Architecture
    measured_ms: float
    sum_ms: float


@dataclass(frozen=True)
class LatencyTable:
    """Latency in ms of every architecture of a space on one device: `slope * sum of its blocks + intercept`.

    Attributes:
        slots: which block stands where; indices into `keys`.
        keys: identity of each block.
        blocks: measurements by key.
        probes: end-to-end measurements that slope and intercept are fitted to.
    """

    device: Device
    slots: Slots
    keys: list[str]
    blocks: dict[str, Measurement]
    probes: list[Probe]
    provenance: dict[str, Any]
    slope: float = 1.0
    intercept: float = 0.0
    error: dict[str, float] = field(default_factory=dict)

    # --- use ---

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures this table takes."""
        return self.slots.space

    @property
    def complete(self) -> bool:
        """Whether every block is measured and the sum corrected."""
        return bool(self.probes) and all(key in self.blocks or key.startswith(REST) for key in self.keys)

    def latency(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Predicted latency in ms of a batch on the device, shape (n_architectures,)."""
        return self.slope * self.block_sum(architectures) + self.intercept

    def block_sum(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Uncorrected sum of the blocks' latencies in ms, shape (n_architectures,)."""
        per_block = [self.blocks[key].median_ms if key in self.blocks else 0.0 for key in self.keys]
        latencies = np.array([*per_block, 0.0])  # the last one stands for "no block" (-1)
        total: NDArray[np.float64] = latencies[self.slots.ids(architectures)].sum(axis=1)
        return total

    # --- building ---

    @classmethod
    def build(
        cls,
        net: SuperNetwork,
        device: Device,
        *,
        path: str | Path | None = None,
        n_probes: int = 16,
        protocol: Protocol | None = None,
        seed: int = 0,
        progress: bool | Progress = True,
    ) -> Self:
        """Profiles all distinct blocks of the space on this machine, then fits the sum to end-to-end measurements.

        Args:
            path: where the table is kept while it grows; a table that is there already is continued.
            n_probes: sub-networks measured end to end, spread over the latencies that the block sums give.
            progress: True shows a bar on a terminal; or a callback.

        Raises TableError where `path` holds a table of another device, machine or space.
        """
        from hardware.progress import reporting

        with reporting(progress) as report:
            report("finding blocks", 0, 1)
            net.block_map.cover()
            table = cls._begun(net, device, Path(path) if path else None)
            for table in table._with_blocks(net, protocol, report):  # noqa: B020 - the growing table replaces itself
                table._keep(path)
            if not table.complete:
                table = table._with_probes(net, n_probes, protocol, seed, report)
                table._keep(path)
        return table

    @classmethod
    def _begun(cls, net: SuperNetwork, device: Device, path: Path | None) -> Self:
        versions = create(device.backend).versions()
        fresh = cls(device, net.block_map.slots, [b.key for b in net.block_map.blocks], {}, [], provenance(versions))
        if path is None or not path.exists():
            return fresh
        kept = cls.load(path)
        mismatches = {
            "device": (kept.device, device),
            "space": (kept.space.fingerprint, net.space.fingerprint),
            "blocks": (sorted(kept.keys), sorted(fresh.keys)),
            "processor": (kept.provenance["cpu"], fresh.provenance["cpu"]),
            "versions": (kept.provenance["versions"], versions),
        }
        for what, (there, here) in mismatches.items():
            if there != here:
                detail = "" if what == "blocks" else f" ({there} there, {here} here)"
                raise TableError(f"{path} is a latency table of another {what}{detail}; remove it or name another file")
        return kept

    def _with_blocks(self, net: SuperNetwork, protocol: Protocol | None, report: Progress) -> Iterable[Self]:
        """The table after each chunk of blocks."""
        table = self
        missing = [b for b in net.block_map.blocks if b.key not in self.blocks and b.slot != REST]
        total = len([key for key in self.keys if not key.startswith(REST)])
        backend = create(self.device.backend)
        calls = net.block_map.calls(missing, self.device.batch_size)
        chunk: list[tuple[Block, Any]] = []
        for n, (block, call) in enumerate(calls, start=1):
            if call.kwargs:
                raise DeviceError(f"block {block.slot!r} is called with keywords {sorted(call.kwargs)}: not supported")
            chunk.append((block, backend.prepare(call.module, call.args, self.device)))
            if len(chunk) == _CHUNK or n == len(missing):
                measured = measure_interleaved([runner for _, runner in chunk], protocol)
                new = {block.key: m for (block, _), m in zip(chunk, measured, strict=True)}
                table = replace(table, blocks={**table.blocks, **new})
                chunk = []
                report("measuring blocks", len(table.blocks), total)
                yield table

    def _with_probes(
        self, net: SuperNetwork, n_probes: int, protocol: Protocol | None, seed: int, report: Progress
    ) -> Self:
        architectures = self.spread_architectures(n_probes, seed)
        measured = measure_end_to_end(net, architectures, self.device, protocol, report)
        sums = self.block_sum(architectures)
        probes = [Probe(a, m.median_ms, float(s)) for a, m, s in zip(architectures, measured, sums, strict=True)]
        slope, intercept = _fit(sums, np.array([m.median_ms for m in measured]))
        return replace(self, probes=probes, slope=slope, intercept=intercept, error=_left_out_error(probes))

    def spread_architectures(self, n: int, seed: int) -> list[Architecture]:
        """`n` distinct architectures (fewer in a tiny space) at even steps of the block sum, the extremes included."""
        drawn = self.space.sample(min(max(50 * n, 200), self.space.size), seed)
        pool = list(dict.fromkeys([self.space.smallest, self.space.largest, *drawn]))
        order = np.argsort(self.block_sum(pool), kind="stable")
        sums = self.block_sum(pool)[order]
        targets = np.linspace(sums[0], sums[-1], min(n, len(pool)))
        chosen: dict[int, None] = {}
        for target in targets:
            by_distance = np.argsort(np.abs(sums - target), kind="stable")
            chosen[next(int(i) for i in by_distance if int(i) not in chosen)] = None
        return [pool[order[i]] for i in sorted(chosen)]

    # --- files ---

    def save(self, path: str | Path) -> None:
        """Writes the table as JSON (atomically)."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(json.dumps(self.describe()))
        temporary.replace(path)

    def describe(self) -> dict[str, Any]:
        """The table as JSON-compatible data."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "device": self.device.describe(),
            "provenance": self.provenance,
            "slope": self.slope,
            "intercept": self.intercept,
            "error": self.error,
            "space": self.space.describe(),
            "keys": self.keys,
            "blocks": {key: measurement.describe() for key, measurement in self.blocks.items()},
            "probes": [
                {"architecture": json.loads(p.architecture.to_json()), "measured_ms": p.measured_ms, "sum_ms": p.sum_ms}
                for p in self.probes
            ],
            "slots": self.slots.describe(),
        }

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote; raises TableError for anything else."""
        try:
            data = json.loads(Path(path).read_text())
            if data.get("format") != _FORMAT or data.get("version") != _VERSION:
                raise TableError(f"{path} is not a latency table of version {_VERSION}")
            space = SearchSpace.from_description(data["space"])
            return cls(
                device=Device(**data["device"]),
                slots=Slots.from_description(space, data["slots"]),
                keys=data["keys"],
                blocks={key: _measurement(record) for key, record in data["blocks"].items()},
                probes=[
                    Probe(space.validate(p["architecture"]), p["measured_ms"], p["sum_ms"]) for p in data["probes"]
                ],
                provenance=data["provenance"],
                slope=data["slope"],
                intercept=data["intercept"],
                error=data["error"],
            )
        except OSError as error:
            raise TableError(f"cannot read the latency table {path}: {error}") from error
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TableError(f"{path} is not a complete latency table ({type(error).__name__}: {error})") from error

    def _keep(self, path: str | Path | None) -> None:
        if path is not None:
            self.save(path)


def measure_end_to_end(
    net: SuperNetwork,
    architectures: Sequence[Architecture],
    device: Device,
    protocol: Protocol | None = None,
    report: Progress | None = None,
) -> list[Measurement]:
    """Latency of whole sub-networks on the device, measured in turns."""
    backend = create(device.backend)
    runners = []
    for n, architecture in enumerate(architectures, start=1):
        inputs = net.example_inputs(architecture, device.batch_size)
        runners.append(backend.prepare(net.extract(architecture), inputs, device))
        if report:
            report("measuring whole sub-networks", n, len(architectures))
    return measure_interleaved(runners, protocol)


def _fit(sums: NDArray[np.float64], measured: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and intercept with the least squared relative error; only a slope where the sums do not differ."""
    if np.ptp(sums) <= 1e-9 * sums.max():
        return float(np.mean(measured / sums)), 0.0
    design = np.stack([sums, np.ones_like(sums)], axis=1) / measured[:, None]
    slope, intercept = np.linalg.lstsq(design, np.ones_like(measured), rcond=None)[0]
    return float(slope), float(intercept)


def _left_out_error(probes: Sequence[Probe]) -> dict[str, float]:
    """Error on each probe of the fit to the others: MAPE in percent and Spearman's rank correlation."""
    sums = np.array([p.sum_ms for p in probes])
    measured = np.array([p.measured_ms for p in probes])
    if len(probes) < 4:
        return {}
    predicted = np.empty_like(measured)
    for i in range(len(probes)):
        others = np.arange(len(probes)) != i
        slope, intercept = _fit(sums[others], measured[others])
        predicted[i] = slope * sums[i] + intercept
    return {
        "mape_percent": float(np.mean(np.abs(predicted / measured - 1)) * 100),
        "spearman": float(spearmanr(predicted, measured).statistic),
        "n_probes": float(len(probes)),
    }


def _measurement(record: Mapping[str, Any]) -> Measurement:
    return Measurement(record["median_ms"], tuple(record["quantiles_ms"]), record["repeats"], record["stable"])
