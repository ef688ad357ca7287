"""Every kind of image file has a decided outcome."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from medplug.images import MAX_PIXELS, ImageError, file_facts, load_image

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7), np.uint8)


def saved(folder: Path, image: Image.Image, name: str, **options: Any) -> Path:
    path = folder / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.pgm", "a.gif"])
def test_grey_of_8_bits_keeps_one_channel_and_its_values(tmp_path: Path, name: str) -> None:
    read = load_image(saved(tmp_path, Image.fromarray(GREY), name))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, GREY[..., None])


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.ppm"])
def test_colour_keeps_three_channels_and_its_values(tmp_path: Path, name: str) -> None:
    read = load_image(saved(tmp_path, Image.fromarray(COLOUR), name))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, COLOUR)


def test_the_content_counts_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "really_a_png.jpg"
    Image.fromarray(COLOUR).save(path, format="PNG")
    np.testing.assert_array_equal(load_image(path), COLOUR)


# ---------------------------------------------------------------- palettes, transparency, colour spaces


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    indices = RNG.integers(0, 4, (5, 7), np.uint8)
    palette = np.array([[200, 0, 0], [0, 150, 0], [0, 0, 100], [9, 8, 7]], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    np.testing.assert_array_equal(load_image(saved(tmp_path, image, "a.png")), palette[indices])


def test_of_a_moving_gif_the_first_frame_counts(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((5, 7, 3), level, np.uint8)) for level in (40, 200)]
    path = saved(tmp_path, frames[0], "a.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(load_image(path), np.full((5, 7, 1), 40))  # a palette of greys is grey


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.webp"])
def test_of_many_pages_the_first_counts_and_the_facts_tell_of_the_others(tmp_path: Path, name: str) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(255 - GREY), Image.fromarray(GREY // 2)]
    options = {"lossless": True} if name == "a.webp" else {}
    path = saved(tmp_path, pages[0], name, save_all=True, append_images=pages[1:], **options)
    np.testing.assert_array_equal(load_image(path)[..., 0], GREY)
    assert file_facts(path)["frames"] == 3


@pytest.mark.parametrize("name", ["a.jpg", "a.jpeg", "a.webp", "a.jp2"])
def test_lossy_formats_come_close(tmp_path: Path, name: str) -> None:
    smooth = np.add.outer(np.arange(40), np.arange(56))[..., None].repeat(3, -1).astype(np.uint8)
    read = load_image(saved(tmp_path, Image.fromarray(smooth), name))
    assert (read.dtype, read.shape) == (np.uint8, (40, 56, 3))
    np.testing.assert_allclose(read.astype(int), smooth, atol=12)


def test_the_facts_of_a_file(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(COLOUR), "a.PNG", format="JPEG", quality=50)
    facts = file_facts(path)
    finer = file_facts(saved(tmp_path, Image.fromarray(COLOUR), "b.jpg", quality=95))
    assert facts.pop("quality") > finer["quality"]
    assert facts == {
        "format": "JPEG", "extension": ".png", "mode": "RGB", "bits": 8, "width": 7, "height": 5, "frames": 1,
        "bytes": path.stat().st_size, "exif": 0,
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = 1
    assert file_facts(saved(tmp_path, Image.fromarray(GREY), "c.jpg", exif=exif))["exif"] == 1
    path.write_bytes(b"no image")
    assert file_facts(path) == file_facts(tmp_path / "none.png") == {}


@pytest.mark.parametrize(
    ("mode", "bits"), [("1", 1), ("L", 8), ("P", 8), ("RGB", 8), ("RGBA", 8), ("I;16", 16), ("I", 32), ("F", 32)]
)
def test_the_facts_know_the_stored_bits(tmp_path: Path, mode: str, bits: int) -> None:
    assert file_facts(saved(tmp_path, Image.new(mode, (3, 3)), "a.tif"))["bits"] == bits


def test_transparency_is_flattened_on_black(tmp_path: Path) -> None:
    rgba = np.dstack([COLOUR, ALPHA])
    expected = COLOUR * (ALPHA[..., None] / 255.0)
    read = load_image(saved(tmp_path, Image.fromarray(rgba), "rgba.png"))
    np.testing.assert_allclose(read, expected, atol=1)
    two = load_image(saved(tmp_path, Image.fromarray(np.dstack([GREY, ALPHA]), "LA"), "la.png"))
    assert two.shape == (5, 7, 1)
    np.testing.assert_allclose(two[..., 0], GREY * (ALPHA / 255.0), atol=1)


def test_a_transparent_palette_entry_becomes_black(tmp_path: Path) -> None:
    indices = RNG.integers(0, 2, (5, 7), np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(bytes([200, 100, 50, 10, 20, 30]))
    read = load_image(saved(tmp_path, image, "a.png", transparency=0))
    np.testing.assert_array_equal(read, np.array([[0, 0, 0], [10, 20, 30]])[indices])


def test_a_transparent_colour_becomes_black(tmp_path: Path) -> None:
    level = int(GREY[0, 0])
    read = load_image(saved(tmp_path, Image.fromarray(GREY), "a.png", transparency=level))
    np.testing.assert_array_equal(read[..., 0], np.where(level == GREY, 0, GREY))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[:, 4:] = (0, 255, 255, 0)  # magenta and yellow: red
    read = load_image(saved(tmp_path, Image.fromarray(ink, "CMYK"), "a.tif"))
    np.testing.assert_array_equal(read[0, [0, 7]], [[255, 255, 255], [255, 0, 0]])
    jpeg = load_image(saved(tmp_path, Image.fromarray(ink, "CMYK"), "a.jpg", quality=95))
    np.testing.assert_allclose(jpeg[0, [0, 7]].astype(int), [[255, 255, 255], [255, 0, 0]], atol=12)


def test_lab_becomes_rgb(tmp_path: Path) -> None:
    rgb = Image.new("RGB", (4, 4), (180, 90, 40))
    lab = ImageCms.profileToProfile(
        rgb, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    np.testing.assert_allclose(load_image(saved(tmp_path, lab, "a.tif"))[0, 0].astype(int), [180, 90, 40], atol=4)


def test_one_bit_becomes_0_and_255(tmp_path: Path) -> None:
    bits = GREY > 127
    read = load_image(saved(tmp_path, Image.fromarray(bits), "a.png"))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read[..., 0], np.where(bits, 255, 0))


def test_the_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the file is the right of the scene: turn clockwise to view
    path = saved(tmp_path, Image.fromarray(GREY), "a.png", exif=exif)
    np.testing.assert_array_equal(load_image(path)[..., 0], np.rot90(GREY, -1))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # as medplug.images does, but pytest resets the filters
@pytest.mark.parametrize("junk", [b"Exif\0\0no tiff at all", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*"])
def test_damaged_exif_data_count_as_none(tmp_path: Path, junk: bytes) -> None:
    grey = np.full((8, 8), 99, np.uint8)
    path = saved(tmp_path, Image.fromarray(grey), "a.jpg", exif=junk)
    np.testing.assert_array_equal(load_image(path)[..., 0], grey)


# ---------------------------------------------------------------- what cannot be read


@pytest.mark.parametrize("content", [b"just text", b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"not an image file|damaged"):
        load_image(path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.bmp"])
def test_a_truncated_file_is_an_error(tmp_path: Path, name: str) -> None:
    image = Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8))
    path = saved(tmp_path, image, name)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"damaged or truncated|not an image"):
        load_image(path)


def test_a_missing_file_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        load_image(tmp_path / "no.png")
    with pytest.raises(ImageError, match="cannot be opened"):
        load_image(tmp_path)


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG of rows that begin with their filter byte."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("height", [MAX_PIXELS // 10_000 + 1, 17_000, 20_000])
@pytest.mark.parametrize("strict", [False, True])
def test_a_decompression_bomb_is_refused_unopened(tmp_path: Path, height: int, strict: bool) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png(10_000, height, 8, 0, b"\0" * 1000))  # promises a size and holds next to nothing
    with warnings.catch_warnings():
        warnings.simplefilter("error" if strict else "ignore")
        with pytest.raises(ImageError, match="exceed the limit"):
            load_image(path)


def test_the_limit_is_pillows_warning_threshold() -> None:
    assert MAX_PIXELS == Image.MAX_IMAGE_PIXELS


def encoded_samples() -> list[bytes]:
    def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        return stream.getvalue()

    colour = Image.fromarray(RNG.integers(0, 256, (24, 24, 3), np.uint8))
    kinds = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000")
    deflated = encode(colour, "TIFF", compression="tiff_adobe_deflate")
    return [*(encode(colour, kind) for kind in kinds), deflated]


@pytest.mark.filterwarnings("ignore")
def test_damaged_bytes_give_pixels_or_the_one_error(tmp_path: Path) -> None:
    """Whatever is flipped or cut, nothing but ImageError comes out."""
    draw = random.Random(0)
    path = tmp_path / "a.img"
    reasons: list[str] = []
    for whole in encoded_samples():
        for _ in range(40):
            damaged = bytearray(whole)
            for _ in range(draw.randint(1, 6)):
                damaged[draw.randrange(min(len(damaged), 400))] = draw.randrange(256)
            path.write_bytes(bytes(damaged[: draw.randint(1, len(damaged))]) if draw.random() < 0.3 else bytes(damaged))
            try:
                assert load_image(path).ndim == 3
            except ImageError as error:
                reasons.append(str(error))
    assert len(reasons) > 50
    assert all(reasons)


def test_convert_is_pillows_own_reading(tmp_path):
    """What pipelines see that call ``convert("RGB")``: bits above eight saturate, orientation and alpha are lost."""
    wide = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert (load_image(tmp_path / "wide.png", convert=True) == 255).mean() > 0.9
    turned = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    assert load_image(tmp_path / "turned.png").shape == (6, 4, 1)
    assert load_image(tmp_path / "turned.png", convert=True).shape == (4, 6, 3)
    clear = np.full((2, 2, 4), 200, np.uint8)
    clear[..., 3] = 0
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert load_image(tmp_path / "clear.png").max() == 0
    assert load_image(tmp_path / "clear.png", convert=True).min() == 200
