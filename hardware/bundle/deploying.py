"""Writes a sub-network as a bundle: a folder that runs on its device without this framework."""

import copy
import hashlib
import json
import math
import platform
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from hardware import backends
from hardware.backends.cuda import numerics
from hardware.bundle.formats import Format, chosen_format
from hardware.bundle.kinds import Kind, Making, kind_of
from hardware.bundle.readme import readme
from hardware.bundle.sample import Sample
from hardware.bundle.writing import MANIFEST, replacing, write_json
from hardware.device import Device, DeviceError
from hardware.measuring import keeping_threads
from hardware.provenance import distribution, provenance
from supernet import Architecture, SuperNetwork, recalibrate
from supernet.checkpoint import distinct
from supernet.tasks import Task

_FORMAT_VERSION = 1
_WEIGHTS = "model.safetensors"

RESULTS = "run.json"
"""The file in a bundle that holds what `run.py` printed on the device, where somebody brought it back."""


def deploy(
    net: SuperNetwork,
    architecture: Mapping[str, Any],
    device: Device,
    directory: str | Path,
    *,
    task: Task | None = None,
    metrics: Mapping[str, Mapping[str, Any]] | None = None,
    model: nn.Module | None = None,
    format: str | None = None,
) -> Path:
    """Writes the bundle of one sub-network and returns its folder; an older bundle there is replaced once it is whole.

    The model is extracted from `net` and, where there is a task, recalibrated. What is written must agree with PyTorch
    on a stored sample: max|output - expected| / max|expected| <= 1e-4 (`hardware.bundle.sample.TOLERANCES` in less than
    full precision), as a batch and for a single input.

    Args:
        net: the super-network.
        architecture: which of its sub-networks.
        device: latency is measured on it where it is this machine, else by the bundle's `run.py`, whose defaults are
            its threads and batch size; `metrics.json` then says why not as `not_measured`.
        directory: the bundle's folder; parents are made. An older bundle of the same model keeps its `run.json`, the
            output of `run.py` on the device.
        task: gives calibration data, the sample's images, preprocessing and class names.
        metrics: what is known of the sub-network, as `{"predicted": {name: value}, "measured": {name: value}}`.
        model: deployed as it is instead (a fine-tuned sub-network of this architecture, for example).
        format: one of `hardware.bundle.formats()`, or an ending of its files ("pt2"); by default what the device's
            backend runs. Latency in another one is left to `run.py`.

    Raises ArchitectureError, ValueError (metrics that are no numbers or texts), ParityError, FormatError (the format or
    its runtime cannot take the model), DeviceError (what writes the format is missing), FileExistsError (the folder
    holds something else) and other OSErrors.
    """
    chosen = net.space.validate(architecture)
    known = _checked_metrics(metrics or {})
    folder, form = Path(directory), chosen_format(device, format)
    making = Making(net, chosen, _plain_model(net, chosen, task, model), task, device)
    kind = kind_of(making)
    with replacing(folder) as partial:
        files = form.write_model(making.parts, partial, device)
        sample = kind.sample()
        found = {
            **known,
            **{name: int(values[0]) for name, values in net.costs([chosen]).items()},
            **_checked_and_measured(kind, form, partial, sample, files),
            "supernet": net.name,
            "format": form.name,
            "bytes": _size(partial, making),
            "device": device.describe(),
            "provenance": provenance(_versions(device), backends.create(device.backend).accelerator()),
        }
        if task is not None:
            found["methods"] = dict(task.methods)
            _write_task(partial, task, kind)
        example = kind.examples(partial)
        _write_data(partial, making, found, sample, f"python run.py{example}")
        text = readme(making, found, files=files, inputs=list(sample.inputs), example=example)
        (partial / "README.md").write_text(text, encoding="utf-8")
        kind.write_program(partial)
        form.write_runtime(partial, kind.packages)
        _keep_results(folder, partial)
    return folder


def _checked_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Metrics as plain numbers and texts; ValueError names what is neither."""
    kinds = ("predicted", "measured")
    if unknown := [name for name in metrics if name not in kinds]:
        raise ValueError(f"metrics: {unknown[0]!r} is not one of {kinds}: put values under one of them")
    checked: dict[str, dict[str, Any]] = {kind: {} for kind in kinds}
    for kind, values in metrics.items():
        for name, given in values.items():
            value = given.tolist() if hasattr(given, "tolist") else given
            if not isinstance(value, (bool, int, float, str)) or (
                isinstance(value, float) and not math.isfinite(value)
            ):
                raise ValueError(f"metrics: {kind} {name!r} must be a finite number or a text, got {given!r}")
            checked[kind][name] = value
    return checked


def _checked_and_measured(
    kind: Kind, form: Format, partial: Path, sample: Sample, files: Sequence[str]
) -> dict[str, Any]:
    """`parity`, and `latency` where this machine is the device, or why it is `not_measured`."""
    device, names = kind.making.device, " and ".join(files)
    with (
        keeping_threads(),
        numerics(device.precision),
        warnings.catch_warnings(),
        form.explaining(f"{names} cannot be run"),
    ):
        warnings.simplefilter("ignore")  # notices of the runtime about its own parts
        found: dict[str, Any] = {"parity": sample.check(kind.compute(form, partial), names, device.precision)}
    if reason := _why_not_measured(device, form):
        return found | {"not_measured": reason}
    try:
        return found | {"latency": kind.latency().describe()}
    except DeviceError as error:  # the backend measures no models of this kind; their bundles run
        return found | {"not_measured": str(error)}


def _why_not_measured(device: Device, form: Format) -> str:
    """Why the latency of a bundle cannot be told here; "" where it can."""
    if device.machine not in (None, platform.machine()):
        return f"its processor is of kind {device.machine}, this machine's of kind {platform.machine()}"
    try:
        device.require_here()
    except DeviceError as error:
        return str(error)
    own = backends.create(device.backend).bundle_format
    return "" if form.name == own else f"backend {device.backend!r} runs format {own!r}, the bundle is {form.name!r}"


def _size(partial: Path, making: Making) -> int:
    """Bytes of all files of the model (a format may have several for a part)."""
    return sum(path.stat().st_size for name in making.parts for path in partial.glob(f"{name}.*"))


def _plain_model(net: SuperNetwork, chosen: Architecture, task: Task | None, model: nn.Module | None) -> nn.Module:
    """The model to deploy, on the CPU and in eval mode; one that is given is copied."""
    if model is not None:
        return copy.deepcopy(model).cpu().eval()
    extracted = net.extract(chosen)
    if task is not None:
        recalibrate(extracted, task.calibration_batches(extracted))
    return extracted.cpu()


def _write_task(partial: Path, task: Task, kind: Kind) -> None:
    write_json(partial / "preprocessing.json", kind.settings())
    for name, content in task.files.items():
        (partial / name).write_bytes(content)


def _write_data(partial: Path, making: Making, metrics: Mapping[str, Any], sample: Sample, run: str) -> None:
    net, architecture = making.net, json.loads(making.architecture.to_json())
    described = {"supernet": net.name, "space": net.space.fingerprint}
    header = {"format": "pt", **described, "architecture": making.architecture.to_json()}
    weights = _state(making.model)
    (partial / _WEIGHTS).write_bytes(save(weights, header))
    sample.save(partial / "sample.npz")
    write_json(partial / "architecture.json", {**described, "architecture": architecture})
    write_json(partial / "metrics.json", metrics)
    manifest = {"version": _FORMAT_VERSION, "run": run, "device": metrics["device"], "parity": metrics["parity"]}
    write_json(partial / MANIFEST, manifest | {"id": _identity(partial, metrics["device"], weights)})


def _keep_results(before: Path, partial: Path) -> None:
    """Takes over what `run.py` measured on the device, where the bundle before is of the same model and settings."""
    if not (before / RESULTS).is_file():
        return
    try:
        known, new = (json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["id"] for folder in (before, partial))
    except (OSError, ValueError, KeyError, TypeError):  # of a damaged bundle nothing is taken
        return
    if known == new:
        (partial / RESULTS).write_bytes((before / RESULTS).read_bytes())


def _identity(bundle: Path, device: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """Digest of what the results of a bundle depend on: device, runtime, architecture and weights."""
    found = hashlib.sha256(json.dumps(device, sort_keys=True).encode())
    for name in ("runtime.json", "architecture.json"):
        found.update((bundle / name).read_bytes())
    for name, tensor in sorted(weights.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def _state(model: nn.Module) -> dict[str, Tensor]:
    """The state dict with tensors that share memory under the first of their names alone, as safetensors wants it."""
    state = distinct(model.state_dict())
    return {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in state.items()}


def _versions(device: Device) -> dict[str, str]:
    packages = {name: distribution(name)[1] for name in ("numpy", "onnxruntime", "timm", "torch")}
    return packages | backends.create(device.backend).versions()
