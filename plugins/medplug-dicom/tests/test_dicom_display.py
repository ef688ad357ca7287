"""Rescaling, windows, tables, palettes, padding: worked by hand from the formulas of PS3.3 C.7.6.3, C.11.1 and C.11.2."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing

from medplug.plugins import ImageError, ParameterError
from medplug_dicom.display import windowed
from medplug_dicom.picture import Window
from medplug_dicom.reader import Dicom

Write = Callable[..., Path]


def levels(share: Any) -> np.ndarray:
    return np.round(np.asarray(share) * 65535).astype(np.uint16)


def load(path: Any, **parameters: Any) -> np.ndarray:
    image = Dicom(**parameters).load(str(path))
    return image[..., 0] if image.shape[-1] == 1 else image


def test_linear_by_hand() -> None:
    """Centre 40, width 400 in Hounsfield units: black up to -160, white above 239; 39.5 is the middle."""
    values = np.array([-1000, -160, -159, 39.5, 139.25, 239, 239.1, 3000])
    expected = [0, 0, 1 / 399, 0.5, 0.75, 1, 1, 1]
    np.testing.assert_allclose(windowed(values, Window(40, 400)), expected, atol=1e-12)


def test_linear_of_width_one_is_a_threshold() -> None:
    np.testing.assert_array_equal(windowed(np.array([99.0, 99.5, 99.6, 100]), Window(100, 1)), [0, 0, 1, 1])


def test_linear_exact_by_hand() -> None:
    """Centre 40, width 400: black up to -160, white above 240; 40 is the middle."""
    values = np.array([-160, -60, 40, 140, 240, 241])
    expected = [0, 0.25, 0.5, 0.75, 1, 1]
    np.testing.assert_allclose(windowed(values, Window(40, 400, "LINEAR_EXACT")), expected, atol=1e-12)


def test_sigmoid_by_hand() -> None:
    """1 / (1 + exp(-4 (x - c) / w)): at c a half, half a width further 1 / (1 + exp(-2)); no overflow far away."""
    values = np.array([40, 240, -160, 1e9, -1e9])
    expected = [0.5, 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2)), 1, 0]
    np.testing.assert_allclose(windowed(values, Window(40, 400, "SIGMOID")), expected, atol=1e-12)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom(function: str, write: Write) -> None:
    """An independent implementation of the same formulas, whose output is scaled to the stored range."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(-2000, 2000, (16, 16), np.int16)
    path = write(
        "w.dcm", pixels, RescaleSlope="1.5", RescaleIntercept="-300", WindowCenter="75", WindowWidth="1234",
        VOILUTFunction=function,
    )  # fmt: skip
    dataset = dcmread(path)
    shown = apply_windowing(apply_modality_lut(pixels, dataset), dataset)
    least, most = -32768 * 1.5 - 300, 32767 * 1.5 - 300
    assert np.abs(load(path).astype(int) - levels((shown - least) / (most - least))).max() <= 1


def test_the_first_window_of_several_and_its_rescaling(write: Write) -> None:
    """Stored 1024 is 0 HU. Window 0/101: black at -50 HU, white at 50 HU."""
    pixels = np.array([[974, 999, 1024, 1074], [0, 4095, 1025, 1023]], np.uint16)
    path = write(
        "several.dcm", pixels, BitsStored=12, RescaleSlope="1", RescaleIntercept="-1024",
        WindowCenter=["-0.0", "500"], WindowWidth=["101", "2000"],
    )  # fmt: skip
    hounsfield = pixels.astype(float) - 1024
    expected = levels(np.clip((hounsfield + 0.5) / 100 + 0.5, 0, 1))
    assert np.array_equal(load(path), expected)
    assert load(path)[0].tolist() == [round(0.005 * 65535), round(0.255 * 65535), round(0.505 * 65535), 65535]


def test_a_window_given_as_a_parameter(write: Write) -> None:
    """The file's own window (a table even) is passed over; the units are those after rescaling."""
    pixels = np.array([[1024 - 160, 1024 + 40], [1024 + 239, 0]], np.uint16)
    path = write("own.dcm", pixels, RescaleIntercept="-1024", RescaleSlope="1", WindowCenter="0", WindowWidth="10")
    assert load(path, window="40,400").tolist() == [[0, round((0.5 / 399 + 0.5) * 65535)], [65535, 0]]


@pytest.mark.parametrize("width", ["0", "-5", "0.5"])
def test_a_window_without_width_counts_as_none(width: str, write: Write) -> None:
    path = write("nowidth.dcm", [[100, 200], [300, 500]], WindowCenter="5", WindowWidth=width)
    assert np.array_equal(load(path), levels([[0, 0.25], [0.5, 1]]))


def test_without_a_window_the_image_fills_its_range(write: Write) -> None:
    path = write("range.dcm", np.array([[100, 200], [300, 500]], np.uint16), BitsStored=12)
    assert np.array_equal(load(path), levels([[0, 0.25], [0.5, 1]]))
    assert np.array_equal(load(path, window="range"), levels([[0, 0.25], [0.5, 1]]))


def test_eight_bits_without_a_window_stay_as_they_are(write: Write) -> None:
    pixels = np.array([[100, 101], [150, 200]], np.uint8)
    path = write("eight.dcm", pixels)
    assert load(path).dtype == np.uint8
    assert np.array_equal(load(path), pixels)
    assert load(path, window="range").tolist() == [[0, 3], [128, 255]]


@pytest.mark.parametrize(
    ("bits", "signed"), [(1, False), (4, False), (7, False), (8, True), (10, False), (12, True), (16, True)]
)
def test_window_none_is_all_that_the_bits_can_hold(bits: int, signed: bool, write: Write) -> None:
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    kind = f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"
    pixels = np.array([[least, most], [(least + most) // 2, most]]).astype(kind)
    path = write("bits.dcm", pixels, BitsStored=bits)
    image = load(path, window="none")
    top = 255 if bits <= 8 else 65535
    assert image.dtype == (np.uint8 if bits <= 8 else np.uint16)
    assert image[0].tolist() == [0, top]
    assert image[1, 0] == round(((least + most) // 2 - least) / (most - least) * top)


def test_a_negative_slope_turns_the_scale(write: Write) -> None:
    path = write("turned.dcm", [[0, 100], [200, 400]], RescaleSlope="-1", RescaleIntercept="400")
    assert np.array_equal(load(path), levels([[1, 0.75], [0.5, 0]]))


def test_monochrome1_is_inverted_after_its_window(write: Write) -> None:
    """Centre 200.5, width 201: black at 100 and white at 300 before the inversion."""
    pixels = np.array([[100, 150], [200, 300]], np.uint16)
    shown = {"WindowCenter": "200.5", "WindowWidth": "201"}
    path = write("one.dcm", pixels, PhotometricInterpretation="MONOCHROME1", **shown)
    other = write("two.dcm", pixels, PhotometricInterpretation="MONOCHROME2", **shown)
    assert np.array_equal(load(path), levels([[1, 0.75], [0.5, 0]]))
    assert np.array_equal(load(other), levels([[0, 0.25], [0.5, 1]]))


def test_monochrome1_of_eight_bits(write: Write) -> None:
    path = write("one.dcm", np.array([[0, 55], [200, 255]], np.uint8), PhotometricInterpretation="MONOCHROME1")
    assert load(path).tolist() == [[255, 200], [55, 0]]


def _table(first: int, bits: int, entries: list[int]) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return item


def test_a_table_of_values_of_interest_by_hand(write: Write) -> None:
    """Entries for 10, 11, 12 in 8 bits; what lies before takes the first, what lies behind the last. A window beside it
    is passed over."""
    path = write(
        "voi.dcm",
        [[0, 10], [11, 4000]],
        VOILUTSequence=[_table(10, 8, [0, 51, 255])],
        WindowCenter="1",
        WindowWidth="2",
    )
    assert np.array_equal(load(path), levels([[0, 0], [0.2, 1]]))


def test_a_table_after_rescaling_with_a_negative_first_value(write: Write) -> None:
    """First value -1000, written as 64536 where the type is unsigned."""
    path = write(
        "voi.dcm", [[0, 24], [25, 26]], RescaleIntercept="-1024", RescaleSlope="1",
        VOILUTSequence=[_table(64536, 16, [0, 13107, 65535])],
    )  # fmt: skip
    assert load(path).tolist() == [[0, 0], [13107, 65535]]


def test_a_modality_table_by_hand(write: Write) -> None:
    """Stored 0 to 3 become 0, 10, 20, 100, which then fill the range; with a window 10 is half of 0 to 20."""
    sequence = [_table(0, 16, [0, 10, 20, 100])]
    path = write("modality.dcm", [[0, 1], [2, 3]], ModalityLUTSequence=sequence)
    assert np.array_equal(load(path), levels([[0, 0.1], [0.2, 1]]))
    assert np.array_equal(load(path, window="10.5,21"), levels([[0, 0.5], [1, 1]]))


def test_a_table_that_is_too_short(write: Write) -> None:
    item = _table(0, 16, [0, 1, 2])
    item.LUTDescriptor = [9, 0, 16]
    path = write("short.dcm", VOILUTSequence=[item])
    with pytest.raises(ImageError, match="a lookup table of 9 entries has only 3"):
        load(path)


# ---------------------------------------------------------------- palettes and other colours


def _palette(bits: int, first: int, colours: list[list[int]], dtype: str) -> dict[str, Any]:
    found: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, column in zip(("Red", "Green", "Blue"), np.array(colours).T, strict=True):
        found[f"{name}PaletteColorLookupTableDescriptor"] = [len(colours), first, bits]
        raw = column.astype(dtype).tobytes()
        found[f"{name}PaletteColorLookupTableData"] = raw + b"\0" * (len(raw) % 2)
    return found


def test_a_palette_of_sixteen_bits_by_hand(write: Write) -> None:
    """Values 2, 3, 4 have colours; 0 takes the first, 200 the last."""
    colours = [[65535, 0, 0], [0, 4660, 0], [1, 2, 65535]]
    path = write("palette.dcm", np.array([[0, 2], [3, 200]], np.uint8), **_palette(16, 2, colours, "<u2"))
    image = load(path)
    assert image.dtype == np.uint16
    assert image.tolist() == [[colours[0], colours[0]], [colours[1], colours[2]]]


@pytest.mark.parametrize(("bits", "dtype"), [(8, "u1"), (8, "<u2"), (16, "<u2")])
def test_a_palette_of_eight_bits_however_it_is_written(bits: int, dtype: str, write: Write) -> None:
    """Three entries: an odd number of bytes, padded. Entries that never pass 255 are 8 bits, whatever is claimed."""
    colours = [[255, 0, 10], [0, 128, 20], [1, 2, 3]]
    path = write("palette.dcm", np.array([[0, 1], [2, 9]], np.uint8), **_palette(bits, 0, colours, dtype))
    image = load(path)
    assert image.dtype == np.uint8
    assert image.tolist() == [[colours[0], colours[1]], [colours[2], colours[2]]]


def test_a_segmented_palette_by_hand(write: Write) -> None:
    """PS3.3 C.7.9.2: a discrete segment (0, 1, 0), then a linear one over 4 steps to 400: 0, 100, 200, 300, 400."""
    segments = np.array([0, 1, 0, 1, 4, 400], "<u2").tobytes()
    found: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in ("Red", "Green", "Blue"):
        found[f"{name}PaletteColorLookupTableDescriptor"] = [5, 0, 16]
        found[f"Segmented{name}PaletteColorLookupTableData"] = segments
    path = write("segmented.dcm", np.array([[0, 1], [2, 4]], np.uint8), **found)
    assert load(path)[..., 0].tolist() == [[0, 100], [200, 400]]


def test_colours_of_twelve_bits_fill_sixteen(write: Write) -> None:
    pixels = np.array([[[0, 4095, 2047]]], np.uint16)
    path = write("rgb.dcm", pixels, BitsStored=12)
    assert load(path).tolist() == [[[0, 65535, round(2047 / 4095 * 65535)]]]


# ---------------------------------------------------------------- padding, floats, frames


def test_padding_is_black_and_does_not_stretch_the_range(write: Write) -> None:
    pixels = np.array([[-2000, 0], [50, 100]], np.int16)
    path = write("padded.dcm", pixels, PixelPaddingValue=-2000)
    assert np.array_equal(load(path), levels([[0, 0], [0.5, 1]]))


def test_padding_of_an_inverted_image_is_black_too(write: Write) -> None:
    pixels = np.array([[4095, 4000], [0, 100]], np.uint16)
    path = write(
        "padded.dcm", pixels, BitsStored=12, PixelPaddingValue=4095, PixelPaddingRangeLimit=3999,
        PhotometricInterpretation="MONOCHROME1",
    )  # fmt: skip
    assert np.array_equal(load(path), levels([[0, 0], [1, 0]]))


def test_an_image_of_one_value_is_black(write: Write) -> None:
    assert not load(write("flat.dcm", np.full((4, 4), 700, np.uint16))).any()


def test_floats_fill_their_range_and_gaps_are_black(write: Write) -> None:
    pixels = np.array([[-1.5, 0.0], [np.nan, 4.5]], np.float32)
    path = write("float.dcm", np.zeros((2, 2), np.uint16), BitsAllocated=32)
    dataset = dcmread(path)
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.FloatPixelData = pixels.tobytes()
    dataset.save_as(path)
    assert np.array_equal(load(path), levels([[0, 0.25], [0, 1]]))
    with pytest.raises(ImageError, match="window=none needs whole numbers"):
        load(path, window="none")


def test_each_frame_has_its_own_rescaling_and_window(write: Write) -> None:
    """Enhanced files keep them in groups: of a frame, else of all frames."""
    pixels = np.full((2, 1, 2), 100, np.uint16)
    pixels[:, 0, 1] = 200

    def group(slope: str) -> Dataset:
        scaling, found = Dataset(), Dataset()
        scaling.RescaleSlope, scaling.RescaleIntercept = slope, "0"
        found.PixelValueTransformationSequence = [scaling]
        return found

    window, shared = Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth = "200.5", "401"
    shared.FrameVOILUTSequence = [window]
    path = write(
        "frames.dcm", pixels, NumberOfFrames=2, SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=[group("1"), group("2")],
    )  # fmt: skip
    assert np.array_equal(load(f"{path}#1"), levels([[0.25, 0.5]]))
    assert np.array_equal(load(f"{path}#2"), levels([[0.5, 1]]))


@pytest.mark.parametrize("window", ["", "wide", "40", "40,0", "40,-1", "1,2,3", "nan,5", "5,inf"])
def test_windows_that_are_none(window: str) -> None:
    with pytest.raises(ParameterError, match="window must be file, range, none, or CENTER,WIDTH"):
        Dicom(window=window)
