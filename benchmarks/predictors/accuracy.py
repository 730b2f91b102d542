"""How well predictors fit ImageNet accuracies of OFA-MobileNetV3 sub-networks, by number of training samples.

    python benchmarks/predictors/accuracy.py ../shared/measurements/ofa_mbv3_imagenet_top1.csv --draws 10

Prints per method and sample count the median over draws (quartiles in brackets) of MAPE, Spearman and Kendall on all
other networks, the coverage of the 90 % interval, and the CPU seconds of one fit. No network is both in training and in
test; a training network measured several times enters once. Methods are our predictors on one-hots that are zero where
a block is inactive; `auto+costs`, which learns from MACs, parameters and depth beside them where cross-validation says
that they help; and peers rebuilt from scikit-learn (`peers.py`; DyNAS-T's sees inactive blocks too).
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import peers
from numpy.typing import NDArray

import predictors
from predictors import metrics

Floats = NDArray[np.float64]
BLOCKS = 4
KERNELS, EXPANSIONS, DEPTHS = "357", "346", "234"


@dataclass(frozen=True)
class Result:
    """Agreement with held-out measurements (percent, correlations, share) and CPU seconds to fit."""

    mape: float
    spearman: float
    kendall: float
    coverage: float
    fit_s: float


@dataclass(frozen=True)
class Table:
    """Measured networks.

    Attributes:
        masked: one-hots [n, 135] of 20 kernels, 20 expansions and 5 depths, zero in inactive blocks.
        raw: the same, inactive blocks as they stand in the file.
        costs: [n, 3] MACs, parameters, number of blocks.
        top1: [n] in percent.
    """

    masked: Floats
    raw: Floats
    costs: Floats
    top1: Floats


def load(path: Path) -> Table:
    """Reads the CSV file of published measurements."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return Table(
        np.array([_one_hots(row, masked=True) for row in rows]),
        np.array([_one_hots(row, masked=False) for row in rows]),
        np.array([[float(row["macs"]), float(row["params"]), float(sum(map(int, row["d"])))] for row in rows]),
        np.array([float(row["top1"]) for row in rows]),
    )


def _one_hots(row: dict[str, str], masked: bool) -> list[float]:
    active = [block < int(depth) or not masked for depth in row["d"] for block in range(BLOCKS)]
    blocks = [
        float(is_active and gene == value)
        for genes, values in ((row["ks"], KERNELS), (row["e"], EXPANSIONS))
        for gene, is_active in zip(genes, active, strict=True)
        for value in values
    ]
    return blocks + [float(depth == value) for depth in row["d"] for value in DEPTHS]


Method = tuple[Callable[[], Any], Callable[[Table], Floats]]
"""Makes a predictor, and the features that it sees."""

METHODS: dict[str, Method] = {
    **{name: (partial(predictors.create, name), lambda table: table.masked) for name in predictors.available()},
    "auto+costs": (partial(predictors.Selective, "auto", 3), lambda table: np.hstack([table.masked, table.costs])),
    "peer: dynast": (peers.dynast, lambda table: table.raw),
    "peer: svr": (peers.support_vectors, lambda table: table.masked),
    "peer: 3 mlps": (peers.Perceptrons, lambda table: table.masked),
}


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


def evaluate(name: str, table: Table, n: int, seed: int) -> Result:
    """One draw of `n` training samples."""
    create, features = METHODS[name]
    X, y = features(table), table.top1
    train, test = split(table.masked, n, seed)
    started = time.process_time()
    predictor = create().fit(X[train], y[train])
    fit_s = time.process_time() - started
    mean, std = predictor.predict(X[test])
    truth = y[test]
    return Result(
        metrics.mape(truth, mean),
        metrics.spearman(truth, mean),
        metrics.kendall(truth, mean),
        metrics.coverage(truth, mean, std) if np.isfinite(std).all() else np.nan,
        fit_s,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=Path, help="ofa_mbv3_imagenet_top1.csv")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 50, 100, 200, 500, 1000])
    parser.add_argument("--draws", type=int, default=10, help="random training sets per size")
    parser.add_argument("--seed", type=int, default=0, help="of the first draw; the others follow")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    options = parser.parse_args(arguments)
    table = load(options.csv)
    line = "{:18} {:>5}  {:20} {:23} {:23} {:17} {:>6}\n"
    sys.stdout.write(line.format("method", "n", "MAPE %", "Spearman", "Kendall", "coverage 90", "CPU s"))
    for name in options.methods:
        for n in options.sizes:
            results = [evaluate(name, table, n, options.seed + draw) for draw in range(options.draws)]
            columns = zip(np.array([astuple(result) for result in results]).T, (3, 4, 4, 2), strict=False)
            fit_s = np.median([result.fit_s for result in results])
            sys.stdout.write(line.format(name, n, *(summary(v, digits) for v, digits in columns), f"{fit_s:.2f}"))
            sys.stdout.flush()


def summary(values: NDArray[np.float64], digits: int) -> str:
    """Median and quartiles, as in "0.10 [0.09 0.12]"; a dash where there are no values."""
    if np.isnan(values).any():
        return "-"
    low, median, high = (f"{value:.{digits}f}" for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return f"{median} [{low} {high}]"


if __name__ == "__main__":
    main()
