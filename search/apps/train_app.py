"""`supernet-train`: trains a super-network from random weights, or goes on from a checkpoint."""

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console

from search.apps.setup import Setup, output_folder
from supernet.training import train


def run(config: DictConfig) -> None:
    """Trains with the configured recipe; a run that was stopped goes on."""
    import torch

    torch.manual_seed(config.seed)  # of the initial weights: libraries draw them from the global generator
    folder = output_folder()
    setup = Setup(config, folder)
    summary = train(setup.net, setup.task, instantiate(config.recipe, seed=config.seed), folder)
    Console().print(summary, soft_wrap=True)
