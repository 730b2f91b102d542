"""A device of your own: a runtime that the package does not know, here PyTorch with channels-last tensors.

Run: python examples/custom_device.py
On the command line: see docs/extending.md.
"""

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import hardware
import supernet
from hardware.backends import Backend, Runner, register


@register("channels_last")
class ChannelsLast(Backend):
    """Convolutions run on tensors whose channels lie together in memory."""

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: hardware.Device) -> Runner:
        """What takes long happens here: only `run` is timed."""
        forward = copy.deepcopy(model).to(memory_format=torch.channels_last)
        given = [x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in inputs]

        def run() -> object:
            torch.set_num_threads(device.threads)
            with torch.inference_mode():
                return forward(*given)

        return Runner(run)

    def versions(self) -> dict[str, str]:
        """Of the software that decides the latency: a table of another version is not continued."""
        return {"torch": torch.__version__}


def device(name: str = "channels_last", threads: int = 1) -> hardware.Device:
    """For a configuration: whoever calls it has the backend."""
    return hardware.Device(name, backend="channels_last", threads=threads)


def main() -> dict[str, list[hardware.Measurement]]:
    """The smallest and the largest sub-network, there and in plain PyTorch; tables are built as for any device."""
    net = supernet.create("digits_mobilenetv3", checkpoint="embedded")
    devices = [device(), hardware.Device("plain", backend="torch")]
    return {d.name: hardware.measure_end_to_end(net, [net.smallest, net.largest], d) for d in devices}


if __name__ == "__main__":
    for name, measured in main().items():
        print(name, ", ".join(f"{m.median_ms:.3f} ms" for m in measured))
