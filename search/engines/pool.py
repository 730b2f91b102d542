"""The base of engines with several workers: hands out jobs, keeps time limits, replaces workers that die."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import cloudpickle

from search.engines.base import Job, Outcome
from search.errors import SearchError, require_count
from search.objective import Objective
from supernet.architecture import Architecture

Answer = tuple[float, str | None, float]
"""Value (NaN where the measurement failed), error and seconds, as in `Outcome`."""


class WorkerLostError(Exception):
    """A worker ended before it answered. The message says how, and continues "the worker"."""


class Worker(Protocol):
    """Measures outside this process, one job at a time."""

    @property
    def alive(self) -> bool:
        """False if it is known to have ended, as an idle worker may."""
        ...

    def begin(self, key: int, objective: bytes, architecture: Architecture) -> None:
        """Starts a job. `key` identifies the pickled objective, which has to be sent to each worker only once."""
        ...

    def answer(self) -> Answer | None:
        """Receives a message: the outcome of the job, or None, which says that its measurement has begun.

        Raises WorkerLostError if the worker has ended, SearchError if it could not start.
        """
        ...

    def stop(self) -> None:
        """Ends the worker at once, whatever it is doing."""
        ...


@dataclass
class _Running:
    """A job that a worker is carrying out; its time counts from the begin of the measurement."""

    worker: Worker
    job: Job
    began: float | None = None

    @property
    def seconds(self) -> float:
        return 0.0 if self.began is None else time.monotonic() - self.began


class Pool(ABC):
    """An engine that keeps `workers` workers busy. They start when first needed, and end with `close`.

    Args:
        workers: how many measure at once.
        timeout: seconds that one measurement may take; one that takes longer has failed. None: no limit.

    Raises SearchError naming the argument that is wrong.
    """

    def __init__(self, workers: int, timeout: float | None) -> None:
        require_count("workers", workers, 1)
        if timeout is not None and not (isinstance(timeout, (int, float)) and 0 < timeout < math.inf):
            raise SearchError(f"timeout must be a positive number of seconds or None, got {timeout!r}")
        self.workers = workers
        self.timeout = timeout
        self._crew: dict[int, Worker] = {}
        self._pickled = _Pickled()

    @abstractmethod
    def hire(self, number: int) -> Worker:
        """A new worker; `number` in 0..workers-1 is its place. Raises SearchError if it cannot start."""

    @abstractmethod
    def wait(self, workers: Sequence[Any], seconds: float | None) -> Sequence[Any]:
        """Of these busy workers, those that have a message or have ended.

        Blocks until there is one, for at most so many seconds; None: without limit.
        """

    def measure(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """See `Engine`. The job of a worker that dies has failed; the worker is replaced.

        Raises SearchError if workers cannot start, or an objective cannot be sent to them.
        """
        waiting, running = iter(jobs), dict[int, _Running]()
        try:
            while self._hand_out(waiting, running):
                yield from self._collect(running)
        finally:
            for number, active in running.items():
                active.worker.stop()
                del self._crew[number]

    def close(self) -> None:
        """Ends all workers. New ones start when they are needed again."""
        for worker in self._crew.values():
            worker.stop()
        self._crew = {}
        self._pickled = _Pickled()

    def _hand_out(self, waiting: Iterator[Job], running: dict[int, _Running]) -> bool:
        """Gives a job to each free worker while there are jobs, and returns whether any worker is busy."""
        for number in sorted(set(range(self.workers)) - running.keys()):
            job = next(waiting, None)
            if job is None:
                break
            objective = self._pickled(job.objective)
            self._fill_places(running)
            running[number] = _Running(self._crew[number], job)
            running[number].worker.begin(*objective, job.architecture)
        return bool(running)

    def _fill_places(self, busy: Container[int]) -> None:
        """Starts workers in all empty places at once, so that they start in parallel; replaces idle ones that died."""
        for number in range(self.workers):
            if number in self._crew and number not in busy and not self._crew[number].alive:
                self._crew.pop(number).stop()
            if number not in self._crew:
                self._crew[number] = self.hire(number)

    def _collect(self, running: dict[int, _Running]) -> Iterator[Outcome]:
        """Waits, and yields the outcomes of workers that have answered, died or run out of time."""
        patience = None
        if self.timeout is not None:
            patience = max(0.0, self.timeout - max(active.seconds for active in running.values()))
        ready = self.wait([active.worker for active in running.values()], patience)
        for number, active in list(running.items()):
            outcome = None
            if active.worker in ready:
                outcome = self._answered(number, active)
            elif self.timeout is not None and active.seconds >= self.timeout:
                outcome = self._lost(number, active, f"not measured within the timeout of {self.timeout:g} s")
            if outcome is not None:
                del running[number]
                yield outcome

    def _answered(self, number: int, active: _Running) -> Outcome | None:
        try:
            answer = active.worker.answer()
        except WorkerLostError as lost:
            return self._lost(number, active, f"the worker {lost}")
        if answer is None:
            active.began = time.monotonic()
            return None
        return Outcome(active.job, *answer)

    def _lost(self, number: int, active: _Running, error: str) -> Outcome:
        active.worker.stop()
        del self._crew[number]
        return Outcome(active.job, float("nan"), error, active.seconds)


@dataclass
class _Pickled:
    """Pickled objectives, each pickled once."""

    _known: dict[int, tuple[Objective, bytes]] = field(default_factory=dict)

    def __call__(self, objective: Objective) -> tuple[int, bytes]:
        """A key that identifies the objective, and its bytes. Raises SearchError if it cannot be pickled."""
        if id(objective) not in self._known:  # kept alive, so that no other object gets its id
            try:
                self._known[id(objective)] = (objective, cloudpickle.dumps(objective))
            except Exception as error:
                raise SearchError(
                    f"objective {objective.name!r} cannot be sent to other processes "
                    f"({type(error).__name__}: {error}): measure with search.LocalEngine, or make it picklable"
                ) from error
        return id(objective), self._known[id(objective)][1]
