"""A new GPU from ten measurements: each GPU model is left out in turn, and predicted from the others.

    python benchmarks/hardware/transfer.py [--file ../shared/measurements/ofa_mbv3_gpu_latency.csv] [--budgets 10]

The file is the one published with HELP (arXiv:2106.08630), or any CSV file of architectures and of latencies in columns
named `<device>_<batch>`: all columns of a device are left out together. Ten rows are chosen by
`hardware.choose_measurements` among 600 drawn at random (another draw for each seed), or drawn at random; errors are on
all other rows, as they were measured, so that the noise of the measurements is part of them. "All rows" is what a
predictor of the same device says of rows left out, fitted to the others: what noise leaves possible. "Ridge" is the
usual baseline: non-negative least squares on a ridge model of each other device, from rows drawn at random. "Squares"
is the same on the very models of the other devices that `transfer` gets, with relative errors.
"""

import argparse
import csv
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge

import supernet
from hardware import Device, choose_measurements, import_latency, transfer
from hardware.predicted import LatencyPredictor
from hardware.provenance import cpu_model
from supernet import Architecture

CHOICES = ("ks", "e", "d", "r", "row")
CANDIDATES = 600

Values = NDArray[np.float64]


class Study:
    """All devices of a file, with a predictor each, and what it says of all rows."""

    def __init__(self, path: Path, family: str) -> None:
        net = supernet.create(family)
        with path.open(newline="") as file:
            header = next(csv.reader(file))
        self.names = [name for name in header if name not in CHOICES]
        self.models: dict[str, LatencyPredictor] = {}
        for name in self.names:
            model = import_latency(path, net, Device(name, "imported"), column=name)
            if not isinstance(model, LatencyPredictor):
                raise ValueError(f"{path} is not a CSV file of whole networks")
            self.models[name] = model
            print(f"fitted {name}: {model.error}", flush=True)
        first = self.models[self.names[0]]
        self.architectures: list[Architecture] = net.space.decode(first.rows.astype(np.int64))
        self.features = net.space.features(self.architectures).astype(np.float64)
        said = {name: model.latency(self.architectures) for name, model in self.models.items()}
        self.sources = {name: Remembered(model, said[name]) for name, model in self.models.items()}
        self.ridge = {name: self._ridge(model.latencies_ms) for name, model in self.models.items()}

    def _ridge(self, latencies_ms: Values) -> Values:
        return np.asarray(Ridge(1.0).fit(self.features, latencies_ms).predict(self.features))

    def others(self, name: str) -> list[str]:
        """Columns of other devices."""
        return [other for other in self.names if other.rsplit("_", 1)[0] != name.rsplit("_", 1)[0]]

    def transferred(self, name: str, n: int, seed: int, designed: bool) -> tuple[list[int], Values]:
        """Which rows were measured, and what is said of all."""
        sources = [self.sources[other] for other in self.others(name)]
        rng, measured = np.random.default_rng(seed), self.models[name].latencies_ms
        candidates = rng.choice(len(measured), min(CANDIDATES, len(measured)), replace=False)
        rows = {self.architectures[i]: int(i) for i in candidates}
        chosen = [int(i) for i in candidates[:n]]
        if designed:
            chosen = [rows[a] for a in choose_measurements(sources, n, among=list(rows), seed=seed)]
        model = transfer(sources, Device("new", "imported"), [self.architectures[i] for i in chosen], measured[chosen])
        return chosen, model.latency(self.architectures)

    def baseline(self, name: str, n: int, seed: int, ridge: bool) -> tuple[list[int], Values]:
        """Non-negative least squares on ridge models, or on the sources with relative errors."""
        said = (
            self.ridge if ridge else {name: source.latency(self.architectures) for name, source in self.sources.items()}
        )
        columns = np.stack([said[other] for other in self.others(name)], axis=1)
        measured = self.models[name].latencies_ms
        chosen = np.random.default_rng(seed).choice(len(measured), n, replace=False)
        unit = np.ones(n) if ridge else measured[chosen]
        weights, _ = nnls(columns[chosen] / unit[:, None], measured[chosen] / unit)
        return chosen.tolist(), columns @ weights


class Remembered:
    """A latency model that looks up what it has said of the rows, since each is asked for some hundred times."""

    def __init__(self, model: LatencyPredictor, said: Values) -> None:
        self._model = model
        self.device, self.space, self.scope = model.device, model.space, model.scope
        self.provenance, self.error, self.describe, self.save = {}, model.error, model.describe, model.save
        architectures = model.space.decode(model.rows.astype(np.int64))
        self._said = dict(zip(architectures, said.tolist(), strict=True))

    def latency(self, architectures: Sequence[Architecture]) -> Values:
        """As the model."""
        if new := [a for a in architectures if a not in self._said]:
            self._said |= dict(zip(new, self._model.latency(new).tolist(), strict=True))
        return np.array([self._said[a] for a in architectures])


def scores(predicted: Values, measured: Values, chosen: Sequence[int]) -> tuple[float, float]:
    """Spearman and MAPE in percent on all rows but those that were measured."""
    others = np.ones(len(measured), dtype=bool)
    others[list(chosen)] = False
    error = np.abs(predicted[others] / measured[others] - 1)
    return float(spearmanr(predicted[others], measured[others]).statistic), float(100 * error.mean())


def main() -> None:
    """Prints a table for each budget."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--file", type=Path, default=Path("../shared/measurements/ofa_mbv3_gpu_latency.csv"))
    parser.add_argument("--family", default="ofa_mobilenetv3")
    parser.add_argument("--budgets", nargs="*", type=int, default=[10])
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    study = Study(given.file, given.family)
    print(
        f"\n{cpu_model()}, Python {platform.python_version()}; {len(study.architectures)} rows, {given.seeds} seeds\n"
    )
    for n in given.budgets:
        print(f"{n} measurements; Spearman / MAPE in percent, mean ± standard deviation over seeds\n")
        print("| left out | chosen | at random | ridge, at random | squares, at random | all rows |")
        print("|---|---|---|---|---|---|")
        for name in study.names:
            measured, cells = study.models[name].latencies_ms, [name]
            methods = (
                lambda seed, name=name, n=n: study.transferred(name, n, seed, designed=True),
                lambda seed, name=name, n=n: study.transferred(name, n, seed, designed=False),
                lambda seed, name=name, n=n: study.baseline(name, n, seed, ridge=True),
                lambda seed, name=name, n=n: study.baseline(name, n, seed, ridge=False),
            )
            for method in methods:
                found = np.array([scores(p, measured, c) for c, p in map(method, range(given.seeds))])
                (rho, mape), (rho_std, mape_std) = found.mean(axis=0), found.std(axis=0)
                cells.append(f"{rho:.4f} ± {rho_std:.4f} / {mape:.2f} ± {mape_std:.2f}")
            error = study.models[name].error
            cells.append(f"{error['spearman']:.4f} / {error['mape_percent']:.2f}")
            print(f"| {' | '.join(cells)} |", flush=True)
        print()


if __name__ == "__main__":
    main()
