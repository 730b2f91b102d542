"""Runtimes that can run a plain model: each a module with one class that follows `Backend`."""

from hardware.backends.base import Backend, Runner
from hardware.backends.onnxruntime import OnnxRuntime
from hardware.backends.torch import TorchEager

_BACKENDS: dict[str, type[Backend]] = {"onnxruntime": OnnxRuntime, "torch": TorchEager}

__all__ = ["Backend", "Runner", "available", "create", "register"]


def register(name: str, backend: type[Backend]) -> None:
    """Makes `Device(backend=name)` use `backend`."""
    _BACKENDS[name] = backend


def available() -> list[str]:
    """Names of backends, sorted."""
    return sorted(_BACKENDS)


def create(name: str) -> Backend:
    """The backend of this name (one of `available()`)."""
    return _BACKENDS[name]()
