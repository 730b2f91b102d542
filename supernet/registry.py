"""Super-networks by name: every module in `supernet.families` registers its own."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from supernet.checkpoint import CheckpointError
from supernet.names import Registry
from supernet.network import SuperNetwork

Factory = TypeVar("Factory", bound=Callable[..., SuperNetwork])

_factories: Registry[Callable[..., SuperNetwork]] = Registry("super-network", package="supernet.families")


def register(name: str) -> Callable[[Factory], Factory]:
    """Class or function decorator: makes `create(name, **settings)` call what it decorates.

    Raises ValueError if another class or function already has the name.
    """
    return _factories.register(name)


def available() -> list[str]:
    """Names that `create` takes."""
    return _factories.names()


def create(name: str, *, checkpoint: str | Path | None = None, **settings: Any) -> SuperNetwork:
    """A super-network with the weights of `checkpoint`, or else random ones.

    Args:
        name: one of `available()`.
        checkpoint: a file for `SuperNetwork.load_checkpoint`; "embedded": the weights that come with this package.
        settings: the family's own arguments.

    Raises ValueError for an unknown name, CheckpointError for a file that does not fit.
    """
    net = _factories.find(name)(**settings)
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
