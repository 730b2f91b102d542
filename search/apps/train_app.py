"""`supernet-train`: trains a super-network from random weights, or goes on from a checkpoint."""

import sys

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from search.apps.setup import Setup, output_folder
from supernet.training import TrainingSummary, train


def run(config: DictConfig) -> None:
    """Trains with the configured recipe, and continues a run that was stopped."""
    import torch

    recipe = instantiate(config.recipe, seed=config.seed)
    torch.manual_seed(config.seed)  # of the initial weights: libraries draw them from the global generator
    setup = Setup(config, output_folder())
    trained = train(setup.net, setup.task, recipe, setup.folder, progress=sys.stdout.isatty())
    Console().print(described(trained), soft_wrap=True, highlight=False)


def described(trained: TrainingSummary) -> str:
    """Duration, metrics and the file of the weights, as text for a terminal."""
    lines = [f"trained for {trained.epochs} epochs in {trained.seconds:.0f} s; on the validation split:"]
    for name, metrics in trained.metrics.items():
        lines.append(f"  {name:10} " + ", ".join(f"{metric} {value:.4g}" for metric, value in metrics.items()))
    return "\n".join([*lines, f"weights in {trained.weights}"])
