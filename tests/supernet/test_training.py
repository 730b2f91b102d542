import dataclasses
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import supernet
from supernet.tasks import Augmentation, ImageArray, ImageClassification
from supernet.training import Recipe, TrainingError, train

RECIPE = Recipe(
    epochs=4,
    batch_size=16,
    learning_rate=0.05,
    warmup_epochs=1,
    n_random=1,
    augmentation=Augmentation(shift=0.1, noise=0.1),
    evaluate_every=0,
    n_evaluated=1,
    device="cpu",
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """The number of threads decides the order of sums, so weights equal to the bit need the same number."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


class TinyNet(supernet.SuperNetwork):
    """A custom super-network without timm: elastic width and depth, batch norm and dropout."""

    space = supernet.SearchSpace(supernet.Choice("width", (4, 6, 8)), supernet.Choice("depth", (1, 2)))
    input_shape = (1, 8, 8)

    def build(self, architecture: supernet.Architecture) -> nn.Module:
        width = architecture["width"]
        layers = nn.Sequential()
        for i in range(architecture["depth"]):
            layers.append(
                nn.Sequential(nn.Conv2d(width if i else 1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
            )
        model = nn.Sequential()
        model.add_module("layers", layers)
        model.add_module("pool", nn.AdaptiveAvgPool2d(2))
        model.add_module("flatten", nn.Flatten())
        model.add_module("dropout", nn.Dropout(0.1))
        model.add_module("classifier", nn.Linear(4 * width, 3))
        return model


def tiny_net(seed: int = 0) -> TinyNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyNet()


def tiny_task(n: int = 64) -> ImageClassification:
    """Bright bars in one of three places."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    pixels = rng.integers(0, 120, (n, 8, 8), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        image[:, 3 * label : 3 * label + 2] += 100
    images = ImageArray(pixels, labels)
    half = np.arange(n // 2)
    return ImageClassification(
        name="bars",
        splits={"train": images, "validation": images.subset(half)},
        class_names=("left", "middle", "right"),
        image_size=8,
        channels=1,
        crop_pct=1.0,
        mean=(0.5,),
        std=(0.5,),
    )


def run(output: Path, recipe: Recipe = RECIPE, net: TinyNet | None = None, **settings: object):
    net = net or tiny_net()
    return net, train(net, tiny_task(), recipe, output, **{"progress": False, **settings})


def assert_same_weights(first: nn.Module, second: nn.Module) -> None:
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def replaced(recipe: Recipe, **changes: object) -> Recipe:
    return Recipe(**{**recipe.as_dict(), **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    output = tmp_path_factory.mktemp("finished")
    net, summary = run(output)
    return output, net, summary


def test_no_augmentation_may_be_said_as_none():
    assert replaced(RECIPE, augmentation=None) == replaced(RECIPE, augmentation=Augmentation())


def test_all_sub_networks_learn(tmp_path, caplog):
    recipe = replaced(RECIPE, epochs=25, learning_rate=0.1, evaluate_every=5)
    with caplog.at_level(logging.INFO):
        _, summary = run(tmp_path, recipe)
    assert caplog.text.count("training: epoch ") == 25  # where there is no bar
    assert caplog.text.count("training: smallest ") == 5
    assert set(summary.metrics) == {"smallest", "largest", "random-0"}
    assert all(values["top1"] > 90 for values in summary.metrics.values())


def test_what_a_training_leaves(finished):
    output, net, summary = finished
    loaded = tiny_net(1)
    loaded.load_checkpoint(summary.weights)
    assert_same_weights(loaded, net)
    written = json.loads((output / "summary.json").read_text())
    assert written["metrics"] == summary.metrics
    assert written["architectures"]["smallest"] == {"width": 4, "depth": 1}
    assert Recipe(**json.loads((output / "recipe.json").read_text())) == RECIPE
    assert not list(output.glob("*.part"))
    assert len(list(output.glob("weights-*.safetensors"))) == 1


def test_tensorboard_curves(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(tmp_path, replaced(RECIPE, evaluate_every=2))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {"loss/largest", "loss/smallest", "loss/random", "learning_rate"} <= tags
    assert {f"validation_top1/{name}" for name in ("smallest", "largest", "random-0")} <= tags
    assert [e.step for e in events.Scalars("loss/largest")] == [4, 8, 12, 16]
    assert [e.step for e in events.Scalars("validation_top1/largest")] == [8, 16]


def test_the_seed_decides_and_nothing_global(finished, tmp_path):
    _, reference, _ = finished
    state = torch.get_rng_state()
    torch.rand(3)
    before = torch.get_rng_state()
    again, _ = run(tmp_path / "again")
    assert torch.equal(torch.get_rng_state(), before)
    torch.set_rng_state(state)
    assert_same_weights(again, reference)
    other, _ = run(tmp_path / "other", replaced(RECIPE, seed=1))
    assert not torch.equal(other.shared.classifier.weight, reference.shared.classifier.weight)


class Interrupted(RuntimeError):
    pass


class FailingTask:
    """The tiny task, whose training data fails in one epoch (counted from 1) after two batches."""

    def __init__(self, epoch: int) -> None:
        self.inner, self.epoch = tiny_task(), epoch

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def train_batches(self, *args: object, **settings: object):
        self.epoch -= 1
        for i, batch in enumerate(self.inner.train_batches(*args, **settings)):
            if self.epoch == 0 and i == 2:
                self.fail()
            yield batch

    def fail(self) -> None:
        raise Interrupted


class KillingTask(FailingTask):
    def fail(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_an_interrupted_training_ends_like_an_uninterrupted_one(finished, tmp_path, epoch):
    _, reference, expected = finished
    with pytest.raises(Interrupted):
        train(tiny_net(), FailingTask(epoch), RECIPE, tmp_path, progress=False)
    net, summary = run(
        tmp_path, net=tiny_net(0 if epoch == 1 else 5)
    )  # weights come from the state, where there is one
    assert_same_weights(net, reference)
    assert summary.metrics == expected.metrics


def test_a_finished_training_is_not_run_again(finished, tmp_path):
    output, reference, expected = finished
    net = tiny_net(3)
    summary = train(net, FailingTask(1), RECIPE, output, progress=False)
    assert_same_weights(net, reference)
    assert summary == expected


KILLED = """
import sys
sys.path.insert(0, {folder!r})
from test_training import *
train(tiny_net(), KillingTask(3), RECIPE, Path({output!r}), progress=False)
"""


def test_a_killed_training_ends_like_an_uninterrupted_one(finished, tmp_path):
    _, reference, _ = finished
    code = KILLED.format(folder=str(Path(__file__).parent), output=str(tmp_path))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    killed = subprocess.run([sys.executable, "-c", code], env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "weights-00002.safetensors").exists()
    net, _ = run(tmp_path, net=tiny_net(9))
    assert_same_weights(net, reference)


def test_another_training_in_the_folder_is_refused(finished):
    output, _, _ = finished
    for changed in (replaced(RECIPE, learning_rate=0.01), replaced(RECIPE, augmentation={"shift": 0.2})):
        with pytest.raises(TrainingError, match=r"another recipe\.\S+: .* instead of .*resume=False"):
            run(output, changed)
    with pytest.raises(TrainingError, match="another task"):
        train(tiny_net(), tiny_task(48), RECIPE, output, progress=False)


def test_resume_false_starts_anew(finished, tmp_path):
    _, reference, _ = finished
    run(tmp_path, replaced(RECIPE, learning_rate=0.01))
    net, _ = run(tmp_path, resume=False)
    assert_same_weights(net, reference)


@pytest.mark.parametrize("content", [b"", b"nothing", None])
def test_a_damaged_state_is_refused(tmp_path, content):
    run(tmp_path, replaced(RECIPE, epochs=1))
    state = tmp_path / "state.pt"
    state.write_bytes(state.read_bytes()[:500] if content is None else content)
    with pytest.raises(TrainingError, match="is not the state of a training"):
        run(tmp_path, replaced(RECIPE, epochs=1))


def test_a_state_that_would_run_code_is_refused(tmp_path):
    torch.save({"epoch": _Attack(tmp_path / "ran")}, tmp_path / "state.pt")
    with pytest.raises(TrainingError, match="is not the state of a training"):
        run(tmp_path)
    assert not (tmp_path / "ran").exists()


class _Attack:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_loss_that_explodes_is_reported_and_keeps_the_last_state(tmp_path):
    run(tmp_path, replaced(RECIPE, epochs=1))
    wild = replaced(RECIPE, epochs=8, learning_rate=1e20)
    with pytest.raises(TrainingError, match=r"the loss is .* epoch \d.*learning_rate"):
        run(tmp_path / "wild", wild)


def test_gradient_clipping_bounds_the_steps(tmp_path):
    clipped = replaced(RECIPE, epochs=1, warmup_epochs=0, gradient_clip=1e-6, weight_decay=0, momentum=0)
    net, _ = run(tmp_path, clipped)
    moved = max((a - b).abs().max() for a, b in zip(net.parameters(), tiny_net().parameters(), strict=True))
    assert 0 < moved < 1e-5


def test_mixed_precision_trains_on_the_cpu_too(finished, tmp_path):
    _, reference, _ = finished
    net, summary = run(tmp_path, replaced(RECIPE, precision="bf16"))
    assert not torch.equal(net.shared.classifier.weight, reference.shared.classifier.weight)
    torch.testing.assert_close(net.shared.classifier.weight, reference.shared.classifier.weight, rtol=0.3, atol=0.1)
    assert net.shared.classifier.weight.dtype == torch.float32
    assert np.isfinite(summary.metrics["smallest"]["loss"])


@pytest.mark.gpu
def test_training_on_a_gpu(tmp_path):
    net, summary = run(tmp_path, replaced(RECIPE, device="cuda", epochs=25, learning_rate=0.1))
    assert next(net.parameters()).device.type == "cpu"
    assert summary.metrics["largest"]["top1"] > 90


def test_elastic_resolutions_train(tmp_path):
    from supernet.families.mobilenetv3 import ElasticMobileNetV3, Stage

    net = ElasticMobileNetV3(
        [Stage(8, 2)], stem_width=8, head_widths=(8, 8), num_classes=3, in_chans=1, resolutions=(8, 16), depths=(1, 2),
        kernel_sizes=(3, 5), expand_ratios=(1, 2), mean=(0.5,), std=(0.5,),
    )  # fmt: skip
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    train(net, tiny_task(), replaced(RECIPE, n_random=3), tmp_path, progress=False)
    unchanged = [name for name, p in net.named_parameters() if torch.equal(p, before[name])]
    assert not unchanged


def test_a_task_without_training_data(tmp_path):
    task = tiny_task()
    bare = ImageClassification(
        name="bare", splits={"validation": task.splits["validation"]}, class_names=("a", "b", "c")
    )
    with pytest.raises(ValueError, match="'bare' has no split 'train'"):
        train(tiny_net(), bare, RECIPE, tmp_path, progress=False)


def test_another_number_of_classes_is_refused_at_the_first_step(tmp_path):
    task = dataclasses.replace(tiny_task(), class_names=("left", "right"))
    with pytest.raises(ValueError, match=r"'bars' has 2 classes, but the model's outputs .*num_classes=2"):
        train(tiny_net(), task, RECIPE, tmp_path, progress=False)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"epochs": 1.5}, "epochs must be an integer, got 1.5"),
        ({"batch_size": "64"}, "batch_size must be an integer, got '64'"),
        ({"seed": None}, "seed must be an integer, got None"),
        ({"momentum": "0.9"}, "momentum must be a number, got '0.9'"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"gradient_clip": -1.0}, "gradient_clip must be above 0"),
        ({"distillation": 1.5}, "distillation must be at most 1"),
        ({"label_smoothing": float("nan")}, "label_smoothing must be at least 0"),
        ({"precision": "fp8"}, "precision must be one of auto, fp32, bf16"),
    ],
)
def test_impossible_recipes_are_named(setting, message):
    with pytest.raises(ValueError, match=f"recipe: {message}"):
        Recipe(**setting)


def test_an_unknown_device_is_named(tmp_path):
    with pytest.raises(ValueError, match="recipe: device 'quantum' cannot be used here"):
        run(tmp_path, replaced(RECIPE, device="quantum"))
