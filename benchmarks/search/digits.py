"""Tactics on the embedded super-network: real validations on digits, latency from a table of this machine.

Prints the hypervolume of each tactic at equal evaluations, median and quartiles over seeds, and the size and span of
the fronts. Measurements go through one store, so that a network is validated once however many searches ask for it.

Run: python benchmarks/search/digits.py [--seeds 5] [--budget 80] [--folder runs/benchmark] [--tactics linas random]
"""

import argparse
from pathlib import Path

import numpy as np

import hardware
import search
import supernet
from hardware.provenance import cpu_model
from supernet.tasks import digits
from supernet.validation import Validation


def main() -> None:
    """Runs all searches and prints one line per tactic."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=80)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--tactics", nargs="+", default=["bayesian", "linas", "nsga2", "random"])
    options = parser.parse_args()

    net = supernet.create("digits_mobilenetv3", checkpoint="embedded").eval()
    device = hardware.Device("cpu", backend="onnxruntime")
    table = hardware.LatencyTable.build(net, device, path=options.folder / "latency.json")
    validate = Validation(net, digits())
    objectives = [
        search.Objective("accuracy", goal="max", measure=validate),
        search.Objective("latency", goal="min", measure=table.latency, expensive=False),
    ]
    slowest = float(table.latency([net.largest])[0])
    reference = [85.0, slowest]  # worse than what any search keeps: accuracy in percent, latency in ms
    print(f"{cpu_model()}, ONNX Runtime 1 thread; reference {reference[0]} %, {slowest:.3f} ms; {options.seeds} seeds")
    print(f"{'tactic':10} {'hypervolume':>12} {'quartiles':>17} {'front points':>13} {'latency span':>13}")
    for tactic in options.tactics:
        results = [
            search.run(
                net.space,
                objectives,
                tactic=tactic,
                budget=options.budget,
                seed=seed,
                store=options.folder / "store.sqlite",
                progress=False,
            )
            for seed in range(options.seeds)
        ]
        volumes = [result.hypervolume(reference) for result in results]
        fronts = [result.pareto() for result in results]
        low, median, high = np.quantile(volumes, [0.25, 0.5, 0.75])
        span = np.median([front["latency"].max() / front["latency"].min() for front in fronts])
        points = np.median([len(front) for front in fronts])
        print(f"{tactic:10} {median:12.4f} {low:8.4f}-{high:8.4f} {points:13.0f} {span:12.2f}x", flush=True)


if __name__ == "__main__":
    main()
