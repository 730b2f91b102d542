"""Builds a latency table on this machine: group after group of blocks, each in turns with whole sub-networks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from hardware.backends import Runner, create
from hardware.backends.base import Part
from hardware.device import Device
from hardware.measuring import measure_interleaved, prepared
from hardware.model import TableError
from hardware.provenance import provenance
from hardware.table import LatencyTable, Probe, Progress
from hardware.timing import Measurement, Protocol
from supernet import Architecture, SuperNetwork
from supernet.blockmap import REST, Block
from supernet.blocks import Use

_MOST_BLOCKS = 512  # that are measured in turns and kept together
_MOST_BYTES = 4 << 30  # of their weights and inputs, on a CPU

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
    """A complete table, begun anew or continued; `draw`: number of fitted and of held-out probes, and the seed."""
    report("finding blocks", 0, 1)
    table = _begun(kind, net, device, path)
    if table.complete:
        return table
    table = replace(table, probes=table.probes or chosen_probes(net, *draw))
    for table in _growing(table, net, protocol, report):  # noqa: B020 - the growing table replaces itself
        if path is not None:
            table.save(path)
    return table


def measure_end_to_end(
    net: SuperNetwork,
    architectures: Sequence[Architecture],
    device: Device,
    protocol: Protocol | None = None,
) -> list[Measurement]:
    """Latency of whole sub-networks on the device, measured in turns."""
    with device.pinned():
        return measure_interleaved([prepared_whole(net, a, device) for a in architectures], protocol)


def prepared_whole(net: SuperNetwork, architecture: Architecture, device: Device) -> Runner:
    """One inference of a sub-network, ready to be timed."""
    inputs = net.example_inputs(architecture, device.batch_size)
    return prepared(net.inference(net.extract(architecture), architecture), inputs, device)


def chosen_probes(net: SuperNetwork, n_probes: int, n_held_out: int, seed: int) -> list[Probe]:
    """Extremes and even steps of the MACs in between to fit to; random others to check on (fewer in a tiny space)."""
    if n_probes < 1 or n_held_out < 0:
        raise ValueError(f"a table needs probes to fit to (n_probes={n_probes}) and 0 or more held out ({n_held_out})")
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
        "blocks": (sorted(kept.keys), sorted(fresh.keys)),
        "processor": (kept.provenance["cpu"], origin["cpu"]),
        "accelerator": (kept.provenance.get("accelerator"), accelerator),
        "versions": (kept.provenance["versions"], versions),
    }
    for what, (there, here) in mismatches.items():
        if there != here:
            detail = "" if what == "blocks" else f" ({there} there, {here} here)"
            raise TableError(f"{path} is a latency table of another {what}{detail}; remove it or name another file")
    return kept


def _growing(table: Table, net: SuperNetwork, protocol: Protocol | None, report: Progress) -> Iterator[Table]:
    """The table after each group of blocks, measured in turns with the probes."""
    device, backend = table.device, create(table.device.backend)
    missing = [b for b in net.inference_map.blocks if b.key not in table.blocks and b.slot != REST]
    total = len(table.blocks) + len(missing)
    whole = []
    for n, probe in enumerate(table.probes, start=1):
        report("preparing whole sub-networks", n, len(table.probes))
        whole.append(prepared_whole(net, probe.architecture, device))
    empty = [prepared(nn.Identity(), (torch.zeros(1),), device)] if backend.pays_per_call else []
    context = backend.prepare_context(partial(_parts, net, device.batch_size, backend.place), device)
    uses = net.inference_map.uses(missing, device.batch_size, backend.place)
    for group in _groups(uses, _most_bytes(backend.place)):
        report("measuring blocks", len(table.blocks), total)
        runners = [backend.prepare_block(use.module, use.inputs, device, context) for _, use in group]
        measured = measure_interleaved([*runners, *whole, *empty], protocol)
        table = extended(
            replace(table, traits=table.traits | {block.key: traits_of(use) for block, use in group}),
            [block.key for block, _ in group],
            measured,
        )
        report("measuring blocks", len(table.blocks), total)
        yield table


def _parts(net: SuperNetwork, batch_size: int, place: str) -> list[Part]:
    """The blocks of the largest sub-network in their order."""
    blocks = net.inference_map.blocks
    ids = [i for i in net.inference_map.ids([net.largest])[0].tolist() if i >= 0 and blocks[i].slot != REST]
    wanted = [blocks[i] for i in dict.fromkeys(ids)]
    uses = {block.key: use for block, use in net.inference_map.uses(wanted, batch_size, place)}
    return [(uses[blocks[i].key].module, uses[blocks[i].key].inputs) for i in ids]


def _most_bytes(place: str) -> int:
    """Of weights and inputs of blocks that are measured in turns."""
    return torch.cuda.mem_get_info()[0] // 4 if place == "cuda" else _MOST_BYTES


def _groups(uses: Iterator[tuple[Block, Use]], most_bytes: int) -> Iterator[list[tuple[Block, Use]]]:
    """Blocks that fit in memory together."""
    group: list[tuple[Block, Use]] = []
    n_bytes = 0
    for block, use in uses:
        size = 4 * use.n_parameters + sum(t.numel() * t.element_size() for t in use.inputs)
        if group and (len(group) == _MOST_BLOCKS or n_bytes + size > most_bytes):
            yield group
            group, n_bytes = [], 0
        group.append((block, use))
        n_bytes += size
    if group:
        yield group


def extended(table: Table, keys: Sequence[str], measured: Sequence[Measurement]) -> Table:
    """The table with measurements of these blocks, then of the probes, then of the empty call; fitted when complete."""
    n, n_probes = len(keys), len(table.probes)
    probes = [
        replace(probe, medians_ms=(*probe.medians_ms, m.median_ms))
        for probe, m in zip(table.probes, measured[n : n + n_probes], strict=True)
    ]
    grown = replace(
        table,
        blocks={**table.blocks, **dict(zip(keys, measured[:n], strict=True))},
        probes=probes,
        empty_call_ms=measured[n + n_probes].median_ms if len(measured) > n + n_probes else 0.0,
    )
    return grown.fitted() if grown.complete else grown


def traits_of(use: Use) -> tuple[float, ...]:
    """In the order of `hardware.fitting.TRAITS`."""
    return float(len(use.calls)), float(use.n_parameters), float(sum(t.numel() for t in use.inputs))
