"""What a search is about: a space, objectives and constraints, and how they judge arrays of genes and values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import ConstraintError, SearchError
from search.objective import Constraint, Objective
from supernet.space import Genes, SearchSpace

Values = NDArray[np.float64]
"""Objective values as measured, shape (n_architectures, n_objectives), NaN where unknown or failed."""


@dataclass(frozen=True, eq=False)
class Problem:
    """Build it with `Problem.of`, which validates; arrays of values have one column per objective, in order."""

    space: SearchSpace
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def of(
        cls, space: SearchSpace, objectives: Sequence[Objective], constraints: Mapping[str, Any] | None = None
    ) -> "Problem":
        """Checks names and bounds. Raises SearchError or ConstraintError naming what is allowed."""
        if not isinstance(space, SearchSpace):
            raise SearchError(f"space must be a SearchSpace, got {type(space).__name__}")
        if isinstance(objectives, Objective) or not all(isinstance(o, Objective) for o in objectives):
            raise SearchError(f"objectives must be a list of search.Objective, got {objectives!r}")
        by_name = {objective.name: objective for objective in objectives}
        if not objectives or len(by_name) != len(objectives):
            raise SearchError(f"a search needs objectives with distinct names, got {[o.name for o in objectives]}")
        constraints = {} if constraints is None else constraints
        if not isinstance(constraints, Mapping):
            raise ConstraintError(f"constraints must map objective names to bounds, got {constraints!r}")
        for name in constraints:
            if name not in by_name:
                raise ConstraintError(
                    f"constraint on {name!r}, which is no objective: allowed are {', '.join(by_name)}"
                )
        parsed = tuple(Constraint.parse(by_name[name], given) for name, given in constraints.items())
        return cls(space, tuple(objectives), parsed)

    @property
    def names(self) -> list[str]:
        """Of the objectives, in order."""
        return [objective.name for objective in self.objectives]

    @property
    def goals(self) -> list[str]:
        """Of the objectives, in order."""
        return [objective.goal for objective in self.objectives]

    @cached_property
    def expensive(self) -> NDArray[np.bool_]:
        """Which objectives are measured rather than computed, shape (n_objectives,)."""
        return np.array([objective.expensive for objective in self.objectives])

    @cached_property
    def cheap_part(self) -> "Problem":
        """The same problem with the constraints that can be judged without measuring."""
        cheap = {objective.name for objective in self.objectives if not objective.expensive}
        return replace(self, constraints=tuple(c for c in self.constraints if c.objective in cheap))

    def cheap_values(self, genes: Genes) -> Values:
        """Values of canonical genes with NaN in the columns of expensive objectives.

        Raises SearchError where a cheap objective fails as a whole; its NaN and infinite values become NaN.
        """
        values = np.full((len(genes), len(self.objectives)), np.nan)
        if self.expensive.all() or not len(genes):
            return values
        architectures = self.space.decode(genes)
        for column, objective in enumerate(self.objectives):
            if not objective.expensive:
                values[:, column] = _cheap(objective, architectures)
        return values

    def violation(self, values: Values) -> NDArray[np.float64]:
        """Total relative violation of all constraints, inf where a cheap value is NaN; shape (n,)."""
        total = np.where(np.isnan(values[:, ~self.expensive]).any(axis=1), np.inf, 0.0)
        for constraint in self.constraints:
            total = total + constraint.violation(values[:, self.names.index(constraint.objective)])
        return total

    def admissible(self, genes: Genes) -> NDArray[np.bool_]:
        """Which architectures meet every constraint that can be judged without measuring, shape (n,)."""
        if self.expensive.all():
            return np.ones(len(genes), dtype=bool)
        return np.asarray(self.cheap_part.violation(self.cheap_values(genes)) == 0)

    def minimised(self, values: Values) -> Values:
        """Values with the sign that makes every objective one to minimise, same shape."""
        return values * np.array([objective.sign for objective in self.objectives], dtype=np.float64)


def _cheap(objective: Objective, architectures: list[Any]) -> NDArray[np.float64]:
    try:
        values = objective.values(architectures)
    except SearchError:
        raise
    except Exception as error:
        raise SearchError(f"objective {objective.name!r} failed: {type(error).__name__}: {error}") from error
    return np.where(np.isfinite(values), values, np.nan)
