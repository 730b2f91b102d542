"""Profile bundles: all that a device elsewhere needs to measure what a latency table is made of."""

import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hardware import processor, timing
from hardware.building import chosen_probes, planned
from hardware.bundle.templates import runtime_onnxruntime
from hardware.bundle.writing import replacing, write_json
from hardware.device import Device
from hardware.export import input_names, onnx_bytes
from hardware.grouping import dealt_networks, traits_of
from hardware.progress import reporting
from hardware.remote.templates import ledger
from hardware.remote.templates.profile import MANIFEST, MODELS, PROGRAM, RESULTS
from hardware.table import LatencyTable, Probe, Progress
from hardware.timing import Protocol
from supernet import SuperNetwork
from supernet.blockmap import REST
from supernet.slots import Slots

BACKEND = "onnxruntime"
"""The runtime that profile bundles are for."""

EMPTY = "empty"
"""Name of a model that does nothing."""

PROBE = "probe-"
"""What names of whole sub-networks begin with; the index of the table's probe follows."""

TABLE = "table.json"
"""The table without measurements: stays here when the bundle is copied."""

FORMAT = {"format": "supernet-search profile bundle", "version": 3}

_TEMPLATES = Path(__file__).parent / "templates"
_PROGRAM: dict[str, ModuleType] = {
    "ledger": ledger,
    "processor": processor,
    "timing": timing,
    "runtime": runtime_onnxruntime,
}
_PATTERN = 1024


def write_profile_bundle(
    net: SuperNetwork,
    device: Device,
    folder: str | Path,
    *,
    n_probes: int = 16,
    n_held_out: int = 20,
    group: int = 128,
    memory_mb: float = 1024,
    architectures: Sequence[Mapping[str, Any]] | None = None,
    protocol: Protocol | None = None,
    seed: int = 0,
    progress: bool | Progress = True,
) -> Path:
    """Writes a folder to copy to a device that has Python, numpy and onnxruntime: `python3 profile.py` measures there.

    It holds every distinct block of the space and some whole sub-networks as ONNX models, with made-up weights that
    compress well (a latency does not depend on them), and the program. `read_profile` makes a table of what comes back.

    Args:
        net: the super-network; it need not be trained.
        device: with the backend "onnxruntime"; its threads and batch size hold there.
        folder: a new or empty folder, or one with an older profile bundle without results, which is replaced.
        n_probes: whole sub-networks that the table is fitted to.
        n_held_out: further ones to tell its error on.
        group: blocks at most that are measured in turns.
        memory_mb: what the weights and inputs of all models that are measured in turns may take of the device's memory
            (MB), about half of it for blocks and half for whole sub-networks, of which each group of blocks then has
            some beside it. The runtime needs about as much again.
        architectures: measure these whole sub-networks and no blocks, for `read_measurements`; None: all for a table.
        protocol: how long to measure.
        seed: of the sub-networks that are drawn.
        progress: True shows a bar on a terminal; or a callback.

    Raises DeviceError for another backend, ValueError for sizes below 1 or no architectures, FileExistsError for a
    folder with results or something else in it.
    """
    if (results := Path(folder) / RESULTS).exists() and results.stat().st_size:
        raise FileExistsError(
            f"there is {results}, which a device measured: import it, then remove it, or give another folder"
        )
    if architectures is not None and not architectures:
        raise ValueError("architectures must name at least one sub-network, or be None: got none")
    if group < 1 or memory_mb <= 0:
        what, value = ("group", group) if group < 1 else ("memory_mb", memory_mb)
        raise ValueError(f"{what} must be above 0, got {value}")
    if device.backend != BACKEND:
        raise device.error(
            f"profile bundles are for backend {BACKEND!r}, not {device.backend!r}: install this package on the "
            "device and build its table there"
        )
    with reporting(progress) as report, replacing(Path(folder), MANIFEST) as partial:
        report("finding blocks", 0, 1)
        if architectures is None:
            table = planned(LatencyTable, net, device, {})
            table = replace(table, probes=chosen_probes(net, n_probes, n_held_out, seed))
        else:
            probes = [Probe(net.space.validate(architecture)) for architecture in architectures]
            table = LatencyTable(device, Slots(net.space, {}), [], {}, probes, {})
        described: dict[str, Any] = {}
        traits: dict[str, Any] = {}
        total = len(table.keys) + len(table.probes) + 1
        with zipfile.ZipFile(partial / MODELS, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, model, inputs, its_traits in _models(net, table):
                archive.writestr(f"{name}.onnx", onnx_bytes(_with_plain_weights(model), inputs))
                described[name] = {n: _described(t) for n, t in zip(input_names(inputs), inputs, strict=True)}
                traits |= its_traits
                report("exporting", len(described), total)
        replace(table, traits=traits).save(partial / TABLE)
        _write_program(partial)
        manifest = {
            **FORMAT,
            "device": device.describe(),
            "protocol": asdict(protocol or Protocol()),
            "models_sha256": ledger.digest_of(partial / MODELS),
            "table_sha256": ledger.digest_of(partial / TABLE),
            "inputs": described,
            "groups": _groups(net, table, traits, group, int(memory_mb * 1e6 / 2)),
        }
        write_json(partial / MANIFEST, manifest)
    return Path(folder)


def _models(
    net: SuperNetwork, table: LatencyTable
) -> Iterator[tuple[str, nn.Module, Sequence[Tensor], dict[str, tuple[float, ...]]]]:
    """Name, module, inputs and traits of each block; then of whole sub-networks and the empty model, without traits."""
    n = table.device.batch_size
    blocks = [b for b in net.inference_map.blocks if b.slot != REST] if table.keys else []
    for block, use in net.inference_map.uses(blocks, n):
        yield block.key, use.module, use.inputs, {block.key: traits_of(use)}
    for i, probe in enumerate(table.probes):
        model = net.inference(net.extract(probe.architecture), probe.architecture)
        yield probe_name(i), model, net.example_inputs(probe.architecture, n), {}
    yield EMPTY, nn.Identity(), (torch.zeros(1),), {}


def _groups(
    net: SuperNetwork, table: LatencyTable, traits: Mapping[str, Sequence[float]], most_blocks: int, most_bytes: int
) -> list[dict[str, list[str]]]:
    """What is measured in turns: names of blocks, and of the whole models beside them; each has its turn at least once.

    Blocks of a group, and its whole sub-networks, have about `most_bytes` each (or there is a single one).
    """
    sizes = [4 * sum(their[1:]) for their in traits.values()]  # parameters and input values
    parts = dealt_networks(net, [probe.architecture for probe in table.probes], most_bytes)
    n_groups = max(len(parts), math.ceil(len(sizes) / most_blocks), math.ceil(sum(sizes) / most_bytes))
    blocks = [keys.tolist() for keys in np.array_split(np.array(list(traits), dtype=object), n_groups)]
    return [
        {"blocks": keys, "whole": [*map(probe_name, parts[i % len(parts)]), EMPTY]} for i, keys in enumerate(blocks)
    ]


def probe_name(index: int) -> str:
    """Name of the model of a table's probe."""
    return f"{PROBE}{index}"


def _with_plain_weights(model: nn.Module) -> nn.Module:
    """The same module with weights that repeat, of a usual size: a compressed bundle is then a tenth as large."""
    pattern = torch.randn(_PATTERN, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.is_floating_point():
                fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
                repeated = pattern.repeat(-(-parameter.numel() // _PATTERN))[: parameter.numel()]
                parameter.copy_(repeated.reshape(parameter.shape) / fan_in**0.5)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.fill_(float(name.endswith("var")))
    return model


def _described(tensor: Tensor) -> dict[str, Any]:
    """Shape and type of an input, and the values of one that is not made of real numbers (indices, masks)."""
    described = {"shape": list(tensor.shape), "dtype": str(tensor.numpy().dtype)}
    return described if tensor.is_floating_point() else described | {"values": tensor.flatten().tolist()}


def _write_program(folder: Path) -> None:
    for name in ("profile.py", "README.md"):
        (folder / name).write_bytes((_TEMPLATES / name).read_bytes())
    (folder / PROGRAM).mkdir()
    for name, module in _PROGRAM.items():
        (folder / PROGRAM / f"{name}.py").write_bytes(Path(str(module.__file__)).read_bytes())
