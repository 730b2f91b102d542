"""Priors: measurements made elsewhere (other data, device or weights), and what they let one expect here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.records import PriorValue
from supernet.architecture import Architecture
from supernet.space import Genes, SearchSpace

Floats = NDArray[np.float64]
_LEAST_CORRELATION = 0.3


@dataclass(frozen=True, eq=False)
class Prior:
    """Measurements of one expensive objective from one source, under other circumstances.

    They tell which architectures are better, but not by how much: use them through `expectation`.

    Args:
        space: of the architectures.
        source: label of where the values come from.
        genes: canonical and distinct, shape (n, n_genes).
        values: in the unit of the source, shape (n,).
    """

    space: SearchSpace
    source: str
    genes: Genes
    values: Floats

    def __call__(self, genes: Genes) -> Floats:
        """Predictions of a ridge model of the values for any canonical genes, in their unit, shape (len(genes),)."""
        return np.asarray(self._model.predict(self.space.features(genes))[0], dtype=np.float64)

    @cached_property
    def _model(self) -> Any:
        import predictors

        return predictors.create("ridge").fit(self.space.features(self.genes), self.values)


@dataclass(frozen=True, eq=False)
class Expectation:
    """An offset and a weighted sum of priors; a predictor learns how measurements here differ from it."""

    priors: Sequence[Prior]
    weights: Floats
    offset: float

    def __call__(self, genes: Genes) -> Floats:
        """Expected values, shape (len(genes),)."""
        columns = [weight * prior(genes) for weight, prior in zip(self.weights, self.priors, strict=True)]
        return np.asarray(self.offset + np.sum([np.zeros(len(genes)), *columns], axis=0))


def expectation(priors: Sequence[Prior], genes: Genes, values: Floats) -> Expectation:
    """Fits a weighted sum of priors to measurements by least squares, under weights that are not negative.

    A prior is left out unless its predictions correlate with the values: Spearman above 0.3, and above what chance
    gives in one case of twenty. Without any prior left, the expectation is 0.

    Args:
        priors: of one objective.
        genes: canonical genes of what was measured here, shape (n, n_genes), n >= 1.
        values: the measurements, shape (n,).
    """
    from scipy.optimize import nnls

    predicted = [(prior, prior(genes)) for prior in priors]
    kept = [(prior, column) for prior, column in predicted if _correlates(column, values)]
    if not kept:
        return Expectation((), np.zeros(0), 0.0)
    columns = np.stack([column for _, column in kept], axis=1)
    centred = columns - columns.mean(axis=0)
    spread = centred.std(axis=0)
    weights = np.asarray(nnls(centred / spread, values - values.mean())[0]) / spread
    return Expectation([prior for prior, _ in kept], weights, float(values.mean() - columns.mean(axis=0) @ weights))


def _correlates(column: Floats, values: Floats) -> bool:
    from predictors.metrics import spearman

    if len(values) < 4 or np.ptp(column) == 0:
        return False
    return bool(spearman(values, column) > max(_LEAST_CORRELATION, 1.645 / np.sqrt(len(values) - 1)))


def priors_of(space: SearchSpace, prior_values: Iterable[PriorValue]) -> dict[str, tuple[Prior, ...]]:
    """Priors by objective, one per source; values of an architecture that occurs repeatedly are averaged."""
    groups: dict[tuple[str, str], dict[Architecture, list[float]]] = {}
    for one in prior_values:
        groups.setdefault((one.objective, one.source), {}).setdefault(one.architecture, []).append(one.value)
    found: dict[str, tuple[Prior, ...]] = {}
    for (objective, source), values in groups.items():
        means = np.array([np.mean(repeated) for repeated in values.values()], dtype=np.float64)
        found[objective] = (*found.get(objective, ()), Prior(space, source, space.encode(list(values)), means))
    return found
