"""Corrects sums of block latencies by a few end-to-end measurements, and tells how far off they are."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.metrics import spearman

Values = NDArray[np.float64]

TRAITS = ("calls", "parameters", "inputs")
"""What tables know of a block beside what it costs alone: how often it is called, how many parameters it has, and how
many values its calls take."""

TERMS = ("fetches", *TRAITS)
"""What a block may cost in a network beside what it costs alone, per unit: each parameter at each call (fetched from
memory, where a block alone finds it in a cache: a decoder's layers take turns at every step), each call (what a runtime
does at a block's borders when it runs alone), each parameter (fetched once), each input value (converted to the
runtime's own layout, or left in a cache by the block before)."""

_RIDGE = 1e-4
_EQUAL = 1e-3  # mean relative errors that differ by less are alike
_FEWEST = 4


@dataclass(frozen=True)
class Correction:
    """From what the blocks of an architecture cost alone to what it costs: linear, with few terms.

    `intercept + slope * (sum of block latencies) + sum over terms of weights[term] * (sum of the blocks' term)`.

    Attributes:
        slope: a number.
        intercept: in ms.
        weights: ms per unit of a term (those of `TERMS` that help).
    """

    slope: float = 1.0
    intercept: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict)

    def of_blocks(self, latencies_ms: Values, traits: Mapping[str, Values]) -> Values:
        """What each block adds to the latency of a network, in ms."""
        total = self.slope * latencies_ms
        for trait, weight in self.weights.items():
            total = total + weight * traits[trait]
        return total

    def describe(self) -> dict[str, Any]:
        """JSON-compatible data."""
        return {"slope": self.slope, "intercept": self.intercept, "weights": dict(self.weights)}


def fitted(sums: Values, traits: Mapping[str, Values], measured: Values) -> Correction:
    """The correction with the least squared relative error; its traits are chosen by leaving out each measurement once.

    The simplest choice wins whose error is within one standard error of the best one's.

    Args:
        sums: of the blocks' latencies, in ms, one a measured architecture.
        traits: the same of each trait.
        measured: latencies in ms.
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


def errors(predicted: Values, measured: Values) -> dict[str, float]:
    """MAPE in percent and Spearman's rank correlation; nothing for fewer than four architectures."""
    if len(measured) < _FEWEST:
        return {}
    return {
        "mape_percent": float(np.mean(np.abs(predicted / measured - 1)) * 100),
        "spearman": spearman(measured, predicted),
        "n_architectures": float(len(measured)),
    }


def terms(traits: Mapping[str, Values]) -> dict[str, Values]:
    """Traits of each block and what follows from them; without traits nothing."""
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
    """Sets of traits, small ones first, that vary and leave three measurements for each coefficient."""
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
