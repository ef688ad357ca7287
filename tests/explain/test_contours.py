from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from medplug.config.settings import RenderingSettings
from medplug.errors import ParameterError
from medplug.explain.contours import line_cover, line_width, smooth_resize
from medplug.explain.overlay import contour_lines, render_map

SIZE, CENTRE = 201, 100


def disc(radius: float) -> np.ndarray:
    """A cone that is 0.5 on a circle of this radius."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return 0.5 + (radius - np.hypot(y - CENTRE, x - CENTRE)) / 100


@pytest.mark.parametrize("radius", [12.0, 40.0, 77.3])
def test_a_line_around_a_disc_encloses_its_area(radius: float) -> None:
    """What cannot be reached from the middle without crossing the line, less the inner half of it."""
    width = 3.0
    cover = line_cover(disc(radius), 0.5, width)
    regions, _ = ndimage.label(cover < 0.5)
    inside = (regions == regions[CENTRE, CENTRE]).sum()
    assert regions[CENTRE, CENTRE] != regions[0, 0]  # it is closed
    assert inside == pytest.approx(np.pi * (radius - width / 2) ** 2, rel=0.02)
    assert cover.sum() == pytest.approx(2 * np.pi * radius * width, rel=0.02)  # as wide as it should be


def test_lines_are_where_the_level_is_crossed_and_nowhere_else() -> None:
    flat = np.full((50, 60), 0.5, np.float32)
    assert not line_cover(flat, 0.5, 3).any()  # a plateau at the level has no edge
    step = np.zeros((50, 60), np.float32)
    step[:, 30:] = 1
    found = line_cover(step, 0.5, 3)
    assert (found[:, 29:31] > 0.9).all()
    assert not found[:, :26].any()
    assert not found[:, 34:].any()
    assert not line_cover(step, 2.0, 3).any()


def test_smooth_resizing_keeps_values_and_makes_no_new_extremes(rng: np.random.Generator) -> None:
    values = rng.normal(size=(5, 7))
    large = smooth_resize(values, (55, 77))
    assert (large.min(), large.max()) == (pytest.approx(values.min()), pytest.approx(values.max()))
    np.testing.assert_allclose(large[5::11, 5::11], values)  # the middles of the cells
    y, x = np.mgrid[:5, :7]
    plane = smooth_resize((2.0 * y + x), (50, 70))
    at = np.stack(np.meshgrid(np.arange(50) / 10 - 0.45, np.arange(70) / 10 - 0.45, indexing="ij"), -1)
    expected = RegularGridInterpolator((np.arange(5), np.arange(7)), 2.0 * y + x)(np.clip(at, 0, [4, 6]))
    np.testing.assert_allclose(plane, expected, atol=1e-9)
    assert smooth_resize(np.ones((1, 1)), (3, 4)).shape == (3, 4)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_contours_show_on_black_grey_and_white_and_leave_the_rest_alone(grey: int) -> None:
    settings = RenderingSettings(style="contour", levels=(0.5,))
    image = np.full((SIZE, SIZE, 3), grey, np.uint8)
    picture = np.asarray(render_map(np.maximum(disc(60), 0), image, settings).picture, int)
    changed = ndimage.maximum_filter(np.abs(picture - grey).max(2), 3) > 90  # from dark to light it passes through grey
    y, x = np.mgrid[:SIZE, :SIZE]
    away = np.abs(np.hypot(y - CENTRE, x - CENTRE) - 55)  # the maximum is 1.1, half of it is at 55
    assert changed[away < 1].all()
    assert not changed[away > 7].any()


def test_negative_contours_only_where_the_sign_is_kept() -> None:
    both = RenderingSettings(style="contour", rectify=False, levels=(0.5, 0.25))
    assert [level for level, _ in contour_lines(both)] == [-0.25, -0.5, 0.25, 0.5]
    assert [level for level, _ in contour_lines(RenderingSettings(style="contour"))] == [0.25, 0.5, 0.75]
    image = np.full((40, 80, 1), 100, np.uint8)
    map2d = np.array([[-1.0, -1.0, 0.0, 0.0, 1.0, 1.0]], np.float32)
    left = {
        r: np.asarray(render_map(map2d, image, RenderingSettings(style="contour", rectify=r)).picture)
        for r in (True, False)
    }
    assert (left[True][:, :40] == 100).all()
    assert (left[False][:, :40] != 100).any()
    assert (left[True][:, 40:] != 100).any()


def test_higher_levels_are_thicker_and_large_pictures_have_thicker_lines() -> None:
    assert line_width(0.75, (500, 500)) > line_width(0.25, (500, 500)) >= 1
    assert line_width(0.5, (3000, 2000)) > 2 * line_width(0.5, (500, 500))


def test_contours_need_levels() -> None:
    with pytest.raises(ParameterError, match="needs levels"):
        RenderingSettings(style="contour", levels=())
