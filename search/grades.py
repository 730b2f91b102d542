"""Graded features: neighbouring values of a gene, and positions of one choice, share columns and so what is learnt."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from predictors.process import Columns
from search.prior import Prior
from supernet.space import Genes, SearchSpace

_FREQUENCIES = 3


@dataclass(frozen=True, eq=False)
class Grades:
    """Graded features of canonical genes; values of a choice are taken as ascending in cost, as `Choice` asks.

    Steps: for each gene one column per value but the first, 1 where the gene is active and has at least this value;
    genes that can be inactive have one more, 1 where they are active. Trends: for each choice of several positions,
    the steps of all its positions added up under the weights cos(pi f (position + 1/2) / n_positions), f = 0, 1, 2: the
    sum over the network, early against late positions, and the ends against the middle.
    """

    space: SearchSpace

    def __call__(self, genes: Genes) -> NDArray[np.float64]:
        """Shape (n_architectures, n_columns)."""
        gene, step = self._steps
        held = (genes[:, gene] >= step) & self.space.active(genes)[:, gene]
        return held @ self._weights

    @cached_property
    def columns(self) -> Columns:
        """Steps of a gene form a group; so does each trend. Steps, sums and the other trends are the levels."""
        gene, _ = self._steps
        group = np.unique(gene, return_inverse=True)[1]
        n_groups = int(group.max()) + 1 if len(group) else 0
        trends = self._trends
        level = np.array([1 if frequency == 0 else 2 for _, frequency in trends], dtype=np.int64)
        levels = np.concatenate([np.zeros(len(gene), dtype=np.int64), level])
        return Columns(
            np.concatenate([group, n_groups + np.arange(len(trends))]).astype(np.int64),
            np.unique(levels, return_inverse=True)[1].astype(np.int64),
        )

    def with_priors(self, priors: Sequence[Prior]) -> "Informed":
        """These features, and what some priors predict."""
        return Informed(self, tuple(priors))

    @cached_property
    def _steps(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Gene and least value index of each step column."""
        switched = self.space.switchable
        pairs = [(g, v) for g, n in enumerate(self.space.n_values) for v in range(0 if switched[g] else 1, n)]
        steps = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return steps[:, 0], steps[:, 1]

    @cached_property
    def _trends(self) -> list[tuple[int, int]]:
        """Choice and frequency of each trend column."""
        sizes = [choice.n_genes for choice in self.space.choices]
        return [(c, f) for c, n in enumerate(sizes) if n > 1 for f in range(min(_FREQUENCIES, n))]

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """From steps to columns."""
        gene, _ = self._steps
        sizes = np.array([choice.n_genes for choice in self.space.choices])
        choice = np.repeat(np.arange(len(sizes)), sizes)[gene]
        position = gene - (np.cumsum(sizes) - sizes)[choice]
        trends = [
            (choice == c) * np.cos(np.pi * frequency * (position + 0.5) / sizes[c]) for c, frequency in self._trends
        ]
        return np.concatenate([np.eye(len(gene)), np.array(trends).reshape(-1, len(gene)).T], axis=1)


@dataclass(frozen=True, eq=False)
class Informed:
    """Graded features, then the predictions of each prior as a column: their weight is learnt with the rest."""

    grades: Grades
    priors: tuple[Prior, ...]

    def __call__(self, genes: Genes) -> NDArray[np.float64]:
        """Shape (n_architectures, n_columns)."""
        predicted = [prior(genes) / (prior.values.std() or 1.0) for prior in self.priors]
        return np.column_stack([self.grades(genes), *predicted])

    @cached_property
    def columns(self) -> Columns:
        """The columns of the grades; then each prior is a group, all on a level of their own."""
        columns, n_priors = self.grades.columns, len(self.priors)
        groups = columns.group.max(initial=-1) + 1 + np.arange(n_priors)
        levels = np.full(n_priors, columns.level.max(initial=-1) + 1)
        return Columns(np.concatenate([columns.group, groups]), np.concatenate([columns.level, levels]))
