"""Trains an elastic vision transformer within a given time, then tests its largest, smallest and random sub-networks.

    python benchmarks/supernet/train_vit.py --data FOLDER --output FOLDER [--size cifar10|imagenette|tiny] [--minutes 7]

FOLDER holds `train.jpegs.npz` and `test.jpegs.npz` (see `supernet.tasks.packed_images`); a tenth of the training images
is set aside for validation. Network and recipe are those of `conf/experiment/train_<size>_vit.yaml`; "tiny" is a
network for CIFAR-10 on a CPU core. Uses a GPU where there is one, in bfloat16, with the images on it. Two epochs of a
copy are timed and decide how many there are. On one H200, within nine minutes:

    PYTHONPATH=. python3 benchmarks/supernet/train_vit.py --data cifar10 --output runs/vit --size cifar10 --minutes 7.5

and on one CPU core, in about ten:

    PYTHONPATH=. python3 benchmarks/supernet/train_vit.py --data cifar10 --output runs/vit_tiny --size tiny --epochs 5

Before it trains it says how well attention's gradients in bfloat16 agree with those in single precision. Writes two
files into the output folder:

    results.json           accuracy of the sub-networks on validation and test, how they were trained, on what
    weights_fp16.safetensors   the shared weights in half precision, for `net.load_checkpoint`

The table ends with what a linear classifier of the pixels (ridge regression) comes to.
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
import yaml
from torch.nn import functional

import conf
import supernet
from supernet import Architecture, SuperNetwork
from supernet.tasks import ImageClassification, packed_images
from supernet.training import Recipe, train
from supernet.training.recording import RecordedSandwich
from supernet.training.sandwich import Sandwich
from supernet.validation import validated

SIZES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # experiment, what differs in network and recipe
    "cifar10": ("train_cifar10_vit", {}, {}),
    "imagenette": ("train_imagenette_vit", {}, {}),
    "tiny": (
        "train_cifar10_vit",
        {"patch_size": 8, "depths": (3, 4), "hidden_sizes": (64, 96), "heads": (1, 2, 3), "mlp_sizes": (96, 192)},
        {"batch_size": 64, "warmup_epochs": 0.3, "n_random": 1, "augmentation": {"crop": 2, "flip": 0.5}},
    ),
}
N_RANDOM = 10
RESERVE = 0.12  # of the time: for the tests


def main() -> None:
    """Trains, tests and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--size", choices=SIZES, default="cifar10")
    parser.add_argument("--minutes", type=float, default=7.0)
    parser.add_argument("--epochs", type=int, help="instead of as many as there is time for")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--images", type=int, default=10**9, help="of each split at most, to try the script")
    options = parser.parse_args()

    started = time.perf_counter()
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    task = data(options)
    net = network(options.size, task)
    print(f"{net.space}, {task.n_samples('train')} training images, {time.perf_counter() - started:.0f} s", flush=True)
    print(f"gradients of attention, bf16 against fp32: cosine {agreement(net, task):.4f}", flush=True)
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
    options.output.mkdir(parents=True, exist_ok=True)
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
    print("| linear | {validation:.2f} | {test:.2f} | | |".format(**linear(task)))


def data(options: argparse.Namespace) -> ImageClassification:
    """The task, all in memory."""
    task = packed_images(options.data, cache_mb=8192, batch_size=1000)
    part = {split: images.subset(np.arange(min(len(images), options.images))) for split, images in task.splits.items()}
    return dataclasses.replace(task, splits=part)


def configured(group: str, name: str) -> dict[str, Any]:
    """A file of `conf`, with those of its group that it is based on."""
    found: dict[str, Any] = yaml.safe_load((Path(conf.__file__).parent / group / f"{name}.yaml").read_text())
    bases = [base for base in found.get("defaults", []) if isinstance(base, str) and base != "_self_"]
    return {key: value for base in bases for key, value in configured(group, base).items()} | found


def chosen_files(size: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of network and recipe of an experiment."""
    name, *changes = SIZES[size]
    experiment = configured("experiment", name)
    parts = {key: value for line in experiment["defaults"] for key, value in line.items()}
    found = [configured(group, parts[f"override /{group}"]) for group in ("supernet", "recipe")]
    found[1]["augmentation"] |= experiment.get("recipe", {}).get("augmentation", {})
    found[1] |= {"evaluate_every": 0, "n_evaluated": 0}
    left_out = ("_target_", "name", "checkpoint", "defaults")
    net, recipe = ({k: v for k, v in part.items() if k not in left_out} for part in found)
    return net | changes[0], recipe | changes[1]


def settings(size: str, task: ImageClassification) -> dict[str, Any]:
    """Arguments of `supernet.create("vit", ...)`."""
    own, _ = chosen_files(size)
    data = {"num_classes": len(task.class_names), "in_chans": task.channels, "mean": task.mean, "std": task.std}
    return own | data


def network(size: str, task: ImageClassification) -> SuperNetwork:
    """With random weights."""
    return supernet.create("vit", **settings(size, task))


def fitting(net: SuperNetwork, task: ImageClassification, options: argparse.Namespace, started: float) -> Recipe:
    """The recipe with as many epochs as there is time for, by what a copy takes for two epochs more than for one."""
    _, settings = chosen_files(options.size)
    settings["batch_size"] = options.batch_size or settings["batch_size"]
    settings["recorded"] = recordable(net, task, Recipe(**settings))
    if torch.cuda.is_available() and not settings["recorded"]:
        settings["batch_size"] *= 4  # a step then takes as long, however small its batch
    if options.epochs:
        return Recipe(**settings | {"epochs": options.epochs})
    seconds = []
    for epochs in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            short = Recipe(**settings | {"epochs": epochs, "largest_epochs": 0})
            seconds.append(train(copy.deepcopy(net), task, short, folder, progress=False).seconds)
    once = max(seconds[1] - seconds[0], 0.1)
    left = 60 * options.minutes * (1 - RESERVE) - (time.perf_counter() - started)
    print(f"{once:.1f} s an epoch, and {seconds[0] - once:.1f} s at the start", flush=True)
    return Recipe(**settings | {"epochs": max(1, int((left - seconds[0] + once) / once))})


def agreement(net: SuperNetwork, task: ImageClassification) -> float:
    """Smallest cosine between gradients of queries, keys and values in bfloat16 and in single precision."""
    found = []
    for precision in ("fp32", "bf16"):
        recipe = Recipe(precision=precision)
        tried = copy.deepcopy(net).to(recipe.torch_device()).train()
        settings = {"batch_size": 64, "rng": np.random.default_rng(0), "device": recipe.torch_device()}
        batch = next(iter(task.train_batches(tried.skeleton(tried.largest), **settings)))
        Sandwich(tried, task, recipe)(batch, [tried.smallest])
        found.append([p.grad.flatten() for name, p in tried.named_parameters() if name.endswith("qkv.weight")])
    return min(float(functional.cosine_similarity(a, b, dim=0)) for a, b in zip(*found, strict=True))


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


def linear(task: ImageClassification) -> dict[str, float]:
    """Accuracy of a linear classifier of the pixels, in closed form: what a network must be better than."""
    parts = {}
    for split, images in task.splits.items():
        pixels = torch.from_numpy(images.images.reshape(len(images), -1)).float() / 255 - 0.5  # type: ignore[attr-defined]
        parts[split] = functional.pad(pixels, (0, 1), value=1.0), torch.from_numpy(images.labels)  # type: ignore[attr-defined]
    pixels, labels = parts["train"]
    gram = pixels.T @ pixels + 100.0 * torch.eye(pixels.shape[1])
    weights = torch.linalg.solve(gram, pixels.T @ functional.one_hot(labels).float())
    return {split: 100 * float(((x @ weights).argmax(1) == y).float().mean()) for split, (x, y) in parts.items()}


def machine() -> dict[str, str]:
    """What it ran on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {"gpu": gpu, "torch": torch.__version__, "timm": timm.__version__, "python": platform.python_version()}


if __name__ == "__main__":
    main()
