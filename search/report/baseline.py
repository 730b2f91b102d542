"""The largest sub-network, with which a report compares the others."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from search.problem import Problem, Values
from search.report.quantities import Quantity, quantities
from search.result import Result
from search.store import Store
from supernet.architecture import Architecture

LABEL = "largest sub-network"
_BETTER_AND_WORSE = {"latency": ("faster", "slower"), "measured_latency": ("faster", "slower")}
_SAME = 5e-4


@dataclass(frozen=True, eq=False)
class Baseline:
    """The largest sub-network, as far as it is known.

    Args:
        problem: of a search, or of one of its devices.
        architecture: the last value of every choice.
        values: shape (n_objectives,), NaN where unknown.
        remark: on what is not known.
    """

    problem: Problem
    architecture: Architecture
    values: Values
    remark: str = ""

    @classmethod
    def of(cls, result: Result, store: Store | None = None, remark: str = "") -> Self:
        """What a search evaluated, else what a store has measured; cheap objectives are computed. Measures nothing.

        Args:
            result: of the search.
            store: of its measurements.
            remark: used where an objective is not known.
        """
        problem = result.history.problem
        largest = problem.space.largest
        genes = problem.space.encode([largest])
        rows = np.flatnonzero((result.history.genes == genes).all(axis=1))
        values = result.history.values[rows[0]].copy() if len(rows) else problem.cheap_values(genes)[0]
        for column, objective in enumerate(problem.objectives):
            if store is not None and objective.expensive and np.isnan(values[column]):
                found = store.find(objective.name, objective.scope, [largest])
                values[column] = found[largest].value if found else np.nan
        return cls(problem, largest, values, remark if np.isnan(values).any() else "")

    def view(self, device: str) -> "Baseline":
        """As one of several devices sees it; "" for a search for one device."""
        if not device:
            return self
        view = self.problem.view(device)
        values = self.values[view.columns]
        return replace(self, problem=view.problem, values=values, remark=self.remark if np.isnan(values).any() else "")

    def value(self, name: str) -> float:
        """Its value of an objective; NaN where unknown."""
        return float(self.values[self.problem.names.index(name)])

    @property
    def known(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(np.isfinite(self.values).any())

    def compared(self, result: Result, row: int) -> str:
        """How an evaluated architecture differs, as in "3.1× faster, 0.85 points less accuracy".

        Args:
            result: for the same problem.
            row: of `result.frame`.

        Returns: "" for the largest sub-network itself, and where nothing is known of it.
        """
        if result.frame["architecture"].iloc[row] == self.architecture:
            return ""
        values, shown = result.history.values[row], quantities(result)
        bounded = {c.objective: "max" if c.operator == ">=" else "min" for c in self.problem.constraints}
        goals = {o.name: o.goal or bounded.get(o.name) for o in self.problem.objectives}
        pairs = {name: (float(values[i]), self.value(name)) for i, name in enumerate(self.problem.names)}
        parts = [
            _difference(*pairs[name], goals[name] == "min", shown[name])
            for name in sorted(pairs, key=lambda name: goals[name] == "max")
            if np.isfinite(pairs[name]).all()
        ]
        return ", ".join(parts)


def _difference(value: float, largest: float, small_is_good: bool, quantity: Quantity) -> str:
    """A factor of what shall be small (if it is positive), a difference of anything else."""
    if abs(value - largest) <= _SAME * abs(largest):
        return f"same {quantity.name}"
    if small_is_good and min(value, largest) > 0:
        better, worse = _BETTER_AND_WORSE.get(quantity.name, (f"less {quantity.name}", f"more {quantity.name}"))
        return f"{_factor(max(value, largest) / min(value, largest))}× {better if value < largest else worse}"
    amount = quantity.text(abs(value - largest)).replace("%", "points")
    return f"{amount} {'less' if value < largest else 'more'} {quantity.name}"


def _factor(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 2 else f"{ratio:.1f}" if ratio < 20 else f"{ratio:,.0f}"
