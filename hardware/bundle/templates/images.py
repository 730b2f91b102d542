"""Reads image files into arrays with numpy and the standard library; Pillow, if installed, reads all other kinds."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

Pixels = Any
"""8-bit array of shape (height, width, channels); typed loosely for the old numpy versions that devices have."""

_MOST_PIXELS = 2**28
_PNG = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # PNG colour type -> samples per pixel


class ImageError(ValueError):
    """A file holds no image, or a broken one."""


class UnsupportedImage(ImageError):
    """An image of a kind that needs Pillow."""


def read_image(path: Path, channels: int) -> Pixels:
    """The image as 8-bit array of shape (height, width, channels), converted as Pillow's `convert` does.

    Reads PNG (up to 8 bits, not interlaced), PGM/PPM and .npy (8-bit, shape (height, width[, 1, 3 or 4])) by itself.
    Raises OSError for a missing or unreadable file, ImageError for one that holds no complete image.
    """
    data = Path(path).read_bytes()
    try:
        pixels = _decode(data)
    except UnsupportedImage as unsupported:
        return _by_pillow(data, channels, str(unsupported))
    return _converted(pixels, channels)


def _decode(data: bytes) -> Pixels:
    if data.startswith(_PNG):
        return decode_png(data)
    if data[:2] in (b"P2", b"P3", b"P5", b"P6"):
        return decode_pnm(data)
    if data.startswith(b"\x93NUMPY"):
        return decode_npy(data)
    raise UnsupportedImage("neither PNG, PGM, PPM nor .npy")


def _converted(pixels: Pixels, channels: int) -> Pixels:
    """Grey <-> colour; transparency is dropped, luma is ITU-R 601-2 in 16-bit fixed point, as Pillow computes it."""
    colour = pixels[..., :3] if pixels.shape[2] > 2 else pixels[..., :1]
    if channels == colour.shape[2]:
        return np.ascontiguousarray(colour)
    if channels == 3:
        return np.repeat(colour, 3, axis=2)
    if channels == 1:
        luma = (colour.astype(np.int64) @ np.array([19595, 38470, 7471]) + 0x8000) >> 16
        return luma[..., None].astype(np.uint8)
    raise ImageError(f"the model takes {channels} channels; images have 1 or 3")


def _by_pillow(data: bytes, channels: int, why: str) -> Pixels:
    try:
        from PIL import Image
    except ImportError:
        raise ImageError(f"{why}: install Pillow (`pip install pillow`) to read this file") from None
    if channels not in (1, 3):
        raise ImageError(f"the model takes {channels} channels; images have 1 or 3")
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"not a readable image: {error}") from error
    return pixels.reshape(pixels.shape[0], pixels.shape[1], channels)


def _check_size(width: int, height: int) -> None:
    if not (width > 0 and height > 0 and width * height <= _MOST_PIXELS):
        raise ImageError(f"broken or too large image: {width}x{height} pixels")


# --- .npy ---


def decode_npy(data: bytes) -> Pixels:
    """An 8-bit array of shape (height, width) or (height, width, 1, 3 or 4)."""
    try:
        pixels = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ImageError(f"broken .npy file: {error}") from error
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4):
        raise ImageError(
            f"an .npy image is uint8 of shape (height, width[, 1, 3 or 4]), not {pixels.dtype} of {pixels.shape}"
        )
    _check_size(pixels.shape[1], pixels.shape[0])
    return pixels


# --- PGM and PPM ---


def decode_pnm(data: bytes) -> Pixels:
    """Netpbm P2, P3, P5 and P6 with up to 8 bits a sample, scaled to 0..255."""
    width, height, largest, start = _pnm_header(data)
    _check_size(width, height)
    if not 0 < largest < 256:
        raise UnsupportedImage(f"PGM/PPM with a largest value of {largest}")
    channels = 3 if data[1:2] in b"36" else 1
    n_values = width * height * channels
    if data[1:2] in b"56":
        values = np.frombuffer(data, np.uint8, offset=start)[:n_values]
    else:
        try:
            values = np.array(data[start:].split()[:n_values], dtype=np.int64)
        except ValueError as error:
            raise ImageError(f"broken PGM/PPM file: {error}") from error
    if len(values) < n_values:
        raise ImageError(f"truncated PGM/PPM file: {len(values)} of {n_values} values")
    if values.min() < 0 or (data[1:2] in b"23" and values.max() > largest):
        raise ImageError(f"broken PGM/PPM file: values outside 0..{largest}")
    scaled = np.minimum(np.rint(values / largest * 255), 255)
    return scaled.astype(np.uint8).reshape(height, width, channels)


def _pnm_header(data: bytes) -> tuple[int, int, int, int]:
    """Width, height, largest value, and where the pixels start."""
    numbers: list[int] = []
    position = 2
    while len(numbers) < 3:
        while data[position : position + 1].isspace():
            position += 1
        end = position
        if data[position : position + 1] == b"#":
            while data[end : end + 1] not in (b"", b"\n", b"\r"):
                end += 1
        else:
            while data[end : end + 1].isdigit() and end < position + 10:
                end += 1
            if end == position:
                raise ImageError("broken PGM/PPM header")
            numbers.append(int(data[position:end]))
        position = end
    return numbers[0], numbers[1], numbers[2], position + 1


# --- PNG ---


def decode_png(data: bytes) -> Pixels:
    """Grey, RGB, palette and their variants with alpha; shape (height, width, 1 to 4)."""
    chunks = _png_chunks(data)
    header = chunks.get(b"IHDR", b"")
    if len(header) != 13:
        raise ImageError("broken PNG file: no header")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    _check_size(width, height)
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise ImageError(f"broken PNG file: colour type {colour} with {depth} bits")
    if interlaced or depth == 16:
        raise UnsupportedImage("interlaced PNG" if interlaced else "PNG of 16 bits a sample")
    if depth < 8 and colour not in (0, 3):
        raise ImageError(f"broken PNG file: colour type {colour} with {depth} bits")
    n_channels = _CHANNELS[colour]
    row_bytes = (width * n_channels * depth + 7) // 8
    lines = _inflated(chunks.get(b"IDAT", b""), height * (row_bytes + 1)).reshape(height, row_bytes + 1)
    step = n_channels if depth == 8 else 1
    samples = _unfiltered(lines[:, 0], lines[:, 1:].reshape(height, row_bytes // step, step))
    if depth < 8:
        samples = _unpacked(samples[..., 0], depth)[:, :width, None]
    if colour == 3:
        return _from_palette(samples[..., 0], chunks.get(b"PLTE", b""))
    return samples if depth == 8 else samples * np.uint8(255 // (2**depth - 1))


def _png_chunks(data: bytes) -> dict[bytes, bytes]:
    """The first chunk of each kind; all image data joined."""
    chunks: dict[bytes, bytes] = {}
    image_data: list[bytes] = []
    position = len(_PNG)
    while b"IEND" not in chunks:
        if position + 12 > len(data):
            raise ImageError("truncated PNG file")
        (length,) = struct.unpack_from(">I", data, position)
        kind, body = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length
        if position > len(data):
            raise ImageError("truncated PNG file")
        if zlib.crc32(kind + body) != struct.unpack_from(">I", data, position - 4)[0]:
            raise ImageError(f"broken PNG file: wrong checksum of chunk {kind.decode('latin1')}")
        if kind == b"IDAT":
            image_data.append(body)
        else:
            chunks.setdefault(kind, body)
    chunks[b"IDAT"] = b"".join(image_data)
    return chunks


def _inflated(data: bytes, n_bytes: int) -> Pixels:
    try:
        inflated = zlib.decompressobj().decompress(data, n_bytes)
    except zlib.error as error:
        raise ImageError(f"broken PNG file: {error}") from error
    if len(inflated) < n_bytes:
        raise ImageError("truncated PNG file")
    return np.frombuffer(inflated, np.uint8)


def _unfiltered(filters: Pixels, rows: Pixels) -> Pixels:
    """Undoes PNG's row filters, which predict a byte from those left (a), above (b) and above left (c).

    All bytes of one anti-diagonal depend only on the two diagonals before, so each diagonal is one vector operation.
    `rows` has shape (height, width, bytes per pixel), `filters` one entry a row.
    """
    if filters.size and filters.max() > 4:
        raise ImageError("broken PNG file: unknown filter")
    height, width, _ = rows.shape
    diagonals = np.zeros((width + height + 1, height + 1, rows.shape[2]), np.uint8)  # [x + y + 2, y + 1]
    for y in range(height):
        diagonals[y + 2 : y + 2 + width, y + 1] = rows[y]
    for i in range(width + height - 1):
        first, last = max(0, i - width + 1), min(height, i + 1)
        kind = filters[first:last, None]
        a = diagonals[i + 1, first + 1 : last + 1].astype(np.int16)
        b = diagonals[i + 1, first:last].astype(np.int16)
        c = diagonals[i, first:last].astype(np.int16)
        predicted = np.choose(kind, [np.zeros_like(a), a, b, (a + b) >> 1, _paeth(a, b, c)])
        diagonals[i + 2, first + 1 : last + 1] += predicted.astype(np.uint8)
    unfiltered = np.empty_like(rows)
    for y in range(height):
        unfiltered[y] = diagonals[y + 2 : y + 2 + width, y + 1]
    return unfiltered


def _paeth(a: Pixels, b: Pixels, c: Pixels) -> Pixels:
    """Whichever neighbour is nearest to a + b - c, in the order left, above, above left."""
    to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    return np.where((to_a <= to_b) & (to_a <= to_c), a, np.where(to_b <= to_c, b, c))


def _unpacked(packed: Pixels, depth: int) -> Pixels:
    bits = np.unpackbits(packed, axis=1).reshape(len(packed), -1, depth)
    return (bits @ (1 << np.arange(depth - 1, -1, -1, dtype=np.uint8))).astype(np.uint8)


def _from_palette(indices: Pixels, palette: bytes) -> Pixels:
    colours = np.frombuffer(palette, np.uint8)[: len(palette) // 3 * 3].reshape(-1, 3)
    if indices.max() >= len(colours):
        raise ImageError(f"broken PNG file: colour {indices.max()} of a palette of {len(colours)}")
    return colours[indices]
