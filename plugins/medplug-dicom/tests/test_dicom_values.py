"""Stored values: those of the manifest of real files, and of small files whose values are known because they were written."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from medplug.plugins import ImageError
from medplug_dicom.decoders import PACKAGES, missing_decoder
from medplug_dicom.pixels import stored_values
from medplug_dicom.reader import Dicom

Write = Callable[..., Path]

DATA = Path(os.environ.get("MEDPLUG_DATA", "")) / "dicom"
ROWS: list[dict[str, str]] = []
if os.environ.get("MEDPLUG_DATA") and (DATA / "manifest.csv").exists():
    with (DATA / "manifest.csv").open(encoding="utf-8", newline="") as stream:
        ROWS = list(csv.DictReader(stream))
READABLE = [row for row in ROWS if not row["file"].startswith("unreadable/")]
UNREADABLE = [row for row in ROWS if row["file"].startswith("unreadable/")]
real = pytest.mark.skipif(not ROWS, reason="MEDPLUG_DATA is not set")
LOSSY = {
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
}  # decoders may differ by a level, and by how they enlarge colour
FIVE = ("MR_small", "MR_small_RLE", "MR_small_implicit", "MR_small_bigendian", "MR_small_jp2klossless")
REASONS = {
    "JPEG-lossy.dcm": r"JPEG Extended|damaged",
    "liver_rle.dcm": r"damaged, or of a kind that its decoder does not know",
    "MR_truncated.dcm": r"truncated: 8130 of 8192 bytes",
    "no_meta.dcm": r"DICM is missing at byte 128",
    "reportsi.dcm": r"no rows and columns of pixels \(SR\)",
    "emri_small_jpeg_2k_lossless_too_short.dcm": r"truncated: the compressed pixels have no end",
}


@real
@pytest.mark.parametrize("row", READABLE, ids=[row["file"] for row in READABLE])
def test_stored_values_are_those_of_the_manifest(row: dict[str, str]) -> None:
    lacking = missing_decoder(row["transfer_syntax"], int(row["bits_stored"]))
    if lacking:
        pytest.skip(lacking)
    values = stored_values(DATA / row["file"])
    assert "x".join(map(str, values.shape)) == row["decoded_shape"]
    assert values.dtype == np.dtype(row["decoded_dtype"]).newbyteorder("=")
    spread, mean = (2, 0.05) if row["transfer_syntax"] in LOSSY else (0, 0.00006)
    assert abs(int(values.min()) - int(row["decoded_min"])) <= spread
    assert abs(int(values.max()) - int(row["decoded_max"])) <= spread
    assert abs(float(values.mean()) - float(row["decoded_mean"])) <= mean


@real
@pytest.mark.parametrize("row", UNREADABLE, ids=[row["file"] for row in UNREADABLE])
def test_unreadable_files_say_why(row: dict[str, str]) -> None:
    path = DATA / row["file"]
    with pytest.raises(ImageError, match=REASONS[path.name]):
        stored_values(path)
    with pytest.raises(ImageError, match=REASONS[path.name]) as error:
        Dicom().load(str(path))
    assert str(path) not in str(error.value)


@real
def test_five_encodings_of_one_slice_give_the_same_pixels() -> None:
    first, *others = (Dicom().load(str(DATA / f"{name}.dcm")) for name in FIVE)
    assert first.shape == (64, 64, 1)
    assert len(np.unique(first)) > 100
    for other in others:
        assert other.dtype == first.dtype
        assert np.array_equal(first, other)


@real
def test_images_keep_the_contract() -> None:
    for row in READABLE:
        if missing_decoder(row["transfer_syntax"], int(row["bits_stored"])):
            continue
        image = Dicom().load(str(DATA / row["file"]))
        colour = row["samples_per_pixel"] == "3" or row["photometric"] == "PALETTE COLOR"
        assert image.shape == (int(row["rows"]), int(row["columns"]), 3 if colour else 1), row["file"]
        assert image.dtype in (np.uint8, np.uint16)
        assert image.max() > np.iinfo(image.dtype).max // 2, f"{row['file']} is dark: not its whole range is used"


# ---------------------------------------------------------------- files that are written here


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_uncompressed_syntaxes(syntax: str, write: Write, tmp_path: Path) -> None:
    pixels = np.arange(-8, 8, dtype=np.int16).reshape(4, 4) * 1000
    path = write("plain.dcm", pixels)
    dataset = Dataset()  # not the one that was read, which keeps its order of bytes
    dataset.update(dcmread(path))
    dataset.file_meta = dcmread(path).file_meta
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = pixels.astype(">i2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(tmp_path / "other.dcm", enforce_file_format=True)
    values = stored_values(tmp_path / "other.dcm")
    assert values.dtype == np.dtype("=i2")
    assert np.array_equal(values, pixels)
    assert np.array_equal(Dicom().load(str(tmp_path / "other.dcm")), Dicom().load(str(path)))


def test_a_compressed_file_and_its_frames(write: Write) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (3, 8, 9), np.uint16)
    path = write("frames.dcm", pixels, BitsStored=12)
    dataset = dcmread(path)
    dataset.compress(RLELossless)
    dataset.save_as(path)
    assert np.array_equal(stored_values(path), pixels)
    for frame in (1, 2, 3):
        assert np.array_equal(stored_values(path, frame), pixels[frame - 1])
    with pytest.raises(ImageError, match="has 3 frames, so that there is no frame 4"):
        stored_values(path, 4)
    with pytest.raises(ImageError, match="has 3 frames, so that there is no frame 0"):
        stored_values(path, 0)


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_by_pixel_and_by_plane(planar: int, write: Write) -> None:
    pixels = np.random.default_rng(planar).integers(0, 256, (5, 3, 3), np.uint8)
    path = write("colour.dcm", pixels)
    dataset = dcmread(path)
    dataset.PlanarConfiguration = planar
    dataset.PixelData = (np.moveaxis(pixels, -1, 0) if planar else pixels).tobytes() + b"\0"
    dataset.save_as(path)
    assert np.array_equal(stored_values(path), pixels)
    assert np.array_equal(Dicom().load(str(path)), pixels)


def test_ybr_full_by_hand(write: Write) -> None:
    """PS3.3 C.7.6.3.1.2: R = Y + 1.402 (Cr - 128), G = Y - 0.344 (Cb - 128) - 0.714 (Cr - 128), B = Y + 1.772 (Cb - 128)."""
    ybr = np.array([[[100, 128, 128], [100, 128, 228]], [[100, 228, 128], [255, 0, 255]]], np.uint8)
    path = write("ybr.dcm", ybr, PhotometricInterpretation="YBR_FULL")
    expected = [[[100, 100, 100], [240, 29, 100]], [[66, 100, 255], [255, 208, 28]]]
    expected[1][0][0] = 100  # red does not depend on the blue difference
    expected[1][0][1] = 66
    assert np.array_equal(Dicom().load(str(path)), expected)


@pytest.mark.parametrize(("kind", "bits"), [("YBR_PARTIAL_420", 8), ("HSV", 8), ("YBR_FULL", 16)])
def test_kinds_of_pixels_that_are_not_read(kind: str, bits: int, write: Write) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8 if bits == 8 else np.uint16)
    path = write("odd.dcm", pixels, PhotometricInterpretation=kind)
    with pytest.raises(ImageError, match=f"its pixels are {kind} .*which is not read"):
        Dicom().load(str(path))


def test_one_bit_per_pixel(write: Write) -> None:
    mask = np.random.default_rng(3).integers(0, 2, (8, 8), np.uint8)
    path = write("bits.dcm", mask, BitsAllocated=1, BitsStored=1)
    dataset = dcmread(path)
    dataset.PixelData = np.packbits(mask, bitorder="little").tobytes()
    dataset.save_as(path)
    assert np.array_equal(stored_values(path), mask)
    assert np.array_equal(Dicom().load(str(path))[..., 0], mask * 255)


def test_bits_above_those_stored_do_not_count(write: Write) -> None:
    """Twelve bits stored in sixteen; older devices wrote overlays into the other four."""
    pixels = np.array([[0x0123, 0xF123], [0x8FFF, 0x0FFF]], np.uint16)
    path = write("overlay.dcm", pixels, BitsStored=12)
    assert np.array_equal(stored_values(path), pixels & 0x0FFF)


# ---------------------------------------------------------------- what cannot be decoded


def _as_syntax(path: Path, uid: str, **attributes: Any) -> Path:
    """The file with other bytes for pixels, under a compressed syntax: its header is sound."""
    dataset = dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("uid", sorted(PACKAGES))
def test_a_missing_decoder_names_the_syntax_and_packages(
    uid: str, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _as_syntax(write("compressed.dcm"), uid)
    monkeypatch.setattr(get_decoder(uid), "_available", {})
    with pytest.raises(ImageError) as error:
        Dicom().load(str(path))
    assert f"({uid}), which nothing installed here decodes: pip install " in str(error.value)
    for package in PACKAGES[uid]:
        assert package in str(error.value)


def test_twelve_bits_need_more_than_pillow(write: Write) -> None:
    if "pylibjpeg" in get_decoder(JPEGExtended12Bit).available_plugins:
        pytest.skip("pylibjpeg-libjpeg is installed")
    path = _as_syntax(write("twelve.dcm"), JPEGExtended12Bit, BitsStored=12)
    with pytest.raises(ImageError, match="pylibjpeg pylibjpeg-libjpeg"):
        Dicom().load(str(path))


@pytest.mark.parametrize(
    ("uid", "words"),
    [
        ("1.2.840.10008.1.2.4.102", "is a video (MPEG-4"),
        ("1.2.840.10008.1.2.4.94", "which pydicom cannot decode; convert it"),
        ("1.2.3.4", "is stored as 1.2.3.4, which pydicom cannot decode"),
    ],
)
def test_syntaxes_that_nothing_decodes(uid: str, words: str, write: Write) -> None:
    path = _as_syntax(write("video.dcm"), uid)
    with pytest.raises(ImageError, match=re.escape(words)):
        Dicom().load(str(path))


def test_bytes_that_are_no_jpeg(write: Write) -> None:
    path = _as_syntax(write("noise.dcm", np.zeros((8, 8), np.uint8)), JPEGBaseline8Bit)
    with pytest.raises(ImageError, match="damaged, or of a kind that its decoder does not know"):
        Dicom().load(str(path))


@pytest.mark.parametrize("kept", [4, 0, -1, -400, -2000])
def test_a_compressed_file_that_is_cut(kept: int, tmp_path: Path) -> None:
    """So many bytes of the mark that ends the pixels, or fewer: decoders of JPEG 2000 make a picture of half of them."""
    raw = Path(str(get_testdata_file("MR_small_jp2klossless.dcm", download=False))).read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(raw[: raw.rindex(b"\xfe\xff\xdd\xe0") + kept])
    with pytest.raises(ImageError, match="truncated: the compressed pixels have no end"):
        Dicom().load(str(path))


def test_an_image_that_claims_to_be_enormous(write: Write) -> None:
    path = write("large.dcm", Rows=65535, Columns=65535)
    with pytest.raises(ImageError, match="65535 x 65535 pixels exceed the limit"):
        Dicom().load(str(path))


def test_a_header_without_pixels(write: Write) -> None:
    path = write("empty.dcm")
    dataset = dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(ImageError, match="has no pixels"):
        Dicom().load(str(path))


@pytest.mark.parametrize(
    "name", ["MR_small_jp2klossless", "SC_rgb_jpeg_dcmtk", "MR_small_RLE", "MR_small_jpeg_ls_lossless"]
)
def test_decoders_work_in_threads(name: str) -> None:
    path = str(get_testdata_file(f"{name}.dcm", download=False))
    lacking = missing_decoder(dcmread(path).file_meta.TransferSyntaxUID, 16)
    if lacking:
        pytest.skip(lacking)
    alone = Dicom().load(path)
    with ThreadPoolExecutor(4) as pool:
        for image in pool.map(Dicom().load, [path] * 32):
            assert np.array_equal(image, alone)
