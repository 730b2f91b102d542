"""What may vary in a super-network: choices, and the rules that say when they matter."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from supernet.architecture import frozen

_MOST_VALUES = 2**16  # architectures hold indices of 16 bits


@dataclass(frozen=True)
class When:
    """A gene matters only when `test(*values)` of the named parent genes holds and the parents matter themselves.

    Parents are `"name"` for a scalar choice or `("name", i)` for position `i` of a repeated one.
    """

    parents: tuple[str | tuple[str, int], ...]
    test: Callable[..., bool]

    def __init__(self, *parents: str | tuple[str, int], test: Callable[..., bool]) -> None:
        object.__setattr__(self, "parents", parents)
        object.__setattr__(self, "test", test)


Activity = Callable[[int], When | None]
"""Says for each position of a choice when it matters; None: always."""


def within_depth(depth: str, stages: Sequence[int], base: Sequence[int] | int = 0, first: int = 0) -> Activity:
    """The usual rule of staged networks: block `j` of stage `s` exists when `j < base[s] + depth[s]`.

    Args:
        depth: the choice that holds one depth per stage.
        stages: the number of blocks that each stage has at most; positions run through the stages in order.
        base: blocks that a stage always has, beside its depth (one number for all stages, or one per stage).
        first: position of the first stage's depth within the choice.
    """
    places = [(stage, block) for stage, n_blocks in enumerate(stages) for block in range(n_blocks)]
    bases = [base] * len(stages) if isinstance(base, int) else list(base)

    def activity(position: int) -> When | None:
        if position >= len(places):
            raise ValueError(
                f"within_depth({depth!r}, {list(stages)}) is a rule for {len(places)} positions: there is no stage of "
                f"position {position}; make the numbers of blocks add up to the choice's repeat"
            )
        stage, block = places[position]
        if block < bases[stage]:
            return None
        return When((depth, first + stage), test=lambda value: block < bases[stage] + value)

    return activity


def ascending(name: str, values: Iterable[float]) -> tuple[Any, ...]:
    """The distinct numbers in ascending order, as the values of a choice whose largest one holds all others.

    Raises ValueError, which names the setting, for no numbers.
    """
    listed = frozen(list(values)) if _is_sequence(values) else ()
    if not listed or any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in listed):
        raise ValueError(f"{name} must be a list of numbers, at least one, got {values!r}")
    return tuple(sorted(set(listed)))


@dataclass(frozen=True)
class Choice:
    """One thing that may vary: `values` in ascending cost where they have one.

    Args:
        name: the family's published name.
        values: what is allowed, all distinct: numbers, texts, None, or tuples of these.
        repeat: number of positions (one gene each), or None for a scalar.
        active: per position, when the gene matters (see `When`, `within_depth`); None: always.
        aliases: per position, values that build the same network as another one, as `{value: canonical value}`.
        allowed: per position, which of `values` are possible there; None: all of them.
    """

    name: str
    values: tuple[Any, ...]
    repeat: int | None = None
    active: Activity | None = None
    aliases: Callable[[int], Mapping[Any, Any]] | None = None
    allowed: Callable[[int], Sequence[Any]] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"a choice needs a name, got {self.name!r}")
        values = frozen(tuple(self.values)) if _is_sequence(self.values) else None
        if values is None:
            raise ValueError(
                f"choice {self.name!r}: values must be a sequence such as {(self.values,)}, got {self.values!r}"
            )
        object.__setattr__(self, "values", values)
        if others := [value for value in values if not _is_plain(value)]:
            raise ValueError(f"choice {self.name!r}: {others[0]!r} is no number, text, None or tuple of these")
        if not values or len(set(values)) != len(values):
            raise ValueError(f"choice {self.name!r}: values must be distinct and at least one, got {values}")
        if len(values) > _MOST_VALUES:
            raise ValueError(f"choice {self.name!r}: at most {_MOST_VALUES} values are allowed, got {len(values)}")
        if self.repeat is not None and (type(self.repeat) is not int or self.repeat < 1):
            raise ValueError(
                f"choice {self.name!r}: repeat must be None or an integer of at least 1, got {self.repeat!r}"
            )

    @property
    def n_genes(self) -> int:
        """Number of genes: one for each position."""
        return 1 if self.repeat is None else self.repeat

    def values_at(self, position: int) -> tuple[Any, ...]:
        """The values that are possible at one position."""
        possible = self.values if self.allowed is None else frozen(tuple(self.allowed(position)))
        return tuple(value for value in self.values if value in possible)

    def label(self, position: int) -> str:
        """Name of one gene: `"ks[3]"`, or the plain name of a scalar choice."""
        return self.name if self.repeat is None else f"{self.name}[{position}]"


def _is_sequence(values: Any) -> bool:
    return not isinstance(values, str) and hasattr(values, "__iter__")


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold a value, and it equals itself (a NaN does not)."""
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or (isinstance(value, (bool, int, float, str)) and value == value)
