"""Predictors by name. The modules of this package register their own: a new predictor is one new file."""

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from predictors.base import Predictor

PredictorClass = TypeVar("PredictorClass", bound=type[Predictor])

_classes: dict[str, type[Predictor]] = {}


def register(name: str) -> Callable[[PredictorClass], PredictorClass]:
    """Class decorator that makes a predictor known to `create` as `name`.

    Raises ValueError if another class already has the name.
    """

    def add(cls: PredictorClass) -> PredictorClass:
        if not cls.__module__.startswith("predictors."):
            _import_modules()  # before a name of ours is taken
        known = _classes.get(name)
        if known is not None and known.__qualname__ != cls.__qualname__:
            raise ValueError(f"{name!r} is already {known.__module__}.{known.__qualname__}: choose another name")
        _classes[name] = cls
        return cls

    return add


def available() -> list[str]:
    """Names that `create` takes, sorted."""
    _import_modules()
    return sorted(_classes)


def create(name: str, **settings: Any) -> Predictor:
    """Unfitted predictor; `settings` are its constructor's arguments.

    Raises ValueError for an unknown name, TypeError for an unknown setting.
    """
    if name not in _classes:
        _import_modules()
    if name not in _classes:
        raise ValueError(f"unknown predictor {name!r}: choose one of {', '.join(sorted(_classes))}")
    return _classes[name](**settings)


def _import_modules() -> None:
    package = importlib.import_module("predictors")
    for module in pkgutil.iter_modules(package.__path__, "predictors."):
        importlib.import_module(module.name)
