"""The bundle's preprocessing equals Pillow's resampling and timm's evaluation transform, to the last bit."""

import numpy as np
import PIL
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.data import create_transform

from hardware.bundle.templates.preprocessing import preprocess, resize

PILLOW = int(PIL.__version__.partition(".")[0])
INTERPOLATIONS = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
lengths = st.integers(1, 70)
seeds = st.integers(0, 2**32 - 1)


def random_pixels(seed, height, width, channels):
    """Noise; for odd seeds only black and white, where bicubic and lanczos overshoot."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    return np.where(pixels > 127, 255, 0).astype(np.uint8) if seed % 2 else pixels


def as_image(pixels):
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


@given(st.sampled_from(INTERPOLATIONS), st.sampled_from([1, 3]), lengths, lengths, lengths, lengths, seeds)
@settings(max_examples=100, deadline=None)
def test_resize_equals_pillow(interpolation, channels, height, width, new_height, new_width, seed):
    pixels = random_pixels(seed, height, width, channels)
    filter_ = Image.Resampling[interpolation.upper()]
    expected = np.asarray(as_image(pixels).resize((new_width, new_height), filter_)).reshape(
        new_height, new_width, channels
    )
    np.testing.assert_array_equal(resize(pixels, (new_height, new_width), interpolation, PILLOW), expected)


@given(
    st.sampled_from(["bilinear", "bicubic", "nearest"]),
    st.sampled_from([0.875, 0.9, 0.95, 1.0]),
    st.sampled_from(["center", "squash", "border"]),
    st.sampled_from([1, 3]),
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.booleans()),
    lengths,
    lengths,
    seeds,
)
@settings(max_examples=100, deadline=None)
def test_preprocess_equals_timm(interpolation, crop_pct, crop_mode, channels, size, height, width, seed):
    assume(max(height, width) <= 20 * min(height, width))  # else a side may round to nothing, which Pillow refuses
    rng = np.random.default_rng(seed)
    transform = {
        "input_size": [channels, size[0], size[0] if size[2] else size[1]],
        "interpolation": interpolation,
        "crop_pct": crop_pct,
        "crop_mode": crop_mode,
        "mean": rng.random(channels).tolist(),
        "std": (rng.random(channels) + 0.1).tolist(),
    }
    pixels = random_pixels(seed, height, width, channels)
    try:
        expected = create_transform(**transform)(as_image(pixels)).numpy()
    except ValueError:
        assume(False)
    result = preprocess(pixels, {**transform, "pillow": PILLOW})
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)


def test_order_of_passes_depends_on_the_version_of_pillow():
    pixels = random_pixels(1, 60, 20, 3)  # three times as much lost in height as won in width
    one_axis_at_a_time = resize(resize(pixels, (30, 20), "bicubic"), (30, 25), "bicubic")
    np.testing.assert_array_equal(resize(pixels, (30, 25), "bicubic", 13), one_axis_at_a_time)
    other_order = resize(resize(pixels, (60, 25), "bicubic"), (30, 25), "bicubic")
    np.testing.assert_array_equal(resize(pixels, (30, 25), "bicubic", 12), other_order)
    assert (other_order != one_axis_at_a_time).any()


def test_unknown_interpolation_is_named():
    with pytest.raises(ValueError, match="'cubic' is not one of"):
        resize(random_pixels(0, 4, 4, 1), (2, 2), "cubic")
