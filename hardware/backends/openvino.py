"""OpenVINO on the CPU."""

import importlib
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from hardware.backends.base import Backend
from hardware.backends.placing import placed
from hardware.export import inputs_of_graph, onnx_bytes
from hardware.timing import Runner
from supernet.parts import PartedInference

if TYPE_CHECKING:
    from hardware.device import Device

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}


class OpenVino(Backend):
    """Reads the module's ONNX form and compiles it for latency on the CPU."""

    precisions = ("fp32", "bf16", "fp16")
    packages = {"openvino": "'supernet-search[openvino]'"}
    bundle_format = "openvino"
    lowers_models = True

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """Computes with the device's precision throughout; inputs stay fp32."""
        if isinstance(model, PartedInference):
            raise device.error(f"backend {device.backend!r} does not run inferences of several parts")
        openvino = imported()
        settings: dict[str, Any] = {
            "INFERENCE_NUM_THREADS": device.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[device.precision],
            "ENABLE_CPU_PINNING": False,
        }
        model, inputs = placed(model, inputs, "cpu", "fp32")
        graph = core().read_model(onnx_bytes(model, inputs))
        request = core().compile_model(graph, "CPU", settings).create_infer_request()
        for name, tensor in inputs_of_graph([node.any_name for node in graph.inputs], inputs).items():
            request.set_tensor(name, openvino.Tensor(tensor.numpy()))
        return Runner(request.infer)

    def require(self, device: "Device") -> None:
        """Raises DeviceError where OpenVINO is missing or its CPU plug-in lacks the precision."""
        super().require(device)
        have = core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if _CAPABILITIES[device.precision] not in have:
            raise device.error(f"OpenVINO does not compute in {device.precision} on this processor: {', '.join(have)}")

    def versions(self) -> dict[str, str]:
        """The version of OpenVINO."""
        return {"openvino": imported().__version__.partition("-")[0]}


def imported() -> ModuleType:
    """The package, imported when it is first needed.

    It brings absl's log handler where that is installed, which closes the stream that it finds as standard error when
    logging is set up anew, except for the process's own: that is the one it finds.
    """
    with redirect_stderr(sys.__stderr__):
        return importlib.import_module("openvino")


@cache
def core() -> Any:
    """The process's one Core, kept to its end.

    Each Core that compiles a model moves the stack that signals are handled on into memory of its own. Of two, the one
    that ends last moves it back to memory of the other, which is gone: the next Ctrl-C would be a segmentation fault.
    """
    return imported().Core()
