import io
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import supernet
from supernet.tasks import cifar10, image_folder
from supernet.validation import validated

SHARED = Path(__file__).parents[3] / "shared" / "data"


class MeanColour(nn.Module):
    """Answers with the channel of largest mean: exact on images filled with red, green or blue."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def write_images(folder: Path, n: int, classes: tuple[str, ...] = ("red", "green", "blue"), seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 100, (9, 11, 3), dtype=np.uint8)
            pixels[..., index] += 120
            Image.fromarray(pixels).save(folder / name / f"{i}.png")


def colours(root: Path, **settings: object):
    return image_folder(root, image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3, **settings)


def test_split_folders_are_taken_as_they_are(tmp_path):
    for split, n in (("train", 4), ("val", 3), ("test", 2)):
        write_images(tmp_path / split, n)
    task = colours(tmp_path)
    assert [task.n_samples(s) for s in ("train", "validation", "test")] == [12, 9, 6]
    assert task.class_names == ("blue", "green", "red")
    reordered = nn.Sequential(MeanColour(), _Reversed())
    assert task.evaluate(reordered)["top1"] == 100.0
    assert task.evaluate(MeanColour())["top1"] == pytest.approx(100 / 3)


def test_validation_comes_from_the_training_folder_where_it_has_none(tmp_path):
    write_images(tmp_path / "train", 10)
    write_images(tmp_path / "test", 2)
    task = colours(tmp_path, validation=0.2)
    assert {split: task.n_samples(split) for split in task.splits} == {"train": 24, "validation": 6, "test": 6}
    assert task.class_names == ("blue", "green", "red")


class _Reversed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flip(1)


def test_class_folders_are_split_by_a_fixed_hash(tmp_path):
    write_images(tmp_path / "a", 20)
    write_images(tmp_path / "elsewhere", 20)
    task = colours(tmp_path / "a", validation=0.2, test=0.1)
    assert [task.n_samples(s) for s in ("train", "validation", "test")] == [42, 12, 6]
    files = {split: set(images.files) for split, images in task.splits.items()}
    assert len(set.union(*files.values())) == 60
    assert {label for _, label in files["validation"]} == {0, 1, 2}
    assert task.fingerprint == colours(tmp_path / "elsewhere", validation=0.2, test=0.1).fingerprint
    assert task.fingerprint != colours(tmp_path / "a", validation=0.1, test=0.1).fingerprint


def test_fingerprint_changes_with_the_files(tmp_path):
    write_images(tmp_path, 10)
    before = colours(tmp_path).fingerprint
    Image.new("RGB", (30, 40)).save(tmp_path / "red" / "0.png")
    assert colours(tmp_path).fingerprint != before


def test_channels_decide_between_grey_and_colour(tmp_path):
    write_images(tmp_path, 10)
    grey = image_folder(tmp_path, channels=1, mean=(0.5,), std=(0.5,), image_size=8)
    assert grey.samples("test")[0][0].mode == "L"
    assert {batch.shape[1] for batch in grey.calibration_batches(nn.Identity())} == {1}
    assert colours(tmp_path).samples("test")[0][0].mode == "RGB"


def test_no_test_part_where_none_is_wanted(tmp_path):
    write_images(tmp_path, 10)
    task = colours(tmp_path, test=0)
    with pytest.raises(ValueError, match="no split 'test': it has train, validation"):
        task.n_samples("test")


def test_workers_load_the_same_images(tmp_path):
    write_images(tmp_path, 10)
    model = nn.Sequential(MeanColour(), _Reversed())
    apart = colours(tmp_path, cache_mb=0, n_workers=1).evaluate(model)
    assert apart == colours(tmp_path).evaluate(model)


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no image folder at .*nowhere"):
        image_folder(tmp_path / "nowhere")


def test_no_class_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="one folder per class"):
        image_folder(tmp_path)


def test_empty_class(tmp_path):
    write_images(tmp_path, 10)
    (tmp_path / "yellow").mkdir()
    with pytest.raises(FileNotFoundError, match="yellow"):
        image_folder(tmp_path)


def test_splits_with_other_classes(tmp_path):
    write_images(tmp_path / "train", 2)
    write_images(tmp_path / "val", 2, ("red", "green", "violet"))
    with pytest.raises(ValueError, match=r"val and .*train hold different classes: blue, violet"):
        image_folder(tmp_path)


@pytest.mark.parametrize("fractions", [(0.0, 0.1), (0.6, 0.4), (0.5, -0.1), (0.01, 0.1)])
def test_impossible_fractions(tmp_path, fractions):
    write_images(tmp_path, 4)
    with pytest.raises(ValueError, match="validation must be above 0|too few"):
        image_folder(tmp_path, validation=fractions[0], test=fractions[1])


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_unreadable_image_is_named(tmp_path, content):
    write_images(tmp_path / "train", 2)
    write_images(tmp_path / "val", 2)
    broken = tmp_path / "val" / "green" / "1.png"
    broken.write_bytes(broken.read_bytes()[:150] if content is None else content)
    with pytest.raises(ValueError, match=r"cannot read the image .*val.green.1\.png"):
        colours(tmp_path).evaluate(MeanColour())


def test_cifar10_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no complete CIFAR-10 in .*download=True"):
        cifar10(tmp_path)


def packed(path: Path, n: int) -> tuple[list[bytes], list[int], list[str]]:
    if not path.exists():
        pytest.skip(f"the shared data set is not beside this checkout: {path} is missing")
    with np.load(path) as archive:
        data, offsets, labels = archive["data"], archive["offsets"], archive["labels"]
        files = [data[a:b].tobytes() for a, b in zip(offsets[:n], offsets[1 : n + 1], strict=True)]
        return files, [int(label) for label in labels[:n]], [str(name) for name in archive["classes"]]


def test_cifar10_in_its_published_format(tmp_path, monkeypatch):
    """The shared JPEG copies written as torchvision expects them (with the checksums switched off)."""
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", ""]])
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name, source, n in (("data_batch_1", "train", 300), ("test_batch", "test", 100)):
        files, labels, classes = packed(SHARED / "cifar10" / f"{source}.jpegs.npz", n)
        pixels = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
        content = {"data": pixels.transpose(0, 3, 1, 2).reshape(n, -1), "labels": labels}
        (folder / name).write_bytes(pickle.dumps(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": classes}))

    task = cifar10(tmp_path, validation=60)
    assert [task.n_samples(s) for s in ("train", "validation", "test")] == [240, 60, 100]
    assert task.class_names[0] == "airplane"
    assert task.fingerprint == cifar10(tmp_path, validation=60).fingerprint
    model = supernet.create("ofa_mobilenetv3", width_mult=0.5, resolutions=(32, 64), num_classes=10)
    metrics = task.evaluate(model.extract(model.smallest))
    assert 0 <= metrics["top1"] <= 100


def test_photographs_at_the_resolution_of_each_sub_network(tmp_path):
    files, labels, classes = packed(SHARED / "imagenette128" / "test.jpegs.npz", 60)
    for i, (file, label) in enumerate(zip(files, labels, strict=True)):
        folder = tmp_path / classes[label]
        folder.mkdir(exist_ok=True)
        (folder / f"{i}.jpg").write_bytes(file)
    task = image_folder(tmp_path, validation=0.4, n_calibration=20)
    net = supernet.create("ofa_mobilenetv3", width_mult=0.5, resolutions=(64, 96), num_classes=len(task.class_names))
    model, metrics = validated(net, dict(net.smallest) | {"r": 96}, task)
    assert task.transform_settings(model)["input_size"] == [3, 96, 96]
    assert np.isfinite(metrics["loss"])
