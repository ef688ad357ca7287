"""Schedules by hand: the share of the peak rate at each step of a phase."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medplug_standard.schedules.shapes import Constant, Cosine, Exponential, Linear, OneCycle

EVERY = [Constant, Cosine, Linear, OneCycle, Exponential]


def shares(schedule: Any, steps: int, beyond: int = 0) -> np.ndarray:
    return np.asarray(jax.vmap(schedule(steps))(jnp.arange(steps + beyond)))


@pytest.mark.parametrize("cls", EVERY)
@pytest.mark.parametrize("steps", [1, 2, 10])
def test_within_bounds_however_short_the_phase(cls: type, steps: int) -> None:
    found = shares(cls(), steps)
    assert found.min() >= 0
    assert found.max() == pytest.approx(1) or (cls is Exponential and found.max() > 0.5)


def test_constant() -> None:
    assert shares(Constant(), 5).tolist() == [1] * 5


def test_cosine_rises_then_falls_to_zero() -> None:
    found = shares(Cosine(warmup=0.1), 20, beyond=1)
    np.testing.assert_allclose(found[:3], [0.5, 1, 1])
    assert found[11] == pytest.approx(0.5, abs=1e-6)
    assert found[19] < 0.01
    assert found[20] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 0.9), (7, 0.3), (37, 0.1), (300, 0.05)])
def test_cosine_is_the_formula_of_the_paper(steps: int, warmup: float) -> None:
    rising = math.floor(steps * warmup)
    falling = [0.5 * (1 + math.cos(math.pi * t / (steps - rising))) for t in range(steps - rising)]
    expected = [(t + 1) / rising for t in range(rising)] + falling
    np.testing.assert_allclose(shares(Cosine(warmup=warmup), steps), expected, atol=1e-6)


def test_linear_by_hand() -> None:
    found = shares(Linear(warmup=0.4), 10, beyond=1)
    expected = [1 / 4, 2 / 4, 3 / 4, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_exponential_by_hand() -> None:
    found = shares(Exponential(warmup=0, decay_rate=0.01), 4, beyond=1)
    np.testing.assert_allclose(found, [1, 10**-0.5, 0.1, 10**-1.5, 0.01], rtol=1e-5)
    later = shares(Exponential(warmup=0.5, decay_rate=0.01), 4)
    np.testing.assert_allclose(later, [0.5, 1, 1, 0.1], rtol=1e-5)


@pytest.mark.parametrize(("steps", "start"), [(10, 0.3), (50, 0.5)])
def test_one_cycle_is_that_of_optax(steps: int, start: float) -> None:
    peer = optax.cosine_onecycle_schedule(steps, 1.0, start, div_factor=10, final_div_factor=100)
    found = shares(OneCycle(pct_start=start, div_factor=10, final_div_factor=100), steps, beyond=1)
    np.testing.assert_allclose(found, [float(peer(t)) for t in range(steps + 1)], atol=1e-6)
    np.testing.assert_allclose(found[[0, int(steps * start), steps]], [0.1, 1, 0.001], atol=1e-6)
