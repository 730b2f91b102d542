"""The one loop behind every tactic: propose, commit, measure, commit, until the budget is spent."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.engines import Engine, Job, Outcome
from search.errors import SearchError
from search.history import History
from search.ledger import Ledger
from search.prior import Prior
from search.problem import Problem, Values
from search.progress import Progress
from search.records import Measurement, Study, Trial
from search.result import Result
from search.rows import first_rows
from search.sampling import require_admissible
from search.store import Store
from search.tactics import Tactic, ask
from supernet.space import Genes

logger = logging.getLogger("search")
_WORKERS_PER_PROPOSAL = 8


@dataclass
class Driver:
    """Runs one study until its budget is spent. All decisions follow from store and seed, so a killed run can resume.

    Each proposal draws from a generator that is seeded with the seed and the number of trials so far.

    Args:
        problem: its expensive descriptors are kept in the store.
        tactic: proposes what to measure.
        store: bound to the problem's space.
        study: in that store; its trials are continued.
        engine: measures.
        budget: number of architectures to evaluate, failed ones included, those of a warm start not.
        seed: at least 0.
        progress: is called with the history after each evaluation.
        asynchronous: True: a proposal is made whenever a worker is free, while others still measure; False: batch by
            batch.
        priors: by expensive objective, measurements from elsewhere that inform the tactic.
    """

    problem: Problem
    tactic: Tactic
    store: Store
    study: Study
    engine: Engine
    budget: int
    seed: int
    progress: Progress
    asynchronous: bool = False
    priors: Mapping[str, tuple[Prior, ...]] = field(default_factory=dict)
    ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.problem, self.store, self.priors)

    def run(self) -> Result:
        """Measures what the stored trials of the study lack, then proposes and measures new ones.

        Raises SearchError where all of the first batch failed, ConstraintError where no architecture is admissible,
        RuntimeError where the engine left measurements out.
        """
        stored = self.store.trials(self.study)
        self.ledger.add(stored[: self.budget + sum(trial.batch < 0 for trial in stored)])
        if not self.ledger.n_proposed:
            require_admissible(self.problem, np.random.default_rng([self.seed]))
        self._show()
        before = None
        while before != (len(self.ledger.trials), 0):  # a round that neither proposes nor measures is the last one
            before = (len(self.ledger.trials), self.ledger.n_pending)
            for outcome in self.engine.measure(self._jobs()):
                self._take(outcome)
            if self.ledger.n_pending:
                raise RuntimeError(f"{type(self.engine).__name__} left measurements out")
        self._require_some_success()
        self._report_failures()
        history = self.ledger.history
        return Result(history, self.ledger.predicted, tuple(self.ledger.errors), self.study.identity, self._ending())

    def _jobs(self) -> Iterator[Job]:
        """Measurements to make: those that earlier proposals lack, then those of new proposals.

        Ends after one proposal, or, if asynchronous, when the budget is spent.
        """
        yield from self.ledger.jobs()
        while self._n_left > 0 and (self.asynchronous or not self.ledger.n_pending):
            first = len(self.ledger.trials)
            self.ledger.add(self._proposed())
            if len(self.ledger.trials) == first:
                break
            if self.ledger.done[first:].any():  # the store held their measurements
                self._show()
            yield from self.ledger.jobs(first)

    def _take(self, outcome: Outcome) -> None:
        if self.ledger.fill(self.store.record(_measurement(outcome))):
            self._show()

    def _show(self) -> None:
        history = self.ledger.history
        if len(history):
            self.progress.update(history)

    def _proposed(self) -> list[Trial]:
        """The next trials, committed to the store; empty if the tactic proposes nothing new."""
        self._require_some_success()
        history, start = self.ledger.history, len(self.ledger.trials)
        n = min(self._n_wanted(), self._n_left)
        proposal = ask(self.tactic, history, n, np.random.default_rng([self.seed, start]))
        genes, predicted = self._cleaned(history, proposal.genes, proposal.predicted, n)
        number = self.ledger.trials[-1].batch + 1 if start else 0
        batch = [
            Trial(start + i, number, architecture, self._named(row))
            for i, (architecture, row) in enumerate(zip(self.problem.space.decode(genes), predicted, strict=True))
        ]
        return self.store.add_batch(self.study, batch)[: self._n_left] if batch else []

    @property
    def _n_left(self) -> int:
        return self.budget - self.ledger.n_proposed

    def _n_wanted(self) -> int:
        """Architectures per proposal: a batch; if asynchronous, after the first batch, a few for the free workers."""
        if not self.asynchronous:
            return self.study.batch_size
        workers = n_workers(self.engine)
        return (
            max(1, workers // _WORKERS_PER_PROPOSAL) if self.ledger.n_proposed else max(self.study.batch_size, workers)
        )

    def _cleaned(self, history: History, genes: Genes, predicted: Values | None, n: int) -> tuple[Genes, Values]:
        """The first `n` proposed genes that are distinct, unseen and admissible, and what was predicted for them."""
        if predicted is None:
            predicted = np.full((len(genes), len(self.problem.objectives)), np.nan)
        first = first_rows(genes)
        rows = first[~history.seen(genes[first])]
        rows = rows[self.problem.admissible(genes[rows])][:n]
        return genes[rows], predicted[rows]

    def _named(self, predicted: Any) -> dict[str, float]:
        pairs = zip(self.problem.objectives, predicted.tolist(), strict=True)
        return {o.name: value for o, value in pairs if o.expensive and np.isfinite(value)}

    def _require_some_success(self) -> None:
        """Raises SearchError if the whole first batch is evaluated, and all of it failed."""
        history = self.ledger.history
        first = self.ledger.trials[0].batch if self.ledger.trials else 0
        if not len(history) or (history.pending_batches == first).any():
            return
        if not any(view.measured.any() for view in history.views):
            error = next(error for error in self.ledger.errors if error is not None)
            raise SearchError(
                f"all {int((history.batches == first).sum())} architectures of the first batch failed; "
                f"the first error: {error}. The store remembers them: with retry_failed they are measured again"
            )

    def _ending(self) -> str:
        if self._n_left <= 0:
            return f"the budget of {self.budget} evaluations is spent"
        ended = f"no further admissible architecture was found after {self.ledger.n_proposed} evaluations"
        logger.warning("search ended early: %s", ended)
        return ended

    def _report_failures(self) -> None:
        known = zip(self.ledger.errors, self.ledger.history.measured.tolist(), strict=True)
        errors = [(measured, error) for error, measured in known if error is not None]
        for partly, what in ((False, "failed"), (True, "have no value for one of the devices")):
            if found := [error for measured, error in errors if measured == partly]:
                text = "%d of %d architectures %s; the first error: %s"
                logger.warning(text, len(found), len(self.ledger.trials), what, found[0])


def n_workers(engine: Engine) -> int:
    """Number of measurements that an engine makes at once."""
    return int(getattr(engine, "workers", 1))


def _measurement(outcome: Outcome) -> Measurement:
    objective = outcome.job.objective
    return Measurement(
        outcome.job.architecture, objective.name, objective.scope, outcome.value, outcome.error, outcome.seconds
    )
