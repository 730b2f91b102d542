"""What a runtime must offer to be measured."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor, nn

if TYPE_CHECKING:
    from hardware.device import Device

Runner = Callable[[], object]
"""One inference of a prepared model on inputs that are already in place; returns when the result is there."""


class Backend(Protocol):
    """Prepares plain modules for one runtime; has no state of its own."""

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """Compiles or loads `model` (in eval mode) with the device's settings; nothing is measured yet."""
        ...

    def versions(self) -> dict[str, str]:
        """Versions of the software that decides the latency."""
        ...
