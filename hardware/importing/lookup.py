"""Once-for-All's latency look-up tables (arXiv:1908.09791): YAML files of layers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hardware.device import Device
from hardware.importing.entries import Entry, read_sizes
from hardware.model import TableError
from hardware.table import LatencyTable
from hardware.timing import Measurement
from supernet import Architecture, SuperNetwork
from supernet.slots import ABSENT, Slots

_SIZE = "r"


def table(files: Sequence[Path], net: SuperNetwork, device: Device, provenance: Mapping[str, Any]) -> LatencyTable:
    """The table of a super-network, as `hardware.import_latency` says."""
    genes = net.block_genes()
    if genes is None or net.published_blocks(net.largest) is None:
        raise TableError(f"{files[0]} is a table of layers of a Once-for-All family, not of {net.title}")
    by_size = read_sizes(files)
    labels = net.space.labels
    slots = Slots(net.space, {name: [labels.index(gene) for gene in of_slot] for name, of_slot in genes.items()})
    keys: dict[str, int] = {}
    entries: dict[str, Entry] = {}

    def learn(architecture: Architecture) -> None:
        published = net.published_blocks(architecture) or {}
        states = slots.states(net.space.encode([architecture]))[0]
        for slot in slots.slots.values():
            state = tuple(states[slot.genes].tolist())
            if slot.name not in published:
                slot.cells[state] = ABSENT
            elif state not in slot.cells:
                key = f"{architecture[_SIZE]}px {' '.join(published[slot.name])}"
                slot.cells[state] = keys.setdefault(key, len(keys))
                if (entry := _entry(by_size, net, architecture, slot.name)) is not None:
                    entries[key] = entry

    slots.complete(learn)
    _require_one_size(by_size, net, files)
    blocks = {key: _measurement(entry) for key, entry in entries.items()}
    return LatencyTable(device, slots, list(keys), blocks, [], {**provenance, "image_sizes": sorted(by_size)})


def _entry(
    by_size: Mapping[int, Mapping[str, Entry]], net: SuperNetwork, architecture: Architecture, slot: str
) -> Entry | None:
    """A block's latency at the architecture's image size, or between the two sizes around it; None where unknown."""

    def at(size: int) -> Entry | None:
        names = (net.published_blocks({**architecture, _SIZE: size}) or {})[slot]
        found = [by_size[size][name] for name in names if name in by_size[size]]
        return Entry.sum_of(found) if len(found) == len(names) else None

    size = architecture[_SIZE]
    if size in by_size:
        return at(size)
    below, above = [s for s in by_size if s < size], [s for s in by_size if s > size]
    if not below or not above or (low := at(max(below))) is None or (high := at(min(above))) is None:
        return None
    return low.towards(high, (size**2 - max(below) ** 2) / (min(above) ** 2 - max(below) ** 2))


def _require_one_size(by_size: Mapping[int, Mapping[str, Entry]], net: SuperNetwork, files: Sequence[Path]) -> None:
    """Raises TableError unless some image size has all layers of the largest and the smallest sub-network."""
    missing = ""
    for size, entries in by_size.items():
        lacking = [
            name
            for architecture in (net.smallest, net.largest)
            for names in (net.published_blocks({**architecture, _SIZE: size}) or {}).values()
            for name in names
            if name not in entries
        ]
        if not lacking:
            return
        missing = missing or lacking[0]
    where = files[0] if len(files) == 1 else files[0].parent
    raise TableError(f"{where} is not a table of {net.title}: it lacks the layer {missing}")


def _measurement(entry: Entry) -> Measurement:
    return Measurement(entry.mean, entry.quantiles, entry.count, entry.count > 0, entry.interval)
