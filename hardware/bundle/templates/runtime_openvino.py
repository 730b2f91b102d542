"""The bundle's runtime: OpenVINO on the CPU. Bundles for other runtimes have another `runtime.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import openvino

ENDING = ".xml"

Model = Callable[[dict[str, Any]], list[Any]]
"""Arrays by input name (first axis: the batch) -> the outputs in their order."""

_MOST_SHAPES = 3
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}


def load(folder: Path, threads: int, part: str = "model") -> Model:
    """A part of the bundle's model (most have one, `model`), ready to run with this number of threads.

    It is compiled for each of the first few shapes of inputs that it meets, which is quicker to run than one form for
    all; that one is for whatever comes then.
    """
    stored = json.loads((Path(folder) / "runtime.json").read_text(encoding="utf-8"))
    core = _core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": _HINTS.get(stored["precision"], "f32"),
    }
    names = stored["inputs"][part]
    compiled: dict[Any, Any] = {}

    def run(inputs: dict[str, Any]) -> list[Any]:
        given = {name: inputs[name] for name in names}
        shapes = tuple((name, array.shape) for name, array in given.items())
        if shapes not in compiled and len(compiled) >= _MOST_SHAPES:
            shapes = ()
        if shapes not in compiled:
            graph = core.read_model(str(Path(folder) / f"{part}{ENDING}"))
            if shapes:
                graph.reshape({name: list(shape) for name, shape in shapes})
            compiled[shapes] = core.compile_model(graph, "CPU", settings)
        outputs = compiled[shapes](given)
        return [outputs[i].copy() for i in range(len(outputs))]

    return run


@cache
def _core() -> Any:
    """One for all models, kept to the end: of two, the later would take the stack of signal handlers with it."""
    return openvino.Core()


def versions() -> dict[str, str]:
    """Versions of the software that decides result and speed."""
    return {"openvino": openvino.__version__.partition("-")[0]}
