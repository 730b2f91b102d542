"""What measurements from elsewhere are worth: cold and warm searches at equal evaluations.

    python benchmarks/search/warm_start.py DIR     # a folder with landscapes.py and reference.json

The searches are on the landscape whose accuracy was fitted to measurements. They start from nothing, or from what a
search of 250 evaluations measured on the rugged landscape (another accuracy, and another device), which tells only how
architectures rank. Prints the share of the best known hypervolume, median and quartiles over seeds.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from comparison.landscapes import Landscape, mobilenet_space, released

import search
from hardware.provenance import cpu_model


def searched(landscape: Landscape, scope: str, **settings: Any) -> search.Result:
    """A search on one landscape."""
    objectives = [
        search.Objective("accuracy", goal="max", measure=landscape.accuracy, scope=scope),
        search.Objective("latency", goal="min", measure=landscape.latency, expensive=False),
    ]
    return search.run(mobilenet_space(), objectives, progress=False, **settings)


def main() -> None:
    """Prints one line per device, budget and start."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("landscapes", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budgets", type=int, nargs="+", default=[25, 50, 100])
    parser.add_argument("--devices", nargs="+", default=["titan_xp_1", "v100_64", "2080ti_32"])
    parser.add_argument("--tactic", default="linas")
    parser.add_argument("--predictor", default="auto")
    parser.add_argument("--batch-size", type=int, default=None)
    options = parser.parse_args()
    print(f"{cpu_model()}; {options.tactic}, {options.seeds} seeds; share of the best known hypervolume [quartiles]")
    settings = {"tactic": options.tactic, "predictor": options.predictor, "batch_size": options.batch_size}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(options.seeds):
            elsewhere = released(options.landscapes, "v100_32", "predictor")
            searched(elsewhere, "rugged", tactic="nsga2", budget=250, seed=seed, store=Path(folder) / f"{seed}.sqlite")
        for device in options.devices:
            landscape = released(options.landscapes, device, "measured")
            for budget in options.budgets:
                cells = []
                for start in ("cold", "warm"):
                    shares = []
                    for seed in range(options.seeds):
                        known = Path(folder) / f"{seed}.sqlite" if start == "warm" else None
                        result = searched(landscape, "fitted", budget=budget, seed=seed, warm_start=known, **settings)
                        shares.append(result.hypervolume(landscape.reference) / landscape.hypervolume)
                    low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75])
                    cells.append(f"{start} {middle:.3f} [{low:.3f}, {high:.3f}]")
                print(f"{device:12} {budget:4}   " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    main()
