"""Rules on validation losses by hand."""

import math

from medplug.train.plateau import plateau_cuts, stops_early


def test_a_plateau_cuts_after_each_patience_without_a_gain():
    losses = [1.0, 0.9, 0.95, 0.96, 0.97, 0.98, 0.99]
    assert [plateau_cuts(losses[:n], 2, 1e-4) for n in range(8)] == [0, 0, 0, 0, 1, 1, 2, 2]
    assert plateau_cuts([1.0, 0.99995, 0.9999], 2, 1e-4) == 1  # gains below the threshold count as none


def test_early_stopping_waits_its_patience():
    assert not stops_early([], 3)
    assert not stops_early([1.0, 0.9, 1.0, 1.0], 3)
    assert stops_early([1.0, 0.9, 1.0, 1.0, 0.9], 3)
    assert not stops_early([math.inf] * 50, 0)
