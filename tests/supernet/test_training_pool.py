"""Random sub-networks from a pool, recorded steps, and steps that are left out."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from supernet.training import Recipe, TrainingError, train
from supernet.training.optimisation import optimiser_for
from supernet.training.recording import RecordedSandwich
from supernet.training.sandwich import Sandwich

from .conftest import tiny_vit
from .test_training import tiny_task

RECIPE = Recipe(
    epochs=3, batch_size=16, optimiser="adamw", learning_rate=3e-3, warmup_epochs=0, n_random=2, pool=4,
    gradient_clip=1.0, evaluate_every=0, n_evaluated=0, device="cpu",
)  # fmt: skip
SMALL = {"in_chans": 1, "num_classes": 3, "resolutions": (8,)}


def replaced(**changes):
    return Recipe(**{**RECIPE.as_dict(), **changes})


class Counting(type(tiny_vit())):
    """Remembers what was built."""

    def build(self, architecture):
        self.__dict__.setdefault("built", []).append(architecture)
        return super().build(architecture)


def net_of(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return tiny_vit(**SMALL)


def test_a_pool_is_built_once(tmp_path):
    net = net_of()
    net.__class__ = Counting
    train(net, tiny_task(), RECIPE, tmp_path, progress=False)
    others = [a for a in net.built if a not in (net.smallest, net.largest)]
    assert len(others) == len(set(others)) == 4
    again = net_of()
    again.__class__ = Counting
    train(again, tiny_task(), RECIPE, tmp_path / "again", progress=False)
    assert set(again.built) == set(net.built)
    torch.testing.assert_close(again.state_dict(), net.state_dict(), rtol=0, atol=0)


def test_without_a_pool_every_step_draws_anew(tmp_path):
    net = net_of()
    net.__class__ = Counting
    train(net, tiny_task(), replaced(pool=0), tmp_path, progress=False)
    assert len(set(net.built)) > 12


def test_recording_is_for_gpus_and_for_a_pool(tmp_path):
    with pytest.raises(ValueError, match="recorded steps need a pool of sub-networks, got pool=0"):
        replaced(pool=0, recorded=True)
    net, usual = net_of(), net_of()
    train(net, tiny_task(), replaced(recorded=True), tmp_path, progress=False)
    train(usual, tiny_task(), RECIPE, tmp_path / "usual", progress=False)
    torch.testing.assert_close(net.state_dict(), usual.state_dict(), rtol=0, atol=0)


class Unfit:
    """The task with a loss whose gradient is not finite in every step from the third on."""

    def __init__(self):
        self.inner, self.step = tiny_task(), 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def train_batches(self, *args, **settings):
        for batch in self.inner.train_batches(*args, **settings):
            self.step += 1
            yield batch

    def loss(self, outputs, targets, label_smoothing=0.0):
        spoilt = (outputs.sum() * 0).sqrt() if self.step > 2 else 0.0  # 0, and its derivative is not a number
        return self.inner.loss(outputs, targets, label_smoothing) + spoilt


def test_a_step_whose_gradients_are_not_finite_is_left_out(tmp_path):
    net, first = net_of(), net_of()
    train(net, Unfit(), replaced(epochs=1), tmp_path, progress=False)
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())
    before = copy.deepcopy(net.state_dict())
    spoilt = Unfit()
    spoilt.step = 2
    with pytest.raises(TrainingError, match="4 of 4 steps of epoch 1 were left out, as their gradients are not finite"):
        train(net, spoilt, replaced(epochs=1), tmp_path / "spoilt", progress=False)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert not torch.equal(net.shared.head.weight, first.shared.head.weight)


def test_weight_decay_spares_what_timm_spares():
    net = net_of()
    groups = optimiser_for(net, replaced(weight_decay=0.5)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay[id(net.shared.pos_embed)] == 0
    assert decay[id(net.shared.head.weight)] == decay[id(net.shared.blocks[0].attn.qkv.weight)] == 0.5
    assert len(decay) == len(list(net.parameters()))


def test_attention_of_cudnn_is_not_trained_with(tmp_path):
    class Asking(Unfit):
        found = []

        def loss(self, *given):
            self.found.append(torch.backends.cuda.cudnn_sdp_enabled())
            return self.inner.loss(*given)

    before = torch.backends.cuda.cudnn_sdp_enabled()
    train(net_of(), Asking(), replaced(epochs=1), tmp_path, progress=False)
    assert set(Asking.found) == {False}
    assert torch.backends.cuda.cudnn_sdp_enabled() == before


@pytest.mark.gpu
def test_mixed_precision_gives_the_gradients_of_single_precision():
    net, task = net_of().cuda().train(), tiny_task()
    (batch, *_) = task.train_batches(
        net.skeleton(net.largest), batch_size=16, rng=np.random.default_rng(0), device="cuda"
    )
    found = []
    for precision in ("fp32", "bf16"):
        net.zero_grad()
        Sandwich(net, task, replaced(device="cuda", precision=precision))(batch, [net.smallest])
        found.append(
            {name: p.grad.flatten().clone() for name, p in net.named_parameters() if name.endswith("qkv.weight")}
        )
    for name, gradient in found[0].items():
        assert torch.cosine_similarity(gradient, found[1][name], dim=0) > 0.98, name


@pytest.mark.gpu
def test_recorded_steps_give_the_gradients_of_usual_ones():
    net = net_of().cuda().train()
    task, recipe = tiny_task(), replaced(device="cuda", recorded=True, precision="fp32")
    batches = task.train_batches(net.skeleton(net.largest), batch_size=16, rng=np.random.default_rng(0), device="cuda")
    first, second, third = (next(batches) for _ in range(3))
    others = [net.smallest, *net.space.sample(3, 1)]
    usual = Sandwich(net, task, recipe)
    recorded = RecordedSandwich(usual, others, first)
    for batch in (second, third):
        for parameter in net.parameters():
            parameter.grad.zero_()
        losses = recorded(batch, others[:3])
        found = [parameter.grad.clone() for parameter in net.parameters()]
        for parameter in net.parameters():
            parameter.grad.zero_()
        assert dataclasses.astuple(usual(batch, others[:3])) == pytest.approx(dataclasses.astuple(losses))
        torch.testing.assert_close([p.grad for p in net.parameters()], found, rtol=1e-3, atol=1e-5)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.mul_(1.1)  # a recording sees the weights as they are


@pytest.mark.gpu
def test_recorded_training_learns(tmp_path):
    net = net_of()
    recipe = replaced(device="cuda", recorded=True, epochs=60)
    summary = train(net, tiny_task(), recipe, tmp_path, progress=False)
    assert summary.metrics["largest"]["top1"] > 90
