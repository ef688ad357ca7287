"""Budgets: what fits, by hand."""

import pytest

from medplug.config.settings import TrainingSettings
from medplug.errors import UsageError
from medplug.train.plan import Costs, plan_epochs

SETTINGS = TrainingSettings(epochs=40, frozen_epochs=5)


def test_both_phases_fit():
    # 1000 s leave 880: five frozen epochs of 10 s, and (880 - 50) / 40 = 20 full ones
    assert plan_epochs(SETTINGS, Costs(10, 40), 1000) == (5, 25)


def test_never_more_than_the_settings_say():
    assert plan_epochs(SETTINGS, Costs(1, 1), 10_000) == (5, 40)


def test_phase_one_takes_a_quarter_at_most():
    assert plan_epochs(SETTINGS, Costs(10, 40), 100) == (2, 3)


def test_only_phase_one_fits():
    assert plan_epochs(SETTINGS, Costs(10, 400), 60) == (5, 5)


def test_nothing_fits():
    with pytest.raises(UsageError, match="one epoch takes 11 s"):
        plan_epochs(SETTINGS, Costs(10, 400), 5)


def test_without_phase_one():
    assert plan_epochs(TrainingSettings(epochs=40, frozen_epochs=0), Costs(0, 10), 100) == (0, 8)
    with pytest.raises(UsageError):
        plan_epochs(TrainingSettings(epochs=40, frozen_epochs=0), Costs(0, 100), 60)
