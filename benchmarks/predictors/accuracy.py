"""How well predictors fit ImageNet accuracies of OFA-MobileNetV3 sub-networks, by number of training samples.

    python benchmarks/predictors/accuracy.py ../shared/measurements/ofa_mbv3_imagenet_top1.csv --draws 10

Prints per predictor and sample count the median over draws (quartiles in brackets) of MAPE, Spearman and Kendall on
all other networks, the coverage of the 90 % interval, and the CPU seconds of one fit. No network is both in training
and in test; a training network measured several times enters once.
"""

import argparse
import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import predictors
from predictors import metrics

STAGES, BLOCKS = 5, 4
KERNELS, EXPANSIONS, DEPTHS = "357", "346", "234"


@dataclass(frozen=True)
class Result:
    """Agreement with held-out measurements (percent, correlations, share) and CPU seconds to fit."""

    mape: float
    spearman: float
    kendall: float
    coverage: float
    fit_s: float


def load(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One-hots [n, 135] of 20 kernels, 20 expansions and 5 depths, zero in inactive blocks; top-1 [n] in percent."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    features = np.array([_one_hots(row["ks"], row["e"], row["d"]) for row in rows])
    return features, np.array([float(row["top1"]) for row in rows])


def _one_hots(kernels: str, expansions: str, depths: str) -> list[float]:
    active = [block < int(depth) for depth in depths for block in range(BLOCKS)]
    blocks = [
        float(is_active and gene == value)
        for genes, values in ((kernels, KERNELS), (expansions, EXPANSIONS))
        for gene, is_active in zip(genes, active, strict=True)
        for value in values
    ]
    return blocks + [float(depth == value) for depth in depths for value in DEPTHS]


def split(X: NDArray[np.float64], n: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of `n` random distinct networks, one row each, and all rows of the other networks.

    Raises ValueError if no network would be left to test on.
    """
    rng = np.random.default_rng(seed)
    _, network = np.unique(X, axis=0, return_inverse=True)
    network = network.reshape(-1)
    n_networks = int(network.max()) + 1
    if not 0 < n < n_networks:
        raise ValueError(f"{n} training samples asked for, but there are {n_networks} distinct networks")
    chosen = rng.permutation(n_networks)[:n]
    order = rng.permutation(len(X))
    _, first = np.unique(network[order], return_index=True)
    return order[first[chosen]], np.flatnonzero(~np.isin(network, chosen))


def evaluate(name: str, X: NDArray[np.float64], y: NDArray[np.float64], n: int, seed: int) -> Result:
    """One draw of `n` training samples."""
    train, test = split(X, n, seed)
    started = time.process_time()
    predictor = predictors.create(name).fit(X[train], y[train])
    fit_s = time.process_time() - started
    mean, std = predictor.predict(X[test])
    truth = y[test]
    return Result(
        metrics.mape(truth, mean),
        metrics.spearman(truth, mean),
        metrics.kendall(truth, mean),
        metrics.coverage(truth, mean, std),
        fit_s,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, help="ofa_mbv3_imagenet_top1.csv")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 50, 100, 200, 500, 1000])
    parser.add_argument("--draws", type=int, default=10, help="random training sets per size")
    parser.add_argument("--seed", type=int, default=0, help="of the first draw; the others follow")
    parser.add_argument("--predictors", nargs="+", default=list(predictors.available()), choices=predictors.available())
    options = parser.parse_args(arguments)
    X, y = load(options.csv)
    line = "{:18} {:>5}  {:20} {:23} {:23} {:17} {:>6}\n"
    sys.stdout.write(line.format("predictor", "n", "MAPE %", "Spearman", "Kendall", "coverage 90", "CPU s"))
    for name in options.predictors:
        for n in options.sizes:
            results = [evaluate(name, X, y, n, options.seed + draw) for draw in range(options.draws)]
            columns = zip(np.array([astuple(result) for result in results]).T, (3, 4, 4, 2), strict=False)
            fit_s = np.median([result.fit_s for result in results])
            sys.stdout.write(line.format(name, n, *(summary(v, digits) for v, digits in columns), f"{fit_s:.2f}"))
            sys.stdout.flush()


def summary(values: NDArray[np.float64], digits: int) -> str:
    """Median and quartiles, as in "0.10 [0.09 0.12]"."""
    low, median, high = (f"{value:.{digits}f}" for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return f"{median} [{low} {high}]"


if __name__ == "__main__":
    main()
