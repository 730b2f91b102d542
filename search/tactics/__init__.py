"""Tactics decide from the history what to measure next. A module in this package, or `register`, adds one."""

import inspect
from collections.abc import Callable
from typing import Any

from search.errors import SearchError
from search.tactics.base import Proposal, Tactic, ask, default_batch_size, register, registry

__all__ = ["Proposal", "Tactic", "ask", "available", "create", "default_batch_size", "register", "settings_of"]


def available() -> list[str]:
    """Names that `create` takes, sorted."""
    return registry.names()


def settings_of(name: str) -> list[str]:
    """Names of the settings that `create(name, ...)` takes. Raises SearchError naming the tactics that exist."""
    return list(inspect.signature(_find(name)).parameters)


def create(name: str, **settings: Any) -> Tactic:
    """A tactic by name, with settings of its own. Raises SearchError naming the tactics or settings that exist."""
    known = settings_of(name)
    if unknown := [setting for setting in settings if setting not in known]:
        raise SearchError(f"tactic {name!r} has no setting {unknown[0]!r}: it has {', '.join(known) or 'none'}")
    return _find(name)(**settings)


def _find(name: str) -> Callable[..., Tactic]:
    try:
        return registry.find(name)
    except ValueError as error:
        raise SearchError(str(error)) from None
