"""The bundle's runtime: ONNX Runtime on the CPU. Bundles for other runtimes have another `runtime.py`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime

MODEL = "model.onnx"

Model = Callable[[dict[str, Any]], Any]
"""Arrays by input name (first axis: the batch) -> the first output."""


def load(folder: Path, threads: int) -> Model:
    """The bundle's model, ready to run with this number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(Path(folder) / MODEL), options, providers=["CPUExecutionProvider"])
    outputs = [session.get_outputs()[0].name]
    return lambda inputs: session.run(outputs, inputs)[0]


def versions() -> dict[str, str]:
    """Versions of the software that decides result and speed."""
    return {"onnxruntime": onnxruntime.__version__}
