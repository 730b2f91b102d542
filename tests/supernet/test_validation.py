import pickle
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pytest
import torch

import supernet
from supernet import ArchitectureError
from supernet.proxies import Proxy
from supernet.tasks import ArrayTask, digits
from supernet.validation import Validation, require_fit, validated


@pytest.fixture(scope="module")
def task():
    return digits(n_calibration=200)


@pytest.fixture
def digits_net():
    return supernet.create("digits_mobilenetv3", checkpoint="embedded")


def test_validated_is_extraction_recalibration_and_evaluation(digits_net, task):
    architecture = digits_net.smallest
    model, metrics = validated(digits_net, architecture, task)
    by_hand = supernet.recalibrate(digits_net.extract(architecture), task.calibration_batches(model))
    torch.testing.assert_close(model.state_dict(), by_hand.state_dict(), rtol=0, atol=0)
    assert metrics == task.evaluate(by_hand)
    assert not model.training


def test_the_super_network_is_left_as_it_was(digits_net, task):
    before = {name: tensor.clone() for name, tensor in digits_net.state_dict().items()}
    validated(digits_net, digits_net.smallest, task, "test")
    torch.testing.assert_close(digits_net.state_dict(), before, rtol=0, atol=0)


def test_a_validation_maps_architectures_to_values(digits_net, task):
    architectures = [digits_net.smallest, *digits_net.space.sample(2, seed=1), digits_net.smallest]
    validate = Validation(digits_net, task)
    values = validate(architectures)
    assert values.shape == (4,)
    assert values.dtype == np.float64
    assert values[0] == values[3] == validated(digits_net, digits_net.smallest, task)[1]["top1"]
    assert Validation(digits_net, task, "loss")(architectures[:1])[0] < 1.0


def test_a_pickled_validation_gives_the_same_numbers(digits_net, task):
    validate = Validation(digits_net, task)
    copy = pickle.loads(pickle.dumps(validate))
    assert copy.scope == validate.scope
    np.testing.assert_array_equal(copy([digits_net.smallest]), validate([digits_net.smallest]))


def test_scope_identifies_weights_task_split_and_metric(digits_net, task):
    scopes = [
        Validation(digits_net, task).scope,
        Validation(digits_net, digits()).scope,
        Validation(digits_net, task, split="test").scope,
        Validation(digits_net, task, "loss").scope,
    ]
    assert Validation(supernet.create("digits_mobilenetv3", checkpoint="embedded"), task).scope == scopes[0]
    with torch.no_grad():
        digits_net.shared.classifier.bias[0] += 1e-3
    scopes.append(Validation(digits_net, task).scope)
    assert len(set(scopes)) == 5


def test_an_unknown_metric_is_named_at_once(digits_net, task):
    with pytest.raises(ValueError, match="no metric 'top5': it has top1, loss; did you mean 'top1'?"):
        Validation(digits_net, task, "top5")


def test_tasks_need_not_list_their_metrics(digits_net, task):
    class Own(type(task)):
        metric = "balanced"

        def evaluate(self, model, split="validation"):
            return {"balanced": 50.0, "worst": 10.0}

    own = Own(**{field.name: getattr(task, field.name) for field in fields(task) if field.init})
    assert Validation(digits_net, own)([digits_net.smallest]) == 50.0
    assert Validation(digits_net, own, "worst")([digits_net.smallest]) == 10.0
    with pytest.raises(ValueError, match="no metric 'wurst': it has balanced, worst; did you mean 'worst'?"):
        Validation(digits_net, own, "wurst")([digits_net.smallest])


def test_what_tasks_list_is_what_they_give(task):
    inputs, classes = np.zeros((4, 3), np.float32), np.arange(4) % 2
    arrays = ArrayTask(name="a", splits={"validation": (inputs, classes)})
    assert list(arrays.evaluate(torch.nn.Linear(3, 2))) == list(arrays.metric_names)
    assert replace(arrays, metric="recall", score=lambda outputs, targets: {"recall": 1.0}).metric_names == ()


@pytest.mark.parametrize("measure", [Validation, partial(Proxy, name="synflow")], ids=["accuracy", "proxy"])
def test_architectures_may_be_any_mappings_in_a_list(digits_net, task, measure):
    measured = measure(digits_net, task)
    assert measured([dict(digits_net.smallest)]) == measured([digits_net.smallest])
    with pytest.raises(ArchitectureError, match="expected a list of architectures, got one"):
        measured(digits_net.smallest)


def test_networks_without_batch_norm_need_no_training_data(task):
    class Linear(supernet.SuperNetwork):
        space = supernet.SearchSpace(supernet.Choice("width", (4, 8)))
        input_shape = (1, 32, 32)

        def build(self, architecture):
            layers = torch.nn.Linear(1024, architecture["width"]), torch.nn.Linear(architecture["width"], 10)
            return torch.nn.Sequential(torch.nn.Flatten(), *layers)

    only_validation = supernet.tasks.ImageClassification(
        name="bare", splits={"validation": task.splits["validation"]}, class_names=task.class_names,
        image_size=32, channels=1, mean=(0.3,), std=(0.4,),
    )  # fmt: skip
    net = Linear()
    assert 0 <= Validation(net, only_validation)([net.largest])[0] <= 100


def test_a_network_that_does_not_fit_the_task_is_told_from_one_sample(digits_net, task):
    require_fit(digits_net, task)
    before = {name: tensor.clone() for name, tensor in digits_net.state_dict().items()}
    require_fit(digits_net, task, "test")
    torch.testing.assert_close(digits_net.state_dict(), before, rtol=0, atol=0)
    fewer = supernet.create("ofa_mobilenetv3", num_classes=7, resolutions=(32,))
    with pytest.raises(ValueError, match="channels"):
        require_fit(fewer, task)
    coloured = replace(task, name="coloured", channels=3, mean=(0.3,) * 3, std=(0.4,) * 3)
    with pytest.raises(ValueError, match="has 10 classes, but .* num_classes=10"):
        require_fit(fewer, coloured)
