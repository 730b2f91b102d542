"""Latency tables: what every block of a super-network costs on a device, and so what any architecture costs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hardware import fitting
from hardware.device import Device
from hardware.fitting import TRAITS, Correction
from hardware.model import Saved, TableError, digest
from hardware.timing import Measurement, Protocol
from supernet import Architecture, SearchSpace, SuperNetwork
from supernet.blockmap import REST
from supernet.slots import Slots

Progress = Callable[[str, int, int], None]
"""Called with what is being measured, how many are done, and how many there are."""


@dataclass(frozen=True)
class Probe:
    """A whole sub-network that is measured in turns with the blocks.

    Attributes:
        architecture: which one.
        medians_ms: its latency beside each group of blocks; where memory does not hold all probes at once, beside some
            of the groups.
        held_out: whether it is left out of the fit, to estimate the error of the table.
    """

    architecture: Architecture
    medians_ms: tuple[float, ...] = ()
    held_out: bool = False

    @property
    def measured_ms(self) -> float:
        """Latency in ms: the median over all groups."""
        return float(np.median(self.medians_ms))


@dataclass(frozen=True, repr=False)
class LatencyTable(Saved):
    """Latency in ms of every architecture of a space on one device: the sum of its blocks, corrected.

    From the latency of each block, that of an empty call of the runtime is subtracted, since a whole network makes only
    one call.

    Attributes:
        device: what was measured.
        slots: which block stands in which place of an architecture's network; indices into `keys`.
        keys: identity of each block.
        blocks: measurements by key.
        probes: end-to-end measurements that the correction is fitted to or checked on.
        provenance: machine, versions and date, as JSON-compatible data.
        correction: from sums of blocks to whole networks.
        traits: by key, what the correction may count beside latency: one number for each of `TRAITS`.
        empty_call_ms: latency of a model that does nothing; 0 where blocks were measured without that overhead.
        error: MAPE in percent and Spearman's rank correlation on the held-out probes; where there are none, by
            leave-one-out cross-validation.
        samples: of the group that is being measured, in ms, by name of the model; empty in a complete table.
    """

    device: Device
    slots: Slots
    keys: list[str]
    blocks: dict[str, Measurement]
    probes: list[Probe]
    provenance: dict[str, Any]
    correction: Correction = field(default_factory=Correction)
    traits: dict[str, tuple[float, ...]] = field(default_factory=dict)
    empty_call_ms: float = 0.0
    error: dict[str, float] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)

    @property
    def space(self) -> SearchSpace:
        """The space whose architectures this table takes."""
        return self.slots.space

    @property
    def complete(self) -> bool:
        """Whether every block and every probe is measured and the sum corrected."""
        blocks = all(key in self.blocks or key.startswith(REST) for key in self.keys)
        return blocks and all(probe.medians_ms for probe in self.probes)

    @property
    def scope(self) -> str:
        """Digest of what decides the latency of an architecture: device, blocks, correction."""
        latencies = sorted((key, measurement.median_ms) for key, measurement in self.blocks.items())
        decisive = [self.device.describe(), latencies, self.correction.describe(), self.empty_call_ms]
        return digest(decisive)

    def require(self, net: SuperNetwork) -> None:
        """Raises TableError unless this is a table of `net`: of the same space, and of blocks of the same structure."""
        mistake = f"the latency table of device {self.device.name!r} is not of {net.title}"
        if net.space.fingerprint != self.space.fingerprint:
            raise TableError(f"{mistake} but of another search space, {self.space}")
        ids = net.inference_map.ids([net.smallest, net.largest]).ravel().tolist()
        blocks = {net.inference_map.blocks[i] for i in ids if i >= 0}
        if other := sorted(block.slot for block in blocks if block.key not in self.keys):
            raise TableError(f"{mistake}: {len(other)} of its blocks have another structure, as {other[0]} has")

    def latency(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Predicted latency in ms of a batch on the device, shape (n_architectures,); NaN where a block is missing.

        Raises TableError for an architecture whose blocks the table does not know.
        """
        corrected = self.correction.of_blocks(self._latencies, self._traits)
        return self._summed(corrected, architectures) + self.correction.intercept

    def block_sum(self, architectures: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
        """Sum of the blocks' latencies beyond an empty call, in ms, shape (n_architectures,)."""
        return self._summed(self._latencies, architectures)

    def fitted(self) -> Self:
        """The table with the correction that its probes give, and the error that they tell."""
        held_out = np.array([probe.held_out for probe in self.probes], dtype=bool)
        architectures = [probe.architecture for probe in self.probes]
        measured = np.array([probe.measured_ms for probe in self.probes])
        sums = self.block_sum(architectures)
        traits = {trait: self._summed(values, architectures) for trait, values in self._traits.items()}
        used = {trait: values[~held_out] for trait, values in traits.items()}
        correction = fitting.fitted(sums[~held_out], used, measured[~held_out])
        table = replace(self, correction=correction)
        if held_out.any():
            unseen = [probe.architecture for probe in self.probes if probe.held_out]
            return replace(table, error=fitting.errors(table.latency(unseen), measured[held_out]))
        predicted = fitting.left_out(sums, traits, measured, correction.weights)
        return replace(table, error=fitting.errors(predicted, measured))

    @cached_property
    def _latencies(self) -> NDArray[np.float64]:
        """Latency of each of `keys` in ms, less that of an empty call; NaN where it was not measured."""
        rest = {key: 0.0 for key in self.keys if key.startswith(REST)}
        measured = [self.blocks[k].median_ms if k in self.blocks else rest.get(k, np.nan) for k in self.keys]
        return np.maximum(np.array(measured) - self.empty_call_ms, 0.0)

    @cached_property
    def _traits(self) -> dict[str, NDArray[np.float64]]:
        """Terms of the correction for each of `keys`, by name; empty where traits are not known."""
        if not self.traits:
            return {}
        nothing = (0.0,) * len(TRAITS)
        columns = np.array([self.traits.get(key, nothing) for key in self.keys]).T
        return fitting.terms(dict(zip(TRAITS, columns, strict=True)))

    def _summed(
        self, per_block: NDArray[np.float64], architectures: Sequence[Mapping[str, Any]]
    ) -> NDArray[np.float64]:
        extended = np.append(per_block, 0.0)  # the last one stands for "no block" (-1)
        try:
            with self._naming_device():
                total: NDArray[np.float64] = extended[self.slots.ids(architectures)].sum(axis=1)
        except KeyError as error:
            raise TableError(
                f"the latency table of device {self.device.name!r} is not whole: {error.args[0]}"
            ) from error
        return total

    # --- building and files ---

    @classmethod
    def build(
        cls,
        net: SuperNetwork,
        device: Device,
        *,
        path: str | Path | None = None,
        n_probes: int = 16,
        n_held_out: int = 8,
        protocol: Protocol | None = None,
        seed: int = 0,
        progress: bool | Progress = True,
    ) -> Self:
        """Profiles all distinct blocks of the space on this machine, and fits their sum to end-to-end measurements.

        Args:
            net: its weights are those that the blocks run with.
            device: with a backend that runs on this machine.
            path: where the table is kept while it grows; a table that is there already is continued. A process waits
                for another one that builds the same.
            n_probes: sub-networks measured end to end to fit to, spread over the range of costs.
            n_held_out: further ones, drawn at random, to tell the table's error on.
            protocol: how long to measure.
            seed: of the sub-networks that are drawn.
            progress: True shows a bar on a terminal; or a callback.

        Raises TableError where `path` holds a table of another device, machine or space.
        """
        from hardware.building import built
        from hardware.progress import reporting

        with reporting(progress) as report, device.pinned():
            return built(
                cls,
                net,
                device,
                path=Path(path) if path else None,
                draw=(n_probes, n_held_out, seed),
                protocol=protocol,
                report=report,
            )

    def describe(self) -> dict[str, Any]:
        """The table as JSON-compatible data."""
        from hardware.tablefile import described

        return described(self)

    @classmethod
    def from_description(cls, data: Mapping[str, Any], path: str | Path) -> Self:
        """The table that `describe` described. Raises TableError, which names the file, for anything else."""
        from hardware.tablefile import parsed

        return cls(**parsed(data, path))
