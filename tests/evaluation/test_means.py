"""Means over images with an interval."""

from __future__ import annotations

import numpy as np
import pytest

from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.means import mean_figure

SETTINGS = IntervalSettings(2000, 0.95, 0)


def test_the_mean_ignores_images_without_a_value():
    values = np.array([0.1, np.nan, 0.4, 0.9, np.nan, 0.6])
    found = mean_figure(values, None, SETTINGS)
    assert found["value"] == pytest.approx((0.1 + 0.4 + 0.9 + 0.6) / 4)
    assert found["n"] == 4
    assert "over 4 samples" in found["method"]


def test_the_interval_is_about_that_of_students_t(rng):
    values = rng.normal(3, 2, 60)
    found = mean_figure(values, None, SETTINGS)
    half = 2.001 * values.std(ddof=1) / 60**0.5  # the 97.5 % point of t with 59 degrees of freedom
    assert found["low"] == pytest.approx(values.mean() - half, abs=0.15)
    assert found["high"] == pytest.approx(values.mean() + half, abs=0.15)


def test_images_of_one_patient_count_as_one(rng):
    """Ten copies of each value tell no more than the values themselves."""
    values = rng.normal(0, 1, 12)
    alone = mean_figure(values, None, SETTINGS)
    copied = mean_figure(np.repeat(values, 10), np.repeat(np.arange(12), 10), SETTINGS)
    assert "groups" in copied["method"]
    assert copied["high"] - copied["low"] == pytest.approx(alone["high"] - alone["low"], rel=0.05)
    believed = mean_figure(np.repeat(values, 10), None, SETTINGS)
    assert believed["high"] - believed["low"] < 0.5 * (alone["high"] - alone["low"])


def test_without_a_value_there_is_a_reason():
    assert mean_figure(np.full(5, np.nan), None, SETTINGS) == {"value": None, "n": 0, "reason": "no image has a value"}
    lonely = mean_figure(np.array([np.nan, 2.0]), None, SETTINGS)
    assert (lonely["value"], lonely["low"]) == (2.0, None)
    assert "at least two" in lonely["interval_reason"]


def test_a_share_of_one_has_a_one_sided_bound():
    found = mean_figure(np.ones(20), None, SETTINGS, (0.0, 1.0))
    assert found["one_sided"]
    assert 0.8 < found["low"] < 1
