"""Predictors for few training rows: arrays in, mean and standard deviation out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from predictors import metrics
    from predictors.base import Predictor
    from predictors.registry import available, create, register
    from predictors.selection import Selective

__all__ = ["Predictor", "Selective", "available", "create", "metrics", "register"]

_NEED_SKLEARN = {
    "Predictor": "predictors.base",
    "Selective": "predictors.selection",
    "available": "predictors.registry",
    "create": "predictors.registry",
    "register": "predictors.registry",
}


def __getattr__(name: str) -> Any:
    """Imports what needs scikit-learn when it is first asked for: devices and searches start without it."""
    if name == "metrics":
        return import_module("predictors.metrics")
    if name not in _NEED_SKLEARN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NEED_SKLEARN[name]), name)
