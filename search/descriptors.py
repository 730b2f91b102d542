"""What predictors are told of an architecture beside its genes: costs, depth, training-free proxies."""

import time
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.errors import SearchError
from search.objective import Measure, measured_values, scope_of
from search.store import Measurement, Store
from supernet.architecture import Architecture

if TYPE_CHECKING:
    from supernet.network import SuperNetwork
    from supernet.tasks import Task

COSTS = ("macs", "params", "depth")
PROXIES = ("gradient_norm", "synflow", "w_pca")


@dataclass(frozen=True)
class Descriptor:
    """A number that may help to predict expensive objectives; predictors use it where cross-validation says it does.

    Args:
        name: unique within a search.
        measure: list of n architectures -> n numbers, NaN where there is none.
        expensive: False for what is computed for thousands of architectures per call, as costs are. True for what
            takes a pass through the sub-network: `measure` is called with one architecture, once per architecture, and
            the store keeps the number. Tactics ask for it only where it may change what is measured next.
        scope: what a number depends on beside the architecture, as for `Objective`.
    """

    name: str
    _: KW_ONLY
    measure: Measure
    expensive: bool = False
    scope: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise SearchError(f"a descriptor needs a name, got {self.name!r}")
        if not callable(self.measure):
            raise SearchError(f"descriptor {self.name!r}: measure must be a function, got {self.measure!r}")
        if not self.scope:
            object.__setattr__(self, "scope", scope_of(self.measure))

    def values(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Shape (n_architectures,), NaN where it is not finite. Raises SearchError where `measure` fails."""
        try:
            values = measured_values(f"descriptor {self.name!r}", self.measure, architectures)
        except SearchError:
            raise
        except Exception as error:
            raise SearchError(f"descriptor {self.name!r} failed: {type(error).__name__}: {error}") from error
        return np.where(np.isfinite(values), values, np.nan)


@dataclass(frozen=True, eq=False)
class Descriptors:
    """The descriptors of a search, cheap ones first.

    Args:
        items: build it with `of`, which checks and orders them.
        store: where numbers of expensive ones are kept; None: in memory alone.
    """

    items: tuple[Descriptor, ...] = ()
    store: Store | None = None
    _known: dict[tuple[str, Architecture], float] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, items: Sequence[Descriptor]) -> "Descriptors":
        """Raises SearchError for anything but descriptors of distinct names."""
        if isinstance(items, Descriptor) or not all(isinstance(item, Descriptor) for item in items):
            raise SearchError(f"descriptors must be a list of search.Descriptor, got {items!r}")
        names = [item.name for item in items]
        if len(set(names)) != len(names):
            raise SearchError(f"descriptors need distinct names, got {names}")
        return cls(tuple(sorted(items, key=lambda item: item.expensive)))

    def kept_in(self, store: Store) -> "Descriptors":
        """The same ones, with a store that is bound to the space."""
        return replace(self, store=store)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def n_cheap(self) -> int:
        """How many take no pass through a sub-network: the first ones."""
        return sum(not item.expensive for item in self.items)

    @property
    def identity(self) -> list[dict[str, Any]]:
        """What tells searches with other descriptors apart, as JSON-compatible data."""
        return [{"name": item.name, "scope": item.scope} for item in self.items]

    def __call__(
        self, architectures: Sequence[Architecture], needed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Shape (n_architectures, n_descriptors), NaN where there is no number.

        Args:
            architectures: canonical.
            needed: which descriptors are asked for, shape (n_descriptors,); the columns of others are NaN.
        """
        columns = np.full((len(architectures), len(self.items)), np.nan)
        for i in range(len(self.items)) if needed is None else np.flatnonzero(needed):
            item = self.items[i]
            columns[:, i] = self._kept(item, architectures) if item.expensive else item.values(architectures)
        return columns

    def _kept(self, item: Descriptor, architectures: Sequence[Architecture]) -> list[float]:
        """Computes what neither memory nor store knows."""
        unknown = [a for a in dict.fromkeys(architectures) if (item.name, a) not in self._known]
        found = {} if self.store is None else self.store.find(item.name, item.scope, unknown)
        for architecture in unknown:
            kept = found.get(architecture) or self._computed(item, architecture)
            self._known[item.name, architecture] = kept.value
        return [self._known[item.name, architecture] for architecture in architectures]

    def _computed(self, item: Descriptor, architecture: Architecture) -> Measurement:
        started = time.perf_counter()
        value = float(item.values([architecture])[0])
        computed = Measurement(architecture, item.name, item.scope, value, None, time.perf_counter() - started)
        return computed if self.store is None else self.store.record(computed)


def cost_descriptors(net: "SuperNetwork", names: Sequence[str] = COSTS) -> list[Descriptor]:
    """Cheap descriptors of a super-network: "macs", "params", and "depth", the number of active genes."""

    def depth(architectures: list[Architecture]) -> NDArray[np.float64]:
        active = net.space.active(net.space.encode(architectures))
        return np.asarray(active.sum(axis=1), dtype=np.float64)

    known: dict[str, Measure] = {
        "macs": lambda architectures: net.costs(architectures)["macs"],
        "params": lambda architectures: net.costs(architectures)["params"],
        "depth": depth,
    }
    return [Descriptor(name, measure=_named(known, name)) for name in names]


def proxy_descriptors(net: "SuperNetwork", task: "Task", names: Sequence[str] = PROXIES) -> list[Descriptor]:
    """Training-free proxies of sub-networks, on a batch of the task's training data; see `supernet.proxies`."""
    from supernet.proxies import Proxy

    known = {name: Proxy(net, task, name) for name in PROXIES}
    return [Descriptor(name, measure=_named(known, name), expensive=True) for name in names]


def _named(known: Any, name: str) -> Any:
    if name not in known:
        raise SearchError(f"unknown descriptor {name!r}: available are {', '.join(known)}")
    return known[name]
