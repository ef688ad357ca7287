"""The kit catches broken explainers, and lets correct ones pass."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from medplug.plugins import Features, NetworkView, component
from medplug.testing import ConformanceError, check_component
from medplug.testing.fakes import InputGradient

Array = jax.Array


def spatial_part(features: Any) -> Array:
    return features.spatial if isinstance(features, Features) else features


def with_spatial(features: Any, spatial: Array) -> Any:
    return features._replace(spatial=spatial) if isinstance(features, Features) else spatial


def cam(features: Any, classify: Any, images: Array, classes: Array) -> Array:
    """Maps ``[B, T, *s]``: features times the spatial mean of the logit's gradient."""
    value = features(images)
    maps = spatial_part(value)

    def score(spatial: Array, chosen: Array) -> Array:
        return jnp.take_along_axis(classify(with_spatial(value, spatial)), chosen[:, None], axis=1).sum()

    gradients = jax.vmap(jax.grad(score), in_axes=(None, 1), out_axes=1)(maps, classes)
    weights = gradients.mean(tuple(range(2, gradients.ndim - 1)), keepdims=True)
    return (weights * maps[:, None]).sum(-1)


@component
class GradCam:
    """Class activation maps weighted by mean gradients (Selvaraju et al. 2017)."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        return cam(network.features, network.classify, images, classes)


@component
class Constant:
    """Says nothing."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        return jnp.ones_like(cam(network.features, network.classify, images, classes))


@component
class AlwaysClassZero:
    """Explains another class than asked."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        return cam(network.features, network.classify, images, jnp.zeros_like(classes))


@component
class FirstClassOnly:
    """Explains the first of the classes, each time."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        return cam(network.features, network.classify, images, jnp.broadcast_to(classes[:, :1], classes.shape))


@component
class ScaledByBatch:
    """Brings maps to a common scale."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        maps = cam(network.features, network.classify, images, classes)
        return maps / jnp.abs(maps).max()


@component
class PythonLoop:
    """Reads the classes' values."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        rows = [
            cam(network.features, network.classify, images[i : i + 1], jnp.array([[int(c) for c in row]]))
            for i, row in enumerate(classes)
        ]
        return jnp.concatenate(rows)


@component
class FlatOnly:
    """Averages the axes 1 and 2, whatever they are."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        maps = cam(network.features, network.classify, images, classes)
        return maps.reshape(*maps.shape[:2], maps.shape[2], -1)


@component
class NoTokens:
    """Takes features for an array."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        return cam(lambda x: network.features(x) * 1.0, network.classify, images, classes)


@component
class OneMap:
    """Drops the axis of the classes."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        return cam(network.features, network.classify, images, classes)[:, 0]


@component
class WrongSign:
    """Marks what speaks against the class."""

    def __call__(self, network: NetworkView, images: Array, classes: Array, keys: Array) -> Array:
        return -cam(network.features, network.classify, images, classes)


MUTANTS = [
    (Constant, "finds_what_decides"),
    (AlwaysClassZero, "finds_what_decides"),
    (FirstClassOnly, "finds_what_decides"),
    (ScaledByBatch, "images_independent"),
    (PythonLoop, "classes_may_be_traced"),
    (FlatOnly, "volumes_work"),
    (NoTokens, "features_with_a_token_work"),
    (OneMap, "shape_and_dtype"),
    (WrongSign, "finds_what_decides"),
]


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=lambda v: getattr(v, "__name__", None))
def test_a_broken_explainer_fails(mutant: type, check: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_component(mutant)
    assert check in caught.value.report.failed


@pytest.mark.parametrize("explainer", [GradCam, InputGradient])
def test_a_correct_explainer_passes(explainer: type) -> None:
    report = check_component(explainer)
    assert report.ok
    assert not report.skipped
