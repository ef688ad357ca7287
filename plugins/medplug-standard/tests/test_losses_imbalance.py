"""Losses for unequal classes against NumPy in float64, worked examples, and their limits."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug_standard.losses.asymmetric import Asymmetric
from medplug_standard.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from medplug_standard.losses.focal import Focal, MultilabelFocal
from medplug_standard.losses.long_tail import ClassBalanced, Ldam, LogitAdjusted

COUNTS = np.array([[80, 20], [16, 84], [4, 96]], np.float32)


def of(loss: Any, logits: Any, targets: Any, counts: Any = COUNTS) -> np.ndarray:
    return np.asarray(loss(*(jnp.asarray(x, jnp.float32) for x in (logits, targets, counts))))


def log_softmax(z: np.ndarray) -> np.ndarray:
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return 2 * rng.standard_normal((9, 3)), np.eye(3)[rng.integers(0, 3, 9)]


def test_logit_adjustment(batch: Any) -> None:
    z, y = batch
    shares = np.array([0.8, 0.16, 0.04])
    for tau in (0.5, 1.0):
        expected = -(y * log_softmax(z + tau * np.log(shares))).sum(1)
        np.testing.assert_allclose(of(LogitAdjusted(tau=tau), z, y), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of(LogitAdjusted(tau=0), z, y), of(CrossEntropy(), z, y), rtol=1e-6, atol=1e-6)


def test_logits_that_minimise_the_adjusted_loss_are_those_of_equal_classes() -> None:
    """Of a feature without information, every class ends up equally likely, however rare it was."""
    y, counts = np.repeat(np.eye(3), [80, 16, 4], axis=0), jnp.asarray(COUNTS)
    targets = jnp.asarray(y, jnp.float32)

    def total(row: jax.Array) -> jax.Array:
        return LogitAdjusted()(jnp.broadcast_to(row, (100, 3)), targets, counts).mean()

    row, step = jnp.asarray([2.0, 0.0, -1.0]), jax.jit(jax.grad(total))
    for _ in range(400):
        row = row - 3 * step(row)
    np.testing.assert_allclose(row - row.mean(), 0, atol=0.01)


def test_margins_are_those_of_the_paper(batch: Any) -> None:
    z, y = batch
    # n^(-1/4) of 80, 16 and 4 is 0.3344, 0.5 and 0.7071; the largest is scaled to the margin.
    margins = 0.5 * np.array([0.33437, 0.5, 0.70711]) / 0.70711
    expected = -(y * log_softmax(3 * (z - y * margins))).sum(1)
    np.testing.assert_allclose(of(Ldam(scale=3), z, y), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(of(Ldam(margin=0), z, y), of(CrossEntropy(), z, y), rtol=1e-6, atol=1e-6)
    assert (of(Ldam(), z, y) > of(CrossEntropy(), z, y)).all()


def test_effective_numbers(batch: Any) -> None:
    z, y = batch
    beta = 0.9
    weights = (1 - beta) / (1 - beta ** np.array([80, 16, 4.0]))
    weights = weights / weights.sum() * 3
    expected = -(y * log_softmax(z)).sum(1) * weights[y.argmax(1)]
    np.testing.assert_allclose(of(ClassBalanced(beta=beta), z, y), expected, rtol=1e-5, atol=1e-6)
    focal = of(Focal(gamma=2, alpha="none"), z, y) * weights[y.argmax(1)]
    np.testing.assert_allclose(of(ClassBalanced(beta=beta, gamma=2), z, y), focal, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(of(ClassBalanced(beta=0), z, y), of(CrossEntropy(), z, y), rtol=1e-6, atol=1e-6)
    near_one = of(ClassBalanced(beta=0.999999), z, y)
    by_frequency = of(CrossEntropy(class_weight="balanced"), z, y)
    ratio = near_one / by_frequency  # both weigh by 1 / n, with other scales
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_a_class_that_does_not_occur_leaves_the_others_their_weights(batch: Any) -> None:
    z, _ = batch
    y, counts = np.eye(3)[[0, 1] * 4 + [0]], np.array([[80, 20], [16, 84], [0, 100]], np.float32)
    weights = 0.1 / (1 - 0.9 ** np.array([80, 16.0]))
    weights = weights / weights.sum() * 2
    expected = -(y * log_softmax(z)).sum(1) * weights[y.argmax(1)]
    np.testing.assert_allclose(of(ClassBalanced(beta=0.9), z, y, counts), expected, rtol=1e-5, atol=1e-6)


def test_asymmetric_by_hand() -> None:
    # p = 0.8 for a positive, 0.6 for a negative, 0.04 for a negative below the shift; the last label is unknown.
    logits = np.log([[0.8 / 0.2, 0.6 / 0.4, 0.04 / 0.96, 1.0]])
    targets = [[1, 0, 0, math.nan]]
    counts = np.ones((4, 2), np.float32)
    loss = Asymmetric(gamma_positive=1.0, gamma_negative=2.0, shift=0.05)
    expected = (-0.2 * math.log(0.8) - 0.55**2 * math.log(0.45)) / 3
    np.testing.assert_allclose(of(loss, logits, targets, counts), [expected], rtol=1e-5, atol=1e-6)


def test_asymmetric_holds_its_simpler_relatives() -> None:
    rng = np.random.default_rng(5)
    z, y = 3 * rng.standard_normal((8, 3)), rng.choice([0.0, 1.0, math.nan], (8, 3), p=[0.5, 0.3, 0.2])
    plain = Asymmetric(gamma_positive=0, gamma_negative=0, shift=0)
    np.testing.assert_allclose(of(plain, z, y), of(BinaryCrossEntropy(), z, y), rtol=1e-5, atol=1e-6)
    even = Asymmetric(gamma_positive=2, gamma_negative=2, shift=0)
    np.testing.assert_allclose(of(even, z, y), of(MultilabelFocal(gamma=2, alpha="none"), z, y), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.3, 4.0])
def test_the_gradient_of_the_asymmetric_loss_is_finite_at_the_shift(gamma: float) -> None:
    loss = Asymmetric(gamma_negative=gamma)
    edge = math.log(0.05 / 0.95)
    z = jnp.asarray([[edge - 1e-6, edge, edge + 1e-6, -80.0, 80.0]])
    found = jax.grad(lambda z: loss(z, jnp.zeros((1, 5)), jnp.ones((5, 2))).sum())(z)
    assert np.isfinite(found).all()
    assert (np.asarray(found) >= 0).all()
