"""The plain engine."""

from collections.abc import Iterable, Iterator

from search.engines.base import Job, Outcome, perform


class LocalEngine:
    """Measures in this process, strictly one after the other, in the order given."""

    workers = 1

    def measure(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Takes the next job only when the last outcome has been taken (and stored)."""
        for job in jobs:
            yield perform(job)
