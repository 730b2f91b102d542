"""What a runtime must offer so that models can be measured on it."""

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
    """The blocks of a whole sub-network, between which `prepare_block` puts the block that it measures.

    Attributes:
        runs: functions that run one block each, in the order of the network.
        graph: runs all of them, one after the other.
        scattering: memory for copies of the measured block with different weights.
    """

    runs: Sequence[Callable[[], object]]
    graph: Runner
    scattering: Scattering = field(default_factory=Scattering)


class Backend(ABC):
    """Prepares plain modules for one runtime; has no state of its own.

    Attributes:
        precisions: those that the runtime supports, on some machine at least; the first is the default.
        packages: packages that must be installed: name to import -> what to give to `pip install`.
        bundle_format: the format of deployment bundles for this runtime, one of `hardware.bundle.formats()`.
        lowers_models: True where the runtime takes fp32 models and itself computes in the device's precision; False
            where weights and inputs must be converted before.
        pays_per_call: whether every call has an overhead that does not depend on the model. A latency table measures it
            as an empty call, and subtracts it from each block.
    """

    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    packages: ClassVar[dict[str, str]] = {}
    bundle_format: ClassVar[str] = "onnx"
    lowers_models: ClassVar[bool] = False
    pays_per_call: ClassVar[bool] = True

    @abstractmethod
    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """Loads or compiles `model` with the device's settings, ready to be timed.

        Args:
            model: a plain module in eval mode, which is left as it is.
            inputs: its positional arguments.
            device: threads, precision and the like.
        """

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Versions of the packages that the latency depends on: a table of other versions is not continued."""

    def prepare_context(self, parts: Callable[[], Sequence[Part]], device: "Device") -> Context | None:
        """What `prepare_block` needs of a whole sub-network, made once for all blocks of a table.

        None where the latency of a block does not depend on its neighbours. `parts` gives the blocks of the largest
        sub-network in their order, with their inputs.
        """
        return None

    def prepare_block(
        self, block: nn.Module, inputs: Sequence[Tensor], device: "Device", context: Context | None = None
    ) -> Runner:
        """As `prepare`, for one block of a network: overheads that a whole network has only once should not count."""
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
