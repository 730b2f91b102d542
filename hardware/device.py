"""A device: a backend plus its settings."""

import os
from dataclasses import asdict, dataclass
from typing import Any


class DeviceError(ValueError):
    """A device is described wrongly, or what it needs is not there."""


@dataclass(frozen=True)
class Device:
    """Where sub-networks run: everything that a latency depends on beside the machine.

    Args:
        name: names tables, reports and bundles of this device.
        backend: one of `hardware.backends.available()`.
        threads: worker threads of the runtime.
        batch_size: samples per inference; latencies are of the whole batch.
    """

    name: str
    backend: str = "onnxruntime"
    threads: int = 1
    batch_size: int = 1

    def __post_init__(self) -> None:
        from hardware.backends import available

        if self.backend not in available():
            raise DeviceError(f"device {self.name!r}: unknown backend {self.backend!r}; have {', '.join(available())}")
        for setting in ("threads", "batch_size"):
            if type(value := getattr(self, setting)) is not int:
                raise DeviceError(f"device {self.name!r}: {setting} must be an integer, got {value!r}")
        if self.threads < 1:
            raise DeviceError(f"device {self.name!r}: threads must be at least 1, got {self.threads}")
        if self.batch_size < 1:
            raise DeviceError(f"device {self.name!r}: batch_size must be at least 1, got {self.batch_size}")
        if not self.name or any(c in self.name for c in "/\\ ,="):
            raise DeviceError(f"device name {self.name!r} must be a plain word: it names files")

    def require_here(self) -> None:
        """Raises DeviceError where this machine cannot be the device (whose table may come from another one)."""
        cores = os.cpu_count() or 1
        if self.threads > cores:
            raise DeviceError(
                f"device {self.name!r}: threads must lie in 1..{cores} on this machine, got {self.threads}"
            )

    def describe(self) -> dict[str, Any]:
        """The settings as JSON-compatible data; `Device(**device.describe())` is equal."""
        return asdict(self)
