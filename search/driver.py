"""The one loop behind every tactic: propose, commit, measure, commit, until the budget is spent."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from search.engine import Engine, Job, Outcome
from search.errors import SearchError
from search.history import History
from search.objective import Objective
from search.problem import Problem, Values
from search.progress import Progress
from search.result import Result
from search.sampling import require_admissible
from search.store import Measurement, Store, Study, Trial
from search.tactics import Proposal, Tactic
from supernet.architecture import Architecture
from supernet.space import Genes

logger = logging.getLogger("search")


@dataclass
class Driver:
    """Carries one study to its budget. What is decided depends on the store and the seed alone, so it can resume.

    Each proposal draws from a generator seeded with the seed and the number of trials so far.
    """

    problem: Problem
    tactic: Tactic
    store: Store
    study: Study
    engine: Engine
    budget: int
    seed: int
    progress: Progress
    _trials: list[Trial] = field(default_factory=list)
    _errors: list[str | None] = field(default_factory=list)

    def run(self) -> Result:
        """Finishes what the store holds of this study, then goes on.

        Raises SearchError where all of the first batch failed, and ConstraintError where nothing is admissible.
        """
        stored = self.store.trials(self.study)[: self.budget]
        if not stored:
            require_admissible(self.problem, np.random.default_rng([self.seed]))
        history = History.empty(self.problem)
        for _, batch in groupby(stored, key=lambda trial: trial.batch):
            history = self._evaluated(history, list(batch))
        ended = f"the budget of {self.budget} evaluations is spent"
        while len(history) < self.budget:
            batch_ = self._proposed(history)
            if not batch_:
                ended = f"no further admissible architecture was found after {len(history)} evaluations"
                logger.warning("search ended early: %s", ended)
                break
            history = self._evaluated(history, batch_)
        self._report_failures(history)
        return Result(history, self._predicted(), tuple(self._errors), self.study.identity, ended)

    def _proposed(self, history: History) -> list[Trial]:
        """The next batch, committed to the store; empty where the tactic has nothing new."""
        start = len(history)
        n = min(self.study.batch_size, self.budget - start)
        proposal = self.tactic.propose(history, n, np.random.default_rng([self.seed, start]))
        genes, predicted = self._cleaned(history, proposal, n)
        number = int(history.batches[-1]) + 1 if start else 0
        batch = [
            Trial(start + i, number, architecture, self._named(row))
            for i, (architecture, row) in enumerate(zip(self.problem.space.decode(genes), predicted, strict=True))
        ]
        if not batch:
            return []
        held = self.store.add_batch(self.study, batch)[: self.budget - start]
        return [trial for trial in held if trial.batch == held[0].batch]

    def _cleaned(self, history: History, proposal: Any, n: int) -> tuple[Genes, Values]:
        """Canonical genes, distinct, unseen and admissible, and what was predicted for them."""
        space = self.problem.space
        if not isinstance(proposal, Proposal):
            given = proposal if isinstance(proposal, np.ndarray) else space.encode(list(proposal))
            proposal = Proposal(given)
        genes = space.canonical(proposal.genes)
        predicted = proposal.predicted
        if predicted is None:
            predicted = np.full((len(genes), len(self.problem.objectives)), np.nan)
        first = np.sort(np.unique(genes, axis=0, return_index=True)[1])
        rows = first[~history.seen(genes[first])]
        rows = rows[self.problem.admissible(genes[rows])][:n]
        return genes[rows], predicted[rows]

    def _named(self, predicted: Any) -> dict[str, float]:
        pairs = zip(self.problem.objectives, predicted.tolist(), strict=True)
        return {o.name: value for o, value in pairs if o.expensive and np.isfinite(value)}

    def _evaluated(self, history: History, batch: list[Trial]) -> History:
        """The history with a batch, measured where the store does not know it yet."""
        board = _Board.of(self.problem, self.store, batch)
        for outcome in self.engine.measure(board.missing()):
            board.fill(self.store.record(_measurement(outcome)))
            self.progress.update(history.extended(*board.complete(), batch[0].batch))
        if next(iter(board.missing()), None) is not None:
            raise RuntimeError(f"{type(self.engine).__name__} left measurements out")
        grown = history.extended(board.genes, board.values, batch[0].batch)
        self.progress.update(grown)
        self._trials += batch
        self._errors += board.errors()
        if not len(history) and not grown.measured.any():
            raise SearchError(
                f"all {len(batch)} architectures of the first batch failed; the first error: {self._errors[0]}. "
                f"What was recorded stays in the store"
            )
        return grown

    def _predicted(self) -> Values:
        rows = [[t.predicted.get(name, np.nan) for name in self.problem.names] for t in self._trials]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.problem.names))

    def _report_failures(self, history: History) -> None:
        failed = [error for error in self._errors if error is not None]
        if failed:
            logger.warning("%d of %d architectures failed; the first error: %s", len(failed), len(history), failed[0])


@dataclass
class _Board:
    """A batch under measurement: which values are known so far."""

    objectives: Sequence[Objective]
    architectures: list[Architecture]
    genes: Genes
    values: Values
    found: dict[tuple[Architecture, str], Measurement]

    @classmethod
    def of(cls, problem: Problem, store: Store, batch: Sequence[Trial]) -> "_Board":
        architectures = [trial.architecture for trial in batch]
        genes = problem.space.encode(architectures)
        objectives = [o for o in problem.objectives if o.expensive]
        board = cls(problem.objectives, architectures, genes, problem.cheap_values(genes), {})
        for objective in objectives:
            for measurement in store.find(objective.name, objective.scope, architectures).values():
                board.fill(measurement)
        return board

    def fill(self, measurement: Measurement) -> None:
        row = self.architectures.index(measurement.architecture)
        column = [o.name for o in self.objectives].index(measurement.objective)
        self.values[row, column] = measurement.value
        self.found[measurement.architecture, measurement.objective] = measurement

    def missing(self) -> list[Job]:
        return [Job(a, o) for a in self.architectures for o in self._expensive if (a, o.name) not in self.found]

    def complete(self) -> tuple[Genes, Values]:
        """Genes and values of the rows of which everything is known."""
        rows = [all((a, o.name) in self.found for o in self._expensive) for a in self.architectures]
        return self.genes[rows], self.values[rows]

    def errors(self) -> list[str | None]:
        return [self._error(architecture) for architecture in self.architectures]

    @property
    def _expensive(self) -> list[Objective]:
        return [o for o in self.objectives if o.expensive]

    def _error(self, architecture: Architecture) -> str | None:
        found = [self.found[architecture, o.name] for o in self._expensive]
        return "; ".join(f"{m.objective}: {m.error}" for m in found if m.error is not None) or None


def _measurement(outcome: Outcome) -> Measurement:
    objective = outcome.job.objective
    return Measurement(
        outcome.job.architecture, objective.name, objective.scope, outcome.value, outcome.error, outcome.seconds
    )


def identity_of(problem: Problem, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What makes two searches of one space the same study, as JSON-compatible data."""
    return {
        "objectives": [
            {"name": o.name, "goal": o.goal, "expensive": o.expensive, "scope": o.scope} for o in problem.objectives
        ],
        "constraints": [str(constraint) for constraint in problem.constraints],
        **settings,
    }
