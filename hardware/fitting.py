"""Fits the sums of block latencies to a few end-to-end measurements, and estimates the error of the result."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.metrics import spearman

Values = NDArray[np.float64]

TRAITS = ("calls", "parameters", "inputs")
"""What a table knows of a block beside its latency alone: number of calls in one inference, of parameters, and of input
values over all calls."""

TERMS = ("fetches", *TRAITS)
"""Terms of the correction: where the latency of a block in a network may differ from that of the block alone.

- fetches: calls times parameters. In a network, weights are fetched from memory at every call (the layers of a decoder
  take turns at each step), while a block alone finds them in a cache.
- calls: overhead at the borders of a block that runs alone.
- parameters: weights that are fetched once.
- inputs: values that are converted to the runtime's own layout, or that the block before left in a cache.
"""

_RIDGE = 1e-4
_EQUAL = 1e-3  # mean relative errors that differ by less are alike
_FEWEST = 4


@dataclass(frozen=True)
class Correction:
    """From the latencies of an architecture's blocks to that of the architecture: linear, with few terms.

    `intercept + slope * (sum of block latencies) + sum over terms of weights[term] * (sum of the blocks' term)`.

    Attributes:
        slope: factor of the sum of block latencies.
        intercept: ms of every network.
        weights: ms per unit of a term, for those of `TERMS` that were chosen.
    """

    slope: float = 1.0
    intercept: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)

    def of_blocks(self, latencies_ms: Values, traits: Mapping[str, Values]) -> Values:
        """What each block adds to the latency of a network, in ms, shape (n_blocks,).

        Args:
            latencies_ms: of each block alone, shape (n_blocks,).
            traits: the terms of each block, by name, of the same shape.
        """
        total = self.slope * latencies_ms
        for trait, weight in self.weights.items():
            total = total + weight * traits[trait]
        return total

    def describe(self) -> dict[str, Any]:
        """The correction as JSON-compatible data: `Correction(**correction.describe())` is equal."""
        return {"slope": self.slope, "intercept": self.intercept, "weights": dict(self.weights)}


def fitted(sums: Values, traits: Mapping[str, Values], measured: Values) -> Correction:
    """The correction with the least squared relative error.

    Its terms are chosen by leave-one-out cross-validation: the simplest set of terms whose error is within one standard
    error of the best set's.

    Args:
        sums: sum of the block latencies of each measured architecture in ms, shape (n,).
        traits: sums of each term, by name, shape (n,) each.
        measured: latencies of the architectures in ms, shape (n,).
    """
    choices = _choices(sums, traits)
    chosen = choices[0] if len(choices) == 1 else _simplest(choices, sums, traits, measured)
    slope, intercept, *weights = _solve(_design(sums, traits, chosen), measured).tolist()
    return Correction(slope, intercept, dict(zip(chosen, weights, strict=True)))


def left_out(sums: Values, traits: Mapping[str, Values], measured: Values, chosen: Iterable[str]) -> Values:
    """Latency in ms of each architecture by a fit with the chosen traits to all others; NaN of a single one."""
    design = _design(sums, traits, tuple(chosen))
    predicted = np.full_like(measured, np.nan)
    for i in range(len(measured) if len(measured) > 1 else 0):
        others = np.arange(len(measured)) != i
        predicted[i] = design[i] @ _solve(design[others], measured[others])
    return predicted


def errors(predicted: Values, measured: Values, n_architectures: int | None = None) -> dict[str, float]:
    """`mape_percent`, `spearman` and `n_architectures`; empty for fewer than four architectures.

    `n_architectures` is the number of different ones, where some were measured several times.
    """
    n = len(measured) if n_architectures is None else n_architectures
    if n < _FEWEST:
        return {}
    return {
        "mape_percent": float(np.mean(np.abs(predicted / measured - 1)) * 100),
        "spearman": spearman(measured, predicted),
        "n_architectures": float(n),
    }


def terms(traits: Mapping[str, Values]) -> dict[str, Values]:
    """All `TERMS` of each block from its `TRAITS`; empty where these are not known."""
    return {"fetches": traits["calls"] * traits["parameters"], **traits} if traits else {}


def _simplest(
    choices: Sequence[tuple[str, ...]], sums: Values, traits: Mapping[str, Values], measured: Values
) -> tuple[str, ...]:
    """The first of the choices (simple ones come first) whose error is within one standard error of the least."""
    wrong = [np.abs(left_out(sums, traits, measured, chosen) / measured - 1) for chosen in choices]
    best = min(wrong, key=lambda errors: float(errors.mean()))
    limit = best.mean() + max(best.std() / np.sqrt(len(measured)), _EQUAL)
    return next(chosen for chosen, errors in zip(choices, wrong, strict=True) if errors.mean() <= limit)


def _choices(sums: Values, traits: Mapping[str, Values]) -> list[tuple[str, ...]]:
    """Sets of terms that vary, small sets first, with at least three measurements for each coefficient."""
    varied = [trait for trait in TERMS if trait in traits and np.ptp(traits[trait]) > 1e-9 * traits[trait].max()]
    if {"fetches", "parameters"} <= set(varied) and np.allclose(traits["fetches"], traits["parameters"]):
        varied.remove("fetches")
    most = max(0, len(sums) // 3 - 2)
    return [chosen for n in range(min(most, len(varied)) + 1) for chosen in combinations(varied, n)]


def _design(sums: Values, traits: Mapping[str, Values], chosen: Sequence[str]) -> Values:
    return np.stack([sums, np.ones_like(sums), *(traits[trait] for trait in chosen)], axis=1)


def _solve(design: Values, measured: Values) -> Values:
    """Coefficients with the least squared relative error; only a slope where the sums do not differ.

    Only an intercept where they are 0: an empty call takes as long as any block.
    """
    sums, rest = design[:, 0], [0.0] * (design.shape[1] - 2)
    if not sums.any():
        return np.array([0.0, np.sum(1 / measured) / np.sum(1 / measured**2), *rest])
    if np.ptp(sums) <= 1e-9 * sums.max():
        return np.array([np.mean(measured / sums), 0.0, *rest])
    relative = design / measured[:, None]
    scale = np.sqrt((relative**2).mean(axis=0))
    penalty = np.diag([0.0, 0.0, *np.full(design.shape[1] - 2, np.sqrt(_RIDGE * len(sums)))])
    targets = np.concatenate([np.ones(len(sums)), np.zeros(design.shape[1])])
    coefficients = np.linalg.lstsq(np.concatenate([relative / scale, penalty]), targets, rcond=None)[0] / scale
    return np.asarray(coefficients, dtype=np.float64)
