"""What engines with several workers share: who does what, time limits, and workers that die."""

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
"""Value (NaN where it failed), error and seconds, as in `Outcome`."""


class WorkerLostError(Exception):
    """A worker ended before it answered; the message says how, as the end of a sentence about it."""


class Worker(Protocol):
    """Measures elsewhere, one job at a time."""

    @property
    def alive(self) -> bool:
        """False where it is known to have ended, as an idle one may."""
        ...

    def begin(self, key: int, objective: bytes, architecture: Architecture) -> None:
        """Sends a job. `key` stands for the pickled objective, which a worker need be sent only once."""
        ...

    def answer(self) -> Answer | None:
        """Takes a message: what became of the job, or None when its measurement begins only now.

        Raises WorkerLostError where the worker has ended instead, SearchError where it could not start.
        """
        ...

    def stop(self) -> None:
        """Ends the worker at once, whatever it does."""
        ...


@dataclass
class _Shift:
    """A worker at its job; time counts from when the measurement has begun."""

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
        timeout: seconds that one measurement may take; None: any time. One that takes longer has failed.
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
        """A fresh worker for place `number`. Raises SearchError where it cannot start."""

    @abstractmethod
    def wait(self, workers: Sequence[Any], seconds: float | None) -> Sequence[Any]:
        """Those out of some busy workers that have a message or have ended, waiting at most so long for the first."""

    def measure(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """See `Engine`. A worker that dies costs its job, which has failed, and is replaced.

        Raises SearchError where workers cannot start or an objective cannot be sent to them.
        """
        waiting, shifts = iter(jobs), dict[int, _Shift]()
        try:
            while self._given(waiting, shifts):
                yield from self._finished(shifts)
        finally:
            for number, shift in shifts.items():
                shift.worker.stop()
                del self._crew[number]

    def close(self) -> None:
        """Ends all workers; new ones start when they are needed again."""
        for worker in self._crew.values():
            worker.stop()
        self._crew = {}
        self._pickled = _Pickled()

    def _given(self, waiting: Iterator[Job], shifts: dict[int, _Shift]) -> bool:
        """Gives a job to each free place while there are any; whether anyone is at work."""
        for number in sorted(set(range(self.workers)) - shifts.keys()):
            job = next(waiting, None)
            if job is None:
                break
            objective = self._pickled(job.objective)
            self._complete_crew(shifts)
            shifts[number] = _Shift(self._crew[number], job)
            shifts[number].worker.begin(*objective, job.architecture)
        return bool(shifts)

    def _complete_crew(self, at_work: Container[int]) -> None:
        """Hires for all empty places at once, so that workers start side by side."""
        for number in range(self.workers):
            if number in self._crew and number not in at_work and not self._crew[number].alive:
                self._crew.pop(number).stop()
            if number not in self._crew:
                self._crew[number] = self.hire(number)

    def _finished(self, shifts: dict[int, _Shift]) -> Iterator[Outcome]:
        """Outcomes of those that have answered, died or run out of time."""
        patience = None
        if self.timeout is not None:
            patience = max(0.0, self.timeout - max(shift.seconds for shift in shifts.values()))
        ready = self.wait([shift.worker for shift in shifts.values()], patience)
        for number, shift in list(shifts.items()):
            outcome = None
            if shift.worker in ready:
                outcome = self._answered(number, shift)
            elif self.timeout is not None and shift.seconds >= self.timeout:
                outcome = self._lost(number, shift, f"not measured within the timeout of {self.timeout:g} s")
            if outcome is not None:
                del shifts[number]
                yield outcome

    def _answered(self, number: int, shift: _Shift) -> Outcome | None:
        try:
            answer = shift.worker.answer()
        except WorkerLostError as lost:
            return self._lost(number, shift, f"the worker {lost}")
        if answer is None:
            shift.began = time.monotonic()
            return None
        return Outcome(shift.job, *answer)

    def _lost(self, number: int, shift: _Shift, error: str) -> Outcome:
        shift.worker.stop()
        del self._crew[number]
        return Outcome(shift.job, float("nan"), error, shift.seconds)


@dataclass
class _Pickled:
    """Objectives as bytes, each made once."""

    _known: dict[int, tuple[Objective, bytes]] = field(default_factory=dict)

    def __call__(self, objective: Objective) -> tuple[int, bytes]:
        """A key and the bytes. Raises SearchError naming an objective that cannot be pickled."""
        if id(objective) not in self._known:  # held with it, so that no other one gets its id
            try:
                self._known[id(objective)] = (objective, cloudpickle.dumps(objective))
            except Exception as error:
                raise SearchError(
                    f"objective {objective.name!r} cannot be sent to other processes "
                    f"({type(error).__name__}: {error}): measure with search.LocalEngine, or make it picklable"
                ) from error
        return id(objective), self._known[id(objective)][1]
