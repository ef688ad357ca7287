"""The kit catches broken optimizers, schedules and mixers, and lets correct ones pass."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medplug.plugins import component
from medplug.testing import ConformanceError, check_component
from medplug.testing.fakes import Blend, Level, PlainSgd, SimpleAdam

Array = jax.Array
Transformation = optax.GradientTransformation


def refused(mutant: type, kind: str, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_component(mutant, kind=kind)
    assert check in caught.value.report.failed


# ---------------------------------------------------------------- optimizers


@component
class Uphill:
    """Leaves the sign to the engine."""

    def __call__(self) -> Transformation:
        return optax.scale_by_adam()


@component
class DecaysAll:
    """Decays norms and biases too."""

    def __call__(self) -> Transformation:
        return optax.adamw(1.0, weight_decay=0.1)


@component
class DividesByTheNorm:
    """Knows no gradient of zero."""

    def __call__(self) -> Transformation:
        def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            return jax.tree.map(lambda g: -g / jnp.linalg.norm(jnp.ravel(g)), gradients), state

        return Transformation(lambda params: optax.EmptyState(), update)


@component
class PythonCount:
    """Counts its steps in a Python number."""

    def __call__(self) -> Transformation:
        return Transformation(lambda params: 0, lambda g, state, p=None: (jax.tree.map(jnp.negative, g), state + 1))


@component
class ForgetsItsForm:
    """Begins with one moment for all parameters."""

    def __call__(self) -> Transformation:
        return Transformation(lambda params: jnp.zeros(()), lambda g, s, p=None: (jax.tree.map(jnp.negative, g), g))


@component
class HalfPrecision:
    """Gives bfloat16."""

    def __call__(self) -> Transformation:
        def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            return jax.tree.map(lambda g: -g.astype(jnp.bfloat16), gradients), state

        return Transformation(lambda params: optax.EmptyState(), update)


@component
class Nothing:
    """Gives a function alone."""

    def __call__(self) -> Any:
        return lambda gradients: gradients


@component
class LooksAtNames:
    """Moves what is called a bias twice as fast."""

    def __call__(self) -> Transformation:
        def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
            def one(path: Any, g: Array) -> Array:
                return -g * (2 if "bias" in jax.tree_util.keystr(path) else 1)

            return jax.tree_util.tree_map_with_path(one, gradients), state

        return Transformation(lambda params: optax.EmptyState(), update)


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (Uphill, "a_quadratic_goes_down"),
        (DecaysAll, "spares_norms_and_biases"),
        (DividesByTheNorm, "finite_without_a_gradient"),
        (PythonCount, "state_keeps_its_form"),
        (ForgetsItsForm, "state_keeps_its_form"),
        (HalfPrecision, "shape_and_dtype"),
        (Nothing, "gives_a_transformation"),
        (LooksAtNames, "the_tree_does_not_matter"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_a_broken_optimizer_fails(mutant: type, check: str) -> None:
    refused(mutant, "optimizer", check)


@pytest.mark.parametrize("optimizer", [PlainSgd, SimpleAdam])
def test_a_correct_optimizer_passes(optimizer: type) -> None:
    assert {"a_quadratic_goes_down", "state_keeps_its_form"} <= set(check_component(optimizer, draw=1).passed)


# ---------------------------------------------------------------- schedules


@component
class UsesMath:
    """Leaves JAX."""

    def __call__(self, steps: int) -> Any:
        return lambda step: math.cos(step / steps)


@component
class DividesByTheRise:
    """Has no step on the way up in a short phase."""

    def __call__(self, steps: int) -> Any:
        rising = steps // 10
        return lambda step: jnp.minimum(1.0, jnp.float32(step) / jnp.float32(rising))


@component
class GoesOnFalling:
    """Falls below zero."""

    def __call__(self, steps: int) -> Any:
        return lambda step: 1 - 2 * jnp.float32(step) / steps


@component
class HasItsOwnRate:
    """Has a peak of its own."""

    def __call__(self, steps: int) -> Any:
        return optax.constant_schedule(1e-3)


@component
class GivesAList:
    """Has an axis too many."""

    def __call__(self, steps: int) -> Any:
        return lambda step: jnp.ones(1) * step / steps


@component
class Counts:
    """Counts how often it is asked."""

    def __call__(self, steps: int) -> Any:
        asked = iter(np.linspace(1, 0, 1000))
        return lambda step: jnp.float32(next(asked)) + 0 * step


@component
class GivesANumber:
    """Knows nothing of steps."""

    def __call__(self, steps: int) -> Any:
        return 1.0


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (UsesMath, "shape_and_dtype"),
        (DividesByTheRise, "stays_in_range"),
        (GoesOnFalling, "stays_in_range"),
        (HasItsOwnRate, "reaches_its_peak"),
        (GivesAList, "shape_and_dtype"),
        (Counts, "the_step_decides"),
        (GivesANumber, "gives_a_function"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_a_broken_schedule_fails(mutant: type, check: str) -> None:
    refused(mutant, "schedule", check)


def test_a_correct_schedule_passes() -> None:
    assert {"stays_in_range", "reaches_its_peak"} <= set(check_component(Level).passed)


# ---------------------------------------------------------------- mixers

Mixed = tuple[Array, Array]


def halves(x: Array, share: Array | float = 0.5) -> Array:
    return x * (1 - share) + jnp.roll(x, 1, axis=0) * share


def drawn(key: Array, images: Array) -> Array:
    return jax.random.uniform(key, (len(images), *(1,) * (images.ndim - 1)), minval=0.1, maxval=0.9)


@component
class ForgetsTargets:
    """Mixes images alone."""

    def __call__(self, key: Array, images: Array, targets: Array) -> Mixed:
        return halves(images, drawn(key, images)), targets


@component
class IgnoresKey:
    """Takes halves always."""

    def __call__(self, key: Array, images: Array, targets: Array) -> Mixed:
        return halves(images), halves(targets)


@component
class Doubles:
    """Adds without shares."""

    def __call__(self, key: Array, images: Array, targets: Array) -> Mixed:
        images = jnp.clip(images + jnp.roll(images, 1, axis=0) * drawn(key, images), 0, 1)
        return images, targets + jnp.roll(targets, 1, axis=0)


@component
class FillsUnknown:
    """Takes an unknown label for an absent one."""

    def __call__(self, key: Array, images: Array, targets: Array) -> Mixed:
        share = drawn(key, images)
        return halves(images, share), halves(jnp.nan_to_num(targets), share.reshape(-1, 1))


@component
class SpreadsUnknown:
    """Multiplies an unknown label by a share of nothing."""

    def __call__(self, key: Array, images: Array, targets: Array) -> Mixed:
        share = drawn(key, images) * jax.random.bernoulli(key, 0.5, (len(images),) + (1,) * (images.ndim - 1))
        return halves(images, share), halves(targets, share.reshape(-1, 1))


@component
class NumpyRandom:
    """Draws outside of JAX."""

    def __call__(self, key: Array, images: Array, targets: Array) -> Mixed:
        share = float(np.random.default_rng().uniform(0.1, 0.9))
        return halves(images, share), halves(targets, share)


@component
class DropsARow:
    """Returns pairs."""

    def __call__(self, key: Array, images: Array, targets: Array) -> Mixed:
        return images[::2], targets[::2]


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (ForgetsTargets, "targets_follow_images"),
        (IgnoresKey, "the_key_has_an_effect"),
        (Doubles, "stays_in_range"),
        (FillsUnknown, "unknown_labels_stay_unknown"),
        (SpreadsUnknown, "unknown_labels_stay_unknown"),
        (NumpyRandom, "the_key_decides"),
        (DropsARow, "shape_and_dtype"),
    ],
    ids=lambda v: getattr(v, "__name__", None),
)
def test_a_broken_mixer_fails(mutant: type, check: str) -> None:
    refused(mutant, "mixer", check)


def test_a_correct_mixer_passes() -> None:
    assert {"targets_follow_images", "unknown_labels_stay_unknown"} <= set(check_component(Blend, draw=2).passed)


@pytest.mark.parametrize(("cls", "kind"), [(SimpleAdam, "optimizer"), (Level, "schedule"), (Blend, "mixer")])
def test_the_kind_is_told_from_the_methods(cls: type, kind: str) -> None:
    from medplug.testing.runner import kind_of

    assert kind_of(cls) == kind
