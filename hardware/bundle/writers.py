"""Writes parts of models in the formats of bundles."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch

from hardware.export import part_bytes, to_onnx
from supernet.parts import Part

MOST = 128
"""Largest length of an axis that may vary, in an ExecuTorch program: it reserves memory for it."""


def onnx(part: Part, path: Path) -> None:
    """An ONNX graph."""
    to_onnx(part, path)


def openvino(part: Part, path: Path) -> None:
    """OpenVINO's representation, with the weights in a .bin file beside it."""
    from hardware.backends.openvino import core, imported

    imported().save_model(core().read_model(part_bytes(part)), str(path), compress_to_fp16=False)


def torch_export(part: Part, path: Path) -> None:
    """An exported program of PyTorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of the exporter about its own parts
        torch.export.save(_exported(part, None), path)


def executorch(part: Part, path: Path) -> None:
    """An ExecuTorch program with XNNPACK's kernels for CPUs; axes that vary are at most `MOST` long.

    XNNPACK takes all that it can; where the program then fails, as some do whose axes vary, matrix products alone.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notices of the exporter about its own parts
        from executorch.backends.xnnpack.partition.config import gemm_configs
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
        from executorch.exir import to_edge_transform_and_lower

        products = [gemm_configs.LinearConfig, gemm_configs.AddmmConfig, gemm_configs.MMConfig]
        for kernels in (None, products):
            partitioner = XnnpackPartitioner(configs=kernels)
            lowered = to_edge_transform_and_lower(_exported(part, MOST), partitioner=[partitioner])
            path.write_bytes(lowered.to_executorch().buffer)
            if _runs(part, path):
                return


def _runs(part: Part, path: Path) -> bool:
    """Whether an ExecuTorch program takes the part's inputs; whether it is right is checked later."""
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(str(path)).load_method("forward")
    try:
        method.execute([tensor.contiguous() for tensor in part.inputs.values()])
    except RuntimeError:
        return False
    return True


def _exported(part: Part, most: int | None) -> torch.export.ExportedProgram:
    dims: dict[str, torch.export.Dim] = {}

    def dim(name: str) -> torch.export.Dim:
        times, _, base = name.rpartition("*")
        limits = [limit for limit in (most, part.most.get(base)) if limit is not None]
        dims.setdefault(base, torch.export.Dim(base, max=min(limits, default=None)))
        return int(times) * dims[base] if times else dims[base]

    shapes = tuple({axis: dim(name) for axis, name in part.varying.get(given, {}).items()} for given in part.inputs)
    inputs = tuple(tensor.contiguous() for tensor in part.inputs.values())  # as runtimes pass them
    with torch.no_grad():
        module = part.module.eval()
        return torch.export.export(module, inputs, dynamic_shapes=_matching(module, shapes))


def _matching(module: torch.nn.Module, shapes: tuple[Mapping[int, torch.export.Dim], ...]) -> object:
    """The shapes in the structure of the arguments: those of `*inputs` are a tuple in the tuple."""
    import inspect

    kinds = [parameter.kind for parameter in inspect.signature(module.forward).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        return shapes
    n_fixed = kinds.index(inspect.Parameter.VAR_POSITIONAL)
    return (*shapes[:n_fixed], shapes[n_fixed:])
