"""Checkpoints of super-networks: safetensors with the family, the space and the origin in the header."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

if TYPE_CHECKING:
    from supernet.network import SuperNetwork

_MOST_LISTED = 6


class CheckpointError(ValueError):
    """A checkpoint file cannot be loaded into this super-network."""


def save(net: "SuperNetwork", path: Path, metadata: Mapping[str, str]) -> None:
    """Writes the state of `net`; values of `metadata` are strings, as safetensors asks."""
    header = {"format": "supernet-search", "supernet": net.name, "space": net.space.fingerprint, **metadata}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in net.state_dict().items()}, path, metadata=header)


def load(net: "SuperNetwork", path: Path) -> None:
    """Loads into `net`, whole or not at all; raises CheckpointError."""
    state, header = read(path)
    expected = net.state_dict()
    problems = _differences(expected, state)
    if problems:
        written_by = header.get("supernet", "an unknown super-network")
        raise CheckpointError(
            f"{path} does not fit {net.name}: it was written for {written_by}; " + "; ".join(problems)
        )
    net.load_state_dict(state)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file; raises CheckpointError where it is none."""
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} is not a complete safetensors file ({error}); pickled files are refused because they can run code"
        ) from error


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    groups = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": misshapen,
    }
    return [
        f"{len(names)} {what}: {', '.join(names[:_MOST_LISTED])}{', ...' if len(names) > _MOST_LISTED else ''}"
        for what, names in groups.items()
        if names
    ]
