"""Latency table of a small BERT against 40 sub-networks outside its fit, measured end to end.

    python benchmarks/hardware/bert_table.py [--backends torch onnxruntime] [--tokens 64]

Prints error (MAPE) and rank correlation (Spearman) per backend; whole sub-networks are measured in turns with blocks.
"""

import argparse
import platform

import torch

import supernet
from hardware import Device, LatencyTable
from hardware.provenance import cpu_model


def main() -> None:
    """Builds and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--backends", nargs="*", default=["torch", "onnxruntime"])
    arguments.add_argument("--tokens", type=int, default=64)
    given = arguments.parse_args()
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
    print(f"{net.title}, {given.tokens} tokens, one thread")
    print(f"{cpu_model()}, torch {torch.__version__}, Python {platform.python_version()}\n")
    print("| backend | blocks | range ms | unseen sub-networks | MAPE % | Spearman |")
    print("|---|---|---|---|---|---|")
    for backend in given.backends:
        device = Device(backend, backend)
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
