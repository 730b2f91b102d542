"""The trials of one study and the measurements of them that are known, as the driver keeps them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search.engines import Job
from search.history import History
from search.objective import Objective
from search.prior import Prior
from search.problem import Problem, Values
from search.records import Measurement, Trial
from search.store import Store
from supernet.architecture import Architecture
from supernet.space import Genes


@dataclass
class Ledger:
    """Trials in order of proposal; a trial is done once every expensive objective is measured or has failed.

    Args:
        problem: of the study.
        store: where measurements are looked up.
        priors: handed on to the history.
        trials: in order; `add` appends to them.
    """

    problem: Problem
    store: Store
    priors: Mapping[str, tuple[Prior, ...]] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    _genes: Genes = field(init=False)
    _values: Values = field(init=False)
    _row_of: dict[Architecture, int] = field(default_factory=dict)
    _measurements: list[dict[str, Measurement]] = field(default_factory=list)

    def __post_init__(self) -> None:
        empty = History.empty(self.problem)
        self._genes, self._values = empty.genes, empty.values

    def add(self, trials: Sequence[Trial]) -> None:
        """Appends trials, with the measurements of them that the store already holds."""
        architectures = [trial.architecture for trial in trials]
        genes = self.problem.space.encode(architectures)
        self._row_of |= {architecture: len(self.trials) + i for i, architecture in enumerate(architectures)}
        self.trials += trials
        self._measurements += [{} for _ in trials]
        self._genes = np.concatenate([self._genes, genes])
        self._values = np.concatenate([self._values, self.problem.cheap_values(genes)])
        for objective in self._expensive:
            self._look_up(objective, architectures)

    def fill(self, measurement: Measurement) -> bool:
        """Enters a measurement, and returns whether its trial is done now."""
        row = self._row_of[measurement.architecture]
        self._measurements[row][measurement.objective] = measurement
        self._values[row, self.problem.names.index(measurement.objective)] = measurement.value
        return len(self._measurements[row]) == len(self._expensive)

    def jobs(self, first: int = 0) -> Iterator[Job]:
        """Measurements that trials lack, from trial number `first` on.

        The store is asked again right before each, and about failures, as another process may have succeeded meanwhile.
        """
        for trial, known in zip(self.trials[first:], self._measurements[first:], strict=True):
            for objective in self._expensive:
                if objective.name not in known or known[objective.name].error is not None:
                    self._look_up(objective, [trial.architecture])
                if objective.name not in known:
                    yield Job(trial.architecture, objective)

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which trials are done, shape (n_trials,)."""
        return np.array([len(known) == len(self._expensive) for known in self._measurements], dtype=bool)

    @property
    def n_pending(self) -> int:
        """Number of trials that are not done."""
        return int(np.count_nonzero(~self.done))

    @property
    def n_proposed(self) -> int:
        """Number of trials that count towards the budget: all but those of a warm start."""
        return sum(trial.batch >= 0 for trial in self.trials)

    @property
    def history(self) -> History:
        """The history for tactics: trials that are done in order of proposal, and the others as pending."""
        done, batches = self.done, np.array([trial.batch for trial in self.trials], dtype=np.int64)
        return History(
            self.problem,
            self._genes[done],
            self._values[done],
            batches[done],
            self._genes[~done],
            batches[~done],
            self.priors,
        )

    @property
    def predicted(self) -> Values:
        """Values that the tactic predicted for each trial, shape (n_trials, n_objectives); NaN without a prediction."""
        rows = [[trial.predicted.get(name, np.nan) for name in self.problem.names] for trial in self.trials]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.problem.names))

    @property
    def errors(self) -> list[str | None]:
        """For each trial, which objectives failed and why; None for a trial that did not fail."""
        lacking = np.isnan(self._values) & ~self.problem.expensive  # cheap ones: another device has a value
        return [self._error(known, row) for known, row in zip(self._measurements, lacking, strict=True)]

    def _error(self, known: Mapping[str, Measurement], lacking: NDArray[np.bool_]) -> str | None:
        failed = [
            f"{name}: {measurement.error}" for name, measurement in known.items() if measurement.error is not None
        ]
        failed += [f"{self.problem.names[column]}: not a finite number" for column in np.flatnonzero(lacking)]
        return "; ".join(failed) or None

    @property
    def _expensive(self) -> list[Objective]:
        return [objective for objective in self.problem.objectives if objective.expensive]

    def _look_up(self, objective: Objective, architectures: Sequence[Architecture]) -> None:
        for measurement in self.store.find(objective.name, objective.scope, architectures).values():
            self.fill(measurement)
