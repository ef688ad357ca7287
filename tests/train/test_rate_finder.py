"""The range test on losses whose best rate is known."""

import math

import numpy as np
import pytest

from medplug.train.rate_finder import exponential_rates, sweep

FACTOR = 10 ** (8 / 99)  # from 1e-7 to 10 in 100 steps


class Bowl:
    """Gradient descent on ``curvature / 2 * x²`` from x = 1, with noise on what is told of the loss, and harder and easier
    batches."""

    def __init__(self, curvature, noise=0.0, floor=100.0):
        self.curvature, self.x, self.floor = curvature, 1.0, floor
        self.noise, self.rng, self.steps = noise, np.random.default_rng(5), 0

    def __call__(self, rate):
        loss, hard = self.curvature / 2 * self.x**2, 3 * self.rng.normal()
        self.x -= rate * self.curvature * self.x
        self.steps += 1
        noisy = loss * (1 + self.noise * self.rng.normal())
        return self.floor + noisy + hard, self.floor + self.curvature / 2 + hard


def test_rates_grow_by_one_factor():
    rates = exponential_rates()
    assert (len(rates), rates[0], rates[-1]) == (100, pytest.approx(1e-7), pytest.approx(10))
    np.testing.assert_allclose(rates[1:] / rates[:-1], FACTOR)


@pytest.mark.parametrize("curvature", [0.3, 1.0, 20.0, 3000.0])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_steepest_fall_of_a_bowl(curvature, noise):
    """Before step t the loss is about exp(-2 a Σ rates), and the rates sum to rate / (factor - 1): over the logarithm of
    the rate it falls fastest where 2 a rate / (factor - 1) = 1. It grows only by rates above 2 / a."""
    found = sweep(Bowl(curvature, noise), exponential_rates())
    expected = (FACTOR - 1) / (2 * curvature)
    assert expected / 2 < found.suggestion < 2 * expected
    assert found.suggestion < found.lowest
    if curvature >= 20:  # else the highest rate comes before the break
        assert 2 / curvature < found.broke


def test_the_test_ends_soon_after_the_loss_breaks():
    bowl = Bowl(1e4, floor=100.0)
    found = sweep(bowl, exponential_rates())
    assert bowl.steps == len(found.losses) < 95
    assert found.rates[-1] == found.broke
    assert found.losses[-1] > 4 * min(found.losses)
    assert len(found.rates) == len(found.losses) == len(found.smoothed)


def test_a_loss_that_is_no_number_ends_the_test_and_is_not_kept():
    losses = iter([*np.linspace(2, 1, 60), math.nan])
    found = sweep(lambda rate: (next(losses), 2.0), exponential_rates())
    assert len(found.losses) == 60
    assert found.broke == pytest.approx(exponential_rates()[60])
    assert np.isfinite(found.losses).all()


def test_noise_without_a_fall_suggests_nothing():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = sweep(lambda rate, rng=rng: (1 + 0.05 * rng.normal(), 1 + 0.05 * rng.normal()), exponential_rates())
        assert found.suggestion is None, seed
        assert "never fell clearly" in found.reason


def test_a_fall_out_of_noise_is_found():
    """A logistic fall of 1 around 1e-3, with noise of 0.1: the steepest place is known."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found = sweep(
            lambda rate, rng=rng: (2 - 1 / (1 + (1e-3 / rate) ** 2) + 0.1 * rng.normal(), 2.0), exponential_rates()
        )
        assert 3e-4 < found.suggestion < 3e-3, seed


def test_without_a_fall_it_is_told_where_the_loss_rises():
    """Nothing happens up to 1e-3, then the loss grows by a half each decade."""
    rng = np.random.default_rng(1)
    found = sweep(
        lambda rate: (1 + max(0, 0.5 * math.log10(rate / 1e-3)) + 0.01 * rng.normal(), 1.0), exponential_rates()
    )
    assert found.suggestion is None
    told = float(found.reason.split("rises from ")[1].split(" on")[0])
    assert 3e-4 < told < 4e-3


def test_a_loss_that_breaks_at_once():
    found = sweep(lambda rate: (math.inf, 1.0), exponential_rates())
    assert (found.suggestion, found.rates, found.broke) == (None, (), pytest.approx(1e-7))
    assert "at once" in found.reason


def test_the_smoothed_curve_of_a_straight_line_is_the_line():
    rates = exponential_rates()
    found = sweep(lambda rate: (5 - math.log10(rate), 12.0), rates)
    np.testing.assert_allclose(found.smoothed, 5 - np.log10(rates), atol=1e-9)
    assert found.lowest == pytest.approx(10)
