"""How well latencies that others measured are predicted: HAT's CSV files, on rows that were held back.

    python benchmarks/hardware/imported.py [--rows 200] [--seeds 3] [--files ../shared/measurements/hat_*.csv]

With all rows, the error is by threefold cross-validation, as it is kept in the table (each row is predicted from two
thirds of all); with fewer, a predictor is fitted to that many rows drawn at random, and the error is on all others. The
baseline is a ridge on the ten averaged features and their squares, fitted to the same rows (or in three folds).
`--splits` tells how much the error depends on which fifth of the rows is held back.
"""

import argparse
import platform
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import supernet
from hardware import Device, import_latency
from hardware.predicted import LatencyPredictor
from hardware.provenance import cpu_model

SPACES = {
    "iwslt14deen": "iwslt14_de_en",
    "wmt14ende": "wmt14_en_de",
    "wmt14enfr": "wmt14_en_fr",
    "wmt19ende": "wmt19_en_de",
}

Values = NDArray[np.float64]


def read(path: Path) -> LatencyPredictor:
    """The file as `supernet-profile import` takes it."""
    space = next(space for task, space in SPACES.items() if task in path.name)
    net = supernet.create("hat_transformer", space=space, vocab_size=100)
    model = import_latency(path, net, Device("imported", "imported"))
    if not isinstance(model, LatencyPredictor):
        raise ValueError(f"{path} is not a CSV file of whole networks")
    return model


def said(whole: LatencyPredictor, fitted: NDArray[np.int64], asked: NDArray[np.int64]) -> Values:
    """What a predictor of some rows says of others."""
    model = LatencyPredictor.fit(
        whole.device, whole.space, whole.rows[fitted], whole.latencies_ms[fitted], description=whole.description
    )
    return model.latency_of_rows(whole.rows[asked])


def ridge(whole: LatencyPredictor, fitted: NDArray[np.int64], asked: NDArray[np.int64]) -> Values:
    """The baseline."""
    columns = np.hstack([whole.rows, whole.rows**2])
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-4, 2, 13)))
    return np.asarray(model.fit(columns[fitted], whole.latencies_ms[fitted]).predict(columns[asked]))


def mape(predicted: Values, measured: Values) -> float:
    """In percent."""
    return float(100 * np.mean(np.abs(predicted / measured - 1)))


def row(path: Path, n_rows: list[int], n_seeds: int) -> str:
    """Of the printed table."""
    whole = read(path)
    n, latencies = len(whole.rows), whole.latencies_ms
    fold = np.random.default_rng(0).permutation(n) % 3
    folded = np.empty(n)
    for k in range(3):
        folded[fold == k] = ridge(whole, np.flatnonzero(fold != k), np.flatnonzero(fold == k))
    cells = [path.stem, f"{whole.error['mape_percent']:.2f}", f"{mape(folded, latencies):.2f}"]
    for n_fitted in n_rows:
        found = []
        for seed in range(n_seeds):
            order = np.random.default_rng(seed).permutation(n)
            fitted, asked = order[:n_fitted], order[n_fitted:]
            found.append([mape(method(whole, fitted, asked), latencies[asked]) for method in (said, ridge)])
        cells += [f"{m:.2f} ± {s:.2f}" for m, s in zip(np.mean(found, axis=0), np.std(found, axis=0), strict=True)]
    return f"| {' | '.join(cells)} |"


def splits(path: Path, n_splits: int) -> str:
    """Mean and standard deviation of the error on a random fifth of the rows, fitted to the others."""
    whole, found = read(path), []
    for seed in range(n_splits):
        asked, fitted = np.split(np.random.default_rng(seed).permutation(len(whole.rows)), [len(whole.rows) // 5])
        found.append(mape(said(whole, fitted, asked), whole.latencies_ms[asked]))
    return f"| {path.stem} | {np.mean(found):.2f} ± {np.std(found):.2f} |"


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--files", nargs="*", type=Path, default=sorted(Path("../shared/measurements").glob("hat_*.csv"))
    )
    parser.add_argument("--rows", nargs="*", type=int, default=[200])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--splits", type=int, default=0, help="how many; instead of the table")
    given = parser.parse_args()
    print(f"{cpu_model()}, Python {platform.python_version()}; MAPE in percent, {given.seeds} seeds\n")
    if given.splits:
        for path in given.files:
            print(splits(path, given.splits), flush=True)
        return
    header = ["file", "all rows", "ridge", *(text for n in given.rows for text in (f"{n} rows", "ridge"))]
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for path in given.files:
        print(row(path, given.rows, given.seeds), flush=True)


if __name__ == "__main__":
    main()
