"""Layouts of checkpoints: how a family's authors name the tensors that this package holds under its own names."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Shapes = Mapping[str, tuple[int, ...]]

_recognisers: list[Callable[[Shapes], str | None]] = []


@dataclass(frozen=True)
class Layout:
    """The key layout of a family's published checkpoints.

    Args:
        name: what `save_checkpoint(path, layout=...)` calls it.
        names: the package's own name of every tensor -> the authors' name, in the authors' order.
        spelling: maps every accepted spelling of an authors' name to one form.
    """

    name: str
    names: Mapping[str, str]
    spelling: Callable[[str], str] = str

    def own_names(self, keys: Iterable[str]) -> dict[str, str]:
        """The package's own name of each key of a file, for those that the layout knows."""
        by_spelling = {self.spelling(theirs): own for own, theirs in self.names.items()}
        return {key: by_spelling[spelt] for key in keys if (spelt := self.spelling(key)) in by_spelling}


def recogniser(function: Callable[[Shapes], str | None]) -> Callable[[Shapes], str | None]:
    """Decorator: `function(shapes)` says what a file with these tensors looks like, or None; used in messages."""
    _recognisers.append(function)
    return function


def recognised(shapes: Shapes) -> str | None:
    """What a file looks like, in words, or None where no family knows it."""
    return next((guess for function in _recognisers if (guess := function(shapes))), None)


def names_of_modules(tensors: Iterable[str], modules: Mapping[str, str]) -> dict[str, str]:
    """Tensor names from module names, in the order of `modules`.

    Args:
        tensors: names of all tensors, as in `state_dict()`.
        modules: own name of each module that holds tensors -> the authors' name of it.
    """
    by_module: dict[str, list[str]] = {}
    for name in tensors:
        by_module.setdefault(name.rpartition(".")[0], []).append(name)
    return {
        name: f"{theirs}.{name.rpartition('.')[2]}"
        for own, theirs in modules.items()
        for name in by_module.get(own, ())
    }
