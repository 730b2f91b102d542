"""Curves of one competitor on one landscape, over seeds and budgets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from comparison.results import Curve, Run

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Group:
    """Everything that is known of a competitor on a landscape.

    Args:
        by_budget: curves of all seeds, by the budget that the searches had.
    """

    by_budget: Mapping[int, list[Curve]]

    @classmethod
    def of(cls, curves: Mapping[Run, Curve]) -> "Group":
        """From runs that differ in budget and seed only."""
        ordered = sorted(curves.items(), key=lambda pair: (pair[0].budget, pair[0].seed))
        budgets = sorted({run.budget for run in curves})
        return cls({budget: [curve for run, curve in ordered if run.budget == budget] for budget in budgets})

    @property
    def n_seeds(self) -> int:
        """The fewest of all budgets."""
        return min(map(len, self.by_budget.values()))

    def scores(self, evaluations: int) -> Floats:
        """One per seed, in searches with that budget, or else the next larger one; empty where there are none."""
        budget = next((budget for budget in self.by_budget if budget >= evaluations), None)
        curves = self.by_budget[budget] if budget is not None else []
        return np.array([curve.after(evaluations) for curve in curves], dtype=np.float64)

    def band(self, evaluations: Iterable[int]) -> Floats:
        """Quartiles after each number of evaluations, shape (n, 3), NaN where they are unknown."""
        return np.array([quartiles(self.scores(n)) for n in evaluations])

    def reached(self, score: float) -> float:
        """Median over seeds of the evaluations that a score took, with the smallest budget for which that is finite."""
        medians = (float(np.median([c.reached(score) for c in curves])) for curves in self.by_budget.values())
        return next((median for median in medians if np.isfinite(median)), np.inf)

    def cpu_s_per_100(self, budget: int) -> float:
        """Median of the CPU seconds per 100 evaluations of searches with that budget; NaN where there are none."""
        curves = [curve for curve in self.by_budget.get(budget, []) if curve.evaluations]
        return float(np.median([100 * c.cpu_s / c.evaluations for c in curves])) if curves else float("nan")


def quartiles(values: Floats) -> Floats:
    """Shape (3,); what is NaN counts as worse than all else."""
    if not len(values):
        return np.full(3, np.nan)
    known = np.sort(np.where(np.isnan(values), -np.inf, values))
    found = np.quantile(known, (0.25, 0.5, 0.75), method="linear") if np.isfinite(known).all() else _steps(known)
    return np.where(np.isfinite(found), found, np.nan)


def _steps(known: Floats) -> Floats:
    return np.asarray(np.quantile(known, (0.25, 0.5, 0.75), method="lower"))


def grouped(curves: Mapping[Run, Curve]) -> dict[tuple[str, float | None], dict[str, Group]]:
    """Groups by landscape and cap, then by competitor, in order of appearance."""
    parts: dict[tuple[str, float | None], dict[str, dict[Run, Curve]]] = {}
    for run, curve in curves.items():
        parts.setdefault((run.landscape, run.cap), {}).setdefault(run.tactic, {})[run] = curve
    return {place: {label: Group.of(part) for label, part in labels.items()} for place, labels in parts.items()}
