"""Which rows of a front to deploy."""

import logging
from collections.abc import Iterable
from typing import Any

from omegaconf import ListConfig

from search.apps.constraints import parsed
from search.errors import SearchError

logger = logging.getLogger(__name__)

Choice = str | int | list[int] | ListConfig | None
"""Of ranks of a front: "ends" (fastest, middle and most accurate), "all", "none", one rank or several; None: none."""


def require_choice(choice: Choice, setting: str = "deploy") -> None:
    """Raises SearchError, which names the setting, unless this is a choice of ranks."""
    if choice in (None, "none", "all", "ends"):
        return
    ranks: Any = choice if isinstance(choice, (list, ListConfig)) else [choice]
    if any(isinstance(rank, bool) or not isinstance(rank, int) or rank < 0 for rank in ranks):
        raise SearchError(f"{setting} must be ends, all, none or ranks of the front as in [0,3], got {choice!r}")


def chosen_ranks(choice: Choice, n_front: int) -> list[int]:
    """Ranks of a front of this length; those beyond it are left out with a warning."""
    require_choice(choice)
    if choice in (None, "none") or n_front == 0:
        return []
    if choice == "all":
        return list(range(n_front))
    if choice == "ends":
        return sorted({0, n_front // 2, n_front - 1})
    wanted = [choice] if isinstance(choice, int) else [rank for rank in choice or [] if isinstance(rank, int)]
    if beyond := [rank for rank in wanted if rank >= n_front]:
        logger.warning("not deployed: ranks %s; the front has %d sub-networks", beyond, n_front)
    return [rank for rank in wanted if rank < n_front]


def of_device(setting: Any, device: str, devices: Iterable[str], name: str) -> Any:
    """A setting's value for one device: its own out of a mapping by device, or the one for all.

    Raises SearchError, which calls the setting by `name`, for a mapping that names a device there is not.
    """
    if not hasattr(setting, "keys"):
        return setting
    if unknown := [key for key in setting if key not in set(devices)]:
        raise SearchError(f"{name}: unknown device {unknown[0]!r}; there are {', '.join(devices)}")
    return setting.get(device)


def where_of(where: str, device: str, devices: list[str]) -> dict[str, tuple[str, float]]:
    """Constraints that hold for one device: those of all, and those of its own as in `latency@phone <= 5`.

    Raises SearchError for one of a device there is not, ConstraintError for what cannot be read.
    """
    found: dict[str, tuple[str, float]] = {}
    for name, bound in parsed(where).items():
        quantity, _, of = name.partition("@")
        if of and of not in devices:
            raise SearchError(f"where: unknown device {of!r} in {name!r}; this search was for {', '.join(devices)}")
        if of in ("", device) and not (of == "" and quantity in found):  # a device's own goes before that of all
            found[quantity] = bound
    return found
