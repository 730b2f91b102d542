"""The bundle's own image reading agrees with Pillow."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hardware.bundle.templates.images import ImageError, read_image

MODES = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,)}
sizes = st.integers(1, 24)
seeds = st.integers(0, 2**32 - 1)


def by_pillow(data, channels):
    with Image.open(io.BytesIO(data)) as image:
        converted = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return converted.reshape(*converted.shape[:2], channels)


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour, filters, rows, palette=b"", interlaced=0):
    """A PNG with these filter types and raw filtered rows: any bytes make a valid image."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    lines = b"".join(bytes([filters[y]]) + rows[y].tobytes() for y in range(height))
    body = zlib.compress(lines)
    middle = chunk(b"PLTE", palette) if palette else b""
    data = chunk(b"IDAT", body[: len(body) // 2]) + chunk(b"IDAT", body[len(body) // 2 :])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + middle + data + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("images") / "image"


@given(st.sampled_from(sorted(MODES)), sizes, sizes, st.sampled_from([1, 3]), seeds)
@settings(max_examples=60, deadline=None)
def test_png_equals_pillow(path, mode, width, height, channels, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, *MODES[mode]), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels))
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path, channels), by_pillow(data, channels))


@given(st.sampled_from([(0, 1), (2, 3), (4, 2), (6, 4)]), sizes, sizes, seeds)
@settings(max_examples=60, deadline=None)
def test_every_png_filter(path, kind, width, height, seed):
    colour, n_samples = kind
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (height, width * n_samples), dtype=np.uint8)
    data = png(width, height, 8, colour, rng.integers(0, 5, height), rows)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path, 3), by_pillow(data, 3))


@given(st.sampled_from([1, 2, 4, 8]), st.booleans(), sizes, sizes, st.sampled_from([1, 3]), seeds)
@settings(max_examples=60, deadline=None)
def test_few_bits_and_palettes(path, depth, with_palette, width, height, channels, seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (height, (width * depth + 7) // 8), dtype=np.uint8)
    palette = rng.integers(0, 256, 3 * 2**depth, dtype=np.uint8).tobytes() if with_palette else b""
    data = png(width, height, depth, 3 if with_palette else 0, np.zeros(height, int), rows, palette)
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path, channels), by_pillow(data, channels))


@given(st.booleans(), sizes, sizes, st.sampled_from([1, 3]), seeds)
@settings(max_examples=25, deadline=None)
def test_binary_netpbm(path, colour, width, height, channels, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, *((3,) if colour else ())), dtype=np.uint8)
    data = encoded(Image.fromarray(pixels), "PPM")
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path, channels), by_pillow(data, channels))


@pytest.mark.parametrize("kind", [b"P2", b"P5", b"P3", b"P6"])
@pytest.mark.parametrize("largest", [1, 7, 100, 255])
def test_netpbm_of_smaller_range_with_comments(path, kind, largest):
    values = np.random.default_rng(0).integers(0, largest + 1, 4 * 3 * (3 if kind in (b"P3", b"P6") else 1))
    header = kind + b"\n# a comment\n 4 # width\n3\n%d\n" % largest
    text = kind in (b"P2", b"P3")
    data = header + (" ".join(map(str, values)).encode() if text else values.astype(np.uint8).tobytes())
    path.write_bytes(data)
    np.testing.assert_array_equal(read_image(path, 3), by_pillow(data, 3))


def test_npy_is_an_image(path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    with path.open("wb") as file:
        np.save(file, pixels)
    np.testing.assert_array_equal(read_image(path, 3), pixels)
    expected = np.asarray(Image.fromarray(pixels).convert("L"))
    np.testing.assert_array_equal(read_image(path, 1)[..., 0], expected)


def test_other_kinds_go_through_pillow(path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8))
    for data in (encoded(image, "JPEG"), encoded(image, "BMP")):
        path.write_bytes(data)
        np.testing.assert_array_equal(read_image(path, 3), by_pillow(data, 3))


def test_without_pillow_other_kinds_say_so(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    path.write_bytes(b"\xff\xd8\xff\xe0 something")
    with pytest.raises(ImageError, match="install Pillow"):
        read_image(path, 3)
    path.write_bytes(png(2, 2, 8, 0, [0, 0], np.zeros((2, 2), np.uint8), interlaced=1))
    with pytest.raises(ImageError, match=r"interlaced PNG: install Pillow"):
        read_image(path, 3)


def broken_files():
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), dtype=np.uint8)))
    flipped = bytearray(whole)
    flipped[60] ^= 1
    floats = io.BytesIO()
    np.save(floats, np.zeros((4, 4, 3)))
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    grey = np.zeros((2, 4), np.uint8)
    yield "truncated", whole[: len(whole) // 2]
    yield "no end", whole[:-12]
    yield "checksum", bytes(flipped)
    yield "only the signature", whole[:8]
    yield (
        "too few rows",
        png(4, 2, 8, 0, [0, 0], grey).replace(
            chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 8, 0, 0, 0, 0)),
            chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 9, 8, 0, 0, 0, 0)),
        ),
    )
    yield "unknown filter", png(4, 2, 8, 0, [0, 9], grey)
    yield "no such colour", png(4, 2, 8, 3, [0, 0], grey + 5, bytes(6))
    yield (
        "huge",
        png(4, 2, 8, 0, [0, 0], grey).replace(
            chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 8, 0, 0, 0, 0)),
            chunk(b"IHDR", struct.pack(">IIBBBBB", 2**30, 2**30, 8, 0, 0, 0, 0)),
        ),
    )
    yield "short ppm", b"P6 4 4 255\n123"
    yield "ppm without sizes", b"P6 hello"
    yield "words in a ppm", b"P2 2 1 255\none two"
    yield "npy of floats", floats.getvalue()
    yield "npy with objects", pickled.getvalue()
    yield "empty", b""
    yield "text", b"hello"


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in broken_files()])
def test_broken_files_raise(path, data):
    path.write_bytes(data)
    with pytest.raises(ImageError):
        read_image(path, 3)
