"""The bundle's runtime: an exported program of PyTorch. Bundles for other runtimes have another `runtime.py`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ENDING = ".pt2"

Model = Callable[[dict[str, Any]], list[Any]]
"""Arrays by input name (first axis: the batch) -> the outputs in their order."""

_MOST_SHAPES = 8
_WARM_UP_RUNS = 2


def load(folder: Path, threads: int, part: str = "model") -> Model:
    """A part of the bundle's model (most have one, `model`), ready to run with this number of threads.

    It runs as on the device that the bundle was made for: compiled where that compiles; on the GPU where PyTorch sees
    one, as a CUDA graph unless that was eager; else on the CPU.
    """
    stored = json.loads((Path(folder) / "runtime.json").read_text(encoding="utf-8"))
    backend, names = stored["backend"], stored["inputs"][part]
    on_gpu = backend.startswith("cuda") and torch.cuda.is_available()
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = stored["precision"] == "tf32"
    model = _program(Path(folder) / f"{part}{ENDING}", on_gpu)
    if backend.endswith("compile"):
        model = torch.compile(model)
    if on_gpu and backend != "cuda":
        model = Graphs(model)

    def run(inputs: dict[str, Any]) -> list[Any]:
        tensors = [torch.from_numpy(inputs[name]) for name in names]
        with torch.inference_mode():
            outputs = model(*(tensor.cuda() if on_gpu else tensor for tensor in tensors))
        several = outputs if isinstance(outputs, (tuple, list)) else [outputs]
        return [output.cpu().numpy() for output in several]

    return run


def _program(path: Path, on_gpu: bool) -> Any:
    """An exported program as a module on the CPU or the GPU."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given buffer is not writable")  # torch.export.load about its own
        program = torch.export.load(str(path))
    if on_gpu:
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, "cuda")
    return program.module()


class Graphs:
    """A model on the GPU, captured as a CUDA graph for each of the first few shapes of inputs; others run eagerly.

    The outputs are overwritten by the next call.
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        self._model = model
        self._captured: dict[tuple[torch.Size, ...], tuple[torch.cuda.CUDAGraph, tuple[torch.Tensor, ...], Any]] = {}

    def __call__(self, *inputs: torch.Tensor) -> Any:
        """The model's outputs for tensors on the GPU."""
        shapes = tuple(tensor.shape for tensor in inputs)
        if shapes not in self._captured:
            if len(self._captured) >= _MOST_SHAPES:
                return self._model(*inputs)
            self._captured[shapes] = self._capture(tuple(tensor.clone() for tensor in inputs))
        graph, places, outputs = self._captured[shapes]
        for place, tensor in zip(places, inputs):  # noqa: B905 - Python 3.9
            place.copy_(tensor)
        graph.replay()
        return outputs

    def _capture(self, places: tuple[torch.Tensor, ...]) -> tuple[torch.cuda.CUDAGraph, tuple[torch.Tensor, ...], Any]:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):  # libraries choose and load their kernels
                self._model(*places)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._model(*places)
        return graph, places, outputs


def versions() -> dict[str, str]:
    """Versions of the software that decides result and speed; the GPU's name where models were loaded onto one."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_initialized() else {}
    return {"torch": torch.__version__, **gpu}
