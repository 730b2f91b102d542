"""Writes a sub-network as a bundle: a folder that runs on its device without this framework."""

import copy
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from hardware import backends
from hardware.bundle.formats import ONNX
from hardware.bundle.readme import readme
from hardware.bundle.sample import Sample, save_images, take_sample
from hardware.bundle.writing import MANIFEST, replacing, write_json
from hardware.device import Device
from hardware.measuring import measure
from hardware.provenance import provenance
from supernet import Architecture, SuperNetwork, recalibrate
from supernet.tasks import Task

_FORMAT_VERSION = 1


def deploy(
    net: SuperNetwork,
    architecture: Mapping[str, Any],
    device: Device,
    directory: str | Path,
    *,
    task: Task | None = None,
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
    model: nn.Module | None = None,
) -> Path:
    """Writes the bundle of one sub-network and returns its folder; an older bundle there is replaced once it is whole.

    The model is extracted from `net` and, where there is a task, recalibrated. Its ONNX form must agree with PyTorch on
    a stored sample: max|output - expected| / max|expected| <= 1e-4, as a batch and for a single input.

    Args:
        net: the super-network.
        architecture: which of its sub-networks.
        device: latency is measured on it; its threads and batch size are the defaults of the bundle's `run.py`.
        directory: the bundle's folder; parents are made.
        task: gives calibration data, the sample's images, preprocessing and class names.
        metrics: what is known of the sub-network, as `{"predicted": {name: value}, "measured": {name: value}}`.
        model: deployed as it is instead (a fine-tuned sub-network of this architecture, for example).

    Raises ArchitectureError, ParityError, FileExistsError (the folder holds something else) and other OSErrors.
    """
    chosen = net.space.validate(architecture)
    given = _checked(metrics or {})
    folder = Path(directory)
    with replacing(folder) as partial:
        plain = _plain_model(net, chosen, task, model)
        sample = take_sample(net, chosen, plain, task)
        ONNX.write(plain, net.example_inputs(chosen, 2), partial / ONNX.runtime.MODEL)
        found = {
            **given,
            **{name: int(values[0]) for name, values in net.costs([chosen]).items()},
            "parity": sample.check(partial, ONNX),
            "latency": measure(plain, net.example_inputs(chosen, device.batch_size), device).describe(),
            "device": device.describe(),
            "provenance": provenance(_versions(device)),
        }
        images = _write_task(partial, task, plain) if task is not None else []
        _write_data(partial, net, chosen, plain, found, sample)
        text = readme(
            net, chosen, device, found, model_file=ONNX.runtime.MODEL, inputs=list(sample.inputs), images=images
        )
        (partial / "README.md").write_text(text, encoding="utf-8")
        ONNX.write_program(partial)
    return folder


def _checked(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    kinds = ("predicted", "measured")
    if unknown := [name for name in metrics if name not in kinds]:
        raise ValueError(f"metrics: {unknown[0]!r} is not one of {kinds}: put values under one of them")
    return {kind: dict(metrics.get(kind, {})) for kind in kinds}


def _plain_model(net: SuperNetwork, chosen: Architecture, task: Task | None, model: nn.Module | None) -> nn.Module:
    """On the CPU and in eval mode; a given model stays untouched."""
    if model is not None:
        return copy.deepcopy(model).cpu().eval()
    extracted = net.extract(chosen)
    if task is not None:
        recalibrate(extracted, task.calibration_batches(extracted))
    return extracted.cpu()


def _write_task(partial: Path, task: Task, model: nn.Module) -> list[str]:
    deployment = task.deployment(model)
    write_json(partial / "preprocessing.json", deployment.settings)
    for name, content in task.files.items():
        (partial / name).write_bytes(content)
    return save_images(task, partial)


def _write_data(
    partial: Path,
    net: SuperNetwork,
    chosen: Architecture,
    model: nn.Module,
    metrics: Mapping[str, Any],
    sample: Sample,
) -> None:
    described = {"supernet": net.name, "space": net.space.fingerprint}
    state = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in model.state_dict().items()}
    header = {"format": "pt", **described, "architecture": chosen.to_json()}
    (partial / "model.safetensors").write_bytes(save(state, header))
    sample.save(partial / "sample.npz")
    write_json(partial / "architecture.json", {**described, "architecture": json.loads(chosen.to_json())})
    write_json(partial / "metrics.json", metrics)
    manifest = {"version": _FORMAT_VERSION, "device": metrics["device"], "parity": metrics["parity"]}
    write_json(partial / MANIFEST, manifest)


def _versions(device: Device) -> dict[str, str]:
    packages = {name: version(name) for name in ("numpy", "onnxruntime", "timm", "torch")}
    return packages | backends.create(device.backend).versions()
