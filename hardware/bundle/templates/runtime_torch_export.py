"""The bundle's runtime: an exported program of PyTorch. Bundles for other runtimes have another `runtime.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ENDING = ".pt2"

Model = Callable[[dict[str, Any]], list[Any]]
"""Arrays by input name (first axis: the batch) -> the outputs in their order."""


def load(folder: Path, threads: int, part: str = "model") -> Model:
    """A part of the bundle's model (most have one, `model`), ready to run with this number of threads.

    It runs on the GPU where the bundle was made for one and PyTorch sees one, else on the CPU.
    """
    told = json.loads((Path(folder) / "runtime.json").read_text(encoding="utf-8"))
    torch.set_num_threads(threads)
    place = "cuda" if told["backend"].startswith("cuda") and torch.cuda.is_available() else "cpu"
    program = torch.export.load(str(Path(folder) / f"{part}{ENDING}"))
    if place == "cuda":
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, place)
        torch.backends.cuda.matmul.allow_tf32 = told["precision"] == "tf32"
        torch.backends.cudnn.allow_tf32 = told["precision"] == "tf32"
    model, names = program.module(), told["inputs"][part]

    def run(inputs: dict[str, Any]) -> list[Any]:
        with torch.inference_mode():
            outputs = model(*(torch.from_numpy(inputs[name]).to(place) for name in names))
        several = outputs if isinstance(outputs, (tuple, list)) else [outputs]
        return [output.cpu().numpy() for output in several]

    return run


def versions() -> dict[str, str]:
    """Versions of the software that decides result and speed."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {"torch": torch.__version__, **gpu}
