"""Turns what was read from elsewhere into the beginning of a study."""

from collections.abc import Mapping, Sequence

from search.problem import Problem
from search.sources.base import Known
from search.store import Measurement, Store, Study, Told, Trial
from supernet.architecture import Architecture


def begin(store: Store, study: Study, problem: Problem, found: Mapping[str, Sequence[Known]]) -> None:
    """Commits measurements of equal scope as such, and the others as what the study was told.

    Architectures of which every expensive objective is measured become trials of batch -1.

    Args:
        store: of the study.
        study: one that has not begun; nothing happens where it has meanwhile.
        problem: of the study.
        found: values by source, see `search.sources.read`.
    """
    scope_of = {objective.name: objective.scope for objective in problem.objectives if objective.expensive}
    measured: dict[Architecture, set[str]] = {}
    told: list[Told] = []
    for source, values in found.items():
        for known in values:
            if known.same:
                scope = scope_of[known.objective]
                store.record(Measurement(known.architecture, known.objective, scope, known.value, None, 0.0))
                measured.setdefault(known.architecture, set()).add(known.objective)
            else:
                told.append(Told(known.objective, source, known.architecture, known.value))
    complete = [architecture for architecture, names in measured.items() if names == scope_of.keys()]
    store.begin(study, [Trial(i, -1, architecture) for i, architecture in enumerate(complete)], told)
