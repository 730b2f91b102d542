"""Optimiser, learning rate schedule, and the moving average of the weights."""

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from supernet.network import SuperNetwork
from supernet.training.recipe import Recipe


def optimiser_for(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; weight decay only for parameters of two or more dimensions.

    None either for those that a model of timm names in `no_weight_decay`: tokens and position embeddings.
    """
    spared = _spared(net)
    parameters = [p for p in net.parameters() if p.requires_grad]
    decayed = [p for p in parameters if p.ndim > 1 and id(p) not in spared]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1 or id(p) in spared], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)
    momentum = recipe.momentum
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=momentum, nesterov=momentum > 0)


def _spared(net: nn.Module) -> set[int]:
    """Identities of the parameters that a model somewhere in the network wants without weight decay."""
    found = set()
    for module in net.modules():
        if callable(names := getattr(module, "no_weight_decay", None)):
            own = dict(module.named_parameters())
            found |= {id(own[name]) for name in names() if name in own}
    return found


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Rate of a step (from 0): linear warm-up, then the recipe's schedule."""
    warmup = recipe.warmup_epochs * steps_per_epoch if recipe.warmup_steps is None else recipe.warmup_steps
    if step < warmup:
        return recipe.learning_rate * (step + 1) / (math.floor(warmup) + 1)
    if recipe.schedule == "inverse_sqrt":
        return recipe.learning_rate * math.sqrt(max(1.0, warmup) / max(1.0, step))
    rest = max(1.0, recipe.epochs * steps_per_epoch - warmup)
    done = min(1.0, (step - warmup) / rest)
    return recipe.learning_rate * (1 - done if recipe.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done)))


class WeightAverage:
    """Exponential moving average of all weights and buffers; over fewer steps while there are few.

    Args:
        net: where the average starts.
        decay: share of the average that a step keeps; 1 / (1 - decay) is about the number of steps averaged over.

    Attributes:
        net: a copy that holds the average.
    """

    def __init__(self, net: SuperNetwork, decay: float) -> None:
        self.net, self.decay, self.n_steps = copy.deepcopy(net), decay, 0

    @torch.no_grad()
    def update(self, net: SuperNetwork) -> None:
        """Moves the average towards the weights of `net`."""
        self.n_steps += 1
        share = 1 - min(self.decay, self.n_steps / (9 + self.n_steps))
        pairs = list(zip(_tensors(self.net), _tensors(net), strict=True))
        moving = [(average, value) for average, value in pairs if average.is_floating_point()]
        torch._foreach_lerp_([average for average, _ in moving], [value for _, value in moving], share)
        for average, value in pairs:
            if not average.is_floating_point():
                average.copy_(value)

    def restart(self, net: SuperNetwork) -> None:
        """Starts the average anew at the weights of `net`."""
        self.load_state_dict({"n_steps": 0, "weights": net.state_dict()})

    def state_dict(self) -> dict[str, Any]:
        """Weights and number of steps, for checkpoints."""
        return {"n_steps": self.n_steps, "weights": self.net.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""
        self.n_steps = int(state["n_steps"])
        self.net.load_state_dict(state["weights"])


def _tensors(net: nn.Module) -> list[Tensor]:
    return [*net.parameters(), *net.buffers()]
