"""Things that are found by name."""

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Callable[..., Any])
Registered = TypeVar("Registered", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Classes or functions of one kind by name.

    Args:
        kind: what each of them is, in messages: "tactic".
        known: those to begin with.
        package: its modules register more of them when they are imported, which happens when one is asked for.
    """

    def __init__(self, kind: str, *, known: Mapping[str, T] | None = None, package: str | None = None) -> None:
        self._kind, self._package = kind, package
        self.known = dict(known or {})

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Decorator that gives a class or function a name. Raises ValueError if another one already has it.

        One of the same name in code is the same one, defined anew: in a notebook, for example.
        """

        def add(thing: Any) -> Any:
            if self._package is None or not thing.__module__.startswith(f"{self._package}."):
                self.names()  # before a name of ours is taken
            known = self.known.get(name)
            if known is not None and known.__qualname__ != thing.__qualname__:
                raise ValueError(f"{name!r} is already {known.__module__}.{known.__qualname__}: choose another name")
            self.known[name] = thing
            return thing

        return add

    def names(self) -> list[str]:
        """All names, sorted."""
        for module in self._modules():
            importlib.import_module(module)
        return sorted(self.known)

    def find(self, name: str) -> T:
        """The class or function of a name. Raises ValueError that lists the names there are, with the closest one."""
        if name not in self.known and (own := f"{self._package}.{name}") in self._modules():
            importlib.import_module(own)  # without the others, which may take a second
        if name not in self.known and name not in self.names():
            there = f"{', '.join(sorted(self.known))}{did_you_mean(str(name), self.known)}"
            raise ValueError(f"unknown {self._kind} {name!r}: available are {there}")
        return self.known[name]

    def _modules(self) -> list[str]:
        if self._package is None:
            return []
        path = importlib.import_module(self._package).__path__
        return [f"{self._package}.{module.name}" for module in pkgutil.iter_modules(path)]


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question, for the end of a message, that suggests the most similar of the names; "" if none is similar."""
    close = difflib.get_close_matches(name, [*names], n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
