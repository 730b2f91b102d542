"""The default engine: this process."""

from collections.abc import Iterable, Iterator

from search.engines.base import Job, Outcome, perform


class LocalEngine:
    """Measures in this process, one job after the other, in order."""

    workers = 1

    def measure(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """See `Engine`. The driver has stored an outcome before the next job begins."""
        for job in jobs:
            yield perform(job)
