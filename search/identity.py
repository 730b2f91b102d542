"""The identity of a study: its settings as data, by which a search finds the study that it continues."""

import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from typing import Any

import numpy as np

from search.problem import Problem


def identity_of(problem: Problem, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of a study, as JSON-compatible data: runs of equal identity continue the same study."""
    return {
        "objectives": [
            {"name": o.name, "goal": o.goal, "expensive": o.expensive, "scope": o.scope} for o in problem.objectives
        ],
        "constraints": [str(constraint) for constraint in problem.constraints],
        **settings,
    }


def as_data(thing: Any) -> Any:
    """Settings as JSON-compatible data, equal in every process for equal settings; of other objects just the class."""
    if thing is None or isinstance(thing, (str, int, float, bool)):
        return thing
    if isinstance(thing, (list, tuple)):
        return [as_data(item) for item in thing]
    name = f"{type(thing).__module__}.{type(thing).__qualname__}"
    if isinstance(thing, (np.generic, np.ndarray)):
        return as_data(thing.tolist())
    if isinstance(thing, Mapping):
        return {str(key): as_data(value) for key, value in thing.items()}
    if isinstance(thing, os.PathLike):
        return os.fspath(thing)
    if isinstance(thing, partial):
        return {"class": name, "of": as_data(thing.func), "args": as_data([*thing.args, thing.keywords])}
    if is_dataclass(thing) and not isinstance(thing, type):
        return {"class": name, **{f.name: as_data(getattr(thing, f.name)) for f in fields(thing) if f.init}}
    if hasattr(thing, "__qualname__"):
        return f"{thing.__module__}.{thing.__qualname__}"
    if callable(getattr(thing, "get_params", None)):
        return {"class": name, **{key: as_data(value) for key, value in sorted(thing.get_params().items())}}
    return {"class": name}
