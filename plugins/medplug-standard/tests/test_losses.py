"""Losses against NumPy in float64, worked examples, and their limits."""

import itertools
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug_standard.losses.cross_entropy import BinaryCrossEntropy, CrossEntropy
from medplug_standard.losses.focal import Focal, MultilabelFocal

NAN = math.nan
MULTICLASS = [
    CrossEntropy(),
    CrossEntropy(label_smoothing=0.3, class_weight="balanced"),
    *(Focal(gamma=g, alpha=a) for g, a in itertools.product([0, 0.3, 1, 2, 20], ["balanced", "none"])),
    Focal(epsilon=1e-7),
]
MULTILABEL = [
    BinaryCrossEntropy(),
    BinaryCrossEntropy(class_weight="balanced"),
    *(MultilabelFocal(gamma=g, form=f) for g, f in itertools.product([0, 0.3, 1, 2, 20], ["focal", "published"])),
    MultilabelFocal(form="published", alpha="none", epsilon=1e-7),
]
CLASS_COUNTS = np.array([[60, 40], [30, 70], [10, 90]], np.float32)


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def batch(seed: int, size: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, one-hot targets, multi-hot targets with unknowns."""
    rng = np.random.default_rng(seed)
    multi = rng.choice([0.0, 1.0, NAN], (size, 3), p=[0.5, 0.3, 0.2])
    return 3 * rng.standard_normal((size, 3)), np.eye(3)[rng.integers(0, 3, size)], multi


@partial(jax.jit, static_argnums=0)
def value_and_gradient(loss: Any, logits: jax.Array, targets: jax.Array, counts: jax.Array) -> tuple[jax.Array, ...]:
    def total(z: jax.Array) -> tuple[jax.Array, jax.Array]:
        values = loss(z, targets, counts)
        return values.sum(), values

    gradient, values = jax.grad(total, has_aux=True)(logits)
    return values, gradient


def both(loss: Any, logits: Any, targets: Any, counts: Any = CLASS_COUNTS) -> tuple[np.ndarray, np.ndarray]:
    arrays = (jnp.asarray(x, jnp.float32) for x in (logits, targets, counts))
    values, gradient = value_and_gradient(loss, *arrays)
    return np.asarray(values), np.asarray(gradient)


def of(loss: Any, logits: Any, targets: Any, counts: Any = CLASS_COUNTS) -> np.ndarray:
    return both(loss, logits, targets, counts)[0]


def test_cross_entropy() -> None:
    z, y, _ = batch(0)
    expected = -(y * np.log(softmax(z))).sum(1)
    np.testing.assert_allclose(of(CrossEntropy(), z, y), expected, rtol=1e-5)
    smooth = 0.9 * y + 0.1 / 3
    smoothed = -(smooth * np.log(softmax(z))).sum(1)
    np.testing.assert_allclose(of(CrossEntropy(label_smoothing=0.1), z, y), smoothed, rtol=1e-5)
    weights = 100 / (3 * np.array([60, 30, 10]))
    weighted = of(CrossEntropy(label_smoothing=0.1, class_weight="balanced"), z, y)
    np.testing.assert_allclose(weighted, weights[y.argmax(1)] * smoothed, rtol=1e-5)


def test_balanced_weights_average_to_one() -> None:
    y = np.eye(3)[np.repeat([0, 1, 2], [60, 30, 10])]
    z = np.zeros_like(y)
    for loss in (CrossEntropy(class_weight="balanced"), Focal(gamma=0)):
        np.testing.assert_allclose(of(loss, z, y).mean(), np.log(3), rtol=1e-5)
        # A class that never occurs neither counts in K nor adds a loss.
        absent = np.array([[60, 30], [30, 60], [0, 90]])
        np.testing.assert_allclose(of(loss, z, y, absent)[:90].mean(), np.log(3), rtol=1e-5)
        np.testing.assert_array_equal(of(loss, z, y, absent)[90:], 0)


def test_binary_cross_entropy() -> None:
    z, _, y = batch(1)
    p = 1 / (1 + np.exp(-z))
    terms = np.where(y == 1, -np.log(p), -np.log(1 - p))
    expected = np.nanmean(np.where(np.isnan(y), NAN, terms), 1)
    np.testing.assert_allclose(of(BinaryCrossEntropy(), z, y), expected, rtol=1e-5)
    for_positive, for_negative = 50 / CLASS_COUNTS.T
    weighted = np.where(y == 1, for_positive, for_negative) * terms
    expected = np.nanmean(np.where(np.isnan(y), NAN, weighted), 1)
    np.testing.assert_allclose(of(BinaryCrossEntropy(class_weight="balanced"), z, y), expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal(gamma: float) -> None:
    z, y, _ = batch(2)
    p = softmax(z)
    terms = (1 - p) ** gamma * -np.log(p) * y
    weights = 100 / (3 * np.array([60, 30, 10]))
    np.testing.assert_allclose(of(Focal(gamma=gamma, alpha="none"), z, y), terms.sum(1), rtol=1e-4)
    np.testing.assert_allclose(of(Focal(gamma=gamma), z, y), (weights * terms).sum(1), rtol=1e-4)


def test_focal_by_hand() -> None:
    z = np.log([[0.7, 0.2, 0.1]])
    loss = of(Focal(alpha="none"), z, [[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(loss, 0.8**2 * -math.log(0.2), rtol=1e-5)  # 1.0300
    # Class weights of the breast ultrasound task (891, 421 and 266 files; 624, 295 and 186 in training).
    counts = [[624, 481], [295, 810], [186, 919]]
    ratio = of(Focal(), z, [[0.0, 1.0, 0.0]], counts) / loss
    np.testing.assert_allclose(ratio, 1.2486, atol=1e-4)


def test_focal_epsilon_caps_the_loss() -> None:
    z, y = [[40.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]] * 2
    free, capped = of(Focal(alpha="none"), z, y), of(Focal(alpha="none", epsilon=1e-7), z, y)
    np.testing.assert_allclose(free[0], 40, rtol=1e-5)
    np.testing.assert_allclose(capped[0], -math.log(1e-7), rtol=1e-5)
    np.testing.assert_allclose(capped[1], free[1], rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_multilabel_focal(gamma: float) -> None:
    z, _, y = batch(3)
    p = 1 / (1 + np.exp(-z))
    for_positive, for_negative = 50 / CLASS_COUNTS.T
    right = np.where(y == 1, for_positive * (1 - p) ** gamma * -np.log(p), for_negative * p**gamma * -np.log(1 - p))
    published = for_positive * np.where(y == 1, (1 - p) ** gamma * -np.log(p), (1 + p**gamma) * -np.log(1 - p))
    for form, terms in (("focal", right), ("published", published)):
        expected = np.nanmean(np.where(np.isnan(y), NAN, terms), 1)
        np.testing.assert_allclose(of(MultilabelFocal(gamma=gamma, form=form), z, y), expected, rtol=1e-4)


@pytest.mark.parametrize(("form", "expected"), [("published", 0.1064), ("focal", 0.00105)])
def test_multilabel_focal_of_an_easy_negative(form: str, expected: float) -> None:
    loss = of(MultilabelFocal(form=form, alpha="none"), [[math.log(0.1 / 0.9)]], [[0.0]], [[1, 1]])
    np.testing.assert_allclose(loss, expected, rtol=5e-3)


def test_multilabel_focal_of_a_positive_is_the_same_in_both_forms() -> None:
    z, y = [[0.3, -2.0]], [[1.0, 1.0]]
    focal, published = (of(MultilabelFocal(form=form), z, y, CLASS_COUNTS[:2]) for form in ("focal", "published"))
    np.testing.assert_allclose(focal, published, rtol=1e-6)


@pytest.mark.parametrize("loss", MULTILABEL, ids=str)
def test_unknown_labels_add_nothing(loss: Any) -> None:
    z = np.array([[1.0, -2.0, 0.5], [0.1, 0.2, 0.3]])
    y = np.array([[1.0, NAN, 0.0], [NAN, NAN, NAN]])
    without = of(loss, z[:, ::2], y[:, ::2], CLASS_COUNTS[::2])
    values, gradient = both(loss, z, y)
    np.testing.assert_allclose(values, without, rtol=1e-6)
    assert values[1] == 0
    assert np.all(gradient[np.isnan(y)] == 0)


def corners(tasks: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Every row of logits from -80, 0, 80, with every right target, and a soft one."""
    z = np.array(list(itertools.product([-80.0, 0.0, 80.0], repeat=3)))
    if tasks == ("multiclass",):
        options = [*np.eye(3), np.full(3, 1 / 3)]
    else:
        options = [*np.array(list(itertools.product([0.0, 1.0], repeat=3))), np.array([0.5, NAN, 0.2])]
    return np.tile(z, (len(options), 1)), np.repeat(np.array(options), len(z), axis=0)


@pytest.mark.parametrize("loss", [*MULTICLASS, *MULTILABEL], ids=str)
def test_value_and_gradient_are_finite_at_the_extremes(loss: Any) -> None:
    z, y = corners(loss.tasks)
    for counts in (CLASS_COUNTS, [[9, 0], [0, 9], [0, 9]], np.zeros((3, 2))):
        values, gradient = both(loss, z, y, counts)
        assert values.shape == (len(z),)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("loss", [*MULTICLASS, *MULTILABEL], ids=str)
def test_gradient_is_that_of_the_value(loss: Any) -> None:
    z, one_hot, multi = batch(4)
    y = one_hot if loss.tasks == ("multiclass",) else multi
    gradient = both(loss, z / 3, y)[1]
    for column in range(3):
        step = 1e-2 * np.eye(3)[column]
        slope = (of(loss, z / 3 + step, y) - of(loss, z / 3 - step, y)) / 2e-2
        np.testing.assert_allclose(gradient[:, column], slope, rtol=0.02, atol=5e-3)


@pytest.mark.parametrize("loss", [*MULTICLASS, *MULTILABEL], ids=str)
def test_rows_do_not_influence_each_other(loss: Any) -> None:
    z, one_hot, multi = batch(5)
    y = one_hot if loss.tasks == ("multiclass",) else multi
    turned = of(loss, np.concatenate([z[:2], -z[2:] + 1]), np.concatenate([y[:2], y[:1:-1]]))
    np.testing.assert_allclose(of(loss, z, y)[:2], turned[:2], rtol=1e-6)
    assert not np.allclose(of(loss, z, y)[2:], turned[2:])
