"""Descriptors: numbers that predictors learn from beside the genes, such as costs, depth and training-free proxies."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from search.errors import SearchError
from search.objective import Measure, finite_values, require_measurable
from search.records import Measurement
from search.store import Store
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
        measure: maps a list of n architectures to n numbers, NaN where there is none.
        expensive: False for what is quick to compute, for thousands of architectures in one call, as costs are. True
            for what takes a pass through the sub-network: `measure` is called with one architecture, once for each, and
            the store keeps the number; tactics use it only to choose among few candidates.
        scope: what the number depends on beside the architecture, as in `Objective`.

    Raises SearchError naming the descriptor and the argument that is wrong.
    """

    name: str
    _: KW_ONLY
    measure: Measure
    expensive: bool = False
    scope: str = ""

    def __post_init__(self) -> None:
        require_measurable("descriptor", self)

    def values(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Measured numbers, shape (n_architectures,), NaN for infinite ones. Raises SearchError if `measure` fails."""
        return finite_values(f"descriptor {self.name!r}", self.measure, architectures)


@dataclass(frozen=True, eq=False)
class Descriptors:
    """The descriptors of a search, cheap ones first.

    Args:
        items: cheap ones first; `of` checks and orders them.
        store: where the numbers of expensive ones are kept; None: only in memory.
    """

    items: tuple[Descriptor, ...] = ()
    store: Store | None = None
    _known: dict[tuple[str, Architecture], float] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, items: Sequence[Descriptor]) -> "Descriptors":
        """Descriptors in any order. Raises SearchError for anything else, or repeated names."""
        if not isinstance(items, Iterable) or not all(isinstance(item, Descriptor) for item in items):
            raise SearchError(f"descriptors must be a list of search.Descriptor, got {items!r}")
        names = [item.name for item in items]
        if len(set(names)) != len(names):
            raise SearchError(f"descriptors need distinct names, got {names}")
        return cls(tuple(sorted(items, key=lambda item: item.expensive)))

    def kept_in(self, store: Store) -> "Descriptors":
        """The same descriptors with another store, which is bound to the space."""
        return replace(self, store=store)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def n_cheap(self) -> int:
        """Number of cheap descriptors, which come first."""
        return sum(not item.expensive for item in self.items)

    @property
    def identity(self) -> list[dict[str, Any]]:
        """Names and scopes as JSON-compatible data, for the identity of a study."""
        return [{"name": item.name, "scope": item.scope} for item in self.items]

    def __call__(
        self, architectures: Sequence[Architecture], needed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Numbers of shape (n_architectures, n_descriptors), NaN where there is none.

        Args:
            architectures: canonical.
            needed: which descriptors to compute, shape (n_descriptors,); the columns of others are NaN. None: all.
        """
        columns = np.full((len(architectures), len(self.items)), np.nan)
        for i in range(len(self.items)) if needed is None else np.flatnonzero(needed):
            item = self.items[i]
            columns[:, i] = self._kept(item, architectures) if item.expensive else item.values(architectures)
        return columns

    def _kept(self, item: Descriptor, architectures: Sequence[Architecture]) -> list[float]:
        """Numbers of an expensive descriptor: from memory, else from the store, else computed."""
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
    """Cheap descriptors of a super-network's architectures.

    Args:
        net: whose costs are counted.
        names: of "macs" (per sample), "params" and "depth", the number of active genes.

    Raises SearchError for another name.
    """

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
    """Training-free proxies of sub-networks, computed on a batch of the task's training data.

    Args:
        net: whose shared weights the sub-networks have.
        task: gives the batch.
        names: of "gradient_norm", "synflow" and "w_pca"; see `supernet.proxies` for their sources.

    Raises SearchError for another name.
    """
    from supernet.proxies import Proxy

    known = {name: Proxy(net, task, name) for name in PROXIES}
    return [Descriptor(name, measure=_named(known, name), expensive=True) for name in names]


def _named(known: Any, name: str) -> Any:
    if name not in known:
        raise SearchError(f"unknown descriptor {name!r}: available are {', '.join(known)}")
    return known[name]
