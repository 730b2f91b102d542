"""An architecture: one sub-network, described as plain data in its family's published vocabulary."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self


class ArchitectureError(ValueError):
    """An architecture lies outside its search space."""


def frozen(value: Any) -> Any:
    """The value with tuples for lists (JSON has no tuples) and plain numbers for those of arrays, however deep."""
    if isinstance(value, (list, tuple)):
        return tuple(frozen(v) for v in value)
    return frozen(value.tolist()) if hasattr(value, "tolist") else value


def _thawed(value: Any) -> Any:
    return [_thawed(v) for v in value] if isinstance(value, tuple) else value


class Architecture(Mapping[str, Any]):
    """An immutable, hashable mapping from choice names to values; repeated choices hold tuples.

    Two architectures are equal when they hold the same values. Architectures that come out of a `SearchSpace` are
    canonical: equal exactly when they build the same network. They remember their encoded form and the fingerprint of
    their space (`genes`, `origin`), and decode their values when they are first asked for.
    """

    __slots__ = ("_decode", "_hash", "_held", "genes", "origin")
    _held: dict[str, Any] | None
    _decode: Callable[[bytes], dict[str, Any]] | None
    _hash: int | None
    genes: bytes | None
    origin: str | None

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._set({name: frozen(value) for name, value in values.items()}, None, None, None)

    @classmethod
    def encoded(cls, genes: bytes, origin: str, decode: Callable[[bytes], dict[str, Any]]) -> Self:
        """The architecture that `decode(genes)` gives, in the space with fingerprint `origin`."""
        architecture = cls.__new__(cls)
        architecture._set(None, decode, genes, origin)
        return architecture

    def _set(self, held: Any, decode: Any, genes: bytes | None, origin: str | None) -> None:
        set_ = object.__setattr__
        set_(self, "_held", held)
        set_(self, "_decode", decode)
        set_(self, "_hash", None)
        set_(self, "genes", genes)
        set_(self, "origin", origin)

    @property
    def _values(self) -> dict[str, Any]:
        held = self._held
        if held is None:
            if self._decode is None or self.genes is None:
                raise AttributeError("this Architecture was not initialised")
            held = self._decode(self.genes)
            object.__setattr__(self, "_held", held)
        return held

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
            return self._values == {name: frozen(value) for name, value in other.items()}
        return NotImplemented

    def __repr__(self) -> str:
        return f"Architecture({self.to_json()})"

    def __str__(self) -> str:
        """JSON, so that tables which pandas writes can be read again."""
        return self.to_json()

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._values, self.genes, self.origin)

    def to_json(self) -> str:
        """One line of JSON, keys in the order of the space; `SearchSpace.validate(json.loads(...))` reads it back."""
        return json.dumps({name: _thawed(value) for name, value in self._values.items()}, separators=(",", ":"))


def _restored(values: dict[str, Any], genes: bytes | None, origin: str | None) -> Architecture:
    architecture = Architecture.__new__(Architecture)
    architecture._set(values, None, genes, origin)
    return architecture
