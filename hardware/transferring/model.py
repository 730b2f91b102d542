"""The latency model of a device as a mixture of those of others."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from hardware.device import Device
from hardware.model import LatencyModel, Saved, TableError, digest, heading, latency_model, require_format
from hardware.transferring.basis import Basis, Parts, Values, require_one_space
from predictors.mixture import Mixture
from supernet import Architecture, SearchSpace

FORMAT = "supernet-search transferred latency"
_VERSION = 2
_MIXTURE = ("powers", "weights", "shares", "constant", "slopes", "tilts", "left_out")
_ARRAYS = ("medians_ms", "directions", "offsets", "latencies_ms", *_MIXTURE)


@dataclass(frozen=True, eq=False, repr=False)
class TransferredLatency(Saved):
    """A latency model made by `transfer`; see `LatencyModel`.

    Attributes:
        device: the new one.
        basis: the known devices.
        mixture: how the latency of the new device follows from theirs.
        architectures: those that were measured on the new device.
        latencies_ms: their latencies, shape (n_architectures,).
        provenance: of the measurements, with the sources and their weights, as JSON-compatible data.
        error: as in `LatencyModel`, by leave-one-out cross-validation.
    """

    device: Device
    basis: Basis
    mixture: Mixture
    architectures: list[Architecture]
    latencies_ms: Values
    provenance: dict[str, Any] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)

    @property
    def space(self) -> SearchSpace:
        """The space of the sources."""
        return self.basis.space

    @cached_property
    def scope(self) -> str:
        """Digest of the device, the sources and the mixture."""
        sources = [source.scope for source in self.basis.sources]
        decisive = [self.device.describe(), sources, self._numbers()]
        return digest(decisive)

    def latency(self, architectures: Sequence[Mapping[str, Any]]) -> Values:
        """Predicted latency in ms of a batch on the device, shape (n_architectures,); NaN where a source knows none."""
        if not len(architectures):
            return np.zeros(0)
        with self._naming_device():
            known = [self.space.validate(a) for a in architectures]
        return self.mixture.predict(*self.basis(known))

    # --- files ---

    def describe(self) -> dict[str, Any]:
        """All of it, the sources included, as JSON-compatible data."""
        return {
            **heading(self, FORMAT, _VERSION),
            "sources": [source.describe() for source in self.basis.sources],
            **self._numbers(),
            "architectures": [json.loads(architecture.to_json()) for architecture in self.architectures],
            "latencies_ms": self.latencies_ms.tolist(),
        }

    @classmethod
    def from_description(cls, data: Mapping[str, Any], path: str | Path) -> Self:
        """The model that `describe` described. Raises TableError, which names the file, for anything else."""
        require_format(data, path, FORMAT, (_VERSION,))
        try:
            sources = tuple(latency_model(source, path) for source in data["sources"])
            require_one_space(sources)
            arrays = {name: np.array(data[name], dtype=np.float64) for name in _ARRAYS}
            _require_shapes(arrays, sources, path)
            parts = Parts(arrays["directions"], arrays["offsets"])
            return cls(
                Device(**data["device"]),
                Basis(sources, arrays["medians_ms"], parts),
                Mixture(**{name: arrays[name] for name in _MIXTURE}),
                [sources[0].space.validate(architecture) for architecture in data["architectures"]],
                arrays["latencies_ms"],
                data["provenance"],
                data["error"],
            )
        except TableError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TableError(f"{path} is not a whole transferred latency ({type(error).__name__}: {error})") from error

    def _numbers(self) -> dict[str, Any]:
        return {
            "medians_ms": self.basis.medians_ms.tolist(),
            "directions": self.basis.parts.directions.tolist(),
            "offsets": self.basis.parts.offsets.tolist(),
            **{name: np.asarray(getattr(self.mixture, name)).tolist() for name in _MIXTURE},
        }


def _require_shapes(arrays: Mapping[str, Values], sources: Sequence[LatencyModel], path: str | Path) -> None:
    """Raises TableError unless the arrays go together and hold numbers."""
    n_mixtures, n_parts = arrays["powers"].size, arrays["offsets"].size
    n_features = int(sources[0].space.n_values.sum())
    shapes = {
        "medians_ms": (len(sources),),
        "directions": (n_features, n_parts),
        "powers": (n_mixtures,),
        "shares": (n_mixtures,),
        "weights": (n_mixtures, len(sources) + 1),
        "constant": (),
        "slopes": (len(sources),),
        "tilts": (n_parts,),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise TableError(f"{path}: {name} has shape {arrays[name].shape}, expected {shape}")
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise TableError(f"{path}: {name} holds something else than finite numbers")
