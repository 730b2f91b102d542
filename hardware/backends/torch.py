"""PyTorch eager mode on the CPU."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hardware.backends.base import Runner

if TYPE_CHECKING:
    from hardware.device import Device


class TorchEager:
    """Runs the module as it is, in inference mode, with the device's number of intra-op threads."""

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: "Device") -> Runner:
        """The returned call sets the thread count itself, since PyTorch's is global."""
        model = model.eval()

        def run() -> object:
            if torch.get_num_threads() != device.threads:
                torch.set_num_threads(device.threads)
            with torch.inference_mode():
                return model(*inputs)

        return run

    def versions(self) -> dict[str, str]:
        """PyTorch's."""
        return {"torch": torch.__version__}
