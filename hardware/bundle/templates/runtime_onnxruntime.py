"""The bundle's runtime: ONNX Runtime on the CPU. Bundles for other runtimes have another `runtime.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime

ENDING = ".onnx"

Model = Callable[[dict[str, Any]], list[Any]]
"""Arrays by input name (first axis: the batch) -> the outputs in their order."""


def load(folder: Path, threads: int, part: str = "model") -> Model:
    """A part of the bundle's model (most have one, `model`), ready to run with this number of threads."""
    session = open_session(str(Path(folder) / f"{part}{ENDING}"), threads)
    names = {node.name for node in session.get_inputs()}
    return lambda inputs: session.run(None, {name: array for name, array in inputs.items() if name in names})


def open_session(model: bytes | str, threads: int) -> onnxruntime.InferenceSession:
    """A CPU session of an ONNX model (its bytes, or a path); its threads rest between calls."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def versions() -> dict[str, str]:
    """Versions of the software that decides result and speed."""
    return {"onnxruntime": onnxruntime.__version__}
