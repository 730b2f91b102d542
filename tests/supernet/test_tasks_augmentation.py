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


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"rotate": -1}, "rotate"), ({"zoom": (1.2, 0.8)}, "zoom"), ({"flip": 1.5}, "flip"), ({"noise": -0.1}, "noise")],
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
