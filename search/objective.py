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
"""Maps a list of n architectures to n values."""

Goal = Literal["max", "min"] | None

_RESERVED = ("architecture", "status", "error", "batch", "id", "rank", "device")
_OPERATORS = ("<=", ">=")
_LONGEST = 80
_LARGEST = 1e60  # beyond it, hypervolumes of several objectives would overflow


@dataclass(frozen=True)
class Objective:
    """One quantity to optimise.

    Args:
        name: unique within a search; names a column of `Result.frame`. In a search for several devices, an objective of
            one device ends in its name, as in "latency@phone"; all others count for every device.
        goal: "max", "min", or None for a quantity that is only bounded by a constraint: it is not optimised, and does
            not count for the front.
        measure: maps a list of n architectures to n finite numbers, of a magnitude below 1e60; if `expensive`, it is
            called with one architecture.
        expensive: True for what takes time to measure, and is stored. False for what is exact and quick to compute: it
            is called within the search, with thousands of architectures at once, and never stored. NaN from a cheap
            objective marks an architecture as infeasible.
        scope: what the value depends on beside the architecture (weights, data, device). Studies in one store share
            the measurements of objectives of equal name and scope. Default: the attribute `scope` of `measure`, or of
            the object whose method it is (a `Validation`, a `LatencyTable`), if there is one.

    Raises SearchError naming the objective and the argument that is wrong.
    """

    name: str
    _: KW_ONLY
    goal: Goal = "max"
    measure: Measure
    expensive: bool = True
    scope: str = ""

    def __post_init__(self) -> None:
        require_measurable("objective", self)
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

    def __repr__(self) -> str:
        kind = "expensive" if self.expensive else "cheap"
        return f"Objective({self.name!r}, goal={self.goal!r}, {kind}, measure={_described(self.measure)})"

    @property
    def device(self) -> str:
        """The device in the name, "phone" in "latency@phone"; "" for an objective of all devices."""
        return self.name.partition("@")[2]

    @property
    def quantity(self) -> str:
        """The name without the device, "latency" in "latency@phone"."""
        return self.name.partition("@")[0]

    @property
    def sign(self) -> int:
        """Factor that makes values something to minimise: 1, or -1 to maximise; 0 without a goal."""
        return {"min": 1, "max": -1, None: 0}[self.goal]

    def values(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Measures, and returns values of shape (n_architectures,), not necessarily finite.

        Raises SearchError where `measure` returns anything but n numbers, and whatever `measure` itself raises.
        """
        return measured_values(f"objective {self.name!r}", self.measure, architectures)


def require_measurable(kind: str, item: Any) -> None:
    """Checks name, measure and scope of an objective or descriptor, and fills in the default scope.

    Raises SearchError, which calls the item by its kind and name.
    """
    if not isinstance(item.name, str) or not item.name.strip():
        raise SearchError(f"every {kind} needs a name, got {item.name!r}")
    if not callable(item.measure):
        raise SearchError(f"{kind} {item.name!r}: measure must be a function, got {item.measure!r}")
    if not isinstance(item.scope, str):
        raise SearchError(f"{kind} {item.name!r}: scope must be a string, got {item.scope!r}")
    if not item.scope:
        object.__setattr__(item, "scope", _scope_of(item.measure))
    if readable(item.name) != item.name or readable(item.scope) != item.scope:  # as names of files may be
        raise SearchError(f"{kind} {item.name!r}: name and scope must be valid Unicode, scope is {item.scope!r}")


def measured_values(what: str, measure: Measure, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    """Calls `measure` with n architectures; float64 values of shape (n,).

    Raises SearchError, which begins with `what`, where it returns anything but n numbers.
    """
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


def finite_values(what: str, measure: Measure, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    """As `measured_values`, with NaN for what is not `usable`, and SearchError for whatever `measure` raises, too."""
    try:
        values = measured_values(what, measure, architectures)
    except SearchError:
        raise
    except Exception as error:
        raise SearchError(f"{what} failed: {type(error).__name__}: {error}") from error
    return np.where(usable(values), values, np.nan)


def usable(values: ArrayLike) -> NDArray[np.bool_]:
    """Which values are numbers that can be reckoned with, same shape: finite, and of a magnitude below 1e60."""
    return np.less(np.abs(np.asarray(values, dtype=np.float64)), _LARGEST)


def finite_or_failed(value: float, error: str | None) -> tuple[float, str | None]:
    """The value and None if it is `usable` and there is no error, else NaN and an error; its text is valid Unicode."""
    value = float(value)
    if error is None and not usable(value):
        error = f"the measured value is {value}"
    if error is None:
        return value, None
    return math.nan, readable(str(error))


def readable(text: str) -> str:
    """A text that any file can hold: lone surrogates, as in undecodable file names, become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _described(measure: Measure) -> str:
    """The name of a function or method, or of the class of a callable object."""
    return getattr(measure, "__qualname__", type(measure).__name__)


def _shortened(value: Any) -> str:
    text = f"{type(value).__name__} {value!r}"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _scope_of(measure: Measure) -> str:
    """The attribute `scope` of a function, or of the object whose method it is; "" without one."""
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
        """By how much values exceed the bound, relative to it; 0 where they meet it, inf for NaN; shape of `values`."""
        excess = self._excess(values)
        return np.where(np.isnan(excess), np.inf, np.maximum(excess, 0.0) / (abs(self.bound) or 1.0))

    def cautious(self, mean: NDArray[np.float64], std: NDArray[np.float64], confidence: float) -> NDArray[np.float64]:
        """The quantile of uncertain values that meets the bound just where the values do so with some probability.

        Args:
            mean: of normally distributed values, shape (n,).
            std: their standard deviation, shape (n,).
            confidence: that probability, in (0, 1); 0.5 gives the mean.

        Returns: shape (n,).
        """
        margin = NormalDist().inv_cdf(confidence) * std
        return mean + margin if self.operator == "<=" else mean - margin

    def probability(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probability that normally distributed values meet the bound, shape (n,); 0 for NaN, 0 or 1 for `std` 0."""
        from scipy.special import ndtr

        excess = self._excess(mean)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            uncertain = ndtr(-excess / std)
        known = np.where(std > 0, uncertain, (excess <= 0).astype(np.float64))
        return np.where(np.isnan(excess), 0.0, known)

    def _excess(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values - self.bound if self.operator == "<=" else self.bound - values

    def __str__(self) -> str:
        short = f"{self.bound:g}"  # only if exact: the identity of a study holds this text
        return f"{self.objective} {self.operator} {short if float(short) == self.bound else repr(self.bound)}"
