"""Latency predictors, fitted to measurements of whole networks such as others publish them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import predictors
from hardware import fitting
from hardware.device import Device
from hardware.model import Saved, TableError, digest, heading, require_format
from supernet import SearchSpace
from supernet.families.hat import LATENCY_FEATURES, latency_features

FORMAT = "supernet-search latency predictor"
_VERSION = 1
_FEWEST_TO_SCALE = 20

MOST_ROWS = 3000
"""Measurements that a predictor learns from at most; a fit takes seconds to load, and time with their third power."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Description:
    """How architectures become numbers: those that are kept in a file, and those that the predictor sees.

    Args:
        rows: space, architectures -> what is kept, shape (n_architectures, n_numbers).
        columns: space, rows -> features of the predictor, shape (n_architectures, n_features).
    """

    rows: Callable[[SearchSpace, Sequence[Mapping[str, Any]]], Values]
    columns: Callable[[SearchSpace, Values], Values]


DESCRIPTIONS = {
    "genes": Description(
        rows=lambda space, architectures: space.encode(architectures).astype(np.float64),
        columns=lambda space, rows: space.features(rows.astype(np.int64)).astype(np.float64),
    ),
    "hat_averages": Description(rows=lambda _, architectures: latency_features(architectures), columns=lambda _, r: r),
}
"""All genes, or the ten averaged features that HAT's authors publish (arXiv:2005.14187)."""


@dataclass(frozen=True, eq=False, repr=False)
class LatencyPredictor(Saved):
    """A latency model fitted to whole networks that were measured on a device; see `LatencyModel`.

    A Gaussian process predicts the logarithm of the latency, so that relative errors count. Outliers (of a machine that
    was slow for a while) are not fitted to. Since disturbed measurements are slower, the mean relative error is least a
    little below the centre of the distribution: predictions are multiplied by `scale` to be there. Files hold the
    measurements; the fit is made again when it is first needed.

    Attributes:
        device: what was measured.
        space: of the measured architectures.
        description: how architectures are described, one of `DESCRIPTIONS`.
        rows: the measured architectures in that description, shape (n, n_numbers).
        latencies_ms: their latencies, shape (n,).
        kept: which of them are fitted to, shape (n,).
        provenance: where they come from, as JSON-compatible data.
        error: as in `LatencyModel`, by cross-validation over all measurements, outliers included; `n_set_aside` is the
            number of outliers.
        scale: factor of the predictions.
    """

    device: Device
    space: SearchSpace
    description: str
    rows: Values
    latencies_ms: Values
    kept: NDArray[np.bool_]
    provenance: dict[str, Any] = field(default_factory=dict)
    error: dict[str, float] = field(default_factory=dict)
    scale: float = 1.0

    @classmethod
    def fit(
        cls,
        device: Device,
        space: SearchSpace,
        rows: Values,
        latencies_ms: Values,
        *,
        description: str = "genes",
        provenance: Mapping[str, Any] | None = None,
    ) -> Self:
        """The predictor of some measurements: finds the outliers, and estimates the error.

        Args:
            device: what was measured.
            space: of the measured architectures.
            rows: the architectures as `description` says, shape (n, n_numbers).
            latencies_ms: shape (n,), above 0.
            description: one of `DESCRIPTIONS`.
            provenance: where the measurements come from, as JSON-compatible data.

        Of more than `MOST_ROWS` measurements as many are kept, drawn at random.
        """
        if len(rows) > MOST_ROWS:
            drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:MOST_ROWS])
            rows, latencies_ms = rows[drawn], latencies_ms[drawn]
        columns = DESCRIPTIONS[description].columns(space, rows)
        from predictors.robust import Robust  # needs scikit-learn, which takes long to import

        robust = Robust().fit(columns, np.log(latencies_ms))
        kept, error, scale = np.ones(len(rows), dtype=bool), {}, 1.0
        if not robust.preparation_.is_constant:
            kept, predicted = robust.kept_, np.exp(robust.left_out_)
            half = np.arange(len(rows)) % 2 == 0
            first, second = (_scale(predicted[part], latencies_ms[part]) for part in (half, ~half))
            by_others = np.where(half, second, first)  # each half is scaled by what the other one gave
            error = fitting.errors(predicted * by_others, latencies_ms, len(np.unique(rows, axis=0)))
            error |= {"n_set_aside": float((~kept).sum())} if error else {}
            scale = _scale(predicted, latencies_ms)
        return cls(device, space, description, rows, latencies_ms, kept, dict(provenance or {}), error, scale)

    @property
    def scope(self) -> str:
        """Digest of the device and the measurements."""
        decisive = [self.device.describe(), self.space.fingerprint, self.description, self._measurements()]
        return digest(decisive)

    def latency(self, architectures: Sequence[Mapping[str, Any]]) -> Values:
        """Predicted latency in ms of a batch on the device, shape (n_architectures,)."""
        if not len(architectures):
            return np.zeros(0)
        with self._naming_device():
            known = [self.space.validate(architecture) for architecture in architectures]
        return self.latency_of_rows(DESCRIPTIONS[self.description].rows(self.space, known))

    def latency_of_rows(self, rows: Values) -> Values:
        """As `latency`, for architectures that are given as rows of `description`, shape (n, n_numbers)."""
        columns = DESCRIPTIONS[self.description].columns(self.space, rows)
        return self.scale * np.exp(self._predictor.predict_mean(columns))

    @cached_property
    def _predictor(self) -> "predictors.Predictor":
        columns = DESCRIPTIONS[self.description].columns(self.space, self.rows)
        return predictors.create("gp").fit(columns[self.kept], np.log(self.latencies_ms[self.kept]))

    # --- files ---

    def describe(self) -> dict[str, Any]:
        """The measurements as JSON-compatible data."""
        return {
            **heading(self, FORMAT, _VERSION),
            "space": self.space.describe(),
            "description": self.description,
            **self._measurements(),
        }

    @classmethod
    def from_description(cls, data: Mapping[str, Any], path: str | Path) -> Self:
        """The predictor that `describe` described. Raises TableError, which names the file, for anything else."""
        require_format(data, path, FORMAT, (_VERSION,))
        try:
            n = len(data["latencies_ms"])
            rows = np.array(data["rows"], dtype=np.float64).reshape(n, -1)
            latencies = np.array(data["latencies_ms"], dtype=np.float64)
            kept = ~np.isin(np.arange(n), data["set_aside"])
            if not (n and np.isfinite(rows).all() and np.isfinite(latencies).all() and (latencies > 0).all()):
                raise TableError(f"{path} holds measurements that are not finite numbers, or no positive latencies")
            if data["description"] not in DESCRIPTIONS:
                raise TableError(f"{path}: unknown description {data['description']!r} of architectures")
            space = SearchSpace.from_description(data["space"])
            if flaw := _flaw(space, data["description"], rows, kept):
                raise TableError(f"{path} is a damaged latency predictor: it holds {flaw}")
            device = Device(**data["device"])
            scale = float(data.get("scale", 1.0))
            if not 0 < scale < np.inf:
                raise TableError(f"{path}: the scale of predictions must be a positive number, got {scale}")
            return cls(
                device, space, data["description"], rows, latencies, kept, data["provenance"], data["error"], scale
            )
        except TableError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TableError(f"{path} is not a complete latency predictor ({type(error).__name__}: {error})") from error

    def _measurements(self) -> dict[str, Any]:
        whole = self.description == "genes"
        return {
            "rows": (self.rows.astype(int) if whole else self.rows).tolist(),
            "latencies_ms": self.latencies_ms.tolist(),
            "set_aside": np.flatnonzero(~self.kept).tolist(),
            "scale": self.scale,
        }


def _flaw(space: SearchSpace, description: str, rows: Values, kept: NDArray[np.bool_]) -> str:
    """What is wrong with the measurements of a file; "" where nothing is."""
    n_numbers = space.n_genes if description == "genes" else len(LATENCY_FEATURES)
    if rows.shape[1] != n_numbers:
        return f"rows of {rows.shape[1]} numbers, expected {n_numbers}"
    if description == "genes" and not ((rows >= 0) & (rows < space.n_values) & (rows % 1 == 0)).all():
        return "architectures that are not of its space"
    return "" if kept.any() else "no measurement to fit to"


def _scale(predicted: Values, measured: Values) -> float:
    """The factor by which predictions have the least mean relative error (a weighted median); 1 for few of them."""
    if len(predicted) < _FEWEST_TO_SCALE:
        return 1.0
    ratio = np.sort(measured / predicted)
    weight = np.cumsum(1.0 / ratio)
    return float(ratio[np.searchsorted(weight, 0.5 * weight[-1])])
