"""Latency tables of a small vision transformer on this machine's CPU, against 40 sub-networks outside their fit.

    python benchmarks/hardware/vit_table.py [--folder runs/vit_tables] [--held-out 40]

Prints error (MAPE) and rank correlation (Spearman) per backend; whole sub-networks are measured in turns with blocks.
"""

import argparse
import platform
import time
from pathlib import Path

import torch

import hardware
import supernet
from hardware.provenance import cpu_model

SETTINGS = {
    **{"patch_size": 4, "resolutions": (32,), "num_classes": 10, "head_dim": 32, "qk_norm": True},
    **{"depths": (5, 6, 7, 8, 9), "hidden_sizes": (128, 192, 256), "heads": (2, 4, 6, 8)},
    **{"mlp_sizes": (128, 256, 512, 768), "class_token": False, "global_pool": "avg", "fc_norm": False},
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/vit_tables"))
    parser.add_argument("--held-out", type=int, default=40)
    parser.add_argument("--backends", nargs="+", default=["onnxruntime", "torch"])
    options = parser.parse_args()
    torch.manual_seed(0)
    net = supernet.create("vit", **SETTINGS).eval()
    print(f"{cpu_model()}, one thread, torch {torch.__version__}, Python {platform.python_version()}; {net.space}")
    print("| backend | blocks | smallest ms | largest ms | MAPE % | Spearman | unseen | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    for backend in options.backends:
        started = time.perf_counter()
        device = hardware.Device(f"{backend}-1t", backend)
        path = options.folder / f"{backend}.json"
        table = hardware.LatencyTable.build(net, device, path=path, n_held_out=options.held_out, progress=False)
        smallest, largest = table.latency([net.smallest, net.largest])
        error = table.error
        cells = (
            f"{backend} | {len(table.blocks)} | {smallest:.2f} | {largest:.2f} | {error['mape_percent']:.1f}",
            f"{error['spearman']:.3f} | {error['n_architectures']:.0f} | {time.perf_counter() - started:.0f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
