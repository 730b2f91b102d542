"""Super-networks by name: every module in `supernet.families` registers its own."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from supernet.checkpoint import CheckpointError
from supernet.names import remember
from supernet.network import SuperNetwork

Factory = TypeVar("Factory", bound=Callable[..., SuperNetwork])

_factories: dict[str, Callable[..., SuperNetwork]] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Class or function decorator: makes `create(name, **settings)` call what it decorates.

    Raises ValueError if another class or function already has the name.
    """

    def add(factory: Factory) -> Factory:
        if not factory.__module__.startswith("supernet."):
            available()  # before a name of ours is taken
        remember(name, factory, _factories)
        return factory

    return add


def available() -> list[str]:
    """Names that `create` takes."""
    package = importlib.import_module("supernet.families")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"supernet.families.{module.name}")
    return sorted(_factories)


def create(name: str, *, checkpoint: str | Path | None = None, **settings: Any) -> SuperNetwork:
    """A super-network with the weights of `checkpoint`, or else random ones.

    Args:
        name: one of `available()`.
        checkpoint: a file for `SuperNetwork.load_checkpoint`; "embedded": the weights that come with this package.
        settings: the family's own arguments.

    Raises ValueError for an unknown name, CheckpointError for a file that does not fit.
    """
    names = available()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown super-network {name!r}: available are {', '.join(names)}{hint}")
    net = _factories[name](**settings)
    if checkpoint == "embedded":
        net.load_checkpoint(_embedded(name))
    elif checkpoint is not None:
        net.load_checkpoint(checkpoint)
    return net


def _embedded(name: str) -> Path:
    folder = Path(str(files("supernet") / "weights"))
    if not (folder / f"{name}.safetensors").is_file():
        have = ", ".join(sorted(path.stem for path in folder.glob("*.safetensors"))) or "none"
        raise CheckpointError(f"no weights of {name!r} come with this package (have: {have}); give checkpoint=PATH")
    return folder / f"{name}.safetensors"
