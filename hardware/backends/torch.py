"""PyTorch on the CPU: eager, and compiled."""

import types
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hardware.backends.base import Backend
from hardware.backends.placing import placed
from hardware.timing import Runner

if TYPE_CHECKING:
    from hardware.device import Device


class TorchEager(Backend):
    """Runs the module as it is, in inference mode, with the device's number of intra-op threads."""

    precisions = ("fp32", "bf16", "fp16")
    bundle_format = "torch_export"

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """The run sets the thread count itself, since PyTorch's is global."""
        forward, inputs = placed(model, inputs, "cpu", device.precision)

        def run() -> object:
            if torch.get_num_threads() != device.threads:
                torch.set_num_threads(device.threads)
            with torch.inference_mode():
                return forward(*inputs)

        return Runner(run)

    def versions(self) -> dict[str, str]:
        """The version of PyTorch."""
        return {"torch": torch.__version__}


class TorchCompile(TorchEager):
    """Compiles the whole module for its input shapes with TorchInductor; needs a C++ compiler."""

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """Compiling takes seconds, and happens here."""
        model, inputs = placed(model, inputs, "cpu", device.precision)
        forward = compiled(model)

        def run() -> object:
            if torch.get_num_threads() != device.threads:
                torch.set_num_threads(device.threads)
            with torch.inference_mode():
                return forward(*inputs)

        before = torch.get_num_threads()
        try:
            run()
        finally:
            torch.set_num_threads(before)
        return Runner(run)


def compiled(model: nn.Module) -> Callable[..., Any]:
    """`model` compiled as one graph of fixed shapes.

    PyTorch keeps compiled code by the code object that it was compiled from, and gives up after a few versions of one:
    every model gets its own.
    """

    def forward(*inputs: Tensor) -> Any:
        return model(*inputs)

    own = types.FunctionType(
        forward.__code__.replace(co_name=f"forward_{id(model)}"), forward.__globals__, closure=forward.__closure__
    )
    return torch.compile(own, fullgraph=True, dynamic=False)
