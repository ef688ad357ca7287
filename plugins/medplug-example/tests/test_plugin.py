"""The plugin keeps medplug's contracts, and its loss is the published one."""

from __future__ import annotations

import numpy as np
import pytest

from medplug.testing import plugin_tests
from medplug_example.poly1 import Poly1

TestExample = plugin_tests("medplug-example")

COUNTS = np.ones((3, 2), np.float32)


def test_a_case_worked_by_hand() -> None:
    """Equal logits of three classes: p = 1/3, so that the loss is log 3 + 2/3 epsilon."""
    logits, targets = np.zeros((1, 3), np.float32), np.array([[0, 1, 0]], np.float32)
    assert float(Poly1(epsilon=3.0)(logits, targets, COUNTS)[0]) == pytest.approx(np.log(3) + 2)


@pytest.mark.parametrize("epsilon", [-1.0, 0.0, 1.0, 2.5])
def test_it_is_the_series_with_another_first_coefficient(epsilon: float) -> None:
    """Sum of (1 - p)^j / j over j, the first coefficient being 1 + epsilon."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (6, 3)).astype(np.float32)
    labels = np.array([0, 1, 2, 0, 1, 2])
    odds = np.exp(logits.astype(np.float64))
    p = odds[np.arange(6), labels] / odds.sum(1)
    terms = np.arange(1, 2001)
    series = ((1 - p[:, None]) ** terms / terms).sum(1) + epsilon * (1 - p)
    losses = Poly1(epsilon=epsilon)(logits, np.eye(3, dtype=np.float32)[labels], COUNTS)
    np.testing.assert_allclose(losses, series, rtol=1e-5)
