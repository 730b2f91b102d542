"""Objectives say what is optimised and how it is measured; constraints bound them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search.errors import ConstraintError, SearchError
from supernet.architecture import Architecture

Measure = Callable[[list[Architecture]], ArrayLike]
"""Maps n architectures to n values."""

Goal = Literal["max", "min"] | None

_RESERVED = ("architecture", "status", "error", "batch", "id", "rank", "device")
_OPERATORS = ("<=", ">=")
_LONGEST = 80


@dataclass(frozen=True)
class Objective:
    """One quantity to optimise.

    Args:
        name: unique within a search; names a column of `Result.frame`. Where one search serves several devices, those
            of one device end in its name, as in "latency@phone"; the others count for all devices.
        goal: "max", "min", or None for a quantity that only constraints bound: it is not optimised, and the front
            ignores it.
        measure: list of n architectures -> n finite numbers. An expensive one is called with one architecture.
        expensive: False for exact, cheap quantities: they are evaluated inside the search, for thousands of
            architectures per call, and are never stored. A NaN of a cheap objective marks an architecture infeasible.
        scope: what a value depends on beside the architecture (weights, data, device). Studies that share a store
            share the measurements of objectives with equal name and scope. By default the `scope` of `measure`, or of
            the object whose method it is (a `Validation`, a `LatencyTable`), where there is one.
    """

    name: str
    _: KW_ONLY
    goal: Goal = "max"
    measure: Measure
    expensive: bool = True
    scope: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise SearchError(f"an objective needs a name, got {self.name!r}")
        if self.name in _RESERVED or self.name.startswith("predicted_"):
            raise SearchError(
                f"objective name {self.name!r} is taken by a column of the results: "
                f"choose another than {', '.join(_RESERVED)} and predicted_*"
            )
        if "@" in self.name and not (self.quantity.strip() and self.device.strip() and self.name.count("@") == 1):
            raise SearchError(f"objective name {self.name!r}: expected quantity@device, as in 'latency@phone'")
        if set(self.device) & set("/\\"):
            raise SearchError(f"objective name {self.name!r}: the device must be a plain word, it names files")
        if self.goal not in ("max", "min", None):
            raise SearchError(f"objective {self.name!r}: goal must be 'max' or 'min' (or None), got {self.goal!r}")
        if not callable(self.measure):
            raise SearchError(f"objective {self.name!r}: measure must be a function, got {self.measure!r}")
        if not isinstance(self.scope, str):
            raise SearchError(f"objective {self.name!r}: scope must be a string, got {self.scope!r}")
        if not self.scope:
            object.__setattr__(self, "scope", scope_of(self.measure))

    def __repr__(self) -> str:
        kind = "expensive" if self.expensive else "cheap"
        return f"Objective({self.name!r}, goal={self.goal!r}, {kind}, measure={_described(self.measure)})"

    @property
    def device(self) -> str:
        """The device that the name ends in, as in "latency@phone"; "" where it counts for all devices."""
        return self.name.partition("@")[2]

    @property
    def quantity(self) -> str:
        """The name without the device."""
        return self.name.partition("@")[0]

    @property
    def sign(self) -> int:
        """Factor that turns values into something to minimise; 0 without a goal."""
        return {"min": 1, "max": -1, None: 0}[self.goal]

    def values(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Measured values, shape (n_architectures,). Raises SearchError for another shape than that."""
        return measured_values(f"objective {self.name!r}", self.measure, architectures)


def measured_values(what: str, measure: Measure, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    """What `measure` returns of n architectures, shape (n,). Raises SearchError for anything but n numbers."""
    n = len(architectures)
    given = measure(list(architectures))
    wanted = f"{what}: measure must return an array of shape ({n},) for {n} architectures"
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SearchError(f"{wanted}, got {_shortened(given)} ({error})") from error
    if values.shape != (n,):
        raise SearchError(f"{wanted}, got " + (f"shape {values.shape}" if values.ndim else _shortened(given)))
    return values


def finite_or_failed(value: float, error: str | None) -> tuple[float, str | None]:
    """What a measurement came to: a finite value and no error, or NaN and an error that any file can hold."""
    value = float(value)
    if error is None and not math.isfinite(value):
        error = f"the measured value is {value}"
    if error is None:
        return value, None
    return math.nan, error.encode("utf-8", "backslashreplace").decode("utf-8")  # names of files may be no Unicode


def _described(measure: Measure) -> str:
    """The name of a function or method, or of the class of an object that is called; no data that it holds."""
    return getattr(measure, "__qualname__", type(measure).__name__)


def _shortened(value: Any) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def scope_of(measure: Measure) -> str:
    """The `scope` of a measure, or of the object whose method it is; "" where there is none."""
    return str(getattr(getattr(measure, "__self__", measure), "scope", ""))


@dataclass(frozen=True)
class Constraint:
    """A bound on one objective; `operator` is "<=" or ">="."""

    objective: str
    operator: str
    bound: float

    @classmethod
    def parse(cls, objective: Objective, given: Any) -> "Constraint":
        """Reads `("<=", 20.0)`, or a number, which means "at least this good".

        Raises ConstraintError naming the objective and what is allowed.
        """
        if objective.goal and isinstance(given, (int, float, np.number)) and not isinstance(given, bool):
            given = ("<=" if objective.goal == "min" else ">=", given)
        message = f"constraint on {objective.name!r}: expected a pair such as ('<=', 20.0), got {given!r}"
        if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != 2:
            raise ConstraintError(message)
        operator, bound = given
        if operator not in _OPERATORS:
            raise ConstraintError(f"{message}: the operator must be one of {', '.join(_OPERATORS)}")
        try:
            number = float(bound) if isinstance(bound, (int, float, np.number)) else math.nan
        except OverflowError:  # an integer beyond any float
            number = math.inf
        if isinstance(bound, bool) or not math.isfinite(number):
            raise ConstraintError(f"{message}: the bound must be a finite number")
        return cls(objective.name, operator, number)

    def violation(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far values lie outside, relative to the bound; 0 where it is met, inf for NaN. Same shape as `values`."""
        excess = self._excess(values)
        return np.where(np.isnan(excess), np.inf, np.maximum(excess, 0.0) / (abs(self.bound) or 1.0))

    def cautious(self, mean: NDArray[np.float64], std: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
        """Normally distributed values as single ones: within the bound exactly where that is likely enough.

        Args:
            mean: shape (n,).
            std: shape (n,).
            confidence: the probability that counts as enough, in (0, 1); 0.5 gives the mean.
        """
        margin = NormalDist().inv_cdf(confidence) * std
        return mean + margin if self.operator == "<=" else mean - margin

    def probability(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability that normally distributed values lie within; 0 or 1 where `std` is 0, 0 for NaN. Shape (n,)."""
        from scipy.special import ndtr

        excess = self._excess(mean)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            uncertain = ndtr(-excess / std)
        known = np.where(std > 0, uncertain, (excess <= 0).astype(np.float64))
        return np.where(np.isnan(excess), 0.0, known)

    def _excess(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values - self.bound if self.operator == "<=" else self.bound - values

    def __str__(self) -> str:
        short = f"{self.bound:g}"  # only where it says all: searches with different bounds are told apart by this text
        return f"{self.objective} {self.operator} {short if float(short) == self.bound else repr(self.bound)}"
