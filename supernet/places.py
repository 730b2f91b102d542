"""The attributes of a module that hold its tensors, and putting other tensors there, for good or for one call."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn


class Place(NamedTuple):
    """One attribute of a module that holds a parameter or a buffer.

    Attributes:
        name: under which the tensor appears first in the model; tied tensors have one name.
        owner: the module that has the attribute.
        attribute: its name there.
        is_parameter: a parameter, or a buffer.
        is_repeated: whether the tensor appeared before.
        shape: of the tensor.
    """

    name: str
    owner: nn.Module
    attribute: str
    is_parameter: bool
    is_repeated: bool
    shape: torch.Size

    @property
    def tensors(self) -> dict[str, Tensor | None]:
        """The tensors of this kind of the owner, by attribute."""
        return self.owner._parameters if self.is_parameter else self.owner._buffers  # type: ignore[return-value]


def places_of(module: nn.Module) -> list[Place]:
    """All places of a module that hold tensors, parameters first."""
    first: dict[int, str] = {}
    places = []
    modules = list(module.named_modules())
    for is_parameter in (True, False):
        for prefix, owner in modules:
            for attribute, tensor in (owner._parameters if is_parameter else owner._buffers).items():
                if tensor is not None:
                    own = f"{prefix}.{attribute}" if prefix else attribute
                    name = first.setdefault(id(tensor), own)
                    places.append(Place(name, owner, attribute, is_parameter, name != own, tensor.shape))
    return places


def fill(places: Sequence[Place], tensors: Mapping[str, Tensor]) -> None:
    """Puts tensors into their places, by name, for good.

    Parameters become parameters again, and learn where those before them did. Places without a tensor stay as they are.
    """
    made: dict[str, Tensor] = {}
    for place in places:
        if place.name in tensors:
            tensor = tensors[place.name]
            if place.is_parameter:
                learns = cast(Tensor, place.tensors[place.attribute]).requires_grad
                tensor = made.setdefault(place.name, nn.Parameter(tensor, requires_grad=learns))
            place.tensors[place.attribute] = tensor


@contextmanager
def filled(places: Sequence[Place], tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Within the context the places hold these tensors, through which gradients flow; then what they held before."""
    before = [(place.tensors, place.attribute, place.tensors[place.attribute]) for place in places]
    try:
        for (held, attribute, _), place in zip(before, places, strict=True):
            if place.name in tensors:
                held[attribute] = tensors[place.name]
        yield
    finally:
        for held, attribute, tensor in before:
            held[attribute] = tensor
