"""Workers that are actors on a Ray cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

from search.engines.base import Job, perform
from search.engines.pool import Answer, Pool, WorkerLostError
from search.errors import SearchError
from supernet.architecture import Architecture


class RayEngine(Pool):
    """Measures in actors on a Ray cluster, where this package and the data have to be installed; needs the extra `ray`.

    Args:
        workers: number of actors.
        timeout: seconds that one measurement may take; one that takes longer has failed. None: no limit.
        cpus: number of processor cores that each actor reserves.
        gpus: number of GPUs that each actor reserves; may be a fraction.
        resources: custom resources that each actor reserves, as in `{"phone": 1}`.
        address: of a running cluster, as in "auto"; None: the one that this process is connected to, else a local one.

    Raises SearchError if Ray is not installed.
    """

    def __init__(
        self,
        workers: int,
        timeout: float | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        resources: Mapping[str, float] | None = None,
        address: str | None = None,
    ) -> None:
        super().__init__(workers, timeout)
        try:
            import ray
        except ImportError as error:
            raise SearchError("the engine for Ray needs the package: pip install ray") from error
        self._ray = ray
        self._address = address
        self._connected_here = False
        self._reserved = {"num_cpus": cpus, "num_gpus": gpus, "resources": dict(resources or {})}

    def hire(self, number: int) -> "_Actor":
        """See `Pool`."""
        if not self._ray.is_initialized():
            self._ray.init(address=self._address, log_to_driver=True)
            self._connected_here = True
        actor = self._ray.remote(**self._reserved)(_Measuring)
        return _Actor(self._ray, actor.remote())

    def wait(self, workers: Sequence["_Actor"], seconds: float | None) -> Sequence[Any]:
        """See `Pool`."""
        worker_of = {worker.awaited: worker for worker in workers}
        ready, _ = self._ray.wait(list(worker_of), num_returns=1, timeout=seconds)
        return [worker_of[awaited] for awaited in ready]

    def close(self) -> None:
        """Ends all actors, and the connection to the cluster if this engine made it."""
        super().close()
        if self._connected_here:
            self._ray.shutdown()
            self._connected_here = False


class _Actor:
    """An actor, seen from the driver. It owes two answers per job: that it has begun, then the outcome."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self._actor = actor
        self._sent: set[int] = set()
        self._owed: list[Any] = []

    alive = True

    @property
    def awaited(self) -> Any:
        return self._owed[0]

    def begin(self, key: int, objective: bytes, architecture: Architecture) -> None:
        """See `Worker`."""
        ready = self._actor.restore.remote(key, None if key in self._sent else objective)
        self._owed = [ready, self._actor.measure.remote(key, architecture)]
        self._sent.add(key)

    def answer(self) -> Answer | None:
        """See `Worker`. Also raises SearchError if the actor cannot unpickle the objective."""
        try:
            content = self._ray.get(self._owed.pop(0))
        except self._ray.exceptions.RayActorError as error:
            raise WorkerLostError(f"(a Ray actor) has died: {error}") from error
        except self._ray.exceptions.RayTaskError as error:
            raise SearchError(f"a Ray actor cannot restore an objective: {error.cause}") from error
        return content  # type: ignore[no-any-return]

    def stop(self) -> None:
        """See `Worker`."""
        self._ray.kill(self._actor)


class _Measuring:
    """The actor itself: restores objectives and measures."""

    def __init__(self) -> None:
        self._objectives: dict[int, Any] = {}

    def restore(self, key: int, pickled: bytes | None) -> None:
        import pickle

        if pickled is not None:
            self._objectives[key] = pickle.loads(pickled)

    def measure(self, key: int, architecture: Architecture) -> Answer:
        outcome = perform(Job(architecture, self._objectives[key]))
        return outcome.value, outcome.error, outcome.seconds
