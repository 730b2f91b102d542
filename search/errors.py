"""What a user can get wrong: every class is a `SearchError`, itself a ValueError."""

from typing import Any

import numpy as np


class SearchError(ValueError):
    """A search cannot be run as asked, or cannot go on."""


class ConstraintError(SearchError):
    """A constraint is malformed, or no architecture meets it."""


class StoreError(SearchError):
    """A file is no store, belongs to another search space, or cannot be read or written."""


def require_count(name: str, value: Any, least: int) -> None:
    """Raises SearchError unless `value`, which the message calls `name`, is an integer of at least `least`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < least:
        raise SearchError(f"{name} must be an integer of at least {least}, got {value!r}")
