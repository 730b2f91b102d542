"""Writes parts of models in the formats of bundles."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from hardware.export import part_bytes, to_onnx
from supernet.parts import Part

MOST = 128
"""Longest axis that an ExecuTorch program reserves memory for."""


def onnx(part: Part, path: Path) -> None:
    """An ONNX graph."""
    to_onnx(part, path)


def openvino(part: Part, path: Path) -> None:
    """OpenVINO's representation, with the weights in a .bin file beside it."""
    from hardware.backends.openvino import imported

    package = imported()
    package.save_model(package.Core().read_model(part_bytes(part)), str(path), compress_to_fp16=False)


def torch_export(part: Part, path: Path) -> None:
    """An exported program of PyTorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of the exporter about its own parts
        torch.export.save(_exported(part, None), path)


def executorch(part: Part, path: Path) -> None:
    """An ExecuTorch program with XNNPACK's kernels for CPUs; axes that vary are at most `MOST` long."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of the exporter about its own parts
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        lowered = to_edge_transform_and_lower(_exported(part, MOST), partitioner=[XnnpackPartitioner()])
        path.write_bytes(lowered.to_executorch().buffer)


def _exported(part: Part, most: int | None) -> torch.export.ExportedProgram:
    names = {name for axes in part.varying.values() for name in axes.values()}
    dims = {name: torch.export.Dim(name, max=most) for name in sorted(names)}

    def shape(name: str) -> Mapping[int, torch.export.Dim]:
        return {axis: dims[called] for axis, called in part.varying.get(name, {}).items()}

    shapes = tuple(shape(name) for name in part.inputs)
    with torch.no_grad():
        module = part.module.eval()
        return torch.export.export(module, tuple(part.inputs.values()), dynamic_shapes=_matching(module, shapes))


def _matching(module: torch.nn.Module, shapes: tuple[Mapping[int, torch.export.Dim], ...]) -> object:
    """The shapes in the structure of the arguments: those of `forward(*inputs)` are one tuple."""
    import inspect

    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    return (shapes,) if kinds and kinds[0] is inspect.Parameter.VAR_POSITIONAL else shapes
