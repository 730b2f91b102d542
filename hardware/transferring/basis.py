"""Features of architectures that are made of the latency models of known devices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hardware.model import LatencyModel, TableError
from supernet import Architecture, SearchSpace

_POOL = 1500  # architectures that stand for the space
_RIDGE = 1e-3

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Parts:
    """How much each choice of the space (kernel sizes, depths, ...) contributes to the latency on the known devices.

    A ridge regression of the mean log-latency of the devices on the one-hot features gives a contribution of each gene;
    those of a choice's genes add up to its part, which is scaled to mean 0 and standard deviation 1 over the space.
    A new device may weigh each choice a little differently.

    Attributes:
        directions: from one-hot features to parts, shape (n_features, n_parts).
        offsets: subtracted from the parts, shape (n_parts,).
    """

    directions: Values
    offsets: Values

    @classmethod
    def of(cls, space: SearchSpace, architectures: Sequence[Architecture], latencies_ms: Values) -> Self:
        """Fitted to latencies in ms, shape (n_architectures, n_devices)."""
        features = space.features(architectures).astype(np.float64)
        shape = np.log(latencies_ms).mean(axis=1)
        centred = features - features.mean(axis=0)
        gram = centred.T @ centred + _RIDGE * len(centred) * np.eye(features.shape[1])
        slopes = np.linalg.solve(gram, centred.T @ (shape - shape.mean()))
        directions = slopes[:, None] * _belonging(space)
        spread = (centred @ directions).std(axis=0)
        directions = directions[:, spread > 1e-6] / spread[spread > 1e-6]
        return cls(directions, features.mean(axis=0) @ directions)

    def __call__(self, space: SearchSpace, architectures: Sequence[Mapping[str, Any]]) -> Values:
        """Parts of architectures, shape (n_architectures, n_parts)."""
        parts: Values = space.features(architectures).astype(np.float64) @ self.directions - self.offsets
        return parts


@dataclass(frozen=True, eq=False)
class Basis:
    """Features of architectures from known devices, as `predictors.mixture` takes them.

    Attributes:
        sources: latency models of the known devices, of one space.
        medians_ms: the median latency of each over the space, shape (n_sources,).
        parts: contributions of the choices.
    """

    sources: tuple[LatencyModel, ...]
    medians_ms: Values
    parts: Parts

    @property
    def space(self) -> SearchSpace:
        """The space of the sources."""
        return self.sources[0].space

    def __call__(self, architectures: Sequence[Mapping[str, Any]]) -> tuple[Values, Values]:
        """Latencies in units of the medians, shape (n_architectures, n_sources), and parts."""
        return latencies_of(self.sources, architectures) / self.medians_ms, self.parts(self.space, architectures)


@dataclass(frozen=True, eq=False)
class Pool:
    """A sample of architectures that stands for the space, with its features.

    Attributes:
        architectures: the sample.
        basis: what the features come from.
        relative: latencies in units of each source's median, shape (n_architectures, n_sources).
        parts: contributions of the choices, shape (n_architectures, n_parts).
    """

    architectures: list[Architecture]
    basis: Basis
    relative: Values
    parts: Values

    @classmethod
    def of(cls, sources: Sequence[LatencyModel], seed: int = 0) -> Self:
        """A sample with the smallest and the largest sub-network, as far as all sources know the latency.

        Raises TableError for sources of different spaces, and for sources that know no architecture in common.
        """
        require_one_space(sources)
        space = sources[0].space
        raw = np.random.default_rng(seed).integers(0, space.n_values, size=(_POOL, space.n_genes))
        drawn = np.unique(space.canonical(raw), axis=0)  # gene by gene, so that shallow sub-networks count as much
        architectures = list(dict.fromkeys([space.smallest, space.largest, *space.decode(drawn)]))
        latencies = latencies_of(sources, architectures)
        known = np.asarray(np.isfinite(latencies).all(axis=1))
        if not known.any():
            raise TableError("the sources tell the latency of no architecture that all of them know")
        architectures = [a for a, is_known in zip(architectures, known, strict=True) if is_known]
        latencies = latencies[known]
        parts = Parts.of(space, architectures, latencies)
        medians = np.median(latencies, axis=0)
        basis = Basis(tuple(sources), medians, parts)
        return cls(architectures, basis, latencies / medians, parts(space, architectures))


def latencies_of(sources: Sequence[LatencyModel], architectures: Sequence[Mapping[str, Any]]) -> Values:
    """Latencies in ms, shape (n_architectures, n_sources); NaN where a source knows none above 0."""
    latencies = np.stack([source.latency(architectures) for source in sources], axis=1)
    return np.where(latencies > 0, latencies, np.nan)


def require_one_space(sources: Sequence[LatencyModel]) -> None:
    """Raises TableError for no sources, or sources of different spaces."""
    if not sources:
        raise TableError("give the latencies of at least one known device")
    for source in sources[1:]:
        if source.space.fingerprint != sources[0].space.fingerprint:
            raise TableError(
                f"{source.device.name} and {sources[0].device.name} were measured with different search spaces"
            )


def _belonging(space: SearchSpace) -> Values:
    """1 where a one-hot feature is of a gene of the choice, else 0; shape (n_features, n_choices)."""
    of_gene = np.repeat(np.arange(len(space.choices)), [choice.n_genes for choice in space.choices])
    return np.eye(len(space.choices))[np.repeat(of_gene, space.n_values)]
