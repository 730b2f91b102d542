"""Latency tables: what every block of a super-network costs on a device, and so what any architecture costs."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import nn

from hardware.backends import Runner, create
from hardware.device import Device
from hardware.measuring import Measurement, Protocol, measure_interleaved, prepared
from hardware.provenance import provenance
from supernet import Architecture, SearchSpace, SuperNetwork
from supernet.blockmap import REST, Block
from supernet.slots import Slots

_FORMAT = "supernet-search latency table"
_VERSION = 1
_GROUP = 512  # blocks that are measured in turns and kept together

Progress = Callable[[str, int, int], None]
"""Called with what is being measured, how many are done, and how many there are."""


class TableError(ValueError):
    """A latency table cannot be read, or belongs to another device, machine or space."""


@dataclass(frozen=True)
class Probe:
    """A whole sub-network, measured in turns with the blocks: one median (ms) for each group of blocks.

    Held-out ones are not fitted to: they tell the table's error.
    """

    architecture: Architecture
    medians_ms: tuple[float, ...] = ()
    held_out: bool = False

    @property
    def measured_ms(self) -> float:
        """Latency in ms over all groups."""
        return float(np.median(self.medians_ms))


@dataclass(frozen=True)
class LatencyTable:
    """Latency in ms of every architecture of a space on one device: `slope * sum of its blocks + intercept`.

    The sum is over the blocks' latencies beyond that of an empty call of the runtime, which a whole network pays once.

    Attributes:
        slots: which block stands where; indices into `keys`.
        keys: identity of each block.
        blocks: measurements by key.
        probes: end-to-end measurements that slope and intercept are fitted to or checked on.
        empty_call_ms: latency of a model that does nothing.
        error: MAPE in percent and Spearman's rank correlation on held-out probes; without any, on each probe of the fit
            to the others.
    """

    device: Device
    slots: Slots
    keys: list[str]
    blocks: dict[str, Measurement]
    probes: list[Probe]
    provenance: dict[str, Any]
    slope: float = 1.0
    intercept: float = 0.0
    empty_call_ms: float = 0.0
    error: dict[str, float] = field(default_factory=dict)

    # --- use ---

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures this table takes."""
        return self.slots.space

    @property
    def complete(self) -> bool:
        """Whether every block is measured and the sum corrected."""
        return all(key in self.blocks or key.startswith(REST) for key in self.keys)

    @property
    def scope(self) -> str:
        """Digest of everything but the architecture that a latency depends on: device, blocks, correction."""
        latencies = sorted((key, measurement.median_ms) for key, measurement in self.blocks.items())
        decisive = [self.device.describe(), latencies, self.slope, self.intercept, self.empty_call_ms]
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:16]

    def latency(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Predicted latency in ms of a batch on the device, shape (n_architectures,)."""
        return self.slope * self.block_sum(architectures) + self.intercept

    def block_sum(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Sum of the blocks' latencies beyond an empty call, in ms, shape (n_architectures,)."""
        measured = [self.blocks[key].median_ms if key in self.blocks else 0.0 for key in self.keys]
        per_block = [max(latency - self.empty_call_ms, 0.0) for latency in measured]
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
        n_held_out: int = 0,
        protocol: Protocol | None = None,
        seed: int = 0,
        progress: bool | Progress = True,
    ) -> Self:
        """Profiles all distinct blocks of the space on this machine, and fits their sum to end-to-end measurements.

        Args:
            net: its weights are those that the blocks run with.
            device: with a backend that runs on this machine.
            path: where the table is kept while it grows; a table that is there already is continued.
            n_probes: sub-networks measured end to end to fit to, spread over the range of costs.
            n_held_out: further ones, drawn at random, to tell the table's error on.
            protocol: how long to measure.
            seed: of the sub-networks that are drawn.
            progress: True shows a bar on a terminal; or a callback.

        Raises TableError where `path` holds a table of another device, machine or space.
        """
        from hardware.progress import reporting

        with reporting(progress) as report:
            report("finding blocks", 0, 1)
            net.inference_map.cover()
            table = cls._begun(net, device, Path(path) if path else None)
            if table.complete:
                return table
            probes = table.probes or _chosen_probes(net, n_probes, n_held_out, seed)
            table = replace(table, probes=probes)
            for table in table._growing(net, protocol, report):  # noqa: B020 - the growing table replaces itself
                if path is not None:
                    table.save(path)
        return table

    @classmethod
    def _begun(cls, net: SuperNetwork, device: Device, path: Path | None) -> Self:
        device.require_here()
        versions = create(device.backend).versions()
        fresh = cls(
            device, net.inference_map.slots, [b.key for b in net.inference_map.blocks], {}, [], provenance(versions)
        )
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

    def _growing(self, net: SuperNetwork, protocol: Protocol | None, report: Progress) -> Iterator[Self]:
        """The table after each group of blocks, measured in turns with the probes."""
        table = self
        missing = [b for b in net.inference_map.blocks if b.key not in self.blocks and b.slot != REST]
        total = len(self.blocks) + len(missing)
        whole = [
            _prepared_whole(net, p.architecture, self.device, report, n) for n, p in enumerate(self.probes, start=1)
        ]
        whole.append(prepared(nn.Identity(), (torch.zeros(1),), self.device))
        uses = net.inference_map.uses(missing, self.device.batch_size)
        while group := list(islice(uses, _GROUP)):
            report("measuring blocks", len(table.blocks), total)
            runners = [prepared(use.module, use.inputs, self.device) for _, use in group]
            measured = measure_interleaved([*runners, *whole], protocol)
            table = table._extended([block for block, _ in group], measured)
            report("measuring blocks", len(table.blocks), total)
            yield table

    def _extended(self, blocks: Sequence[Block], measured: Sequence[Measurement]) -> Self:
        """The table with measurements of these blocks, then of the probes, then of the empty call; fitted again."""
        n = len(blocks)
        new = {block.key: m for block, m in zip(blocks, measured[:n], strict=True)}
        probes = [
            replace(probe, medians_ms=(*probe.medians_ms, m.median_ms))
            for probe, m in zip(self.probes, measured[n:-1], strict=True)
        ]
        grown = replace(self, blocks={**self.blocks, **new}, probes=probes, empty_call_ms=measured[-1].median_ms)
        return grown._fitted() if grown.complete else grown

    def _fitted(self) -> Self:
        sums = self.block_sum([probe.architecture for probe in self.probes])
        latencies = np.array([probe.measured_ms for probe in self.probes])
        held_out = np.array([probe.held_out for probe in self.probes], dtype=bool)
        slope, intercept = _fit(sums[~held_out], latencies[~held_out])
        if held_out.any():
            error = _errors(slope * sums[held_out] + intercept, latencies[held_out])
        else:
            error = _left_out_errors(sums, latencies)
        return replace(self, slope=slope, intercept=intercept, error=error)

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
            "empty_call_ms": self.empty_call_ms,
            "error": self.error,
            "space": self.space.describe(),
            "keys": self.keys,
            "blocks": {key: measurement.describe() for key, measurement in self.blocks.items()},
            "probes": [
                {
                    "architecture": json.loads(probe.architecture.to_json()),
                    "medians_ms": list(probe.medians_ms),
                    "held_out": probe.held_out,
                }
                for probe in self.probes
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
                    Probe(space.validate(p["architecture"]), tuple(p["medians_ms"]), p["held_out"])
                    for p in data["probes"]
                ],
                provenance=data["provenance"],
                slope=data["slope"],
                intercept=data["intercept"],
                empty_call_ms=data["empty_call_ms"],
                error=data["error"],
            )
        except OSError as error:
            raise TableError(f"cannot read the latency table {path}: {error}") from error
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TableError(f"{path} is not a complete latency table ({type(error).__name__}: {error})") from error


def measure_end_to_end(
    net: SuperNetwork,
    architectures: Sequence[Architecture],
    device: Device,
    protocol: Protocol | None = None,
) -> list[Measurement]:
    """Latency of whole sub-networks on the device, measured in turns."""
    return measure_interleaved([_prepared_whole(net, a, device) for a in architectures], protocol)


def _prepared_whole(
    net: SuperNetwork, architecture: Architecture, device: Device, report: Progress | None = None, n: int = 0
) -> Runner:
    if report:
        report("preparing whole sub-networks", n, 0)
    inputs = net.example_inputs(architecture, device.batch_size)
    return prepared(net.inference(net.extract(architecture), architecture), inputs, device)


def _chosen_probes(net: SuperNetwork, n_probes: int, n_held_out: int, seed: int) -> list[Probe]:
    """Extremes and even steps of the MACs in between to fit to; random others to check on (fewer in a tiny space)."""
    space = net.space
    n_fitted = max(2, min(n_probes, space.size))
    drawn = space.sample(min(50 * n_fitted + n_held_out, space.size), seed)
    pool = list(dict.fromkeys([net.smallest, net.largest, *drawn]))
    macs = net.costs(pool)["macs"]
    fitted: dict[Architecture, None] = {}
    for step in np.linspace(macs.min(), macs.max(), n_fitted):
        nearest = (pool[i] for i in np.argsort(np.abs(macs - step), kind="stable"))
        fitted[next(architecture for architecture in nearest if architecture not in fitted)] = None
    held_out = [architecture for architecture in drawn if architecture not in fitted][:n_held_out]
    return [Probe(architecture) for architecture in fitted] + [
        Probe(architecture, held_out=True) for architecture in held_out
    ]


def _fit(sums: NDArray[np.float64], measured: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and intercept with the least squared relative error; only a slope where the sums do not differ."""
    if len(sums) < 2 or np.ptp(sums) <= 1e-9 * sums.max():
        return float(np.mean(measured / sums)), 0.0
    design = np.stack([sums, np.ones_like(sums)], axis=1) / measured[:, None]
    slope, intercept = np.linalg.lstsq(design, np.ones_like(measured), rcond=None)[0]
    return float(slope), float(intercept)


def _left_out_errors(sums: NDArray[np.float64], measured: NDArray[np.float64]) -> dict[str, float]:
    predicted = np.empty_like(measured)
    for i in range(len(sums)):
        others = np.arange(len(sums)) != i
        slope, intercept = _fit(sums[others], measured[others])
        predicted[i] = slope * sums[i] + intercept
    return _errors(predicted, measured)


def _errors(predicted: NDArray[np.float64], measured: NDArray[np.float64]) -> dict[str, float]:
    if len(measured) < 4:
        return {}
    return {
        "mape_percent": float(np.mean(np.abs(predicted / measured - 1)) * 100),
        "spearman": float(spearmanr(predicted, measured).statistic),
        "n_architectures": float(len(measured)),
    }


def _measurement(record: Mapping[str, Any]) -> Measurement:
    return Measurement(record["median_ms"], tuple(record["quantiles_ms"]), record["repeats"], record["stable"])
