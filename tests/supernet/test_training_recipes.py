"""What a recipe may ask for beside plain SGD: other optimisers and schedules, accumulation, averaged weights."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import supernet
from supernet.tasks import losses
from supernet.training import Recipe, train
from supernet.training.optimisation import WeightAverage, learning_rate, optimiser_for

RECIPE = Recipe(
    epochs=3, batch_size=8, learning_rate=0.01, warmup_epochs=0, n_random=1, evaluate_every=0, n_evaluated=0,
    device="cpu", optimiser="adamw",
)  # fmt: skip


class Sums(supernet.SuperNetwork):
    """Takes two named inputs, gives a mapping: neither is a plain tensor."""

    space = supernet.SearchSpace(supernet.Choice("width", (2, 4)))

    def build(self, architecture: supernet.Architecture) -> nn.Module:
        return SumsModel(architecture["width"])


class SumsModel(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, width), nn.Linear(width, 2)

    def forward(self, left: Tensor, right: Tensor) -> dict[str, Tensor]:
        return {"logits": self.outer(self.inner(left + right).tanh())}


class SumsTask:
    """Is the sum of six numbers positive?"""

    name, metric, fingerprint = "sums", "loss", "sums-1"
    files = {"read.me": b"of the sums"}
    methods = {"loss": "in nats"}

    def __init__(self) -> None:
        self.values = torch.randn(64, 2, 3, generator=torch.Generator().manual_seed(0))
        self.targets = (self.values.sum((1, 2)) > 0).long()

    def n_samples(self, split: str = "validation") -> int:
        return 64

    def n_batches(self, batch_size: int) -> int:
        return 64 // batch_size

    def batch(self, chosen: np.ndarray) -> tuple[dict[str, Tensor], Tensor]:
        values = self.values[chosen]
        return {"left": values[:, 0], "right": values[:, 1]}, self.targets[chosen]

    def train_batches(self, model, *, batch_size, rng, augmentation=None, device="cpu"):
        for chosen in np.split(rng.permutation(64), 64 // batch_size):
            yield self.batch(chosen)

    def calibration_batches(self, model):
        return ()

    def adapt(self, model, inputs):
        return inputs

    def loss(self, outputs, targets, label_smoothing=0.0):
        return losses.hard(outputs["logits"], targets, label_smoothing)

    def distillation_loss(self, outputs, teacher, targets):
        return losses.soft(outputs["logits"], teacher["logits"], targets)

    def evaluate(self, model, split="validation"):
        inputs, targets = self.batch(np.arange(64))
        with torch.inference_mode():
            return {"loss": float(self.loss(model(**inputs), targets))}


def tiny_net() -> Sums:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Sums()


def replaced(**changes: object) -> Recipe:
    return Recipe(**{**RECIPE.as_dict(), **changes})


def trained(folder, **changes):
    net = tiny_net()
    return net, train(net, SumsTask(), replaced(**changes), folder, progress=False)


def assert_close(first: nn.Module, second: nn.Module, **tolerance: float) -> None:
    torch.testing.assert_close(first.state_dict(), second.state_dict(), **tolerance)


def test_named_inputs_and_outputs_train(tmp_path):
    before = SumsTask().evaluate(tiny_net().extract({"width": 4}))["loss"]
    _, summary = trained(tmp_path, epochs=20, learning_rate=0.03)
    assert summary.metrics["largest"]["loss"] < 0.6 * before
    assert summary.metrics["smallest"]["loss"] < 0.6 * before


def test_a_recipe_survives_json():
    recipe = replaced(optimiser="adamw", betas=(0.8, 0.95), warmup_steps=10, schedule="linear")
    assert Recipe(**recipe.as_dict()) == recipe
    assert recipe.as_dict()["betas"] == [0.8, 0.95]


@pytest.mark.parametrize("schedule", ["cosine", "linear", "inverse_sqrt"])
def test_schedules(schedule):
    recipe = replaced(schedule=schedule, epochs=10, learning_rate=0.5, warmup_steps=20)
    rates = [learning_rate(recipe, step, 10) for step in range(100)]
    assert rates[20] == pytest.approx(0.5, rel=1e-3)
    assert max(rates) <= 0.5
    assert all(later > earlier for earlier, later in pairwise(rates[:20]))
    assert all(later < earlier for earlier, later in pairwise(rates[20:]))
    halfway = {"cosine": 0.25, "linear": 0.25, "inverse_sqrt": 0.5 * math.sqrt(20 / 60)}[schedule]
    assert rates[60] == pytest.approx(halfway)
    assert rates == [learning_rate(replaced(**recipe.as_dict() | {"warmup_steps": None, "warmup_epochs": 2}), i, 10)
                     for i in range(100)]  # fmt: skip


def test_adamw_decays_matrices_alone():
    optimiser = optimiser_for(tiny_net(), replaced(weight_decay=0.1, betas=(0.7, 0.9)))
    assert isinstance(optimiser, torch.optim.AdamW)
    assert optimiser.defaults["betas"] == (0.7, 0.9)
    decays = {p.ndim: group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decays == {2: 0.1, 1: 0.0}


def test_accumulated_batches_are_one_large_batch(tmp_path):
    settings = {"optimiser": "sgd", "n_random": 1, "distillation": 0.5, "epochs": 2}
    one, _ = trained(tmp_path / "one", batch_size=32, **settings)
    four, _ = trained(tmp_path / "four", batch_size=8, accumulate=4, **settings)
    assert_close(four, one, rtol=1e-4, atol=1e-6)
    other, _ = trained(tmp_path / "other", batch_size=8, **settings)
    assert not torch.allclose(other.shared.outer.weight, one.shared.outer.weight, atol=1e-3)


def test_the_average_of_the_weights(tmp_path):
    net, average = tiny_net(), WeightAverage(tiny_net(), 0.5)
    start = net.shared.outer.weight.detach().clone()
    expected = start
    for n in range(1, 14):
        with torch.no_grad():
            net.shared.outer.weight += 1
        average.update(net)
        decay = min(0.5, n / (9 + n))
        expected = decay * expected + (1 - decay) * (start + n)
    torch.testing.assert_close(average.net.shared.outer.weight, expected)
    last, _ = trained(tmp_path / "last")
    averaged, summary = trained(tmp_path / "averaged", average=0.9)
    assert not torch.allclose(last.shared.outer.weight, averaged.shared.outer.weight)
    loaded = tiny_net()
    loaded.load_checkpoint(summary.weights)
    assert_close(loaded, averaged, rtol=0, atol=0)
    assert SumsTask().evaluate(loaded.extract(loaded.largest)) == summary.metrics["largest"]
    assert (summary.weights.parent / "read.me").read_bytes() == b"of the sums"


def test_a_training_with_average_goes_on_where_it_was(tmp_path):
    class Stopped(Exception):
        pass

    class Stopping(SumsTask):
        n = 0

        def train_batches(self, *args, **settings):
            self.n += 1
            if self.n == 3:
                raise Stopped
            return super().train_batches(*args, **settings)

    reference, _ = trained(tmp_path / "whole", average=0.9)
    with pytest.raises(Stopped):
        train(tiny_net(), Stopping(), replaced(average=0.9), tmp_path / "parts", progress=False)
    net, _ = trained(tmp_path / "parts", average=0.9)
    assert_close(net, reference, rtol=0, atol=0)


def test_losses_leave_out_ignored_positions():
    generator = torch.Generator().manual_seed(0)
    scores, teacher = torch.randn(2, 2, 3, 5, generator=generator)
    targets = torch.tensor([[1, 4, losses.IGNORED], [0, losses.IGNORED, losses.IGNORED]])
    kept = targets != losses.IGNORED
    expected = functional.cross_entropy(scores[kept], targets[kept], label_smoothing=0.1)
    torch.testing.assert_close(losses.hard(scores, targets, 0.1), expected)
    expected = functional.cross_entropy(scores[kept], teacher[kept].softmax(1))
    torch.testing.assert_close(losses.soft(scores, teacher, targets), expected)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"optimiser": "lion"}, "optimiser must be one of sgd, adamw, got 'lion'"),
        ({"schedule": "step"}, "schedule must be one of"),
        ({"accumulate": 0}, "accumulate must be at least 1"),
        ({"average": 1.5}, "average must be at most 1"),
        ({"betas": (0.9,)}, "betas must be two numbers"),
        ({"betas": (0.9, 1.0)}, "betas must be two numbers"),
        ({"warmup_steps": -1}, "warmup_steps must be at least 0"),
    ],
)
def test_impossible_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=f"recipe: {message}"):
        Recipe(**setting)
