"""Do training-free proxies tell predictors anything? Sub-networks of the embedded super-network, measured on digits.

    python benchmarks/predictors/proxies.py --architectures 200 --folder runs/proxies

Measures the accuracy and every descriptor of random sub-networks (kept in the folder, so that it goes on where it
stopped), then prints: the Spearman correlation of each descriptor with the accuracy, and what a proxy costs beside a
validation; and for some training sizes the error and Spearman of `auto` on the other sub-networks, with one-hots alone,
with costs, and with costs and proxies of which cross-validation keeps the helpful ones (median over draws, quartiles).
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import predictors
import search
import supernet
from predictors import metrics
from search import Descriptor, Descriptors, Store
from supernet import SuperNetwork
from supernet.tasks import digits
from supernet.validation import Validation

Floats = NDArray[np.float64]


def main() -> None:
    """Measures what is missing and prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", type=int, default=200)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--draws", type=int, default=10, help="random training sets per size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/proxies"))
    options = parser.parse_args()
    net = supernet.create("digits_mobilenetv3", checkpoint="embedded").eval()
    genes = net.space.encode(net.space.sample(options.architectures, seed=options.seed))
    with Store(options.folder / "store.sqlite") as store:
        store.bind(net.space)
        y, described, names, seconds = measured(net, genes, store)
    write = sys.stdout.write
    write(f"{len(y)} sub-networks, accuracy {y.min():.1f} to {y.max():.1f} %, deviation {y.std():.2f}\n")
    write(f"{'descriptor':14} {'Spearman':>9} {'seconds':>8}\n")
    for i, name in enumerate(names):
        write(f"{name:14} {metrics.spearman(y, described[:, i]):9.3f} {seconds[name]:8.3f}\n")
    write(f"{'(validation)':14} {'':9} {seconds['accuracy']:8.3f}\n\n")
    write(f"{'features':22} {'n':>4}  {'RMSE in % top-1':20} {'Spearman':20} kept\n")
    one_hots = net.space.features(genes).astype(np.float64)
    for n in options.sizes:
        for label, n_used in (("genes", 0), ("genes, costs", 3), ("genes, costs, proxies", len(names))):
            X = np.concatenate([one_hots, described[:, :n_used]], axis=1)
            found = [trial(X, y, n_used, n, options.seed + draw) for draw in range(options.draws)]
            rmse, spearman, kept = (np.array(values) for values in zip(*found, strict=True))
            often = " ".join(f"{name} {share:.1f}" for name, share in zip(names, kept.mean(axis=0), strict=False))
            write(f"{label:22} {n:4}  {quartiles(rmse, 2):20} {quartiles(spearman, 3):20} {often}\n")
            sys.stdout.flush()


def measured(
    net: SuperNetwork, genes: NDArray[np.int64], store: Store
) -> tuple[Floats, Floats, list[str], dict[str, float]]:
    """Accuracies [n], descriptors [n, k] with their names, and median seconds an architecture takes for each."""
    task = digits()
    items = search.cost_descriptors(net) + search.proxy_descriptors(net, task)
    accuracy = Descriptor("accuracy", measure=Validation(net, task), expensive=True)
    columns = Descriptors.of([*items, accuracy]).kept_in(store)(net.space.decode(genes))
    started = time.perf_counter()
    Descriptors.of(items[:3])(net.space.decode(genes))
    cheap = (time.perf_counter() - started) / len(genes) / 3
    seconds = {item.name: cheap for item in items[:3]}
    for item in [*items[3:], accuracy]:
        seconds[item.name] = float(np.median([found.seconds for found in store.measurements(item.name)]))
    return columns[:, -1], columns[:, :-1], [item.name for item in items], seconds


def trial(X: Floats, y: Floats, n_optional: int, n: int, seed: int) -> tuple[float, float, NDArray[np.bool_]]:
    """RMSE and Spearman on the rows that `n` random ones leave, and which optional columns were kept."""
    rows = np.random.default_rng(seed).permutation(len(y))
    train, test = rows[:n], rows[n:]
    predictor = predictors.Selective("auto", n_optional).fit(X[train], y[train])
    mean = predictor.predict_mean(X[test])
    return metrics.rmse(y[test], mean), metrics.spearman(y[test], mean), predictor.kept_


def quartiles(values: Floats, digits_: int) -> str:
    """Median and quartiles, as in "0.10 [0.09 0.12]"."""
    low, median, high = (f"{value:.{digits_}f}" for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return f"{median} [{low} {high}]"


if __name__ == "__main__":
    main()
