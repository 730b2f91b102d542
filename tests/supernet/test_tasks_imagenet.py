"""ImageNet's folder layout, and preprocessing as Once-for-All's authors evaluate."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

import supernet
from supernet.tasks import imagenet
from supernet.validation import validated

SHARED = Path(__file__).parents[3] / "shared" / "data" / "imagenette128"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def write_images(folder, n, classes=("n01", "n02", "n03"), seed=0):
    rng = np.random.default_rng(seed)
    for index, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 256, (20 + index, 31 - i % 3, 3), dtype=np.uint8)
            image = Image.fromarray(pixels).resize((330 - 7 * i, 240 + 3 * i))
            image.save(folder / name / f"{i}.png", compress_level=1)


@pytest.fixture
def root(tmp_path):
    write_images(tmp_path / "train", 5)
    write_images(tmp_path / "val", 2, seed=1)
    return tmp_path


class Sized(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.pretrained_cfg = {"input_size": (3, size, size), "mean": MEAN, "std": STD}


@pytest.mark.parametrize("size", [128, 132, 160, 176, 192, 208, 224])
def test_preprocessing_is_that_of_the_authors(root, size):
    task = imagenet(root)
    authors = transforms.Compose(
        [
            transforms.Resize(math.ceil(size / 0.875)),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    for image, _ in task.samples("validation", 6):
        torch.testing.assert_close(task.input_transform(Sized(size))(image), authors(image), rtol=0, atol=1e-6)


def test_bundles_scale_images_in_the_same_way(root):
    from hardware.bundle.templates.preprocessing import preprocess

    task = imagenet(root)
    for size in (132, 160):
        settings = task.transform_settings(Sized(size))
        for image, _ in task.samples("validation", 3):
            expected = task.input_transform(Sized(size))(image).numpy()
            np.testing.assert_allclose(preprocess(np.asarray(image), settings), expected, rtol=0, atol=1e-5)


def test_splits_and_calibration(root):
    task = imagenet(root, n_calibration=6, calibration_batch_size=2)
    assert {split: task.n_samples(split) for split in task.splits} == {"train": 15, "validation": 6, "test": 6}
    assert task.class_names == ("n01", "n02", "n03")
    first, again = (torch.cat(list(task.calibration_batches(Sized(32)))) for _ in range(2))
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert [len(batch) for batch in task.calibration_batches(Sized(32))] == [2, 2, 2]
    assert (imagenet(root).n_calibration, imagenet(root).calibration_batch_size) == (2000, 200)
    assert imagenet(root, crop_rounding="floor").fingerprint != imagenet(root).fingerprint


def test_an_incomplete_folder_is_named(tmp_path, root):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere.train: ImageNet needs train/ and val/"):
        imagenet(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="crop_rounding must be floor or ceil, got 'up'"):
        imagenet(root, crop_rounding="up")
    (root / "val" / "n03").rename(root / "val" / "n04")
    with pytest.raises(ValueError, match=r"val and .*train hold different classes: n03, n04"):
        imagenet(root)


def test_photographs_of_ten_classes(tmp_path):
    if not SHARED.is_dir():
        pytest.skip("needs ../shared/data/imagenette128, which is not part of the project")
    for split, source, n in (("train", "train", 80), ("val", "test", 40)):
        with np.load(SHARED / f"{source}.jpegs.npz") as archive:
            data, offsets, labels, wnids = (archive[key] for key in ("data", "offsets", "labels", "wnids"))
        for i in range(n):
            folder = tmp_path / split / str(wnids[labels[i]])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{i}.JPEG").write_bytes(data[offsets[i] : offsets[i + 1]].tobytes())
    with Image.open(io.BytesIO((folder / f"{n - 1}.JPEG").read_bytes())) as image:
        assert image.size == (128, 128)
    task = imagenet(tmp_path, n_calibration=24, calibration_batch_size=12)
    net = supernet.create("ofa_proxyless", width_mult=0.5, resolutions=(64, 96), num_classes=10)
    model, metrics = validated(net, dict(net.smallest) | {"r": 96}, task)
    assert task.transform_settings(model)["input_size"] == [3, 96, 96]
    assert len(task.class_names) == 10
    assert 0 <= metrics["top1"] <= 100
    assert np.isfinite(metrics["loss"])
    assert validated(net, dict(net.smallest) | {"r": 96}, task)[1] == metrics
