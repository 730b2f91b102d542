"""A tactic, a predictor and an objective of your own.

Run: python examples/custom_tactic.py
On the command line: see docs/extending.md.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import search
import supernet
from predictors import Predictor
from supernet.tasks import digits
from supernet.validation import Validation


@dataclass(frozen=True)
class HillClimb:
    """Changes a gene or a few of what is on the front; the rest of a batch is drawn at random.

    Args:
        changes: most genes that are changed at once.
    """

    changes: int = 2

    def propose(self, history: search.History, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Genes of shape (n, n_genes); the driver drops what breaks a constraint."""
        space, parents = history.space, history.genes[history.pareto]
        drawn = space.sample_genes(min(2 * n, space.size), rng)
        if not len(parents):
            return drawn
        children = parents[rng.integers(len(parents), size=4 * n)]
        for _ in range(self.changes):
            genes = rng.integers(space.n_genes, size=len(children))
            children[np.arange(len(children)), genes] = rng.integers(space.n_values[genes])
        found = np.concatenate([space.canonical(children), drawn])
        return found[~history.seen(found)][:n]


class Nearest(Predictor):
    """What was measured of the nearest architecture, as far off as that one is away."""

    def _fit(self, X: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        self.X_, self.z_ = X, z

    def _predict(self, X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        distances = np.linalg.norm(X[:, None] - self.X_[None], axis=2)
        return self.z_[distances.argmin(axis=1)], distances.min(axis=1) / np.sqrt(X.shape[1])


def main(store: str = "runs/custom.sqlite", budget: int = 12) -> dict[str, search.Result]:
    """Searches twice for accurate and small sub-networks: by the tactic, and by LINAS with the predictor."""
    net = supernet.create("digits_mobilenetv3", checkpoint="embedded")
    objectives = [
        search.Objective("accuracy", goal="max", measure=Validation(net, digits())),
        search.Objective(
            "kib", goal="min", measure=lambda archs: net.costs(archs)["params"] * 4 / 1024, expensive=False
        ),
    ]
    linas = search.tactics.create("linas", predictor=Nearest(), population=20, generations=4)
    return {
        type(tactic).__name__: search.run(net.space, objectives, tactic=tactic, budget=budget, store=store)
        for tactic in (HillClimb(), linas)
    }


if __name__ == "__main__":
    for name, result in main().items():
        print(f"{name}: hypervolume {result.hypervolume(reference=[90.0, 1000.0]):.1f}")
        print(result.pareto()[["accuracy", "kib"]])
