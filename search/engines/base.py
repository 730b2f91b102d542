"""The protocol of engines, and the jobs and outcomes that they exchange with the driver."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from search.errors import SearchError
from search.objective import Objective, finite_or_failed
from supernet.architecture import Architecture


@dataclass(frozen=True)
class Job:
    """A measurement to make: one expensive objective of one architecture."""

    architecture: Architecture
    objective: Objective


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job: a finite value, or NaN and an error. A value that is not finite becomes an error.

    Args:
        job: that was carried out.
        value: in the unit of the objective.
        error: why it failed; None where it did not.
        seconds: that the measurement took.
    """

    job: Job
    value: float
    error: str | None
    seconds: float

    def __post_init__(self) -> None:
        value, error = finite_or_failed(self.value, self.error)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "error", error)


class Engine(Protocol):
    """Makes measurements, in any order and any number at once.

    An optional attribute `workers` says how many at once (default 1); an optional `has_own_gpus`, that each of them has
    a GPU to itself, all of one model. An optional method `close()` is called at the end of every search, also of one
    that failed.
    """

    def measure(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yields one outcome per job, as soon as it is known. A measurement that fails is an outcome, too.

        Take a job from the iterator only when a worker is free for it: taking it may make the tactic propose, which
        learns from the outcomes yielded so far.
        """
        ...


def perform(job: Job) -> Outcome:
    """Measures one job in this process. Exceptions, values that are not finite and wrong shapes become errors."""
    start = time.perf_counter()
    value, error = float("nan"), None
    try:
        value = float(job.objective.values([job.architecture])[0])
    except SearchError as failure:
        error = str(failure)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    return Outcome(job, value, error, time.perf_counter() - start)
