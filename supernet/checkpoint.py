"""Checkpoints of super-networks: our safetensors (family, space and origin in the header), and those of the authors."""

import argparse
import json
import pickle
import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from supernet.files import written_whole
from supernet.layout import recognised

if TYPE_CHECKING:
    from supernet.network import SuperNetwork

OWN = "own"
"""Name of this package's layout."""

_MOST_LISTED = 6
_TOLD = {"arch": "trained as", "data": "on"}  # arguments that say what a file is
_PICKLED = (b"PK\x03\x04", b"\x80")  # how files of torch.save begin: zip archives, and bare pickles before 2020
_HEADER = b"{"  # of safetensors, behind 8 bytes that may begin like a pickle


class CheckpointError(ValueError):
    """A checkpoint file cannot be loaded into this super-network."""


def save(net: "SuperNetwork", path: Path, metadata: Mapping[str, str], layout: str = OWN) -> None:
    """Writes the state of `net`, whole or not at all; values of `metadata` are strings, as safetensors asks.

    Raises ValueError for a layout that the family does not have.
    """
    theirs = net.published_layout()
    known = [OWN, *([theirs.name] if theirs else [])]
    if layout not in known:
        raise ValueError(f"{net.title} has no checkpoint layout {layout!r}: available are {', '.join(known)}")
    state = {name: tensor.contiguous() for name, tensor in distinct(net.state_dict()).items()}
    if theirs is not None and layout == theirs.name:
        tensors = {name: tensor.clone() for name, tensor in theirs.published(state).items()}
        tensors |= {name: tensors[first] for name, first in theirs.copies.items()} | dict(theirs.constants)
        with written_whole(path) as part:
            torch.save(theirs.file(tensors), part)
        return
    header = {"format": "supernet-search", "supernet": net.name, "title": net.title, "space": net.space.fingerprint}
    with written_whole(path) as part:
        save_file(state, part, metadata=header | dict(metadata))


def load(net: "SuperNetwork", path: Path) -> None:
    """Loads into `net`, whole or not at all; raises CheckpointError."""
    found = _content(path)
    names = net.state_dict()
    expected = distinct(names)
    layout = net.published_layout()
    known = layout.known(found.tensors) if layout else {}
    if layout is None or len(known) <= len(names.keys() & found.tensors.keys()):
        _refuse(net, path, found, _differences(expected, found.tensors, names.keys()))
        state = found.tensors
    else:
        spelt: dict[str, Tensor] = {}
        for key, tensor in found.tensors.items():
            name = known.get(key, key)
            spelt[key if name in spelt else name] = tensor  # what names a tensor a second time is unexpected
        spelt = layout.fitted(spelt)
        wanted = layout.published(expected)
        problems = _differences(wanted, spelt, [*wanted, *layout.copies, *layout.constants])
        problems += [] if problems else _torn(spelt, layout.copies)
        _refuse(net, path, found, [*problems, *layout.objections(found.arguments)])
        state = layout.owned(spelt, expected)
    net.load_state_dict(state, strict=False)


def distinct(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state, those that several names share under the first alone."""
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in state.items():
        first.setdefault(
            (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.numel() or name), name
        )
    return {name: state[name] for name in first.values()}


@dataclass(frozen=True)
class Found:
    """What a checkpoint file holds.

    Attributes:
        tensors: by the names of the file.
        header: that of a safetensors file.
        arguments: how the model was trained, where the file says so (fairseq's `args`).
    """

    tensors: dict[str, Tensor]
    header: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)


def read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """Tensors and header of a checkpoint file; raises CheckpointError where it is none, or could run code."""
    found = _content(path)
    return found.tensors, found.header


def _content(path: Path) -> Found:
    if not path.is_file():
        raise CheckpointError(f"no checkpoint at {path}")
    with path.open("rb") as opened:
        start = opened.read(9)
    if start.startswith(_PICKLED) and start[8:] != _HEADER:
        return _unpickled(path)
    try:
        with safe_open(path, framework="pt") as file:
            return Found({name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {})
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path} is not a complete safetensors file ({error}), nor one that torch.save wrote"
        ) from error


class _Inert:
    """Stands for objects beside the tensors that are of no use here: keeps their attributes, does nothing."""


_INERT: list[Any] = [
    argparse.Namespace,  # fairseq's training arguments
    *((_Inert, f"fairseq.meters.{name}") for name in ("AverageMeter", "StopwatchMeter", "TimeMeter")),
]
"""All that a pickle may hold beside tensors and plain data: classes without behaviour."""


def _unpickled(path: Path) -> Found:
    """What `torch.save` wrote: a dict of tensors, or one under "state_dict" or (with "args") "model"."""
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            path.open("rb") as opened,  # by its content, not its name
            torch.serialization.safe_globals(_INERT),
        ):
            content: Any = torch.load(opened, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is refused: it is a pickle of more than tensors, and loading it can run code; "
            "save its state_dict alone"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is not a complete file of torch.save ({error})") from error
    state, arguments = content, None
    if isinstance(content, Mapping):
        nested = "model" if isinstance(content.get("model"), Mapping) else "state_dict"
        state, arguments = content.get(nested, content), content.get("args")
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path} holds a {type(state).__name__} instead of a dict of tensors")
    if others := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise CheckpointError(f"{path}: {others[0]!r} is no tensor but a {type(state[others[0]]).__name__}")
    known = vars(arguments) if isinstance(arguments, argparse.Namespace) else {}
    return Found({str(name): tensor for name, tensor in state.items()}, arguments=known)


def _refuse(net: "SuperNetwork", path: Path, found: Found, problems: Sequence[str]) -> None:
    if problems:
        raise CheckpointError(f"{path} does not fit {net.title}: {_origin(found)}; {'; '.join(problems)}")


def _torn(found: Mapping[str, Tensor], copies: Mapping[str, str]) -> list[str]:
    """Names of one tensor that hold different ones."""
    torn = [name for name, first in copies.items() if name in found and not torch.equal(found[name], found[first])]
    return [f"{name} differs from {copies[name]}, which should be the same tensor" for name in torn]


def _origin(found: Found) -> str:
    if "supernet" in found.header:
        return f"it was written for {found.header.get('title', found.header['supernet'])}"
    guess = recognised({name: tuple(tensor.shape) for name, tensor in found.tensors.items()})
    trained = "".join(
        f", {what} {found.arguments[name]}" for name, what in _TOLD.items() if found.arguments.get(name) is not None
    )
    return f"it looks like {guess or 'no super-network that is known here'}{trained}"


def _differences(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], allowed: Collection[str]) -> list[str]:
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in expected
        if name in found and found[name].shape != expected[name].shape
    ]
    groups = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in allowed],
        "of another shape": misshapen,
    }
    return [
        f"{len(names)} {what}: {', '.join(names[:_MOST_LISTED])}{', ...' if len(names) > _MOST_LISTED else ''}"
        for what, names in groups.items()
        if names
    ]
