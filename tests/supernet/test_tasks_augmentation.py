import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from supernet.tasks import Augmentation, digits


def images(n: int = 4) -> torch.Tensor:
    return torch.rand(n, 2, 12, 12, generator=torch.Generator().manual_seed(0))


def test_the_default_changes_nothing():
    torch.testing.assert_close(Augmentation()(images(), np.random.default_rng(0)), images(), rtol=0, atol=0)


@given(
    st.builds(
        Augmentation,
        rotate=st.floats(0, 90),
        shift=st.floats(0, 0.5),
        zoom=st.tuples(st.floats(0.5, 1), st.floats(1, 1.5)),
        flip=st.floats(0, 1),
        contrast=st.floats(0, 1),
        saturation=st.floats(0, 1),
        crop=st.integers(0, 4),
        erase=st.floats(0, 1),
        noise=st.floats(0, 1),
    ),
    st.integers(0, 2**32),
)
def test_the_generator_decides_everything(augmentation, seed):
    first, second = (augmentation(images(), np.random.default_rng(seed)) for _ in range(2))
    assert first.shape == images().shape
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_flip_mirrors_columns():
    flipped = Augmentation(flip=1.0)(images(), np.random.default_rng(0))
    torch.testing.assert_close(flipped, images().flip(3), rtol=1e-4, atol=1e-4)


def test_zoom_and_shift_move_the_visible_part():
    ramp = torch.linspace(-1 + 1 / 12, 1 - 1 / 12, 12).expand(64, 1, 12, 12)
    rng = np.random.default_rng(0)
    cropped = Augmentation(zoom=(0.5, 0.5))(ramp, rng)
    torch.testing.assert_close(cropped, 0.5 * ramp, rtol=1e-4, atol=1e-4)
    moved = Augmentation(shift=0.1)(ramp, rng)[:, 0, 6, 4:8].mean(dim=1)
    assert moved.abs().max() <= 0.2 + 1e-4  # a tenth of the width, which is 2
    assert moved.min() < -0.1 < 0.1 < moved.max()


def test_rotation_keeps_the_centre_and_stays_within_its_bound():
    y, x = torch.meshgrid(*[torch.linspace(-1 + 1 / 12, 1 - 1 / 12, 12)] * 2, indexing="ij")
    inside = (x**2 + y**2) < 0.6
    field = torch.stack([x, y]).expand(64, 2, 12, 12)
    rotated = Augmentation(rotate=30)(field, np.random.default_rng(0))
    angles = torch.atan2(rotated[:, 1], rotated[:, 0]) - torch.atan2(y, x)
    angles = torch.rad2deg(torch.atan2(angles.sin(), angles.cos()))[:, inside]
    assert angles.abs().max() <= 30.1
    assert angles.std(dim=1).max() < 0.1
    assert angles.mean(dim=1).min() < -20 < 20 < angles.mean(dim=1).max()


def test_crops_move_by_whole_pixels():
    pixels = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    moved = Augmentation(crop=2)(pixels, np.random.default_rng(0))
    padded = torch.nn.functional.pad(pixels, (2, 2, 2, 2), mode="replicate")
    found = set()
    for image, candidates in zip(moved, padded, strict=True):
        places = [(y, x) for y in range(5) for x in range(5)]
        errors = [(image - candidates[:, y : y + 8, x : x + 8]).abs().max().item() for y, x in places]
        assert min(errors) < 1e-4
        found.add(places[int(np.argmin(errors))])
    assert len(found) > 10


def test_saturation_keeps_the_grey_value():
    changed = Augmentation(saturation=0.5)(images(), np.random.default_rng(0))
    torch.testing.assert_close(changed.mean(dim=1), images().mean(dim=1))
    spread = (changed - changed.mean(dim=1, keepdim=True)) / (images() - images().mean(dim=1, keepdim=True))
    assert (spread.amax(dim=(1, 2, 3)) - spread.amin(dim=(1, 2, 3))).max() < 1e-2
    assert 0.5 - 1e-3 <= spread.min() < spread.max() <= 1.5 + 1e-3


def test_erasing_leaves_a_square_of_zeros():
    erased = Augmentation(erase=0.5)(images(64) + 1, np.random.default_rng(0))
    shares = (erased == 0).float().mean(dim=(1, 2, 3))
    assert shares.max() == pytest.approx(0.25, abs=0.05)
    assert shares.min() > 0
    assert torch.equal(erased[erased != 0], (images(64) + 1)[erased != 0])


@pytest.mark.parametrize("settings", [{"mixup": 1.0}, {"cutmix": 1.0}, {"mixup": 0.5, "cutmix": 0.5}])
def test_mixing_shares_labels_as_it_shares_images(settings):
    """Where each image shows its class everywhere, what is seen of it is its share of the label."""
    labels = torch.arange(6)
    shown = torch.nn.functional.one_hot(labels, 6).float()[:, :, None, None].expand(6, 6, 16, 16)
    rng = np.random.default_rng(3)
    for _ in range(10):
        mixed, targets = Augmentation(**settings).mixed(shown, labels, 6, rng)
        torch.testing.assert_close(mixed.mean(dim=(2, 3)), targets)
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
        assert mixed.shape == shown.shape


def test_a_part_of_the_batches_is_mixed():
    labels, rng = torch.arange(4), np.random.default_rng(0)
    augmentation = Augmentation(mixup=1.0, mix=0.25)
    found = [augmentation.mixed(images(), labels, 4, rng) for _ in range(200)]
    whole = [torch.equal(mixed, images()) for mixed, _ in found]
    assert np.mean(whole) == pytest.approx(0.75, abs=0.1)
    assert all(
        torch.equal(shares, torch.eye(4)) for is_whole, (_, shares) in zip(whole, found, strict=True) if is_whole
    )
    assert not Augmentation(mixup=1.0, mix=0.0).mixes


def test_training_batches_of_mixed_images_have_shares_of_the_classes():
    task = digits()
    model = torch.nn.Linear(1, 10)
    (inputs, targets), *_ = task.train_batches(
        model, batch_size=64, rng=np.random.default_rng(0), augmentation=Augmentation(cutmix=1.0)
    )
    assert inputs.shape == (64, 1, 32, 32)
    assert targets.shape == (64, 10)
    scores = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    expected = -(targets * scores.log_softmax(dim=1)).sum(dim=1).mean()
    torch.testing.assert_close(task.loss(scores, targets), expected)
    torch.testing.assert_close(task.distillation_loss(scores, scores, targets), task.loss(scores, scores.softmax(1)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"erase": 1.5}, "erase"),
        ({"cutmix": -1}, "cutmix"),
        ({"mix": 1.5}, "mix is a probability"),
        ({"rotate": -1}, "rotate"),
        ({"zoom": (1.2, 0.8)}, "zoom"),
        ({"flip": 1.5}, "flip"),
        ({"noise": -0.1}, "noise"),
    ],
)
def test_impossible_settings_are_named(setting, message):
    with pytest.raises(ValueError, match=f"augmentation: {message}"):
        Augmentation(**setting)


def test_training_batches_visit_every_image_once_in_an_order_of_their_generator():
    task = digits()
    model = torch.nn.Identity()

    def epoch(seed: int, **settings: object) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(task.train_batches(model, batch_size=64, rng=np.random.default_rng(seed), **settings))

    batches = epoch(0)
    assert {len(labels) for _, labels in batches} == {64}
    assert len(batches) == 897 // 64
    assert len({x.numpy().tobytes() for inputs, _ in batches for x in inputs}) > 0.95 * 14 * 64
    torch.testing.assert_close(epoch(0), batches)
    assert not torch.equal(epoch(1)[0][0], batches[0][0])
    changed = epoch(0, augmentation=Augmentation(rotate=10))
    assert torch.equal(changed[0][1], batches[0][1])
    assert not torch.equal(changed[0][0], batches[0][0])


def test_a_batch_larger_than_the_data_holds_all_of_it():
    (batch,) = digits().train_batches(torch.nn.Identity(), batch_size=5000, rng=np.random.default_rng(0))
    assert len(batch[0]) == 897
