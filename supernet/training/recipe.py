"""How a super-network is trained, as data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import torch

from supernet.tasks.augmentation import Augmentation

_CHOICES = {
    "optimiser": ("sgd", "adamw"),
    "schedule": ("cosine", "linear", "inverse_sqrt"),
    "precision": ("auto", "fp32", "bf16"),
}
_AT_LEAST = {
    "epochs": 1,
    "batch_size": 1,
    "accumulate": 1,
    "weight_decay": 0,
    "momentum": 0,
    "label_smoothing": 0,
    "warmup_epochs": 0,
    "average": 0,
    "largest_epochs": 0,
    "rank_batches": 0,
    "n_random": 0,
    "pool": 0,
    "distillation": 0,
    "evaluate_every": 0,
    "n_evaluated": 0,
    "seed": 0,
}
_AT_MOST = {"momentum": 1, "label_smoothing": 1, "distillation": 1, "average": 1}


def _is_number(value: Any, *, whole: bool) -> bool:
    return not isinstance(value, bool) and isinstance(value, int if whole else (int, float))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Settings of a training.

    Args:
        epochs: passes over the training data.
        batch_size: of a batch, in what the task counts: samples, or the tokens of a translation with their padding.
        accumulate: batches per step; every step trains the largest, the smallest and `n_random` other sub-networks.
        optimiser: "sgd" (with Nesterov momentum) or "adamw" (arXiv:1711.05101; without weight decay, it is Adam).
        learning_rate: at the end of the warm-up.
        schedule: of the learning rate after that: falls to 0 along half a "cosine" or "linear"ly, or with the inverse
            square root of the steps from the start ("inverse_sqrt", arXiv:1706.03762).
        weight_decay: of weights with two or more dimensions (norms and biases have none).
        momentum: of SGD.
        betas: of AdamW.
        label_smoothing: of the targets.
        warmup_epochs: epochs of linearly growing learning rate.
        warmup_steps: or steps of it, whatever `warmup_epochs` says.
        average: decay (such as 0.999) of a moving average of the weights over the steps, which then is what is
            evaluated and kept; 0: the last weights are.
        largest_epochs: epochs at the start in which the largest sub-network learns alone.
        rank_batches: batches on which, after these epochs, the importance of heads and neurons is found, to put what
            matters first (for families that have `reorder`, such as bert); 0: they stay as they are.
        n_random: random sub-networks per step.
        pool: they are drawn from so many, themselves drawn at the start, and need not be built anew; 0: from all.
        recorded: whether the work of a step on the GPU is recorded for each sub-network of the pool, and replayed (CUDA
            graphs): many small kernels then take a fraction of the time. For inputs of one tensor of one shape.
        distillation: share of the largest sub-network's soft labels in the loss of the others; the rest are labels.
        gradient_clip: largest norm of the gradients (a step in which it is infinite is left out), or None.
        augmentation: changes of training images; None: none.
        precision: "fp32", "bf16" (mixed), or "auto": mixed on GPUs that have bfloat16.
        device: "cpu", "cuda", ..., or "auto": a GPU where there is one.
        evaluate_every: epochs between evaluations of smallest, largest and `n_evaluated` random sub-networks; 0: at the
            end only.
        n_evaluated: random sub-networks that are evaluated, always the same ones.
        seed: decides order, augmentation and sub-networks; initial weights are the caller's.
    """

    epochs: int = 60
    batch_size: int = 64
    accumulate: int = 1
    optimiser: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    schedule: Literal["cosine", "linear", "inverse_sqrt"] = "cosine"
    weight_decay: float = 4e-5
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.98)
    label_smoothing: float = 0.1
    warmup_epochs: float = 5
    warmup_steps: int | None = None
    average: float = 0.0
    largest_epochs: int = 0
    rank_batches: int = 0
    n_random: int = 2
    pool: int = 0
    recorded: bool = False
    distillation: float = 1.0
    gradient_clip: float | None = None
    augmentation: Augmentation | None = Augmentation()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "auto"
    evaluate_every: int = 10
    n_evaluated: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        if self.augmentation is None or isinstance(self.augmentation, Mapping):
            object.__setattr__(self, "augmentation", Augmentation(**(self.augmentation or {})))
        object.__setattr__(self, "betas", tuple(self.betas))
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type in (int, float) and not _is_number(value, whole=field.type is int):
                raise ValueError(
                    f"recipe: {field.name} must be {'an integer' if field.type is int else 'a number'}, got {value!r}"
                )
        for name, least in _AT_LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f"recipe: {name} must be at least {least}, got {getattr(self, name)!r}")
        for name, most in _AT_MOST.items():
            if not getattr(self, name) <= most:
                raise ValueError(f"recipe: {name} must be at most {most}, got {getattr(self, name)!r}")
        for name in ("learning_rate", "gradient_clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"recipe: {name} must be above 0, got {value!r}")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"recipe: {name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"recipe: betas must be two numbers from 0 to below 1, got {self.betas!r}")
        if self.recorded and not self.pool:
            raise ValueError("recipe: recorded steps need a pool of sub-networks, got pool=0")
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ValueError(f"recipe: warmup_steps must be at least 0, got {self.warmup_steps!r}")

    def as_dict(self) -> dict[str, Any]:
        """As JSON-compatible data: `Recipe(**recipe.as_dict()) == recipe`."""
        described = asdict(self)
        described["augmentation"]["zoom"] = list(described["augmentation"]["zoom"])
        described["betas"] = list(self.betas)
        return described

    def torch_device(self) -> torch.device:
        """The device that training uses. Raises ValueError where it is not there."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"recipe: device {self.device!r} cannot be used here: {error}") from error
        return torch.device(self.device)

    def mixed(self, device: torch.device) -> bool:
        """Whether forward passes use bfloat16 where it is safe."""
        if self.precision == "auto":
            return device.type == "cuda" and torch.cuda.is_bf16_supported()
        return self.precision == "bf16"
