"""What can be searched: search spaces, super-networks and their families, tasks, training, extraction."""

from supernet.architecture import Architecture, ArchitectureError
from supernet.space import Choice, SearchSpace, When, within_depth

__all__ = ["Architecture", "ArchitectureError", "Choice", "SearchSpace", "When", "within_depth"]
