"""A device that others measured: there are numbers of it, and nothing runs on it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from torch import Tensor, nn

from hardware.backends.base import Backend
from hardware.timing import Runner

if TYPE_CHECKING:
    from hardware.device import Device


class Imported(Backend):
    """Names devices whose latencies were imported (see `hardware.import_latency`); measures nothing."""

    precisions = ("fp32", "tf32", "bf16", "fp16")

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """Raises DeviceError: nothing can be measured."""
        self._refuse(device)

    def versions(self) -> dict[str, str]:
        """No versions: they are not known."""
        return {}

    def require(self, device: "Device") -> None:
        """Raises DeviceError: no machine is this device."""
        self._refuse(device)

    def _refuse(self, device: "Device") -> NoReturn:
        raise device.error(
            "it was measured elsewhere, and only its imported latencies are here: nothing can be measured on it; give "
            "them as latency_table=FILE"
        )
