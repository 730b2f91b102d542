import json
from importlib.resources import files

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import supernet
from supernet import checkpoint
from supernet.tasks import digits
from supernet.training import Recipe, train
from supernet.validation import validated

WEIGHTS = files("supernet.weights") / "digits_mobilenetv3.safetensors"


@pytest.fixture(scope="module")
def task():
    return digits()


@pytest.fixture(scope="module")
def net():
    return supernet.create("digits_mobilenetv3", checkpoint="embedded")


def top1(net, architecture, task, split="validation"):
    return validated(net, architecture, task, split)[1]["top1"]


def test_the_embedded_file_is_small_and_says_where_it_comes_from(task):
    assert WEIGHTS.stat().st_size <= 2 * 2**20
    _, header = checkpoint.read(WEIGHTS)
    assert header["supernet"] == "digits_mobilenetv3"
    assert header["task_fingerprint"] == task.fingerprint
    assert Recipe(**json.loads(header["recipe"])).epochs > 1


def test_weights_are_random_unless_asked_for(net):
    state, _ = checkpoint.read(WEIGHTS)
    torch.testing.assert_close(net.state_dict(), state, rtol=0, atol=0)
    fresh = supernet.create("digits_mobilenetv3")
    assert not torch.equal(fresh.shared.classifier.weight, net.shared.classifier.weight)


def test_accuracy_has_a_spread_that_a_search_can_use(net, task):
    smallest, largest = top1(net, net.smallest, task), top1(net, net.largest, task)
    assert largest >= 98.0
    assert 85.0 <= smallest <= largest - 2.0
    assert top1(net, net.largest, task, "test") >= 97.5


@pytest.mark.slow
def test_accuracy_follows_size(net, task):
    architectures = [net.smallest, *net.space.sample(14, seed=11), net.largest]
    macs = net.costs(architectures)["macs"]
    assert spearmanr(macs, [top1(net, a, task) for a in architectures]).statistic > 0.5


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_recipe_reaches_the_same_level_again(net, task, tmp_path):
    _, header = checkpoint.read(WEIGHTS)
    recipe = Recipe(**json.loads(header["recipe"]))
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        again = supernet.create("digits_mobilenetv3")
    train(again, task, recipe, tmp_path, progress=False)
    architectures = [net.largest, *net.space.sample(12, seed=3)]
    levels = [np.mean([top1(n, a, task) for a in architectures]) for n in (again, net)]
    assert levels[0] == pytest.approx(levels[1], abs=1.0)
    assert top1(again, net.largest, task) == pytest.approx(top1(net, net.largest, task), abs=1.0)
