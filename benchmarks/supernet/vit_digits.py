"""How fast an elastic vision transformer learns, and what slows it down: the digits of scikit-learn, two CPU minutes.

    PYTHONPATH=. python benchmarks/supernet/vit_digits.py [--epochs 16] [--long 80] [--seeds 1] [--only TEXT]

The same optimiser and steps throughout: timm's model in a plain loop, our trainer with the largest sub-network alone,
and with the sandwich rule and different shares of distillation; then, for longer, what the configuration says
(`conf/recipe/vit_small_images.yaml`), with the largest, the smallest and ten random sub-networks. Top-1 in percent on
images that were not trained on, and with their patches shuffled, which costs nothing as long as a network does not use
where a patch is; a linear classifier (ridge regression of the pixels) is what they have to beat.
"""

import argparse
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn
from torch.nn import functional

import conf
import supernet
from hardware.provenance import cpu_model
from supernet import SuperNetwork
from supernet.tasks import digits
from supernet.tasks.images import ImageClassification
from supernet.training import Recipe, train
from supernet.training.optimisation import learning_rate, optimiser_for
from supernet.validation import validated

SIZES: dict[str, Any] = {
    **{"patch_size": 2, "resolutions": (8,), "in_chans": 1, "num_classes": 10, "head_dim": 24},
    **{"depths": (2, 3), "hidden_sizes": (32, 48), "heads": (1, 2), "mlp_sizes": (48, 96)},
    **{"class_token": False, "global_pool": "avg", "fc_norm": False},
}
PLAIN = {"positions": "random"}
SOUND = {"positions": "sincos", "qk_norm": True, "weight_init": "moco"}
SHORT = {"batch_size": 64, "warmup_epochs": 2, "learning_rate": 3e-3, "evaluate_every": 0, "n_evaluated": 0}


def main() -> None:
    """Trains and prints one row each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--long", type=int, default=80)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose title holds this")
    given = parser.parse_args()
    torch.set_num_threads(1)
    task = digits()
    print(f"{cpu_model()}, torch {torch.__version__}, Python {platform.python_version()}; {given.seeds} seeds\n")
    print("| what learns | epochs | largest | shuffled | smallest | ten random |\n|---|---|---|---|---|---|")
    n = given.epochs
    for title, settings, changes in (
        ("timm's model and position embeddings, plain loop", PLAIN, None),
        ("waves as position embeddings, plain loop", {"positions": "sincos"}, None),
        ("and normalised queries and keys, MoCo's initial weights", SOUND, None),
        ("the same, our trainer, largest alone", SOUND, {"largest_epochs": n}),
        ("sandwich rule, distillation 0.75", SOUND, {"distillation": 0.75}),
        ("sandwich rule, distillation 0.5", SOUND, {"distillation": 0.5}),
        ("sandwich rule, labels alone", SOUND, {"distillation": 0.0}),
    ):
        if given.only in title:
            rows = [row(task, settings, recipe(n, changes or {}), seed, changes is None) for seed in range(given.seeds)]
            shown(title, n, rows)
    if given.only in "the recipe":
        shown("the recipe", given.long, [row(task, SOUND, recipe(given.long, {}), seed) for seed in range(given.seeds)])
    print(f"| linear | | {linear(task):.1f} | | | |")


def recipe(epochs: int, changes: dict[str, Any]) -> Recipe:
    """That of the configuration for these few small images, which are shown as they are."""
    path = Path(conf.__file__).parent / "recipe" / "vit_small_images.yaml"
    settings = {name: value for name, value in yaml.safe_load(path.read_text()).items() if name != "_target_"}
    return Recipe(**settings | SHORT | {"augmentation": {}, "epochs": epochs} | changes)


def row(
    task: ImageClassification, settings: dict[str, Any], recipe: Recipe, seed: int, plain: bool = False
) -> list[float]:
    """Accuracy of the largest, also with shuffled patches; where they learn, of the smallest and ten random ones."""
    torch.manual_seed(seed)
    net = supernet.create("vit", **SIZES, **settings, mean=task.mean, std=task.std)
    if plain:
        model = trained(net, task, recipe, seed)
        return [task.evaluate(model)["top1"], shuffled(task, model)]
    with tempfile.TemporaryDirectory() as folder:
        train(net, task, Recipe(**recipe.as_dict() | {"seed": seed}), folder, progress=False)
    chosen = [net.largest, net.smallest, *net.space.sample(10, 0)][: 1 if recipe.largest_epochs else None]
    found = [validated(net, architecture, task)[1]["top1"] for architecture in chosen]
    return [found[0], shuffled(task, net.extract(net.largest)), *found[1:]]


def shuffled(task: ImageClassification, model: nn.Module) -> float:
    """Accuracy where the patches of all images change places, all alike."""
    images, labels = zip(*task.samples("validation", task.n_samples("validation")), strict=True)
    size = SIZES["patch_size"]
    patches = functional.unfold(task.prepare(model, images), size, stride=size)
    places = torch.from_numpy(np.random.default_rng(0).permutation(patches.shape[-1]))
    mixed = functional.fold(patches[:, :, places], SIZES["resolutions"] * 2, size, stride=size)
    with torch.no_grad():
        return 100 * float((model.eval()(mixed).argmax(1) == torch.tensor(labels)).float().mean())


def trained(net: SuperNetwork, task: ImageClassification, recipe: Recipe, seed: int) -> nn.Module:
    """The largest sub-network as a plain model, trained by a plain loop."""
    model = net.extract(net.largest).train().requires_grad_(True)
    optimiser, per_epoch = optimiser_for(model, recipe), task.n_batches(recipe.batch_size)
    for epoch in range(recipe.epochs):
        batches = task.train_batches(model, batch_size=recipe.batch_size, rng=np.random.default_rng([seed, epoch]))
        for step, (images, labels) in enumerate(batches, start=epoch * per_epoch):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(recipe, step, per_epoch)
            optimiser.zero_grad()
            task.loss(model(images), labels, recipe.label_smoothing).backward()
            nn.utils.clip_grad_norm_(model.parameters(), recipe.gradient_clip or float("inf"))
            optimiser.step()
    return model


def shown(title: str, epochs: int, rows: list[list[float]]) -> None:
    """Means over the seeds, with the range where there are several; of the random ones the range."""
    found = np.array(rows)
    cells = [_range(found[:, i]) if i < found.shape[1] else "" for i in range(3)]
    cells.append(f"{found[:, 3:].min():.1f} to {found[:, 3:].max():.1f}" if found.shape[1] > 3 else "")
    print(f"| {title} | {epochs} | {' | '.join(cells)} |", flush=True)


def _range(values: Any) -> str:
    return f"{values.mean():.1f}" + (f" ({values.min():.1f} to {values.max():.1f})" if len(values) > 1 else "")


def linear(task: ImageClassification) -> float:
    """Accuracy of the best ridge regression of the pixels."""
    whole = nn.Identity()
    parts = [task.prepare(whole, [image for image, _ in task.samples(s, task.n_samples(s))]) for s in SPLITS]
    inputs, unseen = (functional.pad(part.flatten(1), (0, 1), value=1.0) for part in parts)
    labels, wanted = (torch.tensor([label for _, label in task.samples(s, task.n_samples(s))]) for s in SPLITS)
    targets, found = functional.one_hot(labels).float(), []
    for ridge in (1.0, 10.0, 100.0):
        weights = torch.linalg.solve(inputs.T @ inputs + ridge * torch.eye(inputs.shape[1]), inputs.T @ targets)
        found.append(100 * float(((unseen @ weights).argmax(1) == wanted).float().mean()))
    return max(found)


SPLITS = ("train", "validation")

if __name__ == "__main__":
    main()
