"""Latency tables of small Transformers on this machine's CPU, against 40 sub-networks outside their fit.

    python benchmarks/hardware/transformer_tables.py [--families vit bert translation] [--backends onnxruntime torch]

Prints error (MAPE) and rank correlation (Spearman) of each table; whole sub-networks are measured in turns with blocks.
For translation, a whole sub-network is what a user waits for: encoding a sentence, then decoding it with a beam. Tables
are kept in a folder while they grow: a run that was stopped goes on.
"""

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import onnxruntime
import torch

import supernet
from hardware import Device, LatencyTable
from hardware.provenance import cpu_model
from supernet import SuperNetwork

VIT: dict[str, Any] = {
    **{"patch_size": 4, "resolutions": (32,), "num_classes": 10, "head_dim": 32, "qk_norm": True},
    **{"depths": (5, 6, 7, 8, 9), "hidden_sizes": (128, 192, 256), "heads": (2, 4, 6, 8)},
    **{"mlp_sizes": (128, 256, 512, 768), "class_token": False, "global_pool": "avg", "fc_norm": False},
}
BERT: dict[str, Any] = {
    **{"vocab_size": 8000, "hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 8},
    **{"intermediate_size": 1024, "depths": (2, 3, 4, 5, 6), "heads": (2, 4, 6, 8), "ffn_sizes": (256, 512, 1024)},
    "sequence_length": 64,
}
TRANSLATION = {
    "space": str(Path(__file__).parents[1] / "supernet" / "small_translation.yaml"),
    "vocab_size": 2000,
}
FAMILIES = {"vit": ("vit", VIT), "bert": ("bert", BERT), "translation": ("hat_transformer", TRANSLATION)}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", nargs="+", default=[*FAMILIES], choices=FAMILIES)
    parser.add_argument("--backends", nargs="+", default=["onnxruntime", "torch"])
    parser.add_argument("--folder", type=Path, default=Path("runs/transformer_tables"))
    parser.add_argument("--held-out", type=int, default=40)
    options = parser.parse_args()
    print(
        f"{cpu_model()}, one thread, batch 1, torch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}, "
        f"Python {platform.python_version()}\n"
    )
    print("| family | backend | blocks | smallest ms | largest ms | MAPE % | Spearman | unseen | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for family in options.families:
        name, settings = FAMILIES[family]
        torch.manual_seed(0)
        net = supernet.create(name, **settings).eval()
        for backend in options.backends:
            print(
                f"| {family} | {backend} | {row(net, Device(f'{backend}-1t', backend), family, options)} |", flush=True
            )


def row(net: SuperNetwork, device: Device, family: str, options: argparse.Namespace) -> str:
    """Builds a table; what it came to."""
    started = time.perf_counter()
    path = options.folder / f"{family}.{device.backend}.json"
    table = LatencyTable.build(net, device, path=path, n_held_out=options.held_out, progress=False)
    smallest, largest = table.latency([net.smallest, net.largest])
    error = table.error
    cells = [f"{len(table.blocks)}", f"{smallest:.2f}", f"{largest:.2f}", f"{error['mape_percent']:.1f}"]
    cells += [f"{error['spearman']:.3f}", f"{error['n_architectures']:.0f}", f"{time.perf_counter() - started:.0f}"]
    return " | ".join(cells)


if __name__ == "__main__":
    main()
