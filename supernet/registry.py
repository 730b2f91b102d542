"""Super-networks by name: every module in `supernet.families` registers its own."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from supernet.network import SuperNetwork

Factory = TypeVar("Factory", bound=Callable[..., SuperNetwork])

_factories: dict[str, Callable[..., SuperNetwork]] = {}


def register(name: str) -> Callable[[Factory], Factory]:
    """Class or function decorator: makes `create(name, **settings)` call what it decorates."""

    def remember(factory: Factory) -> Factory:
        _factories[name] = factory
        return factory

    return remember


def available() -> list[str]:
    """Names that `create` takes."""
    package = importlib.import_module("supernet.families")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"supernet.families.{module.name}")
    return sorted(_factories)


def create(name: str, **settings: Any) -> SuperNetwork:
    """A super-network with random weights (or the family's embedded ones); `settings` are the family's arguments.

    Raises ValueError for an unknown name.
    """
    names = available()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"unknown super-network {name!r}: available are {', '.join(names)}{hint}")
    return _factories[name](**settings)
