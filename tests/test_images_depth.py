"""Images of more than 8 bits: their true depth, and nothing clipped."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.images import ImageError, file_facts, from_pillow, load_image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)


def saved(folder: Path, image: Image.Image, name: str, **options: Any) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_grey_of_16_bits_keeps_its_values(tmp_path: Path, name: str) -> None:
    deep = RNG.integers(0, 65536, (5, 7)).astype(np.uint16)
    deep[0, 0] = 16384  # one above 14 bits is enough
    read = load_image(saved(tmp_path, Image.fromarray(deep), name))
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read[..., 0], deep)


def test_the_other_byte_order_reads_the_same(tmp_path: Path) -> None:
    deep = RNG.integers(20000, 65536, (5, 7)).astype(np.uint16)
    path = saved(tmp_path, Image.frombytes("I;16B", (7, 5), deep.astype(">u2").tobytes()), "a.tif")
    np.testing.assert_array_equal(load_image(path)[..., 0], deep)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_fewer_bits_stored_in_16_fill_the_range(tmp_path: Path, bits: int) -> None:
    top = 2**bits - 1
    stored = np.array([[0, 1, 2 ** (bits - 1), top]], np.uint16)
    path = saved(tmp_path, Image.fromarray(stored), "a.png")
    read = load_image(path)
    assert read.dtype == np.uint16
    np.testing.assert_allclose(read[0, :, 0] / 65535, stored[0] / top, atol=1 / top / 2 ** (16 - bits))
    assert read.max() == 65535
    np.testing.assert_array_equal(load_image(path, bits=16)[..., 0], stored)  # as it is, where the depth is known


def test_a_given_depth_counts_and_clips_nothing(tmp_path: Path) -> None:
    dark = saved(tmp_path, Image.fromarray(np.array([[0, 200, 1000]], np.uint16)), "a.png")  # of a 12-bit detector
    np.testing.assert_allclose(load_image(dark, bits=12)[0, :, 0] / 65535, np.array([0, 200, 1000]) / 4095, atol=1e-4)
    assert load_image(dark)[0, 2, 0] > load_image(dark, bits=12)[0, 2, 0]
    with pytest.raises(ImageError, match="holds the value 1000, which 8 bits do not"):
        load_image(dark, bits=8)
    np.testing.assert_array_equal(load_image(saved(tmp_path, Image.fromarray(GREY), "b.png"), bits=12)[..., 0], GREY)


@pytest.mark.parametrize(("told", "expected"), [(4095, 4095), (1023, 1023), (900, 1023), (65535, 1023)])
def test_a_tiff_may_tell_its_depth(tmp_path: Path, told: int, expected: int) -> None:
    stored = np.array([[0, 512, 700]], np.uint16)
    path = saved(tmp_path, Image.fromarray(stored), "a.tif", tiffinfo={281: told})
    assert file_facts(path)["bits"] == 16
    np.testing.assert_allclose(load_image(path)[0, :, 0] / 65535, stored[0] / expected, atol=1e-3)


def test_a_tiff_of_packed_12_bits(tmp_path: Path) -> None:
    stored = [0, 1, 2048, 300]
    packed = b"".join(
        bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in zip(stored[::2], stored[1::2], strict=True)
    )
    path = tmp_path / "a.tif"
    path.write_bytes(tiff({256: 4, 257: 1, 258: 12, 259: 1, 262: 1, 277: 1, 278: 1}, packed))
    assert file_facts(path)["bits"] == 12
    np.testing.assert_allclose(load_image(path)[0, :, 0] / 65535, np.array(stored) / 4095, atol=1e-4)


def test_where_white_is_zero_deep_greys_are_inverted(tmp_path: Path) -> None:
    stored = np.array([[0, 10000, 65535]], "<u2")
    path = tmp_path / "a.tif"
    path.write_bytes(tiff({256: 3, 257: 1, 258: 16, 259: 1, 262: 0, 277: 1, 278: 1}, stored.tobytes()))
    np.testing.assert_array_equal(load_image(path)[0, :, 0], 65535 - stored[0])


def tiff(fields: dict[int, int], pixels: bytes) -> bytes:
    """A little-endian TIFF of one strip."""
    fields = {**fields, 273: 8, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, fields[tag]) for tag in sorted(fields))
    return (
        struct.pack("<2sHI", b"II", 42, 8 + len(pixels)) + pixels + struct.pack("<H", len(fields)) + entries + bytes(4)
    )


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG of rows that begin with their filter byte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_colours_of_16_bits_come_as_their_upper_8(tmp_path: Path, kind: str) -> None:
    deep = RNG.integers(0, 65536, (5, 7, 3)).astype(np.uint16)
    path = tmp_path / f"a.{kind}"
    if kind == "png":
        rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
        path.write_bytes(png(7, 5, 16, 2, rows))
    else:
        skimage_io = pytest.importorskip("tifffile")
        skimage_io.imwrite(path, deep, photometric="rgb")
    np.testing.assert_array_equal(load_image(path), deep >> 8)
    assert file_facts(path)["bits"] == 16  # so that the loss can be told


def test_jpeg_2000_of_16_bits(tmp_path: Path) -> None:
    deep = RNG.integers(0, 65536, (8, 9)).astype(np.uint16)
    path = saved(tmp_path, Image.fromarray(deep), "a.jp2", irreversible=False)
    np.testing.assert_array_equal(load_image(path)[..., 0], deep)


def test_8_bits_stored_in_16_come_as_8(tmp_path: Path) -> None:
    read = load_image(saved(tmp_path, Image.fromarray(GREY.astype(np.uint16)), "a.png"))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read[..., 0], GREY)


def test_32_bit_whole_numbers_within_16_bits_are_kept(tmp_path: Path) -> None:
    numbers = RNG.integers(0, 65536, (5, 7)).astype(np.int32)
    numbers[0, 0] = 60000
    np.testing.assert_array_equal(load_image(saved(tmp_path, Image.fromarray(numbers), "a.tif"))[..., 0], numbers)


def test_hounsfield_units_are_scaled_from_their_own_range(tmp_path: Path) -> None:
    units = np.array([[-1000, 0, 1000]], np.int32)
    np.testing.assert_array_equal(
        load_image(saved(tmp_path, Image.fromarray(units), "a.tif"))[0, :, 0], [0, 32768, 65535]
    )


def test_floating_greys(tmp_path: Path) -> None:
    unit = np.array([[0, 0.25, 0.5]], np.float32)  # not stretched: 0 to 1 is a known range
    np.testing.assert_array_equal(
        load_image(saved(tmp_path, Image.fromarray(unit), "a.tif"))[0, :, 0], [0, 16384, 32768]
    )
    wild = np.array([[np.nan, -2, 0.5, 3, np.inf]], np.float32)
    read = load_image(saved(tmp_path, Image.fromarray(wild), "b.tif"))[0, :, 0]
    np.testing.assert_array_equal(read, [0, 0, 32768, 65535, 65535])
    constant = np.full((2, 2), -7.5, np.float32)
    np.testing.assert_array_equal(load_image(saved(tmp_path, Image.fromarray(constant), "c.tif")), np.zeros((2, 2, 1)))


def test_no_finite_number_is_an_error(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.full((2, 2), np.nan, np.float32)), "a.tif")
    with pytest.raises(ImageError, match="no finite number"):
        load_image(path)


def test_an_image_that_is_open_already_is_read_by_the_same_rules() -> None:
    wide = np.array([[0, 4095]], np.uint16)
    np.testing.assert_array_equal(from_pillow(Image.fromarray(wide))[0, :, 0], [0, 65535])
    assert from_pillow(Image.new("LA", (2, 3), (9, 255))).shape == (3, 2, 1)
