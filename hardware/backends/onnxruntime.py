"""ONNX Runtime: on the CPU, and through its CUDA and TensorRT providers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import onnxruntime
import torch
from torch import Tensor, nn

from hardware.backends.base import Backend
from hardware.backends.placing import placed
from hardware.export import inputs_of_graph, onnx_bytes, part_bytes
from hardware.timing import Runner
from supernet.parts import Part, PartedInference, PartRun

if TYPE_CHECKING:
    from hardware.device import Device


class OnnxRuntime(Backend):
    """Exports the module to ONNX and runs it on the CPU provider with all graph optimisations."""

    provider = "CPUExecutionProvider"

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """A session of its own for each model (for each part of an inference that has several).

        Their threads rest between calls, so that sessions can take turns.
        """
        if isinstance(model, PartedInference):
            runs = {name: self._part(part, device) for name, part in model.parts().items()}
            return Runner(lambda: model.through(runs, *inputs))
        module, inputs = placed(model, inputs, "cpu", device.precision)
        session = open_session(onnx_bytes(module, inputs), device.threads)
        feed = {name: tensor.numpy() for name, tensor in _taken(session, inputs).items()}
        return Runner(lambda: session.run(None, feed))

    def _part(self, part: Part, device: "Device") -> PartRun:
        session = open_session(part_bytes(part), device.threads)

        def run(inputs: Sequence[Tensor]) -> list[Tensor]:
            feed = {name: tensor.numpy() for name, tensor in zip(part.inputs, inputs, strict=True)}
            return [torch.from_numpy(array) for array in session.run(list(part.outputs), feed)]

        return run

    def require(self, device: "Device") -> None:
        """Raises DeviceError where the installed ONNX Runtime lacks the provider."""
        super().require(device)
        if self.provider not in (have := onnxruntime.get_available_providers()):
            raise device.error(
                f"backend {device.backend!r} needs ONNX Runtime's {self.provider}, this installation has "
                f"{', '.join(have)}: pip install onnxruntime-gpu (in place of onnxruntime)"
            )

    def versions(self) -> dict[str, str]:
        """The version of ONNX Runtime."""
        return {"onnxruntime": onnxruntime.__version__}


class _OnGpu(Runner):
    waits_count = True  # the GPU works on


class OnnxRuntimeCuda(OnnxRuntime):
    """Runs on the CUDA provider; inputs and outputs stay on the GPU."""

    provider = "CUDAExecutionProvider"
    precisions = ("fp32", "tf32", "fp16")

    @property
    def place(self) -> str:
        """The first CUDA device."""
        return "cuda"

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """Bound to tensors on the GPU; a run waits for its result."""
        if isinstance(model, PartedInference):
            raise device.error(f"backend {device.backend!r} does not run inferences of several parts")
        precision = "fp32" if self.lowers_models else device.precision
        model, inputs = placed(model, inputs, "cpu", precision)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        providers = [(self.provider, self._options(device)), "CUDAExecutionProvider"][: 1 + self._falls_back]
        session = onnxruntime.InferenceSession(onnx_bytes(model, inputs), options, providers=providers)
        binding = session.io_binding()
        for name, tensor in _taken(session, inputs).items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(tensor.numpy(), "cuda", 0))
        for node in session.get_outputs():
            binding.bind_output(node.name, "cuda")
        return _OnGpu(lambda: session.run_with_iobinding(binding))

    def versions(self) -> dict[str, str]:
        """The versions of ONNX Runtime and, where PyTorch brings them, of CUDA and cuDNN."""
        return super().versions() | {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}

    def accelerator(self) -> str | None:
        """The GPU's name, as PyTorch tells it."""
        return torch.cuda.get_device_name() if torch.cuda.is_available() else None

    _falls_back = False

    def _options(self, device: "Device") -> dict[str, Any]:
        return {"use_tf32": int(device.precision == "tf32"), "cudnn_conv_algo_search": "EXHAUSTIVE"}


class OnnxRuntimeTensorRT(OnnxRuntimeCuda):
    """Runs on the TensorRT provider; what it cannot run, on the CUDA provider."""

    provider = "TensorrtExecutionProvider"
    precisions = ("fp32", "fp16", "bf16")
    lowers_models = True
    _falls_back = True

    def _options(self, device: "Device") -> dict[str, Any]:
        return {"trt_fp16_enable": device.precision == "fp16", "trt_bf16_enable": device.precision == "bf16"}


def _taken(session: onnxruntime.InferenceSession, inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    return inputs_of_graph([node.name for node in session.get_inputs()], inputs)


def open_session(model: bytes | str, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session as in bundles, of an ONNX model (its bytes, or a path)."""
    from hardware.bundle.templates import runtime_onnxruntime

    return runtime_onnxruntime.open_session(model, threads)
