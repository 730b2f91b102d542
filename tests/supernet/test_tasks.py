import json
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import supernet
from supernet.tasks import ImageArray, ImageClassification, Task, digits


@pytest.fixture(scope="module")
def task() -> ImageClassification:
    return digits()


@pytest.fixture(scope="module")
def net() -> supernet.SuperNetwork:
    return supernet.create("digits_mobilenetv3", checkpoint="embedded")


class Constant(nn.Module):
    """Always says one class; without `pretrained_cfg`, so the task decides the input size."""

    def __init__(self, answer: int, n_classes: int = 10) -> None:
        super().__init__()
        self.answer, self.n_classes = answer, n_classes
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape))
        return nn.functional.one_hot(torch.full((len(x),), self.answer), self.n_classes).float()


def noise_task(n: int = 30, **settings: object) -> ImageClassification:
    rng = np.random.default_rng(0)
    images = ImageArray(rng.integers(0, 256, (n, 12, 10, 3), dtype=np.uint8), np.arange(n) % 3)
    defaults = {"image_size": 8, "crop_pct": 1.0}
    arguments = {"splits": {"train": images, "validation": images}, **defaults, **settings}
    return ImageClassification(name="noise", class_names=("a", "b", "c"), **arguments)


def test_grey_images_may_have_an_axis_of_channels():
    images, labels = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 8, 8), np.zeros(2, dtype=np.int64)
    (flat, _), (deep, _) = ImageArray(images, labels)[1], ImageArray(images[..., None], labels)[1]
    assert np.array_equal(np.asarray(flat), np.asarray(deep))
    splits = {"validation": ImageArray(images, labels)}
    with pytest.raises(ValueError, match=r"task 'x': std must be above 0, got \(0.0,\)"):
        ImageClassification(name="x", splits=splits, class_names=("a",), channels=1, mean=(0.0,), std=(0.0,))


def test_digits_has_fixed_disjoint_stratified_splits(task):
    assert [task.n_samples(s) for s in ("train", "validation", "test")] == [897, 450, 450]
    pixels = {s: {image.tobytes() for image, _ in task.samples(s, 900)} for s in ("train", "validation", "test")}
    assert not pixels["train"] & pixels["test"]
    assert not pixels["validation"] & pixels["test"]
    assert not pixels["validation"] & pixels["train"]
    for split in pixels:
        counts = np.bincount([label for _, label in task.samples(split, 900)], minlength=10)
        assert counts.max() - counts.min() <= 0.1 * counts.mean()


def test_digits_are_the_same_everywhere(task):
    assert isinstance(task, Task)
    assert task.fingerprint == digits().fingerprint == "fbd21abad5023c22"
    assert task.class_names == tuple("0123456789")
    image, label = task.samples("test")[0]
    assert (image.mode, image.size, label) == ("L", (8, 8), 0)
    assert max(image.getextrema()[1] for image, _ in task.samples("test", 450)) == 255


def test_fingerprint_follows_what_changes_a_measurement_and_nothing_else(task):
    assert digits(n_calibration=500).fingerprint != task.fingerprint
    assert digits(interpolation="bicubic").fingerprint != task.fingerprint
    assert digits(cache_mb=0, batch_size=7).fingerprint == task.fingerprint
    other = noise_task()
    other.splits["validation"].images[0, 0, 0, 0] += 1
    assert other.fingerprint != noise_task().fingerprint


def test_top1_is_in_percent_and_loss_is_the_mean_cross_entropy(task):
    labels = np.array([label for _, label in task.samples("validation", 450)])
    metrics = task.evaluate(Constant(3))
    share = (labels == 3).mean()
    assert metrics["top1"] == pytest.approx(100 * share)
    right = -np.log(np.e / (np.e + 9))
    assert metrics["loss"] == pytest.approx(share * right + (1 - share) * (right + 1))


def test_inputs_have_the_models_own_resolution(task, net):
    for resolution in (16, 32, 48):
        model = net.extract(net.space.validate(dict(net.smallest) | {"r": resolution}))
        assert task.transform_settings(model)["input_size"] == [1, resolution, resolution]
        batches = list(task.calibration_batches(model))
        assert sum(map(len, batches)) == 300
        assert {tuple(batch.shape[1:]) for batch in batches} == {(1, resolution, resolution)}


def test_a_model_that_says_nothing_gets_the_tasks_image_size():
    model = Constant(0, 3)
    noise_task(image_size=20).evaluate(model)
    assert model.seen == [(30, 3, 20, 20)]


def test_evaluation_does_not_depend_on_batch_size_or_caching(net):
    model = net.extract(net.smallest)
    reference = digits().evaluate(model)
    for other in (digits(batch_size=64), digits(cache_mb=0)):
        assert other.evaluate(model)["top1"] == reference["top1"]
        assert other.evaluate(model)["loss"] == pytest.approx(reference["loss"], rel=1e-5)


def test_input_transform_and_its_settings_give_what_evaluate_sees(net):
    task = noise_task(crop_pct=0.5)
    model = Constant(0, 3)
    settings = task.transform_settings(model)
    assert json.loads(json.dumps(settings)) == settings
    image, _ = task.samples("validation")[0]
    tensor = task.input_transform(model)(image)
    resized = image.resize((16, 19), resample=2)  # timm scales the shorter side to size / crop_pct, then crops
    left, top = 4, round((19 - 8) / 2)
    expected = np.asarray(resized, dtype=np.float32)[top : top + 8, left : left + 8] / 255
    expected = (expected - settings["mean"]) / settings["std"]
    np.testing.assert_allclose(tensor.permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_calibration_images_are_a_fixed_mixed_sample_of_the_training_split():
    task = noise_task(n_calibration=12, calibration_batch_size=5)
    first, second = (list(task.calibration_batches(Constant(0, 3))) for _ in range(2))
    torch.testing.assert_close(first, second)
    assert [len(batch) for batch in first] == [6, 6]
    assert len({batch.numpy().tobytes() for batch in torch.cat(first)}) == 12


def test_tasks_can_be_pickled(task, net):
    model = net.extract(net.smallest)
    expected = task.evaluate(model)
    data = pickle.dumps(task)
    assert len(data) < 400_000
    assert pickle.loads(data).evaluate(model) == expected


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda task, _: task.evaluate(Constant(0), "val"), "no split 'val'.*train, validation, test"),
        (lambda task, _: task.n_samples("dev"), "no split 'dev'.*train, validation, test"),
        (lambda task, _: task.evaluate(Constant(0, 7)), r"10 classes.*\(250, 7\).*num_classes=10"),
        (lambda _, net: noise_task().evaluate(net.extract(net.smallest)), "1 channels.*'noise' gives 3"),
        (lambda *_: noise_task(channels=2), "channels must be 1 .grey. or 3"),
        (lambda *_: noise_task(channels=1), "mean and std need 1 values"),
    ],
)
def test_mistakes_are_named(task, net, action, message):
    with pytest.raises(ValueError, match=message):
        action(task, net)


def test_a_task_without_training_data_says_so(task):
    bare = ImageClassification(name="bare", splits={"validation": task.splits["validation"]}, class_names=("0",) * 10)
    with pytest.raises(ValueError, match="'bare' has no split 'train'.*neither train nor calibrate"):
        list(bare.calibration_batches(Constant(0)))
    with pytest.raises(ValueError, match="neither train nor calibrate"):
        list(bare.train_batches(Constant(0), batch_size=2, rng=np.random.default_rng(0)))
