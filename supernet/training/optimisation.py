"""Optimiser and learning rate schedule."""

import math

import torch
from torch import nn

from supernet.training.recipe import Recipe


def optimiser_for(net: nn.Module, recipe: Recipe) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay only for parameters of two or more dimensions."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
    )


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Rate of a step (from 0): linear warm-up, then half a cosine to 0 (arXiv:1608.03983)."""
    warmup = recipe.warmup_epochs * steps_per_epoch
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (math.floor(warmup) + 1)
    rest = max(1.0, recipe.epochs * steps_per_epoch - warmup)
    return 0.5 * recipe.learning_rate * (1 + math.cos(math.pi * min(1.0, (step - warmup) / rest)))
