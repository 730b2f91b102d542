"""The result of a search: everything evaluated, the Pareto front, hypervolume."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search import pareto
from search.errors import SearchError
from search.history import History
from search.objective import Constraint, Goal
from search.problem import Values

if TYPE_CHECKING:
    import pandas as pd


Reference = ArrayLike | Mapping[str, float]
"""A reference point of the hypervolume: one value per objective, in order or by name."""


@dataclass(frozen=True, eq=False)
class Result:
    """Everything that a search evaluated, in order of proposal.

    Args:
        history: genes and values.
        predicted: values that the tactic predicted on proposal, shape (n, n_objectives), NaN without a prediction.
        errors: for each evaluation which objectives failed and why; None if none did.
        identity: settings of the search, as JSON-compatible data.
        ended: why the search ended.
    """

    history: History
    predicted: NDArray[np.float64]
    errors: Sequence[str | None]
    identity: Mapping[str, Any]
    ended: str

    def __repr__(self) -> str:
        names = ", ".join(objective.name for objective in self.history.problem.targets)
        n_front = int(self.history.pareto.sum())
        return f"Result({len(self.history)} architectures, {n_front} on the front of {names}; {self.ended})"

    @cached_property
    def frame(self) -> "pd.DataFrame":
        """One row per evaluated architecture, in order of proposal.

        Columns: "architecture"; one per objective, NaN where it failed; "status": "ok", "failed" or "infeasible"
        (measured, but violating a constraint), of several devices that of the one where it did best; "error", None
        where nothing failed on any device; "batch", -1 for a warm start; "predicted_<name>" per expensive objective,
        NaN without a prediction.
        """
        import pandas as pd

        history = self.history
        architectures = np.empty(len(history), dtype=object)
        architectures[:] = history.space.decode(history.genes)
        status = np.where(history.feasible, "ok", np.where(history.measured, "infeasible", "failed"))
        columns: dict[str, Any] = {"architecture": architectures}
        columns |= {name: history.values[:, i] for i, name in enumerate(history.problem.names)}
        columns |= {"status": status, "error": np.array(self.errors, dtype=object), "batch": history.batches}
        for i, objective in enumerate(history.objectives):
            if objective.expensive:
                columns[f"predicted_{objective.name}"] = self.predicted[:, i]
        return pd.DataFrame(columns)

    @property
    def failures(self) -> "pd.DataFrame":
        """The rows of `frame` whose status is "failed"."""
        return self.frame[~self.history.measured]

    @property
    def partial(self) -> "pd.DataFrame":
        """The rows of `frame` that lack a value for one of several devices: they are left out of its front only."""
        return self.frame[self.history.measured & self.frame["error"].notna()]

    def view(self, device: str) -> "Result":
        """The result for one device: its objectives, named without the device, and those of all devices.

        Raises SearchError naming the devices there are.
        """
        columns = self.history.problem.view(device).columns
        return replace(self, history=self.history.view(device), predicted=self.predicted[:, columns])

    def pareto(self, device: str | None = None) -> "pd.DataFrame":
        """The Pareto front: feasible rows of `frame` that no feasible row dominates, with their index there.

        Sorted by the first cheap objective with a goal, else by the first one that is minimised; the best first.

        Args:
            device: of a search for several devices, as in `view(device).pareto()`; None: rows on the front of at least
                one device.
        """
        if device is not None:
            return self.view(device).pareto()
        first = min(self.history.problem.targets, key=lambda o: (o.expensive, o.goal == "max"))
        front = self.frame[self.history.pareto]
        return front.sort_values(first.name, ascending=first.goal == "min", kind="stable")

    def hypervolume(self, reference: Reference | None = None) -> float:
        """Hypervolume of the front, summed over devices.

        Args:
            reference: values by name of the objective, or a point of shape (n_objectives,), where objectives without a
                goal may be NaN. None: the worst values of the first batch, moved outwards by a tenth of their range;
                that differs from search to search, so give a point in order to compare searches.
        """
        return sum(pareto.hypervolume(*part) for part in self._parts(reference))

    def hypervolume_curve(self, reference: Reference | None = None) -> NDArray[np.float64]:
        """Hypervolume after each evaluation, shape (n,); `reference` as in `hypervolume`."""
        parts = [pareto.hypervolume_curve(*part) for part in self._parts(reference)]
        return np.asarray(np.sum([np.zeros(len(self.history)), *parts], axis=0))

    def best(self, objective: str, **constraints: Any) -> "pd.Series[Any]":
        """The feasible row with the best value of an objective, as in `best("accuracy", latency=20.0)`.

        Where several have it, the others decide in their order, so that no row dominates the one that is given.

        Args:
            objective: name.
            constraints: per objective a number (at least this good) or a pair such as `("<=", 20.0)`.

        Raises SearchError where the name is unknown or no row qualifies.
        """
        by_name = {o.name: o for o in self.history.objectives}
        for name in (objective, *constraints):
            if name not in by_name:
                raise SearchError(f"unknown objective {name!r}: this search has {', '.join(by_name)}")
        if by_name[objective].goal is None:
            raise SearchError(f"objective {objective!r} has no goal, so that no value of it is the best")
        rows = self.frame[self.history.feasible].dropna(subset=objective)
        if rows.empty:
            raise SearchError("no evaluated architecture is feasible")
        bounds = [Constraint.parse(by_name[name], given) for name, given in constraints.items()]
        for bound in bounds:
            rows = rows[bound.violation(rows[bound.objective].to_numpy(dtype=np.float64)) == 0]
        if rows.empty:
            raise SearchError(f"no evaluated architecture meets {' and '.join(map(str, bounds))}")
        order = [objective, *(name for name, other in by_name.items() if other.goal and name != objective)]
        return rows.sort_values(order, ascending=[by_name[name].goal == "min" for name in order], kind="stable").iloc[0]

    def _parts(self, reference: Reference | None) -> Iterator[tuple[Values, NDArray[np.float64], list[Goal]]]:
        """For each device its values (NaN where infeasible), reference point and goals; none without a reference."""
        given = None if reference is None else self._point(reference)
        for view, history in zip(self.history.problem.views, self.history.views, strict=True):
            point = history.reference if given is None else given[view.columns]
            if point is not None:
                values = np.where(history.feasible[:, None], history.values, np.nan)
                yield values, point, view.problem.goals

    def _point(self, reference: Reference) -> NDArray[np.float64]:
        """A reference point of shape (n_objectives,). Raises SearchError for other shapes and unknown names."""
        names = self.history.problem.names
        if isinstance(reference, Mapping):
            if unknown := [name for name in reference if name not in names]:
                raise SearchError(f"reference: unknown objective {unknown[0]!r}, this search has {', '.join(names)}")
            reference = [reference.get(name, np.nan) for name in names]
        point = np.asarray(reference, dtype=np.float64)
        if point.shape != (len(names),):
            raise SearchError(f"reference must hold one value per objective {names}, got {point}")
        return point
