"""What is wrong with a map whatever its image shows."""

from __future__ import annotations

import numpy as np
import pytest

from medplug.explain.alarms import HEAVY, even_shares, heavy_share, incomplete, map_alarms


def test_an_even_map_and_one_with_its_peak_inside_raise_none():
    y, x = np.mgrid[:20, :20]
    assert map_alarms((1e-3 * x).astype(np.float32)) == ()
    assert map_alarms(np.exp(-((y - 9) ** 2 + (x - 11) ** 2) / 20).astype(np.float32)) == ()


def test_a_map_that_hardly_tells_places_apart_is_told():
    x = np.mgrid[:20, :20][1].astype(np.float32) / 19
    [told] = map_alarms(3 + x)
    assert "lowest value of the map is 75 % of the highest" in told
    assert map_alarms(0.9 + x) == ()
    assert map_alarms(-3 - x) == ()  # nothing speaks for the class, which is said elsewhere


def test_a_constant_map_is_told():
    for value in (0.0, 2.5, -1.0):
        [told] = map_alarms(np.full((7, 7), value, np.float32))
        assert "same value everywhere" in told


def test_a_frame_and_a_marker_in_a_corner_are_told():
    frame = np.ones((20, 20), np.float32)
    frame[2:-2, 2:-2] = 0.01
    assert [t for t in map_alarms(frame) if "border" in t]
    marker = np.full((20, 20), 0.001, np.float32)
    marker[:3, :3] = 1
    assert any("corners" in t for t in map_alarms(marker))


def test_evidence_against_the_class_does_not_count():
    against = -np.ones((20, 20), np.float32)
    against[8:12, 8:12] = 1
    assert map_alarms(against) == ()


def test_the_limit_is_three_times_the_evidence_per_pixel():
    """By hand: a border with a third of the pixels and three times the density holds 3 / (3 + 2) of the evidence."""
    assert heavy_share(1 / 3) == pytest.approx(HEAVY / (HEAVY + 2))
    border, corners = even_shares((20, 20))
    assert (border, corners) == pytest.approx((1 - 0.8**2, 4 * 0.2**2))
    for above, expected in ((1.02, True), (0.98, False)):
        frame = np.full((20, 20), HEAVY * above, np.float32)
        frame[2:-2, 2:-2] = 1
        assert any("border" in t for t in map_alarms(frame)) is expected


def test_volumes_have_borders_too():
    volume = np.full((10, 10, 10), 1e-4, np.float32)
    volume[0] = 1
    assert any("border" in t for t in map_alarms(volume))


def test_coarse_maps_are_judged_as_they_are_drawn():
    """A map of 4 x 4 whose evidence is in the outer places has most of it inside of the outer tenth."""
    coarse = np.ones((4, 4), np.float32)
    coarse[1:3, 1:3] = 0
    assert map_alarms(coarse) == ()
    corner = np.zeros((4, 4), np.float32)
    corner[0, 0] = 1
    assert any("corners" in t for t in map_alarms(corner))


def test_incomplete_maps_are_told_with_their_error():
    assert incomplete(None) == incomplete(0.002) == ()
    assert "(12.3 % off)" in incomplete(0.123)[0]
    assert "(more than 1,000 % off)" in incomplete(1e30)[0]
