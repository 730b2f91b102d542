"""Export of plain modules to ONNX."""

import io
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

_OPSET = 17


def to_onnx(model: nn.Module, inputs: Sequence[Tensor], path: str | Path) -> Path:
    """Writes `model` as ONNX with a dynamic batch axis; inputs `input`, `input_1`, ..., output `output`."""
    path = Path(path)
    path.write_bytes(onnx_bytes(model, inputs, dynamic_batch=True))
    return path


def onnx_bytes(model: nn.Module, inputs: Sequence[Tensor], dynamic_batch: bool = False) -> bytes:
    """`model` as a serialised ONNX graph, batch norms folded into convolutions.

    PyTorch's tracing exporter: tens of milliseconds for a block, where the default one takes seconds (for plain
    modules of fixed shape both give the same graph, and a latency table exports hundreds of blocks).
    """
    names = ["input", *(f"input_{i}" for i in range(1, len(inputs)))]
    axes = {name: {0: "batch"} for name in [*names, "output"]} if dynamic_batch else None
    buffer = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notice that it is not the default one; tracing notices
        torch.onnx.export(
            model.eval(),
            tuple(inputs),
            buffer,  # type: ignore[arg-type] # any binary file serves
            input_names=names,
            output_names=["output"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
    return buffer.getvalue()
