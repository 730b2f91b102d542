"""Latency table of a small BERT against 40 sub-networks outside its fit, measured end to end.

    python benchmarks/hardware/bert_table.py [--backends torch onnxruntime] [--tokens 64] [--processor-time]

On a machine that other programs use at the same time, `--processor-time` times what the measuring thread itself has
spent on the processor, for blocks and whole sub-networks alike (one thread, and runtimes that work in the caller's).
"""

import argparse
import platform
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

import supernet
from hardware import Device, LatencyTable
from hardware.backends import OnnxRuntime, TorchEager, register
from hardware.provenance import cpu_model
from hardware.timing import Runner


class OwnTime(Runner):
    """Times the calling thread, without what it waits for others."""

    def time_ms(self, calls: int) -> float:
        """Processor time of each of `calls` runs in a row."""
        start = time.thread_time_ns()
        for _ in range(calls):
            self.run()
        return (time.thread_time_ns() - start) / calls / self.inferences / 1e6


class TorchOwnTime(TorchEager):
    """PyTorch in processor time."""

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: Device) -> Runner:
        """As eager PyTorch."""
        return OwnTime(super().prepare(model, inputs, device).run)


class OnnxRuntimeOwnTime(OnnxRuntime):
    """ONNX Runtime in processor time."""

    def prepare(self, model: nn.Module, inputs: Sequence[Tensor], device: Device) -> Runner:
        """As ONNX Runtime."""
        return OwnTime(super().prepare(model, inputs, device).run)


def main() -> None:
    """Builds and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--backends", nargs="*", default=["torch", "onnxruntime"])
    arguments.add_argument("--tokens", type=int, default=64)
    arguments.add_argument("--processor-time", action="store_true")
    given = arguments.parse_args()
    register("torch_own_time", TorchOwnTime)
    register("onnxruntime_own_time", OnnxRuntimeOwnTime)
    torch.manual_seed(0)
    net = supernet.create(
        "bert",
        vocab_size=8000,
        hidden_size=256,
        num_hidden_layers=6,
        num_attention_heads=8,
        intermediate_size=1024,
        depths=(2, 3, 4, 5, 6),
        heads=(2, 4, 6, 8),
        ffn_sizes=(256, 512, 1024),
        sequence_length=given.tokens,
    )
    clock = "processor time" if given.processor_time else "wall time"
    print(f"{net.title}, {given.tokens} tokens, one thread, {clock}")
    print(f"{cpu_model()}, torch {torch.__version__}, Python {platform.python_version()}\n")
    print("| backend | blocks | range ms | unseen sub-networks | MAPE % | Spearman |")
    print("|---|---|---|---|---|---|")
    for backend in given.backends:
        device = Device(backend, f"{backend}_own_time" if given.processor_time else backend)
        table = LatencyTable.build(net, device, n_probes=16, n_held_out=40, progress=False)
        low, high = table.latency([net.smallest, net.largest])
        error = table.error
        print(
            f"| {backend} | {len(table.blocks)} | {low:.2f} - {high:.2f} | {error['n_architectures']:.0f} "
            f"| {error['mape_percent']:.2f} | {error['spearman']:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
