"""The bundle's runtime: ExecuTorch on the CPU. Bundles for other runtimes have another `runtime.py`.

On a phone, the same .pte file is loaded by ExecuTorch's libraries for Java, Kotlin, Swift or C++.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
from executorch.runtime import Runtime

ENDING = ".pte"

Model = Callable[[dict[str, Any]], list[Any]]
"""Arrays by input name (first axis: the batch) -> the outputs in their order."""


def load(folder: Path, threads: int, part: str = "model") -> Model:
    """A part of the bundle's model (most have one, `model`), ready to run with this number of threads."""
    stored = json.loads((Path(folder) / "runtime.json").read_text(encoding="utf-8"))
    _unsafe_reset_threadpool(threads)
    program = Runtime.get().load_program(str(Path(folder) / f"{part}{ENDING}"))
    method, names = program.load_method("forward"), stored["inputs"][part]

    def run(inputs: dict[str, Any]) -> list[Any]:
        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in names]
        return [output.numpy().copy() for output in method.execute(tensors)]

    return run


def versions() -> dict[str, str]:
    """Versions of the software that decides result and speed."""
    return {"executorch": version("executorch"), "torch": torch.__version__}
