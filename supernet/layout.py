"""Layouts of checkpoints: how a family's authors name the tensors that this package holds under its own names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]

_recognisers: list[Callable[[Shapes], str | None]] = []


def _state_dict(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"state_dict": dict(tensors)}


def _no_objections(arguments: Mapping[str, Any]) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Layout:
    """The key layout of a family's published checkpoints.

    Args:
        name: what `save_checkpoint(path, layout=...)` calls it.
        names: the package's own name of every tensor -> the authors' name, in the authors' order. Where several own
            names have one of the authors', its rows are theirs, one after the other.
        spelling: maps every accepted spelling of an authors' name to one form.
        copies: second names under which the authors keep a tensor -> the first.
        constants: tensors that hold no weights, by the authors' name: written, and ignored when they are read.
        file: what a file holds, given the tensors by the authors' names.
        fitted: the tensors of a file by the authors' names, changed to fit this super-network (resampled, for example).
        objections: why a file does not fit although its tensors do, given the training arguments that it holds.
    """

    name: str
    names: Mapping[str, str]
    spelling: Callable[[str], str] = str
    copies: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    file: Callable[[Mapping[str, Tensor]], dict[str, Any]] = _state_dict
    fitted: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    objections: Callable[[Mapping[str, Any]], Sequence[str]] = _no_objections

    def known(self, keys: Iterable[str]) -> dict[str, str]:
        """The authors' name of each key of a file, for those that the layout knows."""
        by_spelling = {self.spelling(name): name for name in (*self.names.values(), *self.copies, *self.constants)}
        return {key: by_spelling[spelt] for key in keys if (spelt := self.spelling(key)) in by_spelling}

    def published(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The authors' tensors with weights, made of the package's own."""
        return {
            name: own[parts[0]] if len(parts) == 1 else torch.cat([own[part] for part in parts])
            for name, parts in self._parts.items()
        }

    def owned(self, published: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The package's own tensors, made of the authors'; `own` gives their shapes."""
        owned: dict[str, Tensor] = {}
        for name, parts in self._parts.items():
            rows = [published[name]] if len(parts) == 1 else published[name].split([len(own[part]) for part in parts])
            owned |= zip(parts, rows, strict=True)
        return owned

    @property
    def _parts(self) -> dict[str, list[str]]:
        parts: dict[str, list[str]] = {}
        for own, theirs in self.names.items():
            parts.setdefault(theirs, []).append(own)
        return parts


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
