"""An architecture: one sub-network, described as plain data in its family's published vocabulary."""

import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any


class ArchitectureError(ValueError):
    """An architecture lies outside its search space."""


def _frozen(value: Any) -> Any:
    return tuple(_frozen(v) for v in value) if isinstance(value, (list, tuple)) else value


def _thawed(value: Any) -> Any:
    return [_thawed(v) for v in value] if isinstance(value, tuple) else value


class Architecture(Mapping[str, Any]):
    """An immutable, hashable mapping from choice names to values; repeated choices hold tuples.

    Two architectures are equal when they hold the same values. Architectures that come out of a `SearchSpace` are
    canonical: equal exactly when they build the same network.
    """

    __slots__ = ("_hash", "_values", "genes", "origin")
    _hash: int | None
    _values: Mapping[str, Any]
    genes: bytes | None
    origin: str | None

    def __init__(self, values: Mapping[str, Any], *, genes: bytes | None = None, origin: str | None = None) -> None:
        """`genes` and `origin`: the encoded form and the fingerprint of the space that made it (an internal cache)."""
        frozen = {name: _frozen(value) for name, value in values.items()}
        object.__setattr__(self, "_values", MappingProxyType(frozen))
        object.__setattr__(self, "_hash", None)
        object.__setattr__(self, "genes", genes)
        object.__setattr__(self, "origin", origin)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"an Architecture is immutable: cannot set {name!r}")

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        known = self._hash
        if known is None:
            known = hash(frozenset(self._values.items()))
            object.__setattr__(self, "_hash", known)
        return known

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Architecture) and self.origin is not None and self.origin == other.origin:
            return bool(self.genes == other.genes)
        if isinstance(other, Mapping):
            return dict(self._values) == {name: _frozen(value) for name, value in other.items()}
        return NotImplemented

    def __repr__(self) -> str:
        return f"Architecture({self.to_json()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (dict(self._values), self.genes, self.origin)

    def to_json(self) -> str:
        """One line of JSON, keys in the order of the space; `SearchSpace.validate(json.loads(...))` reads it back."""
        return json.dumps({name: _thawed(value) for name, value in self._values.items()}, separators=(",", ":"))


def _restored(values: dict[str, Any], genes: bytes | None, origin: str | None) -> Architecture:
    return Architecture(values, genes=genes, origin=origin)
