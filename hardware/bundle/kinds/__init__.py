"""Kinds of tasks: what a bundle holds so that its `run.py` prepares inputs and makes sense of outputs."""

from collections.abc import Callable
from typing import TypeVar

from hardware.bundle.kinds.arrays import Arrays
from hardware.bundle.kinds.base import Kind, Making
from hardware.bundle.kinds.images import ImageClassification
from hardware.bundle.kinds.texts import TextClassification
from hardware.bundle.kinds.translation import Translation
from supernet.names import Registry

_Class = TypeVar("_Class", bound=type[Kind])

_KNOWN: dict[str, type[Kind]] = {
    "arrays": Arrays,
    "image_classification": ImageClassification,
    "text_classification": TextClassification,
    "translation": Translation,
}
_kinds = Registry("kind of task", known=_KNOWN)

__all__ = ["Kind", "Making", "kind_of", "register"]


def register(name: str) -> Callable[[_Class], _Class]:
    """Class decorator: makes tasks whose `deployment` names this kind deploy as the `Kind` that it decorates.

    Raises ValueError if another class already has the name.
    """
    return _kinds.register(name)


def kind_of(making: Making) -> Kind:
    """How a bundle's task is deployed; without a task, its model alone.

    Raises ValueError for a kind of task that is not known, and for a model that does not go with the task.
    """
    kind = Kind if making.deployment is None else _kinds.find(making.deployment.kind)
    if set(making.parts) != set(kind.parts):
        task = "without a task" if making.task is None else f"with task {making.task.name!r}"
        raise ValueError(
            f"{making.net.name} cannot be deployed {task}: its bundle holds {' and '.join(making.parts)}, which is "
            f"not what runs there ({' and '.join(kind.parts)}); give a task that it was made for"
        )
    return kind(making)
