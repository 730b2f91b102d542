"""What engines are handed and give back."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from search.errors import SearchError
from search.objective import Objective
from supernet.architecture import Architecture


@dataclass(frozen=True)
class Job:
    """One expensive objective of one architecture."""

    architecture: Architecture
    objective: Objective


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a finite value, or NaN and an error."""

    job: Job
    value: float
    error: str | None
    seconds: float


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
        if not np.isfinite(value):
            value, error = float("nan"), f"the measured value is {value}"
    except SearchError as failure:
        error = str(failure)
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    return Outcome(job, value, error, time.perf_counter() - start)
