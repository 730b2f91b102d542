"""The sample of inputs and outputs that a bundle is checked with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hardware.bundle.templates import parity

TOLERANCES = {"fp32": 1e-4, "tf32": 1e-2, "fp16": 1e-2, "bf16": 5e-2}
"""Largest relative difference, max|output - expected| / max|expected|, by the precision that a device computes in."""


class ParityError(RuntimeError):
    """The exported model does not compute what the PyTorch model computes."""


@dataclass(frozen=True)
class Sample:
    """Inputs of a model, by name, and its output; first axis: the batch."""

    inputs: dict[str, NDArray[Any]]
    output: NDArray[Any]

    @classmethod
    def of(cls, inputs: Mapping[str, Tensor], output: Tensor) -> "Sample":
        """The sample as arrays of numpy."""
        return cls({name: tensor.cpu().numpy() for name, tensor in inputs.items()}, output.detach().cpu().numpy())

    def save(self, path: Path) -> None:
        """Writes a .npz file with an array for each input, and `output`."""
        arrays: dict[str, Any] = {**self.inputs, "output": self.output}
        np.savez_compressed(path, **arrays)

    def check(self, compute: Callable[[dict[str, Any]], Any], files: str, precision: str) -> dict[str, Any]:
        """Parity of what the bundle computes, as a batch and alone.

        Args:
            compute: inputs by name -> the output, through the bundle's runtime.
            files: the model's, for the message.
            precision: of the device.

        Raises ParityError above the precision's tolerance.
        """
        tolerance = TOLERANCES[precision]
        found = parity.compare(compute, {**self.inputs, "output": self.output}, tolerance)
        if not found["ok"]:
            difference = found["relative_difference"]
            raise ParityError(
                f"{files} differs from the PyTorch model by "
                f"{'a value that is not finite' if difference is None else f'{difference:.3g}'} (relative; at most "
                f"{tolerance:g} is allowed): no bundle was written"
            )
        return found


def first_output(outputs: Any) -> Tensor:
    """The tensor that a model returns, or the first one of several."""
    if isinstance(outputs, Mapping):
        outputs = tuple(outputs.values())
    result: Tensor = outputs[0] if isinstance(outputs, (tuple, list)) else outputs
    return result
