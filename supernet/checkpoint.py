"""Checkpoints of super-networks: our safetensors (family, space and origin in the header), and those of the authors."""

import json
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from supernet.layout import recognised

if TYPE_CHECKING:
    from supernet.network import SuperNetwork

OWN = "own"
"""Name of this package's layout."""

_MOST_LISTED = 6
_PICKLED = (b"PK\x03\x04", b"\x80")  # how files of torch.save begin: zip archives, and bare pickles before 2020


class CheckpointError(ValueError):
    """A checkpoint file cannot be loaded into this super-network."""


def save(net: "SuperNetwork", path: Path, metadata: Mapping[str, str], layout: str = OWN) -> None:
    """Writes the state of `net`; values of `metadata` are strings, as safetensors asks.

    Raises ValueError for a layout that the family does not have.
    """
    theirs = net.published_layout()
    known = [OWN, *([theirs.name] if theirs else [])]
    if layout not in known:
        raise ValueError(f"{net.title} has no checkpoint layout {layout!r}: available are {', '.join(known)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.detach().contiguous() for name, tensor in net.state_dict().items()}
    if theirs is not None and layout == theirs.name:
        torch.save({"state_dict": {name: state[own].clone() for own, name in theirs.names.items()}}, path)
        return
    header = {"format": "supernet-search", "supernet": net.name, "title": net.title, "space": net.space.fingerprint}
    save_file(state, path, metadata=header | dict(metadata))


def load(net: "SuperNetwork", path: Path) -> None:
    """Loads into `net`, whole or not at all; raises CheckpointError."""
    found, header = read(path)
    expected = net.state_dict()
    layout = net.published_layout()
    own = layout.own_names(found) if layout else {}
    theirs = layout.names if layout and len(own) > len(expected.keys() & found.keys()) else {}
    state: dict[str, Tensor] = {}
    for name, tensor in found.items():
        known = own.get(name, name) if theirs else name
        state[name if known in state else known] = tensor  # what names a tensor a second time is unexpected
    if problems := _differences(expected, state, theirs):
        raise CheckpointError(f"{path} does not fit {net.title}: {_origin(found, header)}; {'; '.join(problems)}")
    net.load_state_dict(state)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a checkpoint file; raises CheckpointError where it is none, or could run code."""
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    with path.open("rb") as opened:
        start = opened.read(4)
    if start.startswith(_PICKLED):
        return _unpickled(path), {}
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} is not a complete safetensors file ({error}), nor one that torch.save wrote"
        ) from error


def _unpickled(path: Path) -> dict[str, Tensor]:
    """Tensors of a file that `torch.save` wrote: a dict of them, or one under "state_dict"."""
    try:
        with warnings.catch_warnings(action="ignore"), path.open("rb") as opened:  # by its content, not its name
            content: Any = torch.load(opened, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it is a pickle of more than tensors, and loading it can run code; "
            "save its state_dict alone"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is not a complete file of torch.save ({error})") from error
    state = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path} holds a {type(state).__name__} instead of a dict of tensors")
    if others := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise CheckpointError(f"{path}: {others[0]!r} is no tensor but a {type(state[others[0]]).__name__}")
    return {str(name): tensor for name, tensor in state.items()}


def _origin(found: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    if "supernet" in header:
        return f"it was written for {header.get('title', header['supernet'])}"
    guess = recognised({name: tuple(tensor.shape) for name, tensor in found.items()})
    return f"it looks like {guess}" if guess else "it looks like no super-network that is known here"


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], shown: Mapping[str, str]) -> list[str]:
    misshapen = [
        f"{shown.get(name, name)} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    groups = {
        "missing": [shown.get(name, name) for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "of another shape": misshapen,
    }
    return [
        f"{len(names)} {what}: {', '.join(names[:_MOST_LISTED])}{', ...' if len(names) > _MOST_LISTED else ''}"
        for what, names in groups.items()
        if names
    ]
