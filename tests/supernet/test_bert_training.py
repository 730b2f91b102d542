"""Training of BERT super-networks: the largest alone, importance, then all sub-networks."""

import pytest
import torch

import supernet
from supernet.training import Recipe, train
from supernet.validation import Validation

from .conftest import TinyNet
from .sentences import sentence_task, write_classifier, write_sentences

RECIPE = Recipe(
    epochs=6, batch_size=16, optimiser="adamw", learning_rate=1e-2, schedule="linear", warmup_epochs=0.5,
    label_smoothing=0, weight_decay=0.01, largest_epochs=3, rank_batches=4, n_random=1, evaluate_every=0, device="cpu",
    gradient_clip=1.0,
)  # fmt: skip
SPACE = {"depths": (1, 2), "heads": (1, 2, 4), "ffn_sizes": (8, 32)}


def replaced(recipe, **changes):
    return Recipe(**{**recipe.as_dict(), **changes})


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    return sentence_task(write_sentences(tmp_path_factory.mktemp("sentences")))


@pytest.fixture(scope="module")
def make(task, tmp_path_factory):
    folder = write_classifier(task, tmp_path_factory.mktemp("classifier"))
    return lambda: supernet.create("bert", model=folder, **SPACE)


@pytest.fixture(scope="module")
def trained(task, make, tmp_path_factory):
    net = make()
    return net, train(net, task, RECIPE, tmp_path_factory.mktemp("training"), progress=False)


def test_all_sub_networks_learn(trained, task):
    net, summary = trained
    assert set(summary.metrics) == {"smallest", "largest", "random-0", "random-1"}
    assert all(metrics["accuracy"] > 90 for metrics in summary.metrics.values())
    accuracies = Validation(net, task)([net.smallest, net.largest])
    assert accuracies.tolist() == [summary.metrics[name]["accuracy"] for name in ("smallest", "largest")]


def test_at_first_the_largest_learns_alone(task, make, tmp_path):
    net = make()
    train(net, task, replaced(RECIPE, epochs=1, largest_epochs=1, rank_batches=0), tmp_path, progress=False)
    alone = make()
    recipe = replaced(RECIPE, epochs=1, largest_epochs=0, rank_batches=0, n_random=0)
    train(alone, task, recipe, tmp_path / "all", progress=False)
    assert not torch.equal(net.shared.classifier.weight, alone.shared.classifier.weight)


class FailingTask:
    """The task, whose training data fails when it is asked for the n-th time."""

    def __init__(self, task, n):
        self.inner, self.left = task, n

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def train_batches(self, *args, **settings):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return self.inner.train_batches(*args, **settings)


@pytest.mark.parametrize("n", [4, 6], ids=["before the order", "after it"])
def test_an_interrupted_training_ends_like_an_uninterrupted_one(trained, task, make, tmp_path, n):
    with pytest.raises(KeyboardInterrupt):
        train(make(), FailingTask(task, n), RECIPE, tmp_path, progress=False)
    net = make()
    train(net, task, RECIPE, tmp_path, progress=False)
    torch.testing.assert_close(net.state_dict(), trained[0].state_dict(), rtol=0, atol=0)


def test_averaged_weights_start_anew_with_the_order(task, make, tmp_path):
    net = make()
    recipe = replaced(RECIPE, average=0.9)
    summary = train(net, task, recipe, tmp_path, progress=False)
    assert summary.metrics["largest"]["accuracy"] > 90


def test_what_has_no_order_is_told_so(task, tmp_path):
    with pytest.raises(ValueError, match="rank_batches is 4, but TinyNet has nothing to reorder"):
        train(TinyNet(), task, RECIPE, tmp_path, progress=False)
