"""What can be searched: search spaces, super-networks and their families, tasks, training, extraction."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from supernet.architecture import Architecture, ArchitectureError
from supernet.space import Choice, SearchSpace, When, within_depth

if TYPE_CHECKING:
    from supernet.checkpoint import CheckpointError
    from supernet.network import SuperNetwork
    from supernet.recalibration import recalibrate
    from supernet.registry import available, create, register

__all__ = [
    "Architecture",
    "ArchitectureError",
    "CheckpointError",
    "Choice",
    "SearchSpace",
    "SuperNetwork",
    "When",
    "available",
    "create",
    "recalibrate",
    "register",
    "within_depth",
]

_NEED_TORCH = {
    "CheckpointError": "supernet.checkpoint",
    "SuperNetwork": "supernet.network",
    "available": "supernet.registry",
    "create": "supernet.registry",
    "recalibrate": "supernet.recalibration",
    "register": "supernet.registry",
}


def __getattr__(name: str) -> Any:
    """Imports what needs torch when it is first asked for: spaces and searches start without it."""
    if name not in _NEED_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NEED_TORCH[name]), name)
