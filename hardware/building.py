"""Builds a latency table on this machine: group after group of blocks, each in turns with whole sub-networks."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import nn

from hardware.backends import Runner, create
from hardware.backends.base import Part
from hardware.device import Device
from hardware.grouping import dealt_networks, free_bytes, grouped
from hardware.measuring import measure_interleaved, prepared
from hardware.model import TableError
from hardware.provenance import provenance
from hardware.table import LatencyTable, Probe, Progress
from hardware.timing import Measurement, Protocol
from supernet import Architecture, SuperNetwork
from supernet.blockmap import REST

logger = logging.getLogger(__name__)

_MOST_BLOCKS = 512  # in a group, which is measured in turns
_SHARE = 4  # a quarter of the free memory is for weights and inputs of blocks, another for weights of sub-networks
_SECONDS = 10.0  # between two savings of the samples
_EMPTY = "empty call"

Table = TypeVar("Table", bound=LatencyTable)


def built(
    kind: type[Table],
    net: SuperNetwork,
    device: Device,
    *,
    path: Path | None,
    draw: tuple[int, int, int],
    protocol: Protocol | None,
    report: Progress,
) -> Table:
    """A complete table, begun anew or continued; see `LatencyTable.build`.

    Args:
        kind: class of the table.
        net: the super-network.
        device: this machine with the settings of a runtime.
        path: where the table is kept while it grows.
        draw: number of probes to fit to, number of held-out ones, and the seed.
        protocol: how long to measure.
        report: called with the progress.
    """

    def save(grown: Table) -> None:
        if path is not None:
            grown.save(path)

    with alone(path, report):
        report("finding blocks", 0, 1)
        table = _begun(kind, net, device, path)
        if table.complete:
            return table
        table = replace(table, probes=table.probes or chosen_probes(net, *draw))
        for table in _growing(table, net, protocol, report, save):  # noqa: B020 - the growing table replaces itself
            save(table)
        return table


@contextmanager
def alone(path: Path | None, report: Progress) -> Iterator[None]:
    """Waits until no other process builds the table in a file: it would be disturbed, and measure the same again."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.lock")
    lock = FileLock(file)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        report("waiting for another process that builds this table", 0, 1)
        logger.info("waiting for another process that builds %s", path)
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # of systems that do not let go of an open file
            file.unlink()
        lock.release()


def measure_end_to_end(
    net: SuperNetwork,
    architectures: Sequence[Mapping[str, Any]],
    device: Device,
    protocol: Protocol | None = None,
) -> list[Measurement]:
    """Latency in ms of one inference of a batch by each of several sub-networks, in their order.

    They are measured in turns, as many at a time as a quarter of the free memory holds.

    Raises ArchitectureError, and DeviceError where this machine cannot be the device.
    """
    chosen = net.space.decode(net.space.encode(architectures))
    device.require_here()
    measured: dict[int, Measurement] = {}
    with device.pinned():
        for part in dealt_networks(net, chosen, free_bytes(create(device.backend).place) // _SHARE):
            runners = [prepared_whole(net, chosen[i], device) for i in part]
            measured |= zip(part, measure_interleaved(runners, protocol), strict=True)
    return [measured[i] for i in range(len(chosen))]


def prepared_whole(net: SuperNetwork, architecture: Architecture, device: Device) -> Runner:
    """One inference of a sub-network, ready to be timed."""
    inputs = net.example_inputs(architecture, device.batch_size)
    return prepared(net.inference(net.extract(architecture), architecture), inputs, device)


def chosen_probes(net: SuperNetwork, n_probes: int, n_held_out: int, seed: int) -> list[Probe]:
    """Sub-networks to measure end to end; fewer where the space holds fewer.

    Those to fit to are the smallest, the largest, and in between those nearest to even steps of MACs; the held-out ones
    are others, drawn at random.
    """
    if n_probes < 1 or n_held_out < 0:
        raise ValueError(f"a table needs probes to fit to (n_probes={n_probes}) and 0 or more held out ({n_held_out})")
    space = net.space
    n_fitted = min(max(2, n_probes), space.size)
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


def planned(kind: type[Table], net: SuperNetwork, device: Device, origin: dict[str, Any]) -> Table:
    """A table with every block of the space and no measurement yet."""
    net.inference_map.cover()
    blocks = net.inference_map
    return kind(device, blocks.slots, [b.key for b in blocks.blocks], {}, [], origin)


def _begun(kind: type[Table], net: SuperNetwork, device: Device, path: Path | None) -> Table:
    device.require_here()
    backend = create(device.backend)
    versions, accelerator = backend.versions(), backend.accelerator()
    origin = provenance(versions, accelerator)
    fresh = planned(kind, net, device, origin)
    if path is None or not path.exists():
        return fresh
    kept = kind.load(path)
    mismatches = {
        "device": (kept.device, device),
        "space": (kept.space.fingerprint, net.space.fingerprint),
        "structure of blocks": (sorted(kept.keys), sorted(fresh.keys)),
        "processor": (kept.provenance.get("cpu"), origin["cpu"]),
        "accelerator": (kept.provenance.get("accelerator"), accelerator),
        "set of versions": (kept.provenance.get("versions"), versions),
    }
    for what, (there, here) in mismatches.items():
        if there != here:
            detail = "" if what == "structure of blocks" else f" ({there} there, {here} here)"
            raise TableError(f"{path} is a latency table of another {what}{detail}; remove it or name another file")
    return kept


def _growing(
    table: Table, net: SuperNetwork, protocol: Protocol | None, report: Progress, save: Callable[[Table], None]
) -> Iterator[Table]:
    """The table after each group of blocks, which is measured in turns with the probes (as many as fit in memory)."""
    device, backend = table.device, create(table.device.backend)
    missing = [b for b in net.inference_map.blocks if b.key not in table.blocks and b.slot != REST]
    total = len(table.blocks) + len(missing)
    most_bytes = free_bytes(backend.place) // _SHARE
    whole = _Whole(net, table, most_bytes, report)
    empty = {_EMPTY: prepared(nn.Identity(), (torch.zeros(1),), device)} if backend.pays_per_call else {}
    context = backend.prepare_context(partial(_parts, net, device.batch_size, backend.place), device)
    groups = grouped(
        net.inference_map.uses(missing, device.batch_size, backend.place),
        lambda use: backend.prepare_block(use.module, use.inputs, device, context),
        min(_MOST_BLOCKS, -(-len(missing) // len(whole.parts))),
        most_bytes,
    )
    while not table.complete:
        probes = whole.least_measured(table)
        report("measuring blocks", len(table.blocks), total)
        group = next(groups, [])
        runners = {block.key: block.runner for block in group}
        runners |= {f"probe {i}": runner for i, runner in probes.items()} | empty
        measured = _measured(table, runners, protocol, save)
        table = extended(
            replace(table, traits=table.traits | {block.key: block.traits for block in group}),
            {block.key: measured[block.key] for block in group},
            {i: measured[f"probe {i}"] for i in probes},
            measured.get(_EMPTY),
        )
        report("measuring blocks", len(table.blocks), total)
        yield table


class _Whole:
    """Prepares the probes of a table for timing, as many at a time as memory holds."""

    def __init__(self, net: SuperNetwork, table: LatencyTable, most_bytes: int, report: Progress) -> None:
        self._net, self._device, self._report = net, table.device, report
        self.parts = dealt_networks(net, [probe.architecture for probe in table.probes], most_bytes)
        self._runners: dict[int, Runner] = {}

    def least_measured(self, table: LatencyTable) -> dict[int, Runner]:
        """Runners of the part whose probes were measured least often, by the probes' index in the table."""
        part = min(self.parts, key=lambda part: min(len(table.probes[i].medians_ms) for i in part))
        if part != list(self._runners):
            self._runners.clear()
            for n, i in enumerate(part, start=1):
                self._report("preparing whole sub-networks", n, len(part))
                self._runners[i] = prepared_whole(self._net, table.probes[i].architecture, self._device)
        return self._runners


def _measured(
    table: Table, runners: Mapping[str, Runner], protocol: Protocol | None, save: Callable[[Table], None]
) -> dict[str, Measurement]:
    """Measurements by name; goes on from the samples in the table, and saves the table with further ones at times."""
    samples = {name: list(table.samples.get(name, ())) for name in runners}
    saved = time.monotonic()

    def save_at_times() -> None:
        nonlocal saved
        if time.monotonic() - saved >= _SECONDS:
            save(replace(table, samples=samples))
            saved = time.monotonic()

    measured = measure_interleaved(list(runners.values()), protocol, list(samples.values()), save_at_times)
    return dict(zip(runners, measured, strict=True))


def _parts(net: SuperNetwork, batch_size: int, place: str) -> list[Part]:
    """The blocks of the largest sub-network in their order, with their inputs."""
    blocks = net.inference_map.blocks
    ids = [i for i in net.inference_map.ids([net.largest])[0].tolist() if i >= 0 and blocks[i].slot != REST]
    wanted = [blocks[i] for i in dict.fromkeys(ids)]
    uses = {block.key: use for block, use in net.inference_map.uses(wanted, batch_size, place)}
    return [(uses[blocks[i].key].module, uses[blocks[i].key].inputs) for i in ids]


def extended(
    table: Table, blocks: Mapping[str, Measurement], probes: Mapping[int, Measurement], empty: Measurement | None
) -> Table:
    """The table with measurements of blocks, probes (by index) and the empty call; fitted when complete."""
    grown = replace(
        table,
        blocks={**table.blocks, **blocks},
        probes=[
            replace(probe, medians_ms=(*probe.medians_ms, probes[i].median_ms)) if i in probes else probe
            for i, probe in enumerate(table.probes)
        ],
        empty_call_ms=empty.median_ms if empty else 0.0,
        samples={},
    )
    return grown.fitted() if grown.complete else grown
