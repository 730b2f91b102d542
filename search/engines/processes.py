"""Workers that are processes of this machine, each with a GPU of its own if wanted."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from search.engines.pool import Answer, Pool, WorkerLostError
from search.errors import SearchError, require_count
from supernet.architecture import Architecture

_GRACE_S = 5.0


class ProcessEngine(Pool):
    """Measures in worker processes: a crash or a hang costs one measurement, not the search.

    Objectives are pickled (by cloudpickle: functions of a script or notebook work, too) and sent to each worker once.

    Args:
        workers: number of processes; None: one per GPU in `gpus`, else one per processor core.
        timeout: seconds that one measurement may take; one that takes longer has failed. None: no limit.
        gpus: numbers of the GPUs to divide among the workers, of which each sees one; "all": all that PyTorch sees;
            None: every worker sees the GPUs that this process sees.
        threads: of the numerical libraries in each worker; None: `OMP_NUM_THREADS` if that is set, else the processor
            cores divided by the workers.

    Raises SearchError naming the argument that is wrong, or GPUs that are not there.
    """

    def __init__(
        self,
        workers: int | None = None,
        timeout: float | None = None,
        gpus: Sequence[int | str] | str | None = None,
        threads: int | None = None,
    ) -> None:
        self.gpus = _visible(gpus)
        n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if threads is not None:
            require_count("threads", threads, 1)
        super().__init__(workers if workers is not None else len(self.gpus) or n_cores, timeout)
        self._threads = threads if threads is not None else max(1, n_cores // self.workers)
        self._threads_given = threads is not None

    @property
    def has_own_gpus(self) -> bool:
        """Whether every worker has a GPU to itself, all of one model: measurements there are alike and undisturbed."""
        import torch

        models = {torch.cuda.get_device_name(i) for i, gpu in enumerate(_seen()) if gpu in self.gpus}
        return self.workers <= len(set(self.gpus)) and len(models) == 1

    def hire(self, number: int) -> "_Process":
        """See `Pool`."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        if self._threads_given or "OMP_NUM_THREADS" not in environment:
            environment["OMP_NUM_THREADS"] = str(self._threads)
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpus[number % len(self.gpus)]
        return _Process(environment)

    def wait(self, workers: Sequence["_Process"], seconds: float | None) -> Sequence[Any]:
        """See `Pool`."""
        ready = wait([worker.connection for worker in workers], seconds)
        return [worker for worker in workers if worker.connection in ready]


class _Process:
    """A worker process, seen from the parent; `search.engines.worker` is what it runs."""

    def __init__(self, environment: dict[str, str]) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "search.engines.worker", str(theirs.fileno())],
                env=environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.connection = Connection(ours.detach())
        self._sent: set[int] = set()
        self._started = False

    @property
    def alive(self) -> bool:
        """See `Worker`."""
        return self._process.poll() is None

    def begin(self, key: int, objective: bytes, architecture: Architecture) -> None:
        """See `Worker`."""
        try:
            self.connection.send((key, None if key in self._sent else objective, architecture))
            self._sent.add(key)
        except OSError:  # it has ended meanwhile: `answer` says so
            pass

    def answer(self) -> Answer | None:
        """See `Worker`. Also raises SearchError if the worker cannot unpickle the objective."""
        try:
            kind, content = self.connection.recv()
        except (EOFError, OSError):
            if not self._started:
                raise SearchError(f"a worker process could not start: it {self._ending()}") from None
            raise WorkerLostError(self._ending()) from None
        self._started = True
        if kind == "unusable":
            raise SearchError(f"a worker process cannot restore an objective: {content}")
        return content  # type: ignore[no-any-return]

    def stop(self) -> None:
        """See `Worker`."""
        self.connection.close()
        self._process.kill()
        self._process.wait()

    def _ending(self) -> str:
        """How the process ended, as in "ended with exit code 1"; waits a little for it to end."""
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with exit code {code}"


def _visible(gpus: Sequence[int | str] | str | None) -> list[str]:
    """Values of CUDA_VISIBLE_DEVICES, one per GPU. Raises SearchError for GPUs that are not there."""
    if gpus is None:
        return []
    visible = _seen()
    if gpus == "all":
        if not visible:
            raise SearchError("gpus='all', but PyTorch sees no GPU here: leave gpus out to measure on the CPU")
        return visible
    if isinstance(gpus, str) or any(str(number) not in visible for number in gpus):
        raise SearchError(
            f"gpus must be 'all' or some of those seen here ({', '.join(visible) or 'none'}), got {gpus!r}"
        )
    return [str(number) for number in gpus]


def _seen() -> list[str]:
    """Values of CUDA_VISIBLE_DEVICES, in PyTorch's order of the GPUs that it sees."""
    import torch

    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = listed.split(",") if listed else [str(number) for number in range(torch.cuda.device_count())]
    return visible[: torch.cuda.device_count()]
