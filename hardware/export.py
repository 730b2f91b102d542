"""Export of plain modules to ONNX."""

import io
import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from supernet.parts import Part

_OPSET = 17


def input_names(inputs: Sequence[Tensor]) -> list[str]:
    """Names of a model's inputs: `input`, `input_1`, ..."""
    return ["input", *(f"input_{i}" for i in range(1, len(inputs)))]


def inputs_of_graph(names: Iterable[str], inputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Those inputs of a model that its graph has, by name: the export leaves out what the result does not depend on."""
    named = dict(zip(input_names(inputs), inputs, strict=False))  # one name where there are no inputs at all
    return {name: named[name].contiguous() for name in names}


def to_onnx(part: Part, path: str | Path) -> Path:
    """Writes a part of a model as ONNX; its inputs, outputs and varying axes keep their names."""
    path = Path(path)
    path.write_bytes(part_bytes(part))
    return path


def part_bytes(part: Part) -> bytes:
    """A part of a model as a serialised ONNX graph, as `to_onnx` writes it."""
    return _exported(part.module, list(part.inputs.values()), list(part.inputs), part.outputs, part.varying)


def onnx_bytes(model: nn.Module, inputs: Sequence[Tensor]) -> bytes:
    """`model` as a serialised ONNX graph for inputs of these shapes: `input`, `input_1`, ... to `output`."""
    return _exported(model, inputs, input_names(inputs), ("output",), {})


def _exported(
    model: nn.Module,
    inputs: Sequence[Tensor],
    names: Sequence[str],
    outputs: Sequence[str],
    varying: Mapping[str, Mapping[int, str]],
) -> bytes:
    """A serialised ONNX graph by PyTorch's tracing exporter, which folds batch norms into convolutions.

    It takes tens of milliseconds for a block, where the default exporter takes seconds, and a latency table exports
    hundreds of blocks. For plain modules both give the same graph.
    """
    buffer = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter's notice that it is not the default one; tracing notices
        torch.onnx.export(
            _Alone(model).eval(),
            tuple(inputs),
            buffer,  # type: ignore[arg-type] # any binary file serves
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=dict(varying),
            opset_version=_OPSET,
            dynamo=False,
        )
    return buffer.getvalue()


class _Alone(nn.Module):
    """A module that takes its inputs and nothing else: the exporter would trace default arguments as tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> Any:
        return self.model(*inputs)
