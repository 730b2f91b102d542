"""Finds out before anything that takes long whether a task gives the metric that is searched for."""

import logging
import time

from search.apps.setup import Setup
from search.records import Measurement
from search.store import Store
from supernet.tasks import MetricError, require_metric

logger = logging.getLogger(__name__)


def try_metric(setup: Setup, store: Store) -> None:
    """Validates the smallest sub-network where nothing else tells whether the task gives the metric; the value counts.

    Nothing is done where the task lists its metrics, or the store has a value. What fails for other reasons is left to
    the search.

    Raises MetricError for a metric that the task does not give.
    """
    name, smallest = setup.accuracy_among([*setup.optimised, *setup.bounded]), setup.net.smallest
    if name is None or require_metric(setup.task, setup.metric):
        return
    objective = next(objective for objective in setup.objectives if objective.name == name)
    if any(known.error is None for known in store.measurements(name, objective.scope)):
        return
    logger.info("%s does not list its metrics: validating the smallest sub-network first", setup.task.name)
    started = time.perf_counter()
    try:
        value = float(objective.values([smallest])[0])
    except MetricError:
        raise
    except Exception as error:
        logger.warning("the smallest sub-network cannot be validated: %s", error)
        return
    store.record(Measurement(smallest, name, objective.scope, value, None, time.perf_counter() - started))
