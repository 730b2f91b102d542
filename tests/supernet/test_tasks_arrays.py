import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import hardware
import supernet
from supernet.tasks import ArrayTask, Augmentation, Task, arrays
from supernet.training import Recipe, train
from supernet.validation import Validation, require_fit, validated

RECIPE = Recipe(
    epochs=12, batch_size=32, learning_rate=0.05, optimiser="adamw", warmup_epochs=0, n_evaluated=0, device="cpu"
)


class Rows(supernet.SuperNetwork):
    """A perceptron of elastic width on rows of five numbers."""

    space = supernet.SearchSpace(supernet.Choice("width", (4, 8)))
    input_shape = (5,)

    def __init__(self, n_outputs: int) -> None:
        self.n_outputs = n_outputs
        super().__init__()

    def build(self, architecture):
        width = architecture["width"]
        return nn.Sequential(nn.Linear(5, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, self.n_outputs))


def rows(n_outputs):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Rows(n_outputs)


def drawn(n, seed):
    """Inputs, a class each, and a number each."""
    inputs = np.random.default_rng(seed).normal(size=(n, 5))
    return inputs, (inputs[:, 0] > 0).astype(int) + (inputs[:, 1] > 0), inputs[:, 0] - 2 * inputs[:, 3]


@pytest.fixture(scope="module")
def classes():
    splits = {split: drawn(n, seed)[:2] for seed, (split, n) in enumerate({"train": 300, "validation": 100}.items())}
    return ArrayTask(name="rows", splits=splits, class_names=("none", "one", "both"), batch_size=30)


@pytest.fixture(scope="module")
def numbers():
    splits = {split: drawn(n, seed)[::2] for seed, (split, n) in enumerate({"train": 300, "validation": 100}.items())}
    return ArrayTask(name="sums", splits=splits)


def test_classes_are_learnt_and_measured(classes, tmp_path):
    assert isinstance(classes, Task)
    net = rows(3)
    summary = train(net, classes, RECIPE, tmp_path, progress=False)
    assert summary.metrics["largest"]["top1"] > 85
    model, metrics = validated(net, net.smallest, classes)
    inputs, targets = drawn(100, 1)[:2]
    with torch.inference_mode():
        answers = model(torch.tensor(inputs, dtype=torch.float32)).argmax(1).numpy()
    assert metrics["top1"] == pytest.approx(100 * (answers == targets).mean())
    assert set(metrics) == {"top1", "loss"}


def test_numbers_are_learnt_and_measured(numbers, tmp_path):
    assert numbers.metric == "r2"
    net = rows(1)
    summary = train(net, numbers, RECIPE, tmp_path, progress=False)
    assert 80 < summary.metrics["largest"]["r2"] <= 100
    zero = nn.Linear(5, 1)
    nn.init.zeros_(zero.weight)
    targets = drawn(100, 1)[2]
    assert numbers.evaluate(zero)["loss"] == pytest.approx(((targets - zero.bias.item()) ** 2).mean(), rel=1e-5)
    assert numbers.evaluate(zero)["r2"] < 1


def worst_class(outputs, targets):
    hits = (outputs.argmax(1) == targets).double()
    return {"worst": 100 * min(float(hits[targets == index].mean()) for index in range(3))}


def test_metrics_of_ones_own(classes):
    own = ArrayTask(name="rows", splits=classes.splits, score=worst_class, metric="worst")
    net = rows(3)
    value = Validation(net, own)([net.largest])[0]
    assert value <= Validation(net, classes)([net.largest])[0]
    assert own.fingerprint != classes.fingerprint
    assert own.class_names == ("0", "1", "2")


def test_a_file_of_arrays(classes, tmp_path):
    held = {
        f"{split}_{part}": array
        for split, pair in classes.splits.items()
        for part, array in zip(("inputs", "targets"), pair, strict=True)
    }
    np.savez(tmp_path / "rows.npz", **held)
    task = arrays(tmp_path / "rows.npz", class_names=["none", "one", "both"])
    assert (task.name, task.fingerprint) == ("rows", classes.fingerprint)
    np.savez(tmp_path / "half.npz", train_inputs=held["train_inputs"])
    with pytest.raises(ValueError, match="half.npz holds train_inputs: train_targets, validation_inputs, .* missing"):
        arrays(tmp_path / "half.npz")
    with pytest.raises(FileNotFoundError, match="no arrays at"):
        arrays(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("a,b\n")
    with pytest.raises(ValueError, match="cannot read .*text.npz"):
        arrays(tmp_path / "text.npz")
    np.savez(tmp_path / "pickle.npz", train_inputs=np.array([object()]))
    with pytest.raises(ValueError, match="cannot read .*pickle.npz"):
        arrays(tmp_path / "pickle.npz")


@pytest.mark.parametrize(("kind", "n_outputs", "answer"), [("classes", 3, "top"), ("numbers", 1, "output")])
def test_bundles_answer_arrays(kind, n_outputs, answer, request, tmp_path):
    task, net = request.getfixturevalue(kind), rows(n_outputs)
    device = hardware.Device("here", backend="onnxruntime")
    bundle = hardware.deploy(net, net.largest, device, tmp_path / "bundle", task=task)
    np.save(tmp_path / "short.npy", np.zeros(4))
    command = [sys.executable, bundle / "run.py", bundle / "samples" / "1.npy", "--repeats", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["predictions"][0][answer]
    with torch.inference_mode():
        model, _ = validated(net, net.largest, task)
        expected = model(task.prepare(model, [task.samples("validation", 2)[1][0]]))[0]
    told = found if answer == "output" else [found[0]["index"]]
    np.testing.assert_allclose(told, expected if answer == "output" else [int(expected.argmax())], rtol=1e-4)
    refused = subprocess.run([*command[:2], tmp_path / "short.npy", "--repeats", "2"], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "one array of numbers of shape (5,)" in refused.stdout


@pytest.mark.parametrize(
    ("inputs", "targets", "settings", "message"),
    [
        (np.zeros((3, 2)), [0, 1], {}, r"inputs of shape \(3, 2\) and targets of shape \(2,\)"),
        (np.zeros((0, 2)), [], {}, "at least one"),
        (np.zeros((2, 2)), [0, -1], {}, "from 0 to 0, got -1 to 0"),
        (np.zeros((2, 2)), [0, 3], {"class_names": ("a", "b")}, "from 0 to 1, got 0 to 3"),
        (np.zeros((2, 2)), [[0], [1]], {}, "indices .* in shape"),
        (np.array([["a"]]), [0], {}, "inputs must be arrays of numbers"),
        (np.array([[np.nan]]), [0], {}, "inputs must be finite: 1 values are not"),
    ],
)
def test_arrays_that_do_not_go_together_are_named(inputs, targets, settings, message):
    with pytest.raises(ValueError, match=message):
        ArrayTask(name="x", splits={"validation": (inputs, targets)}, **settings)


def test_super_networks_that_do_not_fit_are_named(classes, numbers):
    require_fit(rows(3), classes)
    require_fit(rows(1), numbers)
    with pytest.raises(ValueError, match="targets of shape"):
        require_fit(rows(3), numbers)
    longer = ArrayTask(name="longer", splits={"validation": (np.zeros((4, 7)), [0, 1, 2, 0])})
    with pytest.raises(ValueError, match="Rows cannot take the samples of task 'longer': .*7"):
        require_fit(rows(3), longer)


def test_other_mistakes_are_named(classes, numbers):
    with pytest.raises(ValueError, match="has 3 classes, but the model's outputs have shape"):
        classes.evaluate(nn.Linear(5, 2))
    with pytest.raises(ValueError, match="targets of shape .* outputs have shape"):
        numbers.evaluate(nn.Linear(5, 2))
    with pytest.raises(ValueError, match="no split 'test': it has train, validation"):
        classes.evaluate(nn.Linear(5, 3), "test")
    with pytest.raises(ValueError, match="augmentation is for images, set recipe.augmentation=null"):
        next(
            classes.train_batches(
                nn.Linear(5, 3), batch_size=2, rng=np.random.default_rng(0), augmentation=Augmentation(flip=0.5)
            )
        )
    with pytest.raises(ValueError, match="samples differ in shape or type between splits"):
        ArrayTask(name="x", splits={"train": (np.zeros((2, 3)), [0, 1]), "validation": (np.zeros((2, 4)), [0, 1])})
