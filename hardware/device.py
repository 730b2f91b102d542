"""A device: a backend plus its settings."""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
"""Number formats of weights and activations; fp32 is exact (no TF32 on a GPU), tf32 rounds only what is multiplied."""

_MOST_CHARACTERS = 50  # in UTF-8 some of them have four bytes, and names of files at most 255


class DeviceError(ValueError):
    """A device is described wrongly, or what it needs is not there."""


@dataclass(frozen=True)
class Device:
    """Where sub-networks run: everything that a latency depends on beside the machine.

    Args:
        name: names the files of this device (tables, reports, bundles): letters, digits, and `_.+-` after the first.
        backend: one of `hardware.backends.available()`.
        threads: worker threads of the runtime.
        batch_size: samples per inference; latencies are of the whole batch.
        precision: one of `PRECISIONS` that the backend offers.
        cores: numbers of the CPU cores that the threads stay on; empty: wherever the system puts them.
        machine: the kind of processor of a device that is elsewhere, as `platform.machine()` calls it there ("aarch64",
            "x86_64"); None: this machine, whatever it is.
    """

    name: str
    backend: str = "onnxruntime"
    threads: int = 1
    batch_size: int = 1
    precision: str = "fp32"
    cores: tuple[int, ...] = ()
    machine: str | None = None

    def __post_init__(self) -> None:
        from hardware.backends import create

        if not isinstance(self.name, str) or self.name != plain_name(self.name):
            raise DeviceError(
                f"device name {self.name!r} must be a plain word of letters, digits and any of _.+-: it names files"
            )
        object.__setattr__(self, "cores", tuple(self.cores or ()))  # from a list of a file
        try:
            backend = create(self.backend)
        except ValueError as error:
            raise self.error(str(error)) from None
        for setting in ("threads", "batch_size"):
            if type(value := getattr(self, setting)) is not int:
                raise self.error(f"{setting} must be an integer, got {value!r}")
            if value < 1:
                raise self.error(f"{setting} must be at least 1, got {value}")
        if self.precision not in (offered := backend.precisions):
            raise self.error(f"backend {self.backend!r} has precision {', '.join(offered)}; got {self.precision!r}")
        if any(type(core) is not int or core < 0 for core in self.cores) or len(set(self.cores)) < len(self.cores):
            raise self.error(f"cores must be different numbers of CPU cores, got {list(self.cores)}")
        if 0 < len(self.cores) < self.threads:
            raise self.error(f"{self.threads} threads need as many cores, got {list(self.cores)}")

    def error(self, text: str) -> DeviceError:
        """An error that names this device."""
        return DeviceError(f"device {self.name!r}: {text}")

    def require_here(self) -> None:
        """Raises DeviceError where this machine cannot be the device (whose table may come from another one)."""
        from hardware.backends import create

        if self.machine not in (None, platform.machine()):
            raise self.error(
                f"it has a processor of kind {self.machine}, this machine's is {platform.machine()}: measure its "
                "latency table there (supernet-profile with host=..., or a bundle), and give the file as "
                "latency_table=..."
            )
        n_cores = os.cpu_count() or 1
        if self.threads > n_cores:
            raise self.error(f"threads must lie in 1..{n_cores} on this machine, got {self.threads}")
        if self.cores:
            self._require_cores()
        create(self.backend).require(self)

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Keeps all threads of this process on the device's cores, until the block ends."""
        if not self.cores:
            yield
            return
        self._require_cores()
        here = os.sched_getaffinity(0)
        before = {thread: _affinity(thread, here) for thread in _threads()}
        try:
            for thread in before:
                _move(thread, set(self.cores))
            yield
        finally:
            for thread in _threads():  # those that were started meanwhile, too
                _move(thread, before.get(thread, here))

    def describe(self) -> dict[str, Any]:
        """The settings as JSON-compatible data; `Device(**device.describe())` is equal."""
        return asdict(self) | {"cores": list(self.cores)}

    def _require_cores(self) -> None:
        if not hasattr(os, "sched_setaffinity"):
            raise self.error("this system cannot keep threads on cores: leave `cores` empty")
        if missing := sorted(set(self.cores) - os.sched_getaffinity(0)):
            raise self.error(f"core {missing[0]} is not one that this process may use: {_spans()}")


def plain_name(text: str) -> str:
    """The text as the name of a device: what it must not hold becomes `_`, and what is too long for a file is cut."""
    name = re.sub(r"[^\w.+-]", "_", text)[:_MOST_CHARACTERS]
    return name if name[:1].isalnum() or name[:1] == "_" else f"_{name[1:]}"


def _threads() -> list[int]:
    return [int(entry.name) for entry in Path("/proc/self/task").iterdir()]


def _affinity(thread: int, otherwise: set[int]) -> set[int]:
    try:
        return os.sched_getaffinity(thread)
    except ProcessLookupError:  # it has ended
        return otherwise


def _move(thread: int, cores: set[int]) -> None:
    try:
        os.sched_setaffinity(thread, cores)
    except ProcessLookupError:  # it has ended
        pass


def _spans() -> str:
    return ", ".join(map(str, sorted(os.sched_getaffinity(0))))
