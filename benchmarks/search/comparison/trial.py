"""What a competitor is asked to do: a landscape with noise, perhaps a cap, a budget and a seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import process_time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import search
from comparison.landscapes import Floats, Landscape
from supernet.architecture import Architecture
from supernet.space import Genes


@dataclass(eq=False)
class Trial:
    """Measures for one competitor, and keeps what was measured, in order.

    Args:
        landscape: where.
        budget: distinct architectures that may be measured.
        seed: of competitor and noise.
        noise: standard deviation of what is added to accuracies.
        batch: architectures per batch; None: as the competitor wants.
        cap: latency above which nothing counts; None: latency is an objective.
    """

    landscape: Landscape
    budget: int
    seed: int
    noise: float = 0.0
    batch: int | None = None
    cap: float | None = None
    known: dict[Architecture, float] = field(default_factory=dict)
    measuring_s: float = 0.0

    def __post_init__(self) -> None:
        self._accuracy = self.landscape.measured(self.noise, self.seed)

    @property
    def spent(self) -> bool:
        """Whether the budget is."""
        return len(self.known) >= self.budget

    def accuracy(self, architectures: list[Architecture]) -> Floats:
        """Measured accuracy; asking again costs nothing."""
        start = process_time()
        new = list(dict.fromkeys(a for a in architectures if a not in self.known))
        if new:
            self.known |= zip(new, self._accuracy(new).tolist(), strict=True)
        self.measuring_s += process_time() - start
        return np.array([self.known[a] for a in architectures])

    def latency(self, architectures: list[Architecture]) -> Floats:
        """Exact."""
        return np.asarray(self.landscape.latency(architectures), dtype=np.float64)

    def minimised(self, genes: Genes) -> tuple[Floats, Floats]:
        """For peers, which optimise numbers: objectives to minimise, and by how much the cap is exceeded.

        Returns: shapes (n, 2) and (n,); under a cap accuracy is the only objective, (n, 1).
        """
        architectures = self.landscape.space.decode(self.landscape.space.canonical(genes))
        accuracy, latency = self.accuracy(architectures), self.latency(architectures)
        if self.cap is None:
            return np.stack([-accuracy, latency], axis=1), np.zeros(len(latency))
        return -accuracy[:, None], latency - self.cap

    def scores(self, best: float) -> Floats:
        """Noise-free score after each evaluation; NaN while there is none.

        Args:
            best: the largest known hypervolume, or under a cap the best known accuracy.
        """
        architectures = list(self.known)[: self.budget]
        accuracy, latency = self.landscape.accuracy(architectures), self.latency(architectures)
        if self.cap is None:
            points = np.stack([accuracy, latency], axis=1)
            return search.pareto.hypervolume_curve(points, self.landscape.reference, ("max", "min")) / best
        allowed = np.where(latency <= self.cap, accuracy, -np.inf)
        so_far: NDArray[np.float64] = np.maximum.accumulate(allowed) - best
        return np.where(np.isfinite(so_far), so_far, np.nan)


Competitor = Callable[[Trial], Any]
"""Spends the budget of a trial."""
