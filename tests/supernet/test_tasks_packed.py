"""Images packed in .npz files."""

import io

import numpy as np
import pytest
from PIL import Image

from supernet.tasks import packed_images

RNG = np.random.default_rng(0)


def packed(path, n, size=8, classes=("cat", "dog"), mode="RGB"):
    pixels = RNG.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    files = []
    for image in pixels:
        buffer = io.BytesIO()
        Image.fromarray(image).convert(mode).save(buffer, "PNG")
        files.append(np.frombuffer(buffer.getvalue(), dtype=np.uint8))
    offsets = np.cumsum([0, *map(len, files)])
    labels = np.arange(n, dtype=np.uint8) % len(classes)
    np.savez(path, data=np.concatenate(files), offsets=offsets, labels=labels, classes=np.array(classes))
    return pixels, labels


def test_images_labels_and_splits(tmp_path):
    pixels, labels = packed(tmp_path / "train.jpegs.npz", 40)
    unseen, _ = packed(tmp_path / "test.jpegs.npz", 6)
    task = packed_images(tmp_path, validation=0.25)
    for wrong in (-5, 1000):
        with pytest.raises(ValueError, match=r"cannot set aside \d+ of \d+ samples" if wrong > 0 else "got -5"):
            packed_images(tmp_path, validation=wrong)
    assert [task.n_samples(split) for split in ("train", "validation", "test")] == [30, 10, 6]
    assert task.class_names == ("cat", "dog")
    assert task.image_size == 8
    for split, n, known in (("train", 30, pixels), ("validation", 10, pixels), ("test", 6, unseen)):
        for image, label in task.samples(split, n):
            place = (known == np.asarray(image)).all(axis=(1, 2, 3)).nonzero()[0]
            assert len(place) == 1
            assert label == labels[place[0]]
    train = np.stack([np.asarray(image) for image, _ in task.samples("train", 30)]) / 255
    np.testing.assert_allclose(task.mean, train.mean(axis=(0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(task.std, train.std(axis=(0, 1, 2)), atol=1e-4)
    assert packed_images(tmp_path, validation=10).fingerprint == task.fingerprint


def test_grey_images(tmp_path):
    for name in ("train.jpegs.npz", "test.jpegs.npz"):
        packed(tmp_path / name, 8, mode="L")
    task = packed_images(tmp_path)
    assert task.channels == 1
    assert len(task.mean) == 1


def test_files_that_do_not_serve_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no packed images at .*train.jpegs.npz"):
        packed_images(tmp_path)
    packed(tmp_path / "train.jpegs.npz", 8)
    packed(tmp_path / "test.jpegs.npz", 8, classes=("cat", "cow"))
    with pytest.raises(ValueError, match=r"test.jpegs.npz has other classes than train.jpegs.npz: cow"):
        packed_images(tmp_path)
    np.savez(tmp_path / "test.jpegs.npz", data=np.zeros(3))
    with pytest.raises(ValueError, match=r"test.jpegs.npz does not hold packed images"):
        packed_images(tmp_path)
    (tmp_path / "test.jpegs.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"test.jpegs.npz does not hold packed images"):
        packed_images(tmp_path)
    np.savez(tmp_path / "test.jpegs.npz", data=np.zeros(9, dtype=np.uint8), offsets=np.array([0, 9]),
             labels=np.zeros(1), classes=np.array(["cat", "dog"]))  # fmt: skip
    with pytest.raises(ValueError, match="an image that cannot be read"):
        packed_images(tmp_path)


@pytest.mark.slow
def test_the_reference_data(shared):
    path = shared / "data" / "imagenette128"
    if not path.is_dir():
        pytest.skip("needs Imagenette in ../shared/data, which is not part of the project")
    task = packed_images(path, validation=500)
    assert task.n_samples("train") == 4500
    np.testing.assert_allclose(task.mean, (0.4601, 0.4554, 0.4272), atol=3e-3)
