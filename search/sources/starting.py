"""Writes the values of a warm start into the store, before the first proposal of a study."""

import logging
from collections.abc import Mapping, Sequence

from search.problem import Problem
from search.records import Measurement, PriorValue, Study, Trial
from search.sources.base import KnownValue
from search.store import Store
from supernet.architecture import Architecture

logger = logging.getLogger("search")


def begin(store: Store, study: Study, problem: Problem, values_by_source: Mapping[str, Sequence[KnownValue]]) -> None:
    """Commits values that count as measured as measurements, and all others as prior values of the study.

    Architectures of which every expensive objective is measured so become trials of batch -1.

    Args:
        store: bound to the problem's space.
        study: in this store; nothing is changed where it has begun already.
        problem: of the study.
        values_by_source: as `search.sources.read` returns them.
    """
    scope_of = {objective.name: objective.scope for objective in problem.objectives if objective.expensive}
    measured: dict[Architecture, set[str]] = {}
    prior_values: list[PriorValue] = []
    for source, values in values_by_source.items():
        for known in values:
            if known.same:
                scope = scope_of[known.objective]
                store.record(Measurement(known.architecture, known.objective, scope, known.value, None, 0.0))
                measured.setdefault(known.architecture, set()).add(known.objective)
            else:
                prior_values.append(PriorValue(known.objective, source, known.architecture, known.value))
        n_same = sum(known.same for known in values)
        text = "warm start from %s: %d measured as here count, %d measured otherwise tell what is promising"
        logger.info(text, source, n_same, len(values) - n_same)
    complete = [architecture for architecture, names in measured.items() if names == scope_of.keys()]
    store.begin(study, [Trial(i, -1, architecture) for i, architecture in enumerate(complete)], prior_values)
