"""Engines make measurements: in this process, in several processes, or on a Ray cluster."""

from search.engines.base import Engine, Job, Outcome, perform
from search.engines.local import LocalEngine
from search.engines.pool import Pool
from search.engines.processes import ProcessEngine
from search.engines.ray import RayEngine

__all__ = ["Engine", "Job", "LocalEngine", "Outcome", "Pool", "ProcessEngine", "RayEngine", "perform"]
