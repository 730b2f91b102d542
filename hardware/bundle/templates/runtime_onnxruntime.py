"""The bundle's runtime: ONNX Runtime. Bundles for other runtimes have another `runtime.py`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

ENDING = ".onnx"

Model = Callable[[dict[str, Any]], list[Any]]
"""Arrays by input name (first axis: the batch) -> the outputs in their order."""


def load(folder: Path, threads: int, part: str = "model") -> Model:
    """A part of the bundle's model (most have one, `model`), ready to run with this number of threads.

    It runs on the GPU where the bundle was made for one and ONNX Runtime has a provider for it, else on the CPU.
    """
    session = open_session(str(Path(folder) / f"{part}{ENDING}"), threads, providers(Path(folder)))
    names = {node.name for node in session.get_inputs()}
    return lambda inputs: session.run(None, {name: array for name, array in inputs.items() if name in names})


def providers(folder: Path) -> list[Any]:
    """The installed execution providers among those of the bundle's backend, with their settings; the CPU's last."""
    path = folder / "runtime.json"
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    backend, precision = str(stored.get("backend")), stored.get("precision")
    wanted: dict[str, dict[str, Any]] = {}
    if backend == "onnxruntime_tensorrt":
        half = {"trt_fp16_enable": precision == "fp16", "trt_bf16_enable": precision == "bf16"}
        wanted["TensorrtExecutionProvider"] = half
    if backend.startswith("onnxruntime_"):
        wanted["CUDAExecutionProvider"] = {"use_tf32": int(precision == "tf32")}
    installed = onnxruntime.get_available_providers()
    return [(name, wanted[name]) for name in wanted if name in installed] + ["CPUExecutionProvider"]


def open_session(
    model: bytes | str, threads: int, providers: Sequence[Any] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
    """A session of an ONNX model (its bytes, or a path), by default on the CPU; its threads rest between calls.

    Bytes go through a file, since a session keeps those that it is given: weights would be in memory twice.
    """
    if isinstance(model, bytes):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"model{ENDING}"
            path.write_bytes(model)
            return open_session(str(path), threads, providers)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model, options, providers=list(providers))


def versions() -> dict[str, str]:
    """Versions of the software that decides result and speed."""
    return {"onnxruntime": onnxruntime.__version__}
