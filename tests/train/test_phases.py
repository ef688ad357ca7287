"""Phases and their paces."""

import numpy as np
import optax
import pytest

from medplug.config.settings import TrainingSettings
from medplug.errors import ContractError
from medplug.train.phases import Phase, cut_by_plateau, shares, worth


def linear(steps):
    """A schedule that falls from 1 to 0."""
    return optax.linear_schedule(1.0, 0.0, steps)


def test_shares_are_those_of_the_schedule_at_each_step():
    np.testing.assert_allclose(shares(linear, 10), 1 - np.arange(10) / 10, rtol=1e-6)
    assert shares(linear, 0).shape == (0,)


@pytest.mark.parametrize("value", [float("nan"), -0.5])
def test_a_schedule_without_a_share_is_refused(value):
    with pytest.raises(ContractError, match="the schedule function must give one finite share"):
        shares(lambda steps: lambda step: value + 0.0 * step, 3)


def test_steps_are_counted_within_the_phase():
    phase = Phase("full", first=3, last=5, steps=7, peak=1.0)
    assert (phase.step(3), phase.step(4, 2), phase.course().total) == (0, 9, 21)
    assert not phase.frozen


def test_the_plateau_rule_cuts_and_stops_at_its_lowest():
    settings = TrainingSettings(plateau_patience=5, plateau_factor=0.1, plateau_minimum=1e-7)
    flat = [1.0] * 40
    found = [cut_by_plateau(settings, 1e-5, flat[:n]) for n in (1, 5, 6, 11, 16, 31)]
    assert found == pytest.approx([1e-5, 1e-5, 1e-6, 1e-7, 1e-7, 1e-7])
    assert cut_by_plateau(TrainingSettings(plateau_patience=0), 1e-5, flat) == 1e-5


def test_the_rule_never_raises_a_rate():
    settings = TrainingSettings(plateau_patience=1, plateau_minimum=1e-3)
    assert cut_by_plateau(settings, 1e-4, [1.0, 1.0, 1.0]) == 1e-4


def test_what_epochs_are_compared_by():
    row = {"validation_loss": 0.5, "validation_roc_auc": 0.8, "validation_f1": float("nan")}
    assert worth(row, "loss", False) == 0.5
    assert worth(row, "roc_auc", True) == -0.8
    assert worth(row, "f1", True) == float("inf")
