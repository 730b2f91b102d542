"""ONNX Runtime on the CPU."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnxruntime
from torch import Tensor, nn

from hardware.backends.base import Runner
from hardware.export import onnx_bytes

if TYPE_CHECKING:
    from hardware.device import Device


class OnnxRuntime:
    """Exports the module to ONNX and runs it on the CPU provider with all graph optimisations."""

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """A session of its own for each model, with the device's number of intra-op threads."""
        session = open_session(onnx_bytes(model, inputs), device.threads)
        feed = {node.name: tensor.numpy() for node, tensor in zip(session.get_inputs(), inputs, strict=True)}
        return lambda: session.run(None, feed)

    def versions(self) -> dict[str, str]:
        """ONNX Runtime's."""
        return {"onnxruntime": onnxruntime.__version__}


def open_session(model: bytes | str, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session of an ONNX model (its bytes, or a path) with a fixed number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
