"""The parts of a sub-network that are exported: one for most, encoder and decoder step for a translation."""

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
        varying: names of the axes whose length may vary, by input or output: `{"tokens": {0: "batch", 1: "length"}}`;
            "2*length" is twice as long.
        most: the longest that such axes may be, by name, where there is a limit.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...] = ("output",)
    varying: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)


def single(module: nn.Module, inputs: Mapping[str, Tensor], **axes: int | None) -> dict[str, Part]:
    """A model of one part, with one output, which has a batch alone.

    Args:
        module: the model.
        inputs: examples by name.
        axes: names of the first axes after the batch where these vary, and the longest that they may be (None: any).
    """
    named = dict(enumerate((BATCH, *axes)))
    varying = dict.fromkeys(inputs, named) | {"output": {0: BATCH}}
    return {"model": Part(module, inputs, varying=varying, most={name: n for name, n in axes.items() if n is not None})}


PartRun = Callable[[Sequence[Tensor]], Sequence[Tensor]]
"""Runs a part elsewhere: its inputs, in the order of `Part.inputs`, to its outputs."""


class PartedInference(nn.Module):
    """An inference that calls its model's parts many times, as `SuperNetwork.inference` may give it.

    Runtimes that take graphs run the parts; what stands between them is code.
    """

    @abstractmethod
    def parts(self) -> Mapping[str, Part]:
        """The parts of the model that are exported, by name."""

    @abstractmethod
    def through(self, runs: Mapping[str, PartRun], *inputs: Tensor) -> Any:
        """The same inference with its parts, by name, run elsewhere; takes what calling the module takes."""
