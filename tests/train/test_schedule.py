"""Learning rates by hand."""

import math

import pytest

from medplug.config.settings import TrainingSettings
from medplug.train.schedule import cosine, learning_rate, plateau_cuts, stops_early


def test_cosine_rises_then_falls_to_zero():
    rates = [cosine(step, 20, 0.1) for step in range(20)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[11] == pytest.approx(0.5)
    assert rates == [*rates[:2], *sorted(rates[2:], reverse=True)]
    assert cosine(20, 20, 0.1) == pytest.approx(0)
    assert rates[-1] < 0.01


def test_a_plateau_cuts_after_each_patience_without_a_gain():
    losses = [1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99]
    assert [plateau_cuts(losses[:n], 2, 1e-4) for n in range(8)] == [0, 0, 0, 0, 1, 1, 2, 2]
    assert plateau_cuts([1.0, 0.99995, 0.9999], 2, 1e-4) == 1  # gains below the threshold count as none


def test_the_paper_rates():
    """The breast-ultrasound log of the paper: best epochs 16 and 21 apart; 1e-5 falls to 1e-6 and 1e-7 and no further."""
    settings = TrainingSettings(schedule="constant", plateau_patience=5)
    flat = [0.5, *[0.6] * 30]
    rates = [learning_rate(settings, 1e-5, 0, 1, flat[:n]) for n in (1, 5, 6, 11, 16, 31)]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-6, 1e-7, 1e-7, 1e-7])


def test_a_rate_below_the_floor_is_left_alone():
    settings = TrainingSettings(schedule="constant", plateau_patience=1, plateau_minimum=1e-3)
    assert learning_rate(settings, 1e-4, 0, 1, [1.0, 1.0, 1.0]) == 1e-4


def test_early_stopping_waits_its_patience():
    assert not stops_early([], 3)
    assert not stops_early([1.0, 0.9, 1.0, 1.0], 3)
    assert stops_early([1.0, 0.9, 1.0, 1.0, 0.9], 3)
    assert not stops_early([math.inf] * 50, 0)
