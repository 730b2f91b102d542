"""Compares the tactics: median hypervolume (and quartiles) over seeds at several budgets.

    python benchmarks/search/tactics.py                     # a synthetic landscape
    python benchmarks/search/tactics.py --landscapes DIR    # accuracy and latency models of OFA MobileNetV3

Hypervolume is a share of the best known one: on the synthetic landscape what NSGA-II reaches with 40,000 evaluations,
on the others what `reference.json` gives. One search is run per budget, because a tactic's batch
size may depend on it. The last column is the time per search that is not measuring, which is instant here.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import search
from supernet.architecture import Architecture
from supernet.space import Choice, SearchSpace, within_depth

STAGES = (4, 4, 4, 4, 4)
GOALS = ("max", "min")


@dataclass(frozen=True)
class Landscape:
    """Accuracy and latency of every architecture, a reference point and the best known hypervolume."""

    name: str
    accuracy: Callable[[list[Architecture]], NDArray[np.float64]]
    latency: Callable[[list[Architecture]], NDArray[np.float64]]
    reference: tuple[float, float]
    best: float


def mobilenet_space() -> SearchSpace:
    """The space of OFA MobileNetV3 at one resolution: 45 genes, 3 values each."""
    active = within_depth("d", STAGES)
    return SearchSpace(
        Choice("ks", (3, 5, 7), repeat=20, active=active),
        Choice("e", (3, 4, 6), repeat=20, active=active),
        Choice("d", (2, 3, 4), repeat=5),
    )


def synthetic(space: SearchSpace) -> Landscape:
    """Accuracy saturates in a weighted capacity, with pairwise interactions; latency adds up over active blocks."""
    rng = np.random.default_rng(2022)
    n_features = int(space.n_values.sum())
    grade = np.concatenate([np.linspace(0.4, 1.0, n) for n in space.n_values])
    gain = grade * rng.uniform(0.2, 1.0, n_features)
    cost = grade * rng.uniform(0.1, 1.0, n_features) * np.repeat(rng.uniform(0.5, 2.0, space.n_genes), space.n_values)
    pairs = rng.normal(0, 0.25, (n_features, n_features)) * (rng.random((n_features, n_features)) < 0.02)

    def accuracy(architectures: list[Architecture]) -> NDArray[np.float64]:
        features = space.features(architectures).astype(np.float64)
        capacity = features @ gain + ((features @ pairs) * features).sum(axis=1)
        return 70 + 10 * (1 - np.exp(-capacity / 12))

    def latency(architectures: list[Architecture]) -> NDArray[np.float64]:
        return 2 + space.features(architectures).astype(np.float64) @ cost

    sample = space.sample(2000, seed=12345)
    reference = (float(accuracy(sample).min()), float(latency(sample).max()))
    return Landscape("synthetic", accuracy, latency, reference, _best(space, accuracy, latency, reference))


def _best(space: SearchSpace, accuracy: Any, latency: Any, reference: tuple[float, float]) -> float:
    """Hypervolume that NSGA-II reaches with 40,000 evaluations of the true landscape."""
    from search.evolution import Pool, evolve

    def judge(genes: NDArray[np.int64]) -> Pool:
        architectures = space.decode(genes)
        values = np.stack([-accuracy(architectures), latency(architectures)], axis=1)
        return Pool(genes, values, np.zeros(len(genes)))

    rng = np.random.default_rng(1)
    found = evolve(space, judge, space.sample_genes(200, rng), population=200, generations=200, rng=rng)
    return search.hypervolume(found.minimised, (-reference[0], reference[1]), ("min", "min"))


def released(directory: Path, device: str, accuracy: str) -> Landscape:
    """One of the landscapes in a folder that holds landscapes.py and reference.json."""
    sys.path.insert(0, str(directory))
    from landscapes import OfaMobileNetV3Landscape  # type: ignore[import-not-found]

    known = json.loads((directory / "reference.json").read_text())[accuracy][device]
    model = OfaMobileNetV3Landscape(device, accuracy=accuracy)

    def mapped(architectures: Sequence[Architecture]) -> list[dict[str, list[int]]]:
        return [{name: list(architecture[name]) for name in ("ks", "e", "d")} for architecture in architectures]

    return Landscape(
        f"{accuracy}/{device}",
        lambda architectures: model.evaluate(mapped(architectures))["accuracy"],
        lambda architectures: model.latency(mapped(architectures)),
        (known["reference_point"]["accuracy"], known["reference_point"]["latency"]),
        known["hypervolume"],
    )


def share(
    space: SearchSpace, landscape: Landscape, tactic: str, budget: int, seed: int, arguments: argparse.Namespace
) -> tuple[float, float]:
    """Share of the best known hypervolume, and the seconds that the search took."""
    objectives = [
        search.Objective("accuracy", goal="max", measure=landscape.accuracy),
        search.Objective("latency", goal="min", measure=landscape.latency, expensive=False),
    ]
    start = time.perf_counter()
    result = search.run(
        space,
        objectives,
        tactic=tactic,
        budget=budget,
        seed=seed,
        batch_size=arguments.batch_size,
        predictor=arguments.predictor,
        progress=False,
    )
    seconds = time.perf_counter() - start
    return result.hypervolume(landscape.reference) / landscape.best, seconds


def main() -> None:
    """Prints one table per landscape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budgets", type=int, nargs="+", default=[50, 100, 250])
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds")
    parser.add_argument("--tactics", nargs="+", default=search.tactics.available())
    parser.add_argument("--predictor", default="auto")
    parser.add_argument("--batch-size", type=int, default=None, help="default: each tactic's own rule")
    parser.add_argument("--landscapes", type=Path, help="folder with landscapes.py and reference.json")
    parser.add_argument("--devices", nargs="+", default=["titan_xp_1", "v100_64", "2080ti_32"])
    parser.add_argument("--accuracy", choices=["measured", "predictor"], default="measured")
    arguments = parser.parse_args()
    space = mobilenet_space()
    if arguments.landscapes:
        landscapes = [released(arguments.landscapes, device, arguments.accuracy) for device in arguments.devices]
    else:
        landscapes = [synthetic(space)]
    for landscape in landscapes:
        print(f"\n{landscape.name}: share of the best known hypervolume, median [quartiles] of {arguments.seeds} seeds")
        print(f"{'tactic':10}" + "".join(f"{budget:>24}" for budget in arguments.budgets) + f"{'s / search':>12}")
        for tactic in arguments.tactics:
            cells, seconds = [], 0.0
            for budget in arguments.budgets:
                runs = [share(space, landscape, tactic, budget, seed, arguments) for seed in range(arguments.seeds)]
                low, middle, high = np.quantile([value for value, _ in runs], [0.25, 0.5, 0.75])
                cells.append(f"{middle:.3f} [{low:.3f}, {high:.3f}]")
                seconds = statistics.median(s for _, s in runs)
            print(f"{tactic:10}" + "".join(f"{cell:>24}" for cell in cells) + f"{seconds:12.2f}", flush=True)


if __name__ == "__main__":
    main()
