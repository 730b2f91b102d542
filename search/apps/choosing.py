"""Chooses which sub-networks of a front to deploy."""

import logging
from collections.abc import Iterable
from typing import Any

from omegaconf import ListConfig

from search.apps.constraints import parsed
from search.errors import SearchError

logger = logging.getLogger(__name__)

Choice = str | int | list[int] | ListConfig | None
"""A choice of ranks of a front: "ends" (fastest, middle, most accurate), "all", a rank or several; "none" or None."""


def require_choice(choice: Choice, setting: str = "deploy") -> None:
    """Raises SearchError, which names the setting, for anything but a choice of ranks."""
    if choice in (None, "none", "all", "ends"):
        return
    ranks: Any = choice if isinstance(choice, (list, ListConfig)) else [choice]
    if any(isinstance(rank, bool) or not isinstance(rank, int) or rank < 0 for rank in ranks):
        raise SearchError(f"{setting} must be ends, all, none or ranks of the front as in [0,3], got {choice!r}")


def chosen_ranks(choice: Choice, n_front: int) -> list[int]:
    """The chosen ranks of a front of `n_front` sub-networks; ranks beyond it are left out with a warning."""
    require_choice(choice)
    if choice in (None, "none") or n_front == 0:
        return []
    if choice == "all":
        return list(range(n_front))
    if choice == "ends":
        return sorted({0, n_front // 2, n_front - 1})
    wanted = [choice] if isinstance(choice, int) else [rank for rank in choice or [] if isinstance(rank, int)]
    if beyond := [rank for rank in wanted if rank >= n_front]:
        logger.warning("not deployed: ranks %s; the front has ranks 0..%d", beyond, n_front - 1)
    return [rank for rank in dict.fromkeys(wanted) if rank < n_front]


def of_device(setting: Any, device: str, devices: Iterable[str], name: str) -> Any:
    """The value of a setting for one device.

    Args:
        setting: one value for all devices, or a mapping by device.
        device: its name.
        devices: names of all devices.
        name: of the setting, for messages.

    Raises SearchError for a mapping that names an unknown device.
    """
    if not hasattr(setting, "keys"):
        return setting
    if unknown := [key for key in setting if key not in set(devices)]:
        raise SearchError(f"{name}: unknown device {unknown[0]!r}; there are {', '.join(devices)}")
    return setting.get(device)


def where_of(where: str, device: str, devices: list[str]) -> dict[str, tuple[str, float]]:
    """The constraints in a text that hold for one device, by quantity: `{"latency": ("<=", 5.0)}`.

    `latency <= 5` holds for all devices, `latency@phone <= 5` for one of them, and goes before the former there.

    Raises SearchError for an unknown device, ConstraintError for a text that cannot be read.
    """
    found: dict[str, tuple[str, float]] = {}
    for name, bound in parsed(where).items():
        quantity, _, of = name.partition("@")
        if of and of not in devices:
            raise SearchError(f"where: unknown device {of!r} in {name!r}; this search was for {', '.join(devices)}")
        if of in ("", device) and not (of == "" and quantity in found):  # a device's own goes before that of all
            found[quantity] = bound
    return found
