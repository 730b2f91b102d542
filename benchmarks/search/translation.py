"""A search for two devices in the translation super-network that `benchmarks/supernet/multi30k.py` trained.

    python benchmarks/search/translation.py DATA TRAINED [--output FOLDER] [--budget 50] [--sentences 200]

DATA is Multi30k; TRAINED holds `weights.safetensors` and `tokenizer.json`. Both devices are this machine's CPU with one
thread, one sentence at a time: ONNX Runtime and PyTorch. Latency, of a whole translation by beam search, comes from a
table of blocks (or, with `--whole 40`, from a fit to so many measured sub-networks, which takes a few minutes), and is
checked end to end for what is shown. Latencies, and BLEU on part of the validation sentences, are kept in FOLDER, so
that a run that was stopped goes on. BLEU of the chosen sub-networks is on test sentences. The middle of each front is
deployed as a bundle, which then translates a test sentence in a process of its own. Each device's folder has the
report of its search.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import search
import supernet
from hardware import Device, LatencyTable, Protocol, deploy, load_latency, measure_end_to_end
from hardware.model import LatencyModel
from hardware.predicted import DESCRIPTIONS, LatencyPredictor
from hardware.provenance import provenance
from search.report import write_report
from search.result import Result
from supernet import Architecture, SuperNetwork
from supernet.tasks import Translation, multi30k
from supernet.validation import Validation, validated

DEVICES = (Device("onnxruntime_cpu", "onnxruntime"), Device("torch_cpu", "torch"))
SEARCH = {"beam": 5, "length_penalty": 1.0, "max_length": 80}


def main() -> None:
    """Searches for each device, and shows what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("trained", type=Path)
    parser.add_argument("--output", type=Path, default=Path("runs/translation"))
    parser.add_argument("--budget", type=int, default=50, help="architectures to validate for each device")
    parser.add_argument("--sentences", type=int, default=200, help="validation sentences")
    parser.add_argument("--tested", type=int, default=1000, help="test sentences")
    parser.add_argument("--held-out", type=int, default=20, help="sub-networks that check a table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--whole", type=int, default=0, help="measure so many whole sub-networks instead of a table")
    parser.add_argument("--tables", action="store_true", help="build the latency tables alone")
    given = parser.parse_args()
    torch.set_num_threads(1)
    settings: dict[str, Any] = {"tokenizer": given.trained / "tokenizer.json", "search": SEARCH, "metrics": ("bleu",)}
    task = multi30k(given.data, n_validation=given.sentences, **settings)
    splits = {**task.splits, "test": task.splits["test"].subset(np.arange(given.tested))}
    task = dataclasses.replace(task, splits=splits)
    net = supernet.create("hat_transformer", space="multi30k_en_de", vocab_size=task.vocabulary.size)
    net.load_checkpoint(given.trained / "weights.safetensors")
    tables = {device.name: latency_of(net, device, given) for device in DEVICES}
    if given.tables:
        return
    print(f"{net.title}: {net.space.size:,} sub-networks; {given.budget} validated for each device\n")
    print("| device | sub-network | latency ms | predicted ms | times as fast | BLEU test | MACs |")
    print("|---|---|---|---|---|---|---|")
    fronts: dict[Device, list[Architecture]] = {}
    for device in DEVICES:
        table = tables[device.name]
        result = searched(net, task, table, given)
        shown(net, task, device, table, result)
        front = fronts[device] = [net.space.validate(a) for a in result.pareto()["architecture"]]
        write_report(
            result,
            given.output / device.name,
            title=f"{net.title} on {device.name}",
            device=device.describe(),
            provenance={"latency": {**table.provenance, **table.error}, "metrics": task.methods},
            chosen=front[len(front) // 2 : len(front) // 2 + 1],
        )
    print()
    for device, front in fronts.items():
        folder = deploy(net, front[len(front) // 2], device, given.output / f"bundle_{device.name}", task=task)
        print(f"{folder.name} translates: {translated(folder, task.splits['test'].sources[0])}", flush=True)
    versions = {"torch": torch.__version__}
    print(f"\n{provenance(versions)['cpu']}; {task.methods['bleu']}")


def latency_of(net: SuperNetwork, device: Device, given: argparse.Namespace) -> LatencyModel:
    """What tells latencies on the device, measured here unless the folder has it."""
    started, path = time.perf_counter(), given.output / f"latency_{device.name}.json"
    found: LatencyModel
    if not given.whole:
        found = LatencyTable.build(net, device, path=path, n_held_out=given.held_out)
    elif path.exists():
        found = load_latency(path)
    else:
        chosen = [net.smallest, net.largest, *net.space.sample(given.whole - 2, given.seed)]
        rows = DESCRIPTIONS["genes"].rows(net.space, chosen)
        measured = measure_end_to_end(net, chosen, device, Protocol(rounds=6, most_rounds=18))
        latencies = np.array([one.median_ms for one in measured])
        found = LatencyPredictor.fit(device, net.space, rows, latencies)
        found.save(path)
    error = {name: round(value, 3) for name, value in found.error.items()}
    print(f"{device.name}: latencies in {time.perf_counter() - started:.0f} s, {error}", flush=True)
    return found


def searched(net: SuperNetwork, task: Translation, table: LatencyModel, given: argparse.Namespace) -> Result:
    """The search for one device; accuracies that the other one's measured are in the store."""
    objectives = [
        search.Objective("bleu", goal="max", measure=Validation(net, task)),
        search.Objective("latency", goal="min", measure=table.latency, expensive=False),
    ]
    store = given.output / "store.sqlite"
    return search.run(net.space, objectives, budget=given.budget, seed=given.seed, store=store)


def shown(net: SuperNetwork, task: Translation, device: Device, table: LatencyModel, result: Result) -> None:
    """Rows for the front's ends and middle, and for the largest and smallest sub-networks."""
    front = result.pareto()["architecture"].tolist()
    named: dict[str, Architecture] = {"largest": net.largest, "best BLEU": net.space.validate(front[-1])}
    named |= {"middle": net.space.validate(front[len(front) // 2]), "fastest": net.space.validate(front[0])}
    named["smallest"] = net.smallest
    chosen = list(named.values())
    measured = [one.median_ms for one in measure_end_to_end(net, chosen, device)]
    macs, predicted = net.costs(chosen)["macs"], table.latency(chosen)
    for i, (name, architecture) in enumerate(named.items()):
        score = validated(net, architecture, task, split="test")[1]["bleu"]
        faster = measured[0] / measured[i]
        cells = [name, f"{measured[i]:.1f}", f"{predicted[i]:.1f}", f"{faster:.2f}", f"{score:.1f}", f"{macs[i]:,}"]
        print(f"| {device.name} | " + " | ".join(cells) + " |", flush=True)
    spread = np.ptp(result.frame["bleu"].dropna())
    print(f"| {device.name} | front of {len(front)}; BLEU of what was validated spans {spread:.1f} | | | | | |")


def translated(folder: Path, sentence: str) -> str:
    """What the bundle makes of a sentence, and how long that takes by its own account."""
    command = [sys.executable, "-I", str(folder / "run.py"), sentence, "--repeats", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    return json.dumps({**report["predictions"][0], "latency_ms": report["latency"]["median_ms"]}, ensure_ascii=False)


if __name__ == "__main__":
    main()
