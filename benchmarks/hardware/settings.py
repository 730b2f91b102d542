"""What backend, precision and memory layout make of the latency of one sub-network on a GPU, with energy and memory.

    PYTHONPATH=. python3 benchmarks/hardware/settings.py [--families ofa_mobilenetv3 ofa_resnet50] [--batches 1 64]

Prints a Markdown row for each setting: median, its 95 % confidence interval, mJ and peak MB per inference of a batch.
"""

import argparse
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

import hardware
import supernet
from hardware import Device, DeviceError
from hardware.backends import register
from hardware.backends.cuda import CudaGraphs
from hardware.backends.placing import placed


@register("channels_first")
class ChannelsFirst(CudaGraphs):
    """CUDA graphs with the usual layout."""

    def _forward(
        self, model: nn.Module, inputs: Sequence[Tensor], device: Device
    ) -> tuple[Callable[..., Any], tuple[Tensor, ...]]:
        return placed(model, inputs, "cuda", device.precision)


@register("channels_last")
class ChannelsLast(CudaGraphs):
    """CUDA graphs with the channels last."""

    def _forward(
        self, model: nn.Module, inputs: Sequence[Tensor], device: Device
    ) -> tuple[Callable[..., Any], tuple[Tensor, ...]]:
        return placed(model, inputs, "cuda", device.precision, channels_last=True)


def row(net: supernet.SuperNetwork, device: Device) -> str:
    """The largest sub-network with these settings."""
    model, inputs = net.extract(net.largest), net.example_inputs(net.largest, device.batch_size)
    found = hardware.measure(model, inputs, device)
    low, high = found.interval_ms
    megabytes = hardware.measure_memory(model, inputs, device) / 1e6
    try:
        energy = f"{hardware.measure_energy(model, inputs, device, seconds=0.5):.1f}"
    except DeviceError as error:
        energy = str(error)
    values = [f"{found.median_ms:.4f}", f"{low:.4f} – {high:.4f}", energy, f"{megabytes:.0f}"]
    return " | ".join([net.name, device.backend, device.precision, str(device.batch_size), *values])


def main() -> None:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--families", nargs="*", default=["ofa_mobilenetv3", "ofa_resnet50"])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 64])
    parser.add_argument("--backends", nargs="*", default=["cuda", "channels_first", "channels_last"])
    parser.add_argument("--precisions", nargs="*", default=["fp32", "tf32", "fp16"])
    options = parser.parse_args()
    print("| family | backend | precision | batch | ms | interval | mJ | MB |")
    print("|---|---|---|--:|--:|---|--:|--:|")
    for family in options.families:
        net = supernet.create(family, resolutions=(224,)).eval()
        for batch in options.batches:
            for precision in options.precisions:
                for backend in options.backends:
                    try:
                        device = Device("gpu", backend, batch_size=batch, precision=precision)
                        print(f"| {row(net, device)} |", flush=True)
                    except Exception:
                        print(f"{family} {backend} {precision} {batch} failed:\n{traceback.format_exc()}", flush=True)


if __name__ == "__main__":
    main()
