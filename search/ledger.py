"""What one study has proposed so far, and what is known of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from search.engines import Job
from search.history import History
from search.objective import Objective
from search.prior import Prior
from search.problem import Problem, Values
from search.store import Measurement, Store, Trial
from supernet.architecture import Architecture
from supernet.space import Genes


@dataclass
class Ledger:
    """Trials in order, filled in as measurements become known. A trial is done when all its objectives are known."""

    problem: Problem
    store: Store
    priors: Mapping[str, tuple[Prior, ...]] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    _genes: Genes = field(init=False)
    _values: Values = field(init=False)
    _row_of: dict[Architecture, int] = field(default_factory=dict)
    _found: list[dict[str, Measurement]] = field(default_factory=list)

    def __post_init__(self) -> None:
        empty = History.empty(self.problem)
        self._genes, self._values = empty.genes, empty.values

    def add(self, trials: Sequence[Trial]) -> None:
        """Appends trials, with what the store knows of them."""
        architectures = [trial.architecture for trial in trials]
        genes = self.problem.space.encode(architectures)
        self._row_of |= {architecture: len(self.trials) + i for i, architecture in enumerate(architectures)}
        self.trials += trials
        self._found += [{} for _ in trials]
        self._genes = np.concatenate([self._genes, genes])
        self._values = np.concatenate([self._values, self.problem.cheap_values(genes)])
        for objective in self._expensive:
            self._look_up(objective, architectures)

    def fill(self, measurement: Measurement) -> bool:
        """Takes note of a measurement; whether its trial is done with it."""
        row = self._row_of[measurement.architecture]
        self._found[row][measurement.objective] = measurement
        self._values[row, self.problem.names.index(measurement.objective)] = measurement.value
        return len(self._found[row]) == len(self._expensive)

    def jobs(self, first: int = 0) -> Iterator[Job]:
        """What is not known from trial `first` on, each as others may have left it by then."""
        for trial, found in zip(self.trials[first:], self._found[first:], strict=True):
            for objective in self._expensive:
                if objective.name not in found:
                    self._look_up(objective, [trial.architecture])
                if objective.name not in found:
                    yield Job(trial.architecture, objective)

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which trials are, shape (n_trials,)."""
        return np.array([len(found) == len(self._expensive) for found in self._found], dtype=bool)

    @property
    def n_pending(self) -> int:
        """Trials that are not done."""
        return int(np.count_nonzero(~self.done))

    @property
    def n_proposed(self) -> int:
        """Trials that cost something: all but those known before."""
        return sum(trial.batch >= 0 for trial in self.trials)

    @property
    def history(self) -> History:
        """For tactics: trials that are done, in order of proposal, and the others as pending."""
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
        """What was predicted when each trial was proposed, NaN where nothing was; shape (n_trials, n_objectives)."""
        rows = [[trial.predicted.get(name, np.nan) for name in self.problem.names] for trial in self.trials]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.problem.names))

    @property
    def errors(self) -> list[str | None]:
        """Why each trial that is done failed; None where it did not."""
        cheap = np.isnan(self._values) & ~self.problem.expensive  # only one device may have a value
        names = np.array(self.problem.names, dtype=object)
        return [
            "; ".join(
                [f"{name}: {m.error}" for name, m in found.items() if m.error is not None]
                + [f"{name}: not a finite number" for name in names[unknown]]
            )
            or None
            for found, unknown in zip(self._found, cheap, strict=True)
        ]

    @property
    def _expensive(self) -> list[Objective]:
        return [objective for objective in self.problem.objectives if objective.expensive]

    def _look_up(self, objective: Objective, architectures: Sequence[Architecture]) -> None:
        for measurement in self.store.find(objective.name, objective.scope, architectures).values():
            self.fill(measurement)
