"""Runtimes that can run a plain model: each a class that follows `Backend`."""

from collections.abc import Callable
from typing import TypeVar

from hardware.backends.base import Backend
from hardware.backends.cuda import CudaCompile, CudaEager, CudaGraphs
from hardware.backends.imported import Imported
from hardware.backends.onnxruntime import OnnxRuntime, OnnxRuntimeCuda, OnnxRuntimeTensorRT
from hardware.backends.openvino import OpenVino
from hardware.backends.torch import TorchCompile, TorchEager
from hardware.timing import Runner
from supernet.names import Registry

_KNOWN: dict[str, type[Backend]] = {
    "cuda": CudaEager,
    "cuda_compile": CudaCompile,
    "cuda_graphs": CudaGraphs,
    "imported": Imported,
    "onnxruntime": OnnxRuntime,
    "onnxruntime_cuda": OnnxRuntimeCuda,
    "onnxruntime_tensorrt": OnnxRuntimeTensorRT,
    "openvino": OpenVino,
    "torch": TorchEager,
    "torch_compile": TorchCompile,
}
_backends = Registry("backend", known=_KNOWN)

_Class = TypeVar("_Class", bound=type[Backend])

__all__ = ["Backend", "Runner", "available", "create", "register"]


def register(name: str) -> Callable[[_Class], _Class]:
    """Class decorator: makes `Device(backend=name)` use the `Backend` that it decorates.

    Raises ValueError if another class already has the name.
    """
    return _backends.register(name)


def available() -> list[str]:
    """Names of backends, sorted; what one needs may be missing here (`Device.require_here` tells)."""
    return _backends.names()


def create(name: str) -> Backend:
    """The backend of this name. Raises ValueError where it is none of `available()`."""
    return _backends.find(name)()
