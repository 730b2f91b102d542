"""What a runtime must offer to be measured."""

import copy
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from hardware import processor
from hardware.backends.scattering import Scattering
from hardware.timing import Runner

if TYPE_CHECKING:
    from hardware.device import Device


Part = tuple[nn.Module, Sequence[Tensor]]
"""A block and its inputs."""


@dataclass(frozen=True)
class Context:
    """Blocks that run one after the other: singly, and as what was made of all of them; a place for further ones."""

    runs: Sequence[Callable[[], object]]
    graph: Runner
    scattering: Scattering = field(default_factory=Scattering)


class Backend(ABC):
    """Prepares plain modules for one runtime; has no state of its own.

    Attributes:
        precisions: those that the runtime offers on some machine; the first is the usual one.
        packages: import names of what must be installed, and the distribution to install where it is missing.
        bundle_format: what deployment bundles for this runtime hold, one of `hardware.bundle.formats()`.
        lowers_models: whether the runtime takes models in full precision and computes in the device's by itself.
        pays_per_call: whether a call costs something beside what the model does: a table subtracts that from blocks.
    """

    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    packages: ClassVar[dict[str, str]] = {}
    bundle_format: ClassVar[str] = "onnx"
    lowers_models: ClassVar[bool] = False
    pays_per_call: ClassVar[bool] = True

    @abstractmethod
    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """Compiles or loads `model` (in eval mode, left as it is) with the device's settings; measures nothing yet."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Versions of the software that decides the latency."""

    def prepare_context(self, parts: Callable[[], Sequence[Part]], device: "Device") -> Context | None:
        """What `prepare_block` needs of a whole sub-network's blocks; None where a block's neighbours do not matter."""
        return None

    def prepare_block(
        self, block: nn.Module, inputs: Sequence[Tensor], device: "Device", context: Context | None = None
    ) -> Runner:
        """As `prepare`, for a part of a network: what a runtime spends once a network should not count."""
        return self.prepare(block, inputs, device)

    def require(self, device: "Device") -> None:
        """Raises DeviceError where this machine lacks what the backend needs: packages, an accelerator, a precision."""
        for package, distribution in self.packages.items():
            if importlib.util.find_spec(package) is None:
                raise device.error(f"backend {device.backend!r} needs {package}: pip install {distribution}")
        if self.place == "cpu" and not processor.computes(device.precision):
            raise device.error(
                f"this processor ({processor.cpu_model()}) does not compute in {device.precision} "
                f"(it would need one of: {processor.needed(device.precision)})"
            )

    def peak_memory(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> int:
        """Bytes at the peak of one inference, weights included; see `hardware.measure_memory`."""
        from hardware.memory import of_process

        if self.place != "cpu":
            raise device.error(f"peak memory is not measured on backend {device.backend!r}")
        return of_process(lambda: self.prepare(copy.deepcopy(model), inputs, device), device)

    @property
    def place(self) -> str:
        """Where the work is done, as PyTorch calls it: "cpu" or "cuda"."""
        return "cpu"

    def accelerator(self) -> str | None:
        """Name of the accelerator that does the work; None where it is the CPU."""
        return None
