"""What engines are handed and give back."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from search.errors import SearchError
from search.objective import Objective, finite_or_failed
from supernet.architecture import Architecture


@dataclass(frozen=True)
class Job:
    """One expensive objective of one architecture."""

    architecture: Architecture
    objective: Objective


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a finite value, or NaN and an error. Any other value becomes an error."""

    job: Job
    value: float
    error: str | None
    seconds: float

    def __post_init__(self) -> None:
        value, error = finite_or_failed(self.value, self.error)
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "error", error)


class Engine(Protocol):
    """Carries out measurements, in any order and any number at once.

    An attribute `workers` says how many at once, else it is one. A method `close` is called when a search has ended,
    however it has.
    """

    def measure(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Yields one outcome per job as it becomes known. A failing measure is an outcome, not an exception.

        Each job should be taken only when a worker is free for it: until then the search may learn, and it knows what
        was yielded before.
        """
        ...


def perform(job: Job) -> Outcome:
    """Measures one job. Exceptions, values that are not finite and wrong shapes become errors."""
    start = time.perf_counter()
    value, error = float("nan"), None
    try:
        value = float(job.objective.values([job.architecture])[0])
    except SearchError as failure:
        error = str(failure)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    return Outcome(job, value, error, time.perf_counter() - start)
