"""Classes and functions that are found by name."""

from collections.abc import MutableMapping
from typing import Any


def remember(name: str, thing: Any, table: MutableMapping[str, Any]) -> None:
    """Puts a class or function into a table. Raises ValueError if another one already has the name there.

    One of the same name in code is the same one, defined anew: in a notebook, for example.
    """
    known = table.get(name)
    if known is not None and known.__qualname__ != thing.__qualname__:
        raise ValueError(f"{name!r} is already {known.__module__}.{known.__qualname__}: choose another name")
    table[name] = thing
