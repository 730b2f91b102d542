"""Which blocks and whole sub-networks of a latency table are measured in turns: as many as memory holds together."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hardware.timing import Runner
from supernet import SuperNetwork
from supernet.blockmap import Block
from supernet.blocks import Use

_UNKNOWN = 16 << 30  # bytes, where the system does not tell
_MEMORY = Path("/proc/meminfo")
_CONTAINER = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Prepared:
    """A block that is ready to be timed: its weights are in memory.

    Attributes:
        key: identity of the block.
        traits: in the order of `hardware.fitting.TRAITS`.
        runner: makes all calls of the block in one inference.
    """

    key: str
    traits: tuple[float, ...]
    runner: Runner


def free_bytes(place: str) -> int:
    """Free memory in bytes of "cuda" or "cpu" (as Linux reports it, within the limit of a container)."""
    if place == "cuda":
        return torch.cuda.mem_get_info()[0]
    try:
        lines = dict(line.split(":") for line in _MEMORY.read_text(encoding="ascii").splitlines())
        found = 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return _UNKNOWN
    try:
        return min(found, int(_CONTAINER.read_text(encoding="ascii")))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return found


def grouped(
    uses: Iterable[tuple[Block, Use]], prepare: Callable[[Use], Runner], most_blocks: int, most_bytes: int
) -> Iterator[list[Prepared]]:
    """Prepared blocks in groups, one group at a time.

    Args:
        uses: the blocks with their modules and inputs.
        prepare: loads or compiles one.
        most_blocks: of a group.
        most_bytes: of the weights and inputs of a group; a larger block makes up a group of its own.
    """
    group: list[Prepared] = []
    n_bytes = 0
    for block, use in uses:
        size = 4 * use.n_parameters + sum(t.numel() * t.element_size() for t in use.inputs)
        if group and (len(group) >= most_blocks or n_bytes + size > most_bytes):
            yield group
            group, n_bytes = [], 0
        group.append(Prepared(block.key, traits_of(use), prepare(use)))
        n_bytes += size
    if group:
        yield group


def dealt(sizes: Sequence[int], most_bytes: int) -> list[list[int]]:
    """Indices of things of these sizes in bytes, dealt into parts of about `most_bytes` each.

    Large and small ones are mixed, as they are dealt in turns; a part has at least one.
    """
    n_parts = max(1, min(len(sizes), -(-sum(sizes) // max(1, most_bytes))))
    return [list(range(first, len(sizes), n_parts)) for first in range(n_parts)]


def dealt_networks(net: SuperNetwork, architectures: Sequence[Mapping[str, Any]], most_bytes: int) -> list[list[int]]:
    """Indices of sub-networks in as many parts as it takes for the weights of each to have about `most_bytes`."""
    return dealt((4 * net.costs(architectures)["params"]).tolist(), most_bytes)


def traits_of(use: Use) -> tuple[float, ...]:
    """Calls, parameters and input values of a block, in the order of `hardware.fitting.TRAITS`."""
    return float(len(use.calls)), float(use.n_parameters), float(sum(t.numel() for t in use.inputs))
