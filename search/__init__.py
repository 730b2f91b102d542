"""Hardware-aware multi-objective search over the sub-networks of a super-network."""

from search import tactics
from search.api import run
from search.descriptors import Descriptor, Descriptors, cost_descriptors, proxy_descriptors
from search.engines import Engine, Job, LocalEngine, Outcome, ProcessEngine, RayEngine
from search.errors import ConstraintError, SearchError, StoreError
from search.history import History
from search.objective import Constraint, Objective
from search.pareto import hypervolume, non_dominated
from search.problem import Problem
from search.records import Measurement, Study, Trial
from search.result import Result
from search.sources import Source
from search.store import Store
from search.tactics import Proposal, Tactic

__all__ = [
    "Constraint",
    "ConstraintError",
    "Descriptor",
    "Descriptors",
    "Engine",
    "History",
    "Job",
    "LocalEngine",
    "Measurement",
    "Objective",
    "Outcome",
    "Problem",
    "ProcessEngine",
    "Proposal",
    "RayEngine",
    "Result",
    "SearchError",
    "Source",
    "Store",
    "StoreError",
    "Study",
    "Tactic",
    "Trial",
    "cost_descriptors",
    "hypervolume",
    "non_dominated",
    "proxy_descriptors",
    "run",
    "tactics",
]
