"""Tactics decide from the history what to measure next. A module in this package, or `register`, adds one."""

import importlib
import inspect
import pkgutil
from typing import Any

from search.errors import SearchError
from search.tactics.base import Proposal, Tactic, ask, default_batch_size, register, registered

__all__ = ["Proposal", "Tactic", "ask", "available", "create", "default_batch_size", "register", "settings_of"]


def available() -> list[str]:
    """Names that `create` takes, sorted."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(registered)


def settings_of(name: str) -> list[str]:
    """Names of the settings that `create(name, ...)` takes. Raises SearchError naming the tactics that exist."""
    if not _known(name):
        raise SearchError(f"unknown tactic {name!r}: available are {', '.join(available())}")
    return list(inspect.signature(registered[name]).parameters)


def create(name: str, **settings: Any) -> Tactic:
    """A tactic by name, with settings of its own. Raises SearchError naming the tactics or settings that exist."""
    known = settings_of(name)
    if unknown := [setting for setting in settings if setting not in known]:
        raise SearchError(f"tactic {name!r} has no setting {unknown[0]!r}: it has {', '.join(known) or 'none'}")
    return registered[name](**settings)


def _known(name: str) -> bool:
    """Whether there is such a tactic; imports only the module of that name if it can, as others take a second."""
    if name not in registered and any(module.name == name for module in pkgutil.iter_modules(__path__)):
        importlib.import_module(f"{__name__}.{name}")
    return name in registered or name in available()
