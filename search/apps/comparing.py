"""Measures what a report compares the front with."""

import logging
from collections.abc import Sequence

from search.engines import Engine, Job
from search.objective import Objective
from search.records import Measurement
from search.store import Store
from supernet import Architecture

logger = logging.getLogger(__name__)


def measure(
    architecture: Architecture, objectives: Sequence[Objective], store: Store, engine: Engine, *, retry_failed: bool
) -> None:
    """Measures those expensive objectives of an architecture that a store lacks; `retry_failed`: or that failed."""
    jobs = []
    for objective in objectives:
        known = store.find(objective.name, objective.scope, [architecture]).get(architecture)
        if objective.expensive and (known is None or (retry_failed and known.error is not None)):
            jobs.append(Job(architecture, objective))
    for outcome in engine.measure(jobs):
        name, scope = outcome.job.objective.name, outcome.job.objective.scope
        store.record(Measurement(architecture, name, scope, outcome.value, outcome.error, outcome.seconds))
        if outcome.error is not None:
            logger.warning("the largest sub-network: %s: %s", name, outcome.error)
