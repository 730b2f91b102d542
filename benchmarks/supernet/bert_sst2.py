"""Trains a small BERT super-network on SST-2 from random weights, and shows what its sub-networks come to.

    python benchmarks/supernet/bert_sst2.py SST2_FOLDER OUTPUT [--epochs 12] [--width 256] [--device auto]

Prints accuracy on the test split, MACs and parameters of the largest, the smallest and ten random sub-networks; the
folder holds the weights, and a run that was stopped goes on. Needs no GPU, but an hour or more without.
"""

import argparse
import platform

import numpy as np
import torch

import supernet
from supernet.tasks import sst2
from supernet.training import Recipe, train
from supernet.training.sandwich import random_architectures
from supernet.validation import validated


def main() -> None:
    """Trains and prints."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("folder", help="holds train.tsv, dev.tsv and test.tsv")
    arguments.add_argument("output")
    arguments.add_argument("--epochs", type=int, default=12)
    arguments.add_argument("--largest-epochs", type=int, default=4)
    arguments.add_argument("--width", type=int, default=256)
    arguments.add_argument("--device", default="auto")
    given = arguments.parse_args()
    task = sst2(given.folder, vocab_size=8000, max_length=64)
    torch.manual_seed(0)
    net = supernet.create(
        "bert",
        vocab_size=task.tokenizer.get_vocab_size(),
        hidden_size=given.width,
        num_hidden_layers=6,
        num_attention_heads=8,
        intermediate_size=4 * given.width,
        max_position_embeddings=64,
        initializer_range=given.width**-0.5 / 2,
        hidden_dropout_prob=0.2,
        depths=(2, 3, 4, 5, 6),
        heads=(2, 4, 6, 8),
        ffn_sizes=(given.width, 2 * given.width, 4 * given.width),
        sequence_length=32,
    )
    recipe = Recipe(
        epochs=given.epochs,
        batch_size=32,
        optimiser="adamw",
        betas=(0.9, 0.999),
        learning_rate=5e-4,
        schedule="linear",
        warmup_epochs=1,
        weight_decay=0.01,
        label_smoothing=0.1,
        gradient_clip=1.0,
        largest_epochs=given.largest_epochs,
        rank_batches=64,
        evaluate_every=2,
        device=given.device,
    )
    summary = train(net, task, recipe, given.output)
    device = recipe.torch_device()
    where = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    print(f"{net.title}; {given.epochs} epochs in {summary.seconds:.0f} s on {where}, torch {torch.__version__}\n")
    print("| sub-network | layers | test accuracy | million MACs | million parameters |")
    print("|---|---|---|---|---|")
    others = random_architectures(net, 10, np.random.default_rng(1))
    chosen = {"largest": net.largest, "smallest": net.smallest} | {f"random {i}": a for i, a in enumerate(others)}
    costs = net.costs(list(chosen.values()))
    found = []
    for (name, architecture), macs, params in zip(chosen.items(), costs["macs"], costs["params"], strict=True):
        found.append(validated(net.to(device), architecture, task, "test")[1]["accuracy"])
        layers = architecture["num_layers"]
        print(f"| {name} | {layers} | {found[-1]:.1f} | {macs / 1e6:.0f} | {params / 1e6:.2f} |")
    print(f"\nten random ones: {np.mean(found[2:]):.1f} ± {np.std(found[2:]):.1f}")


if __name__ == "__main__":
    main()
