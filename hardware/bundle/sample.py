"""The sample of inputs and outputs that a bundle is checked with."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from hardware.bundle.formats import Format
from hardware.bundle.templates import parity
from supernet import Architecture, SuperNetwork
from supernet.inputs import Inputs, call
from supernet.tasks import Task

TOLERANCE = 1e-4
"""Largest relative difference, max|output - expected| / max|expected|."""

_N_SAMPLES = 4


class ParityError(RuntimeError):
    """The exported model does not compute what the PyTorch model computes."""


@dataclass(frozen=True)
class Sample:
    """Inputs of a model, by name, and its output; first axis: the batch."""

    inputs: dict[str, NDArray[Any]]
    output: NDArray[Any]

    def save(self, path: Path) -> None:
        """As .npz: one array a name, and `output`."""
        arrays: dict[str, Any] = {**self.inputs, "output": self.output}
        np.savez_compressed(path, **arrays)

    def check(self, folder: Path, form: Format) -> dict[str, Any]:
        """Parity of the model in `folder`, as a batch and alone, through the runtime of the bundle.

        Raises ParityError above `TOLERANCE`.
        """
        found = parity.compare(form.runtime.load(folder, 1), {**self.inputs, "output": self.output}, TOLERANCE)
        if not found["ok"]:
            difference = found["relative_difference"]
            raise ParityError(
                f"{form.runtime.MODEL} differs from the PyTorch model by "
                f"{'a value that is not finite' if difference is None else f'{difference:.3g}'} (relative; at most "
                f"{TOLERANCE:g} is allowed): no bundle was written"
            )
        return found


def take_sample(net: SuperNetwork, architecture: Architecture, model: nn.Module, task: Task | None) -> Sample:
    """The task's first validation samples, or the family's example inputs, and what `model` makes of them."""
    inputs: Inputs = net.example_inputs(architecture, _N_SAMPLES)
    if task is not None:
        inputs = task.prepare(model, [raw for raw, _ in task.samples("validation", _N_SAMPLES)])
    with torch.no_grad():
        output = first_output(call(model, inputs))
    tensors = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    names = ["input", *(f"input_{i}" for i in range(1, len(tensors)))]
    return Sample({name: t.numpy() for name, t in zip(names, tensors, strict=True)}, output.numpy())


def first_output(outputs: Any) -> Tensor:
    """The tensor that a model returns, or the first one of several."""
    if isinstance(outputs, Mapping):
        outputs = tuple(outputs.values())
    result: Tensor = outputs[0] if isinstance(outputs, (tuple, list)) else outputs
    return result


def save_images(task: Task, folder: Path) -> list[str]:
    """Writes the sample's images as PNG, named by number and class; returns the files' names within `folder`."""
    class_names = getattr(task, "class_names", ())
    names = []
    for i, (raw, label) in enumerate(task.samples("validation", _N_SAMPLES)):
        if isinstance(raw, Image.Image):
            names.append(f"samples/{i}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', class_names[label])[:40]}.png")
            (folder / "samples").mkdir(exist_ok=True)
            raw.save(folder / names[-1])
    return names
