"""How rough a landscape is: what each gene adds by itself, what is left, and a process that knows both beforehand."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.linear_model import Ridge

from comparison.landscapes import Floats, Landscape
from search.history import History
from supernet.space import Genes, SearchSpace

_DRAWS, _REDRAWN = 4000, 6


@dataclass(frozen=True, eq=False)
class Roughness:
    """Accuracies around some architectures, split into a sum over genes and a remainder.

    Args:
        space: of the architectures.
        additive: a linear model of one-hot features.
        deviation: of the remainder, in percent.
        kept: correlations of the remainder between architectures that differ in one gene, and in four.
    """

    space: SearchSpace
    additive: Any
    deviation: float
    kept: tuple[float, float]

    @classmethod
    def around(cls, landscape: Landscape, genes: Genes, rng: np.random.Generator) -> Self:
        """From architectures that differ from some of `genes` [n, n_genes] in six redrawn genes on average."""
        space = landscape.space
        drawn = genes[rng.integers(len(genes), size=_DRAWS)]
        cloud = _redrawn(space, drawn, rng.random(drawn.shape) < _REDRAWN / space.n_genes, rng)
        additive = Ridge().fit(space.features(cloud), landscape.accuracy(space.decode(cloud)))

        def remainder(genes: Genes) -> Floats:
            return np.asarray(landscape.accuracy(space.decode(genes)) - additive.predict(space.features(genes)))

        def kept(n: int) -> float:
            moved = _redrawn(space, cloud, rng.random(cloud.shape).argsort(axis=1) < 2 * n, rng)
            differing = (space.features(cloud) != space.features(moved)).sum(axis=1) == 2 * n
            return float(np.corrcoef(remainder(cloud[differing]), remainder(moved[differing]))[0, 1])

        return cls(space, additive, float(remainder(cloud).std()), (kept(1), kept(4)))

    def told(self, history: History) -> "Foreknowing":
        """A process that knew all of this, and has seen the accuracies of a history, its first objective."""
        length = np.sqrt(-1 / np.log(self.kept[0]))  # the one-hots of a gene that differs are sqrt(2) apart
        kernel = ConstantKernel(self.deviation**2, "fixed") * RBF(length, "fixed")
        process = GaussianProcessRegressor(kernel, alpha=1e-6)
        rows = self.space.features(history.genes).astype(np.float64)
        return Foreknowing(self, process.fit(rows, history.values[:, 0] - self.additive.predict(rows)))


@dataclass(frozen=True, eq=False)
class Foreknowing:
    """A model of accuracy whose prior is the truth about single genes; see `search.surrogate.Model`."""

    roughness: Roughness
    process: Any
    noise: float = 0.0

    def predict(self, genes: Genes) -> tuple[Floats, Floats]:
        """Mean and standard deviation."""
        rows = self._rows(genes)
        remainder, std = self.process.predict(rows, return_std=True)
        return self.roughness.additive.predict(rows) + remainder, std

    def covariance(self, genes: Genes) -> Floats:
        """Of the posterior."""
        return np.asarray(self.process.predict(self._rows(genes), return_cov=True)[1])

    def _rows(self, genes: Genes) -> Floats:
        return self.roughness.space.features(genes).astype(np.float64)


def _redrawn(space: SearchSpace, genes: Genes, chosen: Any, rng: np.random.Generator) -> Genes:
    return space.canonical(np.where(chosen, rng.integers(0, space.n_values, size=genes.shape), genes))
