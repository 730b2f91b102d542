"""Builds latency tables on this machine and prints how far off they are on sub-networks outside their fit.

    PYTHONPATH=. python3 benchmarks/hardware/tables.py --folder tables                    all stages that fit here
    PYTHONPATH=. python3 benchmarks/hardware/tables.py --folder tables --quick            a dry run: tiny networks
    PYTHONPATH=. python3 benchmarks/hardware/tables.py --folder tables --only graphs      stages whose name has "graphs"

Needs PyTorch, timm, SciPy and ONNX Runtime, none of the packages for searching. Each table is kept as soon as it is
there, and while it grows: the same command goes on. Stages of the GPU run one after the other; those of the CPU run
beside them, each in a process on a core of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

import hardware
import supernet
from hardware import Device, LatencyTable, Protocol
from hardware.backends import Backend
from hardware.backends.cuda import CudaGraphs
from hardware.backends.scattering import Scattering

RESOLUTIONS = (128, 152, 176, 200, 224)


@dataclass(frozen=True)
class Stage:
    """One table: of a family on a device."""

    family: str
    device: Device

    @property
    def name(self) -> str:
        """Of the stage and its file."""
        return f"{self.family}.{self.device.name}"

    @property
    def on_gpu(self) -> bool:
        """Whether it has to wait for others of the GPU."""
        return self.device.backend.startswith("cuda")


FAMILIES: dict[str, dict[str, Any]] = {
    "ofa_mobilenetv3": {"resolutions": RESOLUTIONS},
    "ofa_resnet50": {"resolutions": RESOLUTIONS[::2]},
    "vit": {},
    "bert": {},
    "hat_transformer": {"space": "wmt14_en_de", "vocab_size": 32768},
}
LARGE = ("vit", "bert")  # whole sub-networks take much memory: fewer of them
TINY: dict[str, dict[str, Any]] = {
    "ofa_mobilenetv3": {"resolutions": (32,)},
    "ofa_resnet50": {"resolutions": (32,)},
}


def devices(prefix: str) -> list[Device]:
    """What tables are built for, most wanted first."""
    return [
        Device(f"{prefix}_graphs_b1", "cuda_graphs"),
        Device(f"{prefix}_graphs_b64", "cuda_graphs", batch_size=64),
        Device(f"{prefix}_graphs_fp16_b64", "cuda_graphs", batch_size=64, precision="fp16"),
        Device(f"{prefix}_host_onnxruntime_1t", "onnxruntime"),
        Device(f"{prefix}_host_torch_1t", "torch"),
    ]


def stages(options: argparse.Namespace) -> list[Stage]:
    """Of families that there are, on devices that are here."""
    found = []
    for device in devices(options.prefix):
        try:
            device.require_here()
        except hardware.DeviceError as error:
            say(f"left out: {error}")
            continue
        families = TINY if options.quick else FAMILIES
        named = [family for family in families if family in options.families and family in supernet.available()]
        found += [Stage(family, device) for family in named]
    chosen = [stage for stage in found if not options.only or any(word in stage.name for word in options.only)]
    return sorted(chosen, key=lambda stage: stage.family in LARGE)


@cache
def network(family: str, quick: bool) -> supernet.SuperNetwork:
    """Random weights; its blocks are found once for all devices."""
    torch.manual_seed(0)
    return supernet.create(family, **(TINY if quick else FAMILIES)[family]).eval()


def build(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """The table of one stage, in the folder; returns what there is to say about it."""
    begun = time.perf_counter()
    quick = options.quick
    net = network(stage.family, quick)
    protocol = Protocol(most_rounds=options.most_rounds, width=0.01 if stage.on_gpu else 0.03)
    if quick:
        protocol = Protocol(rounds=3, most_rounds=4)
    counts = {"n_probes": 24, "n_held_out": 40}
    if quick:
        counts = {"n_probes": 6, "n_held_out": 4}
    elif stage.family in LARGE:
        counts = {"n_probes": 20, "n_held_out": 40} if stage.on_gpu else {"n_probes": 16, "n_held_out": 16}
    last = [""]

    def report(what: str, done: int, total: int) -> None:
        if what != last[0]:
            last[0] = what
            say(f"{stage.name}: {what} ({total}), {time.perf_counter() - begun:.0f} s")

    path = options.folder / f"{stage.name}.json"
    table = LatencyTable.build(net, stage.device, path=path, protocol=protocol, progress=report, **counts)
    unseen = [probe for probe in table.probes if probe.held_out]
    return {
        "stage": stage.name,
        "seconds": round(time.perf_counter() - begun, 1),
        "n_blocks": len(table.blocks),
        "unstable_blocks": sum(not m.stable for m in table.blocks.values()),
        "error": {name: round(value, 4) for name, value in table.error.items()},
        "correction": table.correction.describe(),
        "range_ms": [round(value, 4) for value in table.latency([net.smallest, net.largest]).tolist()],
        "spread_ms": [round(f(p.measured_ms for p in unseen), 4) for f in (min, max)],
        "kilobytes": round(path.stat().st_size / 1024, 1),
        **(counters(net, stage.device) if stage.on_gpu else {}),
    }


def counters(net: supernet.SuperNetwork, device: Device) -> dict[str, Any]:
    """Energy and peak memory of the largest sub-network, or why they are not known."""
    model = net.inference(net.extract(net.largest), net.largest)
    inputs = net.example_inputs(net.largest, device.batch_size)
    found: dict[str, Any] = {"peak_memory": hardware.measure_memory(model, inputs, device)}
    try:
        found["energy_mj"] = round(hardware.measure_energy(model, inputs, device, seconds=0.5), 2)
    except hardware.DeviceError as error:
        found["energy_mj"] = str(error)
    return found


def run(stage: Stage, options: argparse.Namespace) -> None:
    """Builds, prints one JSON line; an error is printed and leaves the other stages alone."""
    try:
        say(json.dumps(build(stage, options)))
    except Exception:
        say(f"{stage.name} failed:\n{traceback.format_exc(limit=-6)}")


def start(stage: Stage, core: int, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """The stage in a process of its own, on one core."""
    command = [sys.executable, __file__, "--folder", str(options.folder), "--only", stage.name, "--alone"]
    command += ["--prefix", options.prefix, "--families", stage.family, *(["--quick"] if options.quick else [])]
    command += ["--most-rounds", str(options.most_rounds)]
    return subprocess.Popen([*command, "--core", str(core)], env=os.environ | {"OMP_NUM_THREADS": "1"})


def say(text: str) -> None:
    """At once, also into a file."""
    print(text, flush=True)


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--prefix", default="h200", help="names the machine in the devices' names")
    parser.add_argument("--families", nargs="*", default=["ofa_mobilenetv3", "ofa_resnet50", "vit", "bert"])
    parser.add_argument("--only", nargs="*", help="stages whose name contains one of these words")
    parser.add_argument("--seconds", type=float, default=480, help="no stage is started later than this")
    parser.add_argument("--most-rounds", type=int, default=80, help="samples of each model at most (fewer: less exact)")
    parser.add_argument("--quick", action="store_true", help="tiny networks, few repeats: a dry run")
    parser.add_argument("--alone", action="store_true", help="all stages in this process")
    parser.add_argument(
        "--without",
        choices=("context", "scattering"),
        help="measures short blocks on a GPU alone, or each with the same weights again",
    )
    parser.add_argument("--core", type=int, help="keep to this core")
    options = parser.parse_args()
    if options.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {options.core})
    if options.without == "context":
        CudaGraphs.prepare_context = Backend.prepare_context  # type: ignore[method-assign]
    if options.without == "scattering":
        Scattering.copies = lambda self, module, n: [module] * n  # type: ignore[method-assign]
    options.folder.mkdir(parents=True, exist_ok=True)
    begun, chosen = time.perf_counter(), stages(options)
    beside = [] if options.alone else [stage for stage in chosen if not stage.on_gpu]
    cores = sorted(os.sched_getaffinity(0), reverse=True) if hasattr(os, "sched_getaffinity") else [0]
    processes = [start(stage, cores[i % len(cores)], options) for i, stage in enumerate(beside)]
    for stage in chosen:
        if stage in beside:
            continue
        if time.perf_counter() - begun > options.seconds:
            say(f"{stage.name}: not started, the time is up")
            continue
        run(stage, options)
    for process in processes:
        process.wait()
    say(f"all stages: {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
