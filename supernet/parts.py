"""The modules of a sub-network as a device runs them."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

BATCH = "batch"
"""The name of the first axis of whatever holds several samples."""


@dataclass(frozen=True)
class Part:
    """A module that is exported by itself.

    Args:
        module: called with tensors alone, in the order of `inputs`; gives a tensor, or a tuple of them.
        inputs: examples by name; an axis that may vary is longer than 1 in them.
        outputs: names of what it gives.
        varying: names of the axes whose length may vary, by input or output: `{"tokens": {0: "batch", 1: "length"}}`.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...] = ("output",)
    varying: Mapping[str, Mapping[int, str]] = field(default_factory=dict)


def single(module: nn.Module, inputs: Mapping[str, Tensor], *axes: str) -> dict[str, Part]:
    """A model of one part, with one output; its first axes, after the batch, vary and are called `axes`.

    The output has a batch alone.
    """
    named = dict(enumerate((BATCH, *axes)))
    varying = dict.fromkeys(inputs, named) | {"output": {0: BATCH}}
    return {"model": Part(module, inputs, varying=varying)}


PartRun = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""Runs a part elsewhere: its inputs, in the order of `Part.inputs`, to its outputs."""


class PartedInference(nn.Module):
    """An inference that calls its model's parts many times, as `SuperNetwork.inference` may give it.

    Runtimes that take graphs run the parts; what stands between them is code.
    """

    @abstractmethod
    def parts(self) -> Mapping[str, Part]:
        """What is exported."""

    @abstractmethod
    def through(self, runs: Mapping[str, PartRun], *inputs: Tensor) -> Any:
        """The same inference with its parts, by name, run elsewhere; takes what calling the module takes."""
