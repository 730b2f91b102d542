"""Which architectures to measure on a new device, and its latency model from these measurements."""

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hardware import fitting
from hardware.device import Device
from hardware.model import LatencyModel, TableError
from hardware.transferring.basis import Pool, Values
from hardware.transferring.model import TransferredLatency
from predictors.mixture import Mixture, most_telling
from supernet import Architecture


def choose_measurements(
    sources: Sequence[LatencyModel],
    n: int = 10,
    *,
    among: Sequence[Mapping[str, Any]] | None = None,
    seed: int = 0,
) -> list[Architecture]:
    """The architectures whose latency on a new device says most about that of all others, the most informative first.

    Greedy I-optimal design in the space of what the known devices say; see `predictors.mixture.most_telling`.

    Args:
        sources: latency models of known devices, all of one space.
        n: how many to measure.
        among: architectures that can be measured; None: any of the space.
        seed: of the sample of architectures that stands for the space.

    Raises TableError for sources that do not go together, ValueError for more measurements than there are to choose.
    """
    pool = Pool.of(sources, seed)
    architectures, relative, parts = pool.architectures, pool.relative, pool.parts
    candidates = np.arange(len(architectures))
    if among is not None:
        offered = [pool.basis.space.validate(architecture) for architecture in among]
        of_offered = pool.basis(offered)
        candidates = len(architectures) + np.flatnonzero(np.isfinite(of_offered[0]).all(axis=1))
        architectures = [*architectures, *offered]
        finite = np.nan_to_num(of_offered[0], nan=1.0)
        relative, parts = np.concatenate([relative, finite]), np.concatenate([parts, of_offered[1]])
    if not 1 <= n <= len(candidates):
        raise ValueError(f"the number of measurements must lie in 1..{len(candidates)}, got {n}")
    return [architectures[i] for i in most_telling(relative, parts, n, candidates)]


def transfer(
    sources: Sequence[LatencyModel],
    device: Device,
    architectures: Sequence[Mapping[str, Any]],
    latencies_ms: Sequence[float] | Values,
    *,
    provenance: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> TransferredLatency:
    """The latency model of a new device out of a few measurements of it and the latency models of other devices.

    Args:
        sources: latency models of known devices (tables, imported measurements), all of one space.
        device: the new one.
        architectures: what was measured, best those that `choose_measurements` chose; any may be there several times.
        latencies_ms: their latencies on it, shape (n_architectures,).
        provenance: of the measurements, as JSON-compatible data.
        seed: of the sample of architectures that stands for the space.

    Raises TableError for sources that do not go together or do not know what was measured, ValueError for latencies
    that are no positive numbers.
    """
    measured = np.asarray(latencies_ms, dtype=np.float64)
    if measured.shape != (len(architectures),) or not len(measured):
        raise ValueError(f"{len(architectures)} architectures were given, and latencies of shape {measured.shape}")
    if not (np.isfinite(measured).all() and (measured > 0).all()):
        raise ValueError(f"latencies must be above 0 ms, got {measured[~(np.isfinite(measured) & (measured > 0))][0]}")
    basis = Pool.of(sources, seed).basis
    own = [basis.space.validate(architecture) for architecture in architectures]
    relative, parts = basis(own)
    if not np.isfinite(relative).all():
        raise TableError(f"a source does not know {own[int(np.flatnonzero(~np.isfinite(relative).all(axis=1))[0])]}")
    mixture = Mixture.fit(relative, parts, measured, seed)
    origin = {
        **(provenance or {}),
        "sources": [
            {"device": source.device.name, "scope": source.scope, "weight": round(float(share), 4)}
            for source, share in zip(sources, mixture.source_shares, strict=True)
        ],
        "n_measurements": len(own),
        "fitted": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    error = fitting.errors(mixture.left_out, measured, len(set(own))) if len(mixture.left_out) else {}
    return TransferredLatency(device, basis, mixture, own, measured, origin, error)
