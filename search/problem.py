"""The problem of a search: space, objectives and constraints, vectorised over arrays of genes and of values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.descriptors import Descriptor, Descriptors
from search.errors import ConstraintError, SearchError
from search.objective import Constraint, Goal, Objective, finite_values
from supernet.space import Genes, SearchSpace

Values = NDArray[np.float64]
"""Objective values as measured, shape (n_architectures, n_objectives), NaN where unknown or failed."""


@dataclass(frozen=True, eq=False)
class View:
    """The part of a problem that concerns one device.

    Args:
        device: its name; "" in a problem whose objectives name none.
        columns: indices of its objectives (its own and those of all devices) among those of the whole problem.
        problem: these objectives, named without the device, and the constraints on them.
    """

    device: str
    columns: NDArray[np.intp]
    problem: "Problem"


@dataclass(frozen=True, eq=False)
class Problem:
    """Space, objectives and constraints; build it with `Problem.of`, which validates.

    Arrays of values have one column per objective, in order. Objectives named as in "latency@phone" belong to one
    device. Each device has a front of its own, over its own objectives and those of all devices, and constraints of its
    own (`views`). An architecture is admissible, or feasible, if it is so for at least one device.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    descriptors: Descriptors = field(default_factory=Descriptors)

    @classmethod
    def of(
        cls,
        space: SearchSpace,
        objectives: Sequence[Objective],
        constraints: Mapping[str, Any] | None = None,
        descriptors: Sequence[Descriptor] = (),
    ) -> "Problem":
        """Validates its arguments, which are those of `search.run`.

        A constraint on "latency" also bounds "latency@phone", unless there is one on that.

        Raises SearchError, or ConstraintError for constraints, naming what is wrong and what is allowed.
        """
        if not isinstance(space, SearchSpace):
            raise SearchError(f"space must be a SearchSpace, got {type(space).__name__}")
        listed = tuple(objectives) if isinstance(objectives, Iterable) else (objectives,)
        if isinstance(objectives, Objective) or not all(isinstance(o, Objective) for o in listed):
            raise SearchError(f"objectives must be a list of search.Objective, got {objectives!r}")
        names = [objective.name for objective in listed]
        if not listed or len(set(names)) != len(names):
            raise SearchError(f"a search needs objectives with distinct names, got {names}")
        if all(objective.goal is None for objective in listed):
            raise SearchError(f"a search needs an objective with a goal, 'max' or 'min'; {names} have none")
        if both := {o.quantity for o in listed if o.device} & set(names):
            raise SearchError(f"{sorted(both)[0]!r} is an objective of all devices and of single ones: name it one way")
        problem = cls(space, listed, _parsed(listed, constraints), Descriptors.of(descriptors))
        if idle := [view.device for view in problem.views if not view.problem.targets]:
            raise SearchError(f"device {idle[0]!r} has no objective with a goal, 'max' or 'min': give it one")
        return problem

    @property
    def names(self) -> list[str]:
        """Names of the objectives, in order."""
        return [objective.name for objective in self.objectives]

    @property
    def goals(self) -> list[Goal]:
        """Goals of the objectives, in order."""
        return [objective.goal for objective in self.objectives]

    @property
    def targets(self) -> tuple[Objective, ...]:
        """The objectives that have a goal, in order."""
        return tuple(objective for objective in self.objectives if objective.goal)

    @cached_property
    def expensive(self) -> NDArray[np.bool_]:
        """Which objectives are expensive, shape (n_objectives,)."""
        return np.array([objective.expensive for objective in self.objectives])

    @cached_property
    def cheap_part(self) -> "Problem":
        """The same problem with only the constraints on cheap objectives, which need no measurement."""
        cheap = {objective.name for objective in self.objectives if not objective.expensive}
        return replace(self, constraints=tuple(c for c in self.constraints if c.objective in cheap))

    # --- devices ---

    @property
    def devices(self) -> tuple[str, ...]:
        """Devices in the names of objectives, in order of appearance; empty if objectives name none."""
        return tuple(dict.fromkeys(o.device for o in self.objectives if o.device))

    @cached_property
    def views(self) -> tuple[View, ...]:
        """One view per device; a single view of the whole problem if objectives name no device."""
        everything = View("", np.arange(len(self.objectives)), self)
        return tuple(self._view(device) for device in self.devices) or (everything,)

    def view(self, device: str) -> View:
        """The view of one device. Raises SearchError naming the devices there are."""
        if device not in self.devices:
            there_are = f"it has {', '.join(self.devices)}" if self.devices else "no objective names one"
            raise SearchError(f"unknown device {device!r} in this search: {there_are}")
        return self._view(device)

    def _view(self, device: str) -> View:
        columns = [i for i, o in enumerate(self.objectives) if o.device in ("", device)]
        quantity_of = {self.objectives[i].name: self.objectives[i].quantity for i in columns}
        objectives = tuple(replace(self.objectives[i], name=self.objectives[i].quantity) for i in columns)
        constraints = tuple(
            replace(c, objective=quantity_of[c.objective]) for c in self.constraints if c.objective in quantity_of
        )
        return View(
            device, np.array(columns, dtype=np.intp), Problem(self.space, objectives, constraints, self.descriptors)
        )

    @cached_property
    def optimised(self) -> tuple[NDArray[np.intp], ...]:
        """For each view, indices (among all objectives) of its objectives that have a goal."""
        return tuple(
            view.columns[[objective.goal is not None for objective in view.problem.objectives]] for view in self.views
        )

    # --- judging ---

    def cheap_values(self, genes: Genes) -> Values:
        """Cheap objectives of canonical genes, shape (n, n_objectives); NaN in the columns of expensive ones.

        Infinite values become NaN. Raises SearchError where a cheap objective raises or returns no n numbers.
        """
        values = np.full((len(genes), len(self.objectives)), np.nan)
        if self.expensive.all() or not len(genes):
            return values
        architectures = self.space.decode(genes)
        for column, objective in enumerate(self.objectives):
            if not objective.expensive:
                values[:, column] = finite_values(f"objective {objective.name!r}", objective.measure, architectures)
        return values

    def described(self, genes: Genes, needed: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
        """Descriptors of canonical genes, NaN where one has no number.

        Args:
            genes: shape (n, n_genes).
            needed: which of all descriptors to compute, shape (n_descriptors,); None: the cheap ones.

        Returns: shape (n, n_cheap); with `needed`, (n, n_descriptors), NaN in the columns that are not needed.
        """
        if needed is None:
            cheap = np.arange(len(self.descriptors)) < self.descriptors.n_cheap
            return self.described(genes, cheap)[:, cheap]
        if not needed.any() or not len(genes):
            return np.full((len(genes), len(self.descriptors)), np.nan)
        return self.descriptors(self.space.decode(genes), needed)

    def violation(self, values: Values, std: Values | None = None, confidence: float = 0.5) -> NDArray[np.float64]:
        """Sum over the constraints of their relative violation; of several devices, that of the best one.

        Args:
            values: shape (n, n_objectives), measured or predicted.
            std: standard deviations, same shape, 0 or NaN for exact values; None: all values are exact.
            confidence: probability with which an uncertain value must meet each bound in order not to violate it.

        Returns: shape (n,); 0 where every constraint is met, inf where a cheap objective is NaN.
        """
        deviation = np.zeros_like(values) if std is None else np.nan_to_num(std)
        each = [view.problem._violation(values[:, view.columns], deviation[:, view.columns], confidence)
                for view in self.views]  # fmt: skip
        return np.asarray(np.min(each, axis=0))

    def feasibility(self, mean: Values, std: Values) -> NDArray[np.float64]:
        """Probability that all constraints hold, for independent normal values; of several devices, the highest.

        Args:
            mean: shape (n, n_objectives), exact or predicted.
            std: standard deviations, same shape, 0 or NaN for exact values.

        Returns: shape (n,); 0 or 1 where the constrained values are exact, 0 where a cheap objective is NaN.
        """
        deviation = np.nan_to_num(std)
        each = [view.problem._feasibility(mean[:, view.columns], deviation[:, view.columns]) for view in self.views]
        return np.asarray(np.max(each, axis=0))

    def admissible(self, genes: Genes) -> NDArray[np.bool_]:
        """Which canonical genes meet every constraint on cheap objectives, shape (n,)."""
        if self.expensive.all():
            return np.ones(len(genes), dtype=bool)
        return np.asarray(self.cheap_part.violation(self.cheap_values(genes)) == 0)

    def minimised(self, values: Values) -> Values:
        """Values times the sign of each objective, so that all are minimised; same shape, 0 without a goal."""
        return values * np.array([objective.sign for objective in self.objectives], dtype=np.float64)

    def _violation(self, values: Values, std: Values, confidence: float) -> NDArray[np.float64]:
        total = np.where(np.isnan(values[:, ~self.expensive]).any(axis=1), np.inf, 0.0)
        for constraint in self.constraints:
            column = self.names.index(constraint.objective)
            total = total + constraint.violation(constraint.cautious(values[:, column], std[:, column], confidence))
        return total

    def _feasibility(self, mean: Values, std: Values) -> NDArray[np.float64]:
        probability = np.where(np.isnan(mean[:, ~self.expensive]).any(axis=1), 0.0, 1.0)
        for constraint in self.constraints:
            column = self.names.index(constraint.objective)
            probability = probability * constraint.probability(mean[:, column], std[:, column])
        return probability


def _parsed(objectives: Sequence[Objective], constraints: Any) -> tuple[Constraint, ...]:
    """Constraints by objective: the one on its own name, else the one on its quantity."""
    given = {} if constraints is None else constraints
    if not isinstance(given, Mapping):
        raise ConstraintError(f"constraints must map objective names to bounds, got {constraints!r}")
    known = dict.fromkeys(name for o in objectives for name in (o.name, o.quantity))
    for name in given:
        if name not in known:
            raise ConstraintError(f"constraint on {name!r}, which is no objective: allowed are {', '.join(known)}")
    names = [(o, o.name if o.name in given else o.quantity) for o in objectives]
    return tuple(Constraint.parse(o, given[name]) for o, name in names if name in given)
