"""Pictures that explain themselves, and contact sheets: what is where in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medplug.config.settings import RenderingSettings
from medplug.explain.lettering import Lettering
from medplug.explain.overlay import render_map
from medplug.explain.panel import Caption, draw_panel, number
from medplug.explain.sheet import PER_SHEET, Cell, draw_sheets

LETTERS = Lettering()


class Written(Lettering):
    """Remembers what is written, and where."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.heights: list[float] = []

    def write(self, picture: Image.Image, at: tuple[float, float], text: str, size: int, ink: str) -> None:
        self.texts.append(text)
        self.heights.append(at[1] + 0.62 * size)
        super().write(picture, at, text, size, ink)


def panel(
    map2d: Any, shape: tuple[int, ...] = (300, 280, 3), **settings: Any
) -> tuple[np.ndarray, Written, np.ndarray, Any]:
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    values, rendering, written = np.array(map2d, np.float32), RenderingSettings(**settings), Written()
    overlay = render_map(values, image, rendering)
    drawn = draw_panel(values, image, overlay, rendering, Caption("title", ["first line", "second"]), written)
    return np.asarray(drawn), written, image, overlay


def places(picture: np.ndarray, part: np.ndarray) -> list[tuple[int, int]]:
    """Where a picture holds another one, pixel by pixel."""
    h, w = part.shape[:2]
    corners = np.argwhere((picture[: 1 - h or None, : 1 - w or None] == part[0, 0]).all(-1))
    return [(y, x) for y, x in corners.tolist() if (picture[y : y + h, x : x + w] == part).all()]


@pytest.mark.parametrize(("shape", "below"), [((300, 280, 3), False), ((300, 900, 3), True)])
def test_image_and_overlay_are_there_pixel_by_pixel(shape: tuple[int, ...], below: bool) -> None:
    drawn, written, image, overlay = panel([[0.0, 1.0], [0.5, -1.0]], shape)
    [(y, x)] = places(drawn, image)
    [(v, u)] = places(drawn, np.asarray(overlay.picture))
    assert (v > y + 300 and u == x) if below else (u > x + 280 and v == y)
    assert written.texts[:3] == ["title", "first line", "second"] or written.texts[-3:] == [
        "title",
        "first line",
        "second",
    ]


def test_small_images_are_shown_with_larger_pixels() -> None:
    drawn, _, image, _ = panel([[0.0, 1.0]], (20, 30, 1))
    large = np.broadcast_to(image.repeat(9, 0).repeat(9, 1), (180, 270, 3))
    assert len(places(drawn, large)) == 1


@pytest.mark.parametrize(
    ("settings", "numbers"),
    [
        ({}, ["0", "0.025"]),
        ({"rectify": False}, ["-0.05", "0", "0.05"]),
        ({"scaling": "minmax", "rectify": False}, ["-0.05", "0.025"]),
        ({"style": "contour", "levels": (0.5,)}, ["0", "0.025", "0.0125  (50 %)"]),
        (
            {"style": "contour", "levels": (0.5,), "rectify": False},
            ["-0.05", "0.05", "-0.025  (50 %)", "0.025  (50 %)"],
        ),
        (
            {"style": "contour", "levels": (0.5,), "scaling": "minmax", "rectify": False},
            ["-0.05", "0.025", "-0.0125  (50 %)"],
        ),
    ],
)
def test_the_scale_has_the_right_numbers_at_the_right_places(settings: dict, numbers: list[str]) -> None:
    _, written, _, overlay = panel([[0.025, -0.05]], **settings)
    found = [(t, y) for t, y in zip(written.texts, written.heights, strict=True) if t[0] in "-0123456789"]
    assert [t for t, _ in found] == numbers
    low, high = overlay.scale
    at = np.array([float(t.split()[0]) for t, _ in found])
    slope, offset = np.polyfit(at, [y for _, y in found], 1)
    np.testing.assert_allclose([y for _, y in found], slope * at + offset, atol=1)  # linear
    assert slope < 0  # the highest value is above
    assert (at.min(), at.max()) == (pytest.approx(low), pytest.approx(high))


def test_without_evidence_there_is_no_scale() -> None:
    _, written, _, _ = panel([[-1.0, -2.0]])
    assert written.texts == ["title", "first line", "second"]


def test_numbers_have_three_digits() -> None:
    assert [number(v) for v in (0, 0.012345, -1234.5, 1.5e-7)] == ["0", "0.0123", "-1.23e+3", "1.5e-7"]


def test_lines_fit_and_the_end_of_a_path_stays() -> None:
    path = "a/very/long/path/" * 10 + "image 17.png"
    short = LETTERS.fitted(path, 14, 200)
    assert LETTERS.width(short, 14) <= 200 < LETTERS.width(path, 14)
    assert short.endswith("image 17.png")
    assert short.startswith("a/very")
    lines = LETTERS.wrapped("words that are told one after the other, and " + path.replace(" ", "_"), 14, 200)
    assert all(LETTERS.width(line, 14) <= 200 for line in lines)
    assert LETTERS.wrapped("", 14, 200) == []
    assert LETTERS.fitted("", 14, 10) == ""


def test_signs_that_cannot_be_printed_do_not_break_lines() -> None:
    picture = Image.new("RGB", (200, 30), "white")
    LETTERS.write(picture, (0, 0), "a\nb\udce9c\x00", 14, "black")
    assert np.asarray(picture)[:20].min() < 100


# ------------------------------------------------------------ sheets


def cells(count: int, right: bool | None = None) -> list[Cell]:
    def solid() -> Image.Image:
        return Image.new("RGB", (60, 40), (0, 200, 0))

    return [Cell(solid, f"{i}.png", "ill 50.0 %", right) for i in range(count)]


@pytest.mark.parametrize("count", [1, 7, PER_SHEET, PER_SHEET + 3])
def test_a_sheet_has_every_picture_once(count: int) -> None:
    sheets = list(draw_sheets("class", cells(count), LETTERS))
    assert len(sheets) == -(-count // PER_SHEET)
    found = [ndimage.label((np.asarray(sheet) == (0, 200, 0)).all(-1))[1] for sheet in sheets]
    assert sum(found) == count


def test_wrong_ones_are_told_by_word_and_by_the_width_of_their_frame() -> None:
    written, frames = Written(), {}
    for right in (True, False, None):
        [sheet] = draw_sheets("class", cells(1, right), written)
        rows = np.flatnonzero((np.asarray(sheet) == (0, 200, 0)).all(-1).any(1))
        row = np.asarray(sheet.convert("L"))[rows[len(rows) // 2]]
        frames[right] = int((row[:30] < 100).sum())  # the picture is lighter
    assert frames[None] == 0 < frames[True] < frames[False]
    told = [text for text in written.texts if "ill" in text]
    assert told == ["right · ill 50.0 %", "wrong · ill 50.0 %", "ill 50.0 %"]
