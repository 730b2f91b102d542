"""What can be searched: search spaces, super-networks and their families, tasks, training, extraction."""

from supernet.architecture import Architecture, ArchitectureError
from supernet.checkpoint import CheckpointError
from supernet.network import SuperNetwork
from supernet.recalibration import recalibrate
from supernet.registry import available, create, register
from supernet.space import Choice, SearchSpace, When, within_depth

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
