"""Trains an elastic vision transformer within a given time, then tests its largest, smallest and random sub-networks.

    python benchmarks/supernet/train_vit.py --data FOLDER --output FOLDER [--size cifar|imagenette|tiny] [--minutes 5]

FOLDER holds `train.jpegs.npz` and `test.jpegs.npz` (see `supernet.tasks.packed_images`); a tenth of the training images
is set aside for validation. Uses a GPU where there is one, in bfloat16, with the images on it. The first epoch is timed
and decides how many there are. Writes two files into the output folder:

    results.json           accuracy of the sub-networks on validation and test, how they were trained, on what
    weights_fp16.safetensors   the shared weights in half precision, for `net.load_checkpoint`
"""

import argparse
import copy
import dataclasses
import gc
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

import supernet
from supernet import Architecture, SuperNetwork
from supernet.tasks import ImageClassification, packed_images
from supernet.training import Recipe, train
from supernet.training.recording import RecordedSandwich
from supernet.training.sandwich import Sandwich
from supernet.validation import validated

SIZES: dict[str, dict[str, Any]] = {
    "cifar": {
        "patch_size": 4,
        "resolutions": (32,),
        "depths": (5, 6, 7, 8, 9),
        "hidden_sizes": (128, 192, 256),
        "heads": (2, 4, 6, 8),
        "mlp_sizes": (128, 256, 512, 768),
        "head_dim": 32,
    },
    "imagenette": {
        "patch_size": 16,
        "resolutions": (96, 128),
        "depths": (5, 6, 7, 8, 9),
        "hidden_sizes": (128, 192, 256),
        "heads": (2, 4, 6, 8),
        "mlp_sizes": (128, 256, 512, 768),
        "head_dim": 32,
    },
    "tiny": {
        "patch_size": 8,
        "resolutions": (32,),
        "depths": (1, 2),
        "hidden_sizes": (32, 48),
        "heads": (1, 2),
        "mlp_sizes": (32, 64),
        "head_dim": 16,
    },
}
COMMON = {
    "class_token": False,
    "global_pool": "avg",
    "fc_norm": False,
    "qk_norm": True,  # keeps the training stable
    "weight_init": "moco",  # small networks learn sooner than from timm's usual weights
}
RECIPE: dict[str, Any] = {
    "optimiser": "adamw",
    "learning_rate": 1.5e-3,
    "betas": (0.9, 0.99),
    "weight_decay": 0.1,
    "warmup_epochs": 4,
    "average": 0.999,
    "label_smoothing": 0.1,
    "gradient_clip": 1.0,
    "n_random": 2,
    "pool": 60,
    "distillation": 0.75,
    "evaluate_every": 0,
    "n_evaluated": 0,
}  # fmt: skip
AUGMENTATION = {"flip": 0.5, "contrast": 0.2, "brightness": 0.2, "saturation": 0.3, "erase": 0.25, "cutmix": 0.5}
MOVES: dict[str, dict[str, Any]] = {
    "cifar": {"crop": 4},
    "tiny": {"crop": 4},
    "imagenette": {"zoom": (0.6, 1.0), "shift": 0.1},
}
N_RANDOM = 10
RESERVE = 0.1  # of the time: for the tests


def main() -> None:
    """Trains, tests and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="cifar")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--images", type=int, default=10**9, help="of each split at most, to try the script")
    options = parser.parse_args()

    started = time.perf_counter()
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    task = data(options)
    net = network(options.size, task)
    print(f"{net.space}, {task.n_samples('train')} training images, {time.perf_counter() - started:.0f} s", flush=True)
    recipe = fitting(net, task, options, started)
    gc.collect()
    gc.freeze()  # what is there stays: small sub-networks are built and dropped at every step
    print(f"{recipe.epochs} epochs in steps of {recipe.batch_size} images", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        summary = train(net, task, recipe, folder, progress=False)
    gc.unfreeze()
    weights = half(net, options.output / "weights_fp16.safetensors")
    net.load_checkpoint(weights)  # what is tested is what is kept
    net.to(recipe.torch_device())
    found = {name: tested(net, architecture, task) for name, architecture in chosen(net).items()}
    described = {
        "settings": settings(options.size, task),
        "recipe": recipe.as_dict(),
        "training_seconds": summary.seconds,
        "seconds": time.perf_counter() - started,
        "bytes": weights.stat().st_size,
        "machine": machine(),
        "data": task.name,
        "sub-networks": found,
    }
    (options.output / "results.json").write_text(json.dumps(described, indent=1) + "\n")
    print(f"trained for {summary.seconds:.0f} s, {described['seconds']:.0f} s in all; {weights.stat().st_size} bytes")
    print("| sub-network | validation % | test % | M MACs | k parameters |\n|---|---|---|---|---|")
    for name, row in found.items():
        cells = (
            f"{row['validation']:.2f}",
            f"{row['test']:.2f}",
            f"{row['macs'] / 1e6:.1f}",
            f"{row['params'] / 1e3:.0f}",
        )
        print(f"| {name} | {' | '.join(cells)} |")


def data(options: argparse.Namespace) -> ImageClassification:
    """The task, all in memory."""
    task = packed_images(options.data, cache_mb=8192, batch_size=1000)
    part = {split: images.subset(np.arange(min(len(images), options.images))) for split, images in task.splits.items()}
    return dataclasses.replace(task, splits=part)


def settings(size: str, task: ImageClassification) -> dict[str, Any]:
    """Arguments of `supernet.create("vit", ...)`."""
    return {
        **SIZES[size],
        **COMMON,
        "num_classes": len(task.class_names),
        "in_chans": task.channels,
        "mean": task.mean,
        "std": task.std,
    }


def network(size: str, task: ImageClassification) -> SuperNetwork:
    """With random weights."""
    return supernet.create("vit", **settings(size, task))


def fitting(net: SuperNetwork, task: ImageClassification, options: argparse.Namespace, started: float) -> Recipe:
    """The recipe with as many epochs as there is time for, by the second of two that a copy is trained for."""
    augmentation = {**AUGMENTATION, **MOVES[options.size]}
    settings = {**RECIPE, "augmentation": augmentation, "batch_size": options.batch_size}
    settings["recorded"] = recordable(net, task, Recipe(**settings))
    if torch.cuda.is_available() and not settings["recorded"]:
        settings["batch_size"] *= 4  # a step then takes as long, however small its batch
    for _ in range(2):
        with tempfile.TemporaryDirectory() as folder:
            seconds = train(copy.deepcopy(net), task, Recipe(**settings, epochs=1), folder, progress=False).seconds
    left = 60 * options.minutes * (1 - RESERVE) - (time.perf_counter() - started)
    return Recipe(**settings, epochs=max(1, int(left / seconds)))


def recordable(net: SuperNetwork, task: ImageClassification, recipe: Recipe) -> bool:
    """Whether recorded steps give the gradients of usual ones here."""
    device = recipe.torch_device()
    if device.type != "cuda":
        return False
    tried = copy.deepcopy(net).to(device).train()
    architectures = [tried.smallest, *tried.space.sample(2, 1)]
    batches = task.train_batches(
        tried.skeleton(tried.largest), batch_size=recipe.batch_size, rng=np.random.default_rng(0), device=device
    )
    first, second = next(batches), next(batches)
    usual = Sandwich(tried, task, recipe)
    try:
        losses = [usual(second, architectures)]
        expected = [parameter.grad.clone() for parameter in tried.parameters()]
        recorded = RecordedSandwich(usual, architectures, first)
        losses.append(recorded(second, architectures))
    except RuntimeError as error:
        print(f"steps are not recorded here: {error}", flush=True)
        return False
    wanted = torch.cat([gradient.flatten() for gradient in expected])
    found = torch.cat([parameter.grad.flatten() for parameter in tried.parameters()])
    difference = float((found - wanted).norm() / wanted.norm())
    print(f"recorded steps: gradients differ by {difference:.1e}, losses {losses}", flush=True)
    return difference < 0.05


def half(net: SuperNetwork, path: Path) -> Path:
    """Writes the weights in half precision."""
    copy.deepcopy(net).half().save_checkpoint(path)
    return path


def chosen(net: SuperNetwork) -> dict[str, Architecture]:
    """The sub-networks that are tested."""
    drawn = net.space.sample(N_RANDOM, 0)
    return {"largest": net.largest, "smallest": net.smallest, **{f"random {i}": a for i, a in enumerate(drawn)}}


def tested(net: SuperNetwork, architecture: Architecture, task: ImageClassification) -> dict[str, Any]:
    """Top-1 in percent on both splits, and costs."""
    model, metrics = validated(net, architecture, task)
    costs = {name: int(values[0]) for name, values in net.costs([architecture]).items()}
    test = task.evaluate(model, "test")["top1"]
    return {"validation": metrics["top1"], "test": test, **costs, "architecture": dict(architecture)}


def machine() -> dict[str, str]:
    """What it ran on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"gpu": gpu, "torch": torch.__version__, "timm": timm.__version__, "python": platform.python_version()}


if __name__ == "__main__":
    main()
