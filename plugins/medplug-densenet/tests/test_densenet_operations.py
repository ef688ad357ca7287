"""The fast forms of convolutions and pools against XLA's own."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from medplug_densenet import operations
from medplug_densenet.operations import average_pool2, convolve, max_pool3_stride2, plain_convolution


def normal(seed: int, *shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def reference(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    pads = [(kernel.shape[0] // 2,) * 2] * 2
    return lax.conv_general_dilated(x, kernel, (stride,) * 2, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def value_and_gradients(function: Callable[..., jax.Array], *arguments: jax.Array) -> tuple[jax.Array, ...]:
    """The value, and the gradient of each argument for a random cotangent."""
    cotangent = normal(9, *jax.eval_shape(function, *arguments).shape)

    @jax.jit
    def run(*values: jax.Array) -> tuple[jax.Array, ...]:
        value, pull = jax.vjp(function, *values)
        return value, *pull(cotangent)

    return run(*arguments)


def assert_close(actual: jax.Array, expected: jax.Array, relative: float = 1e-5) -> None:
    assert actual.shape == expected.shape
    assert jnp.abs(actual - expected).max() <= relative * jnp.abs(expected).max()


@pytest.mark.parametrize("edges", [(8, 8), (9, 6), (6, 11)])
@pytest.mark.parametrize(
    ("size", "stride", "inputs", "outputs"), [(1, 1, 5, 3), (3, 1, 6, 4), (7, 2, 3, 5), (7, 2, 1, 2)]
)
def test_value_and_both_gradients(edges: tuple, size: int, stride: int, inputs: int, outputs: int) -> None:
    x, kernel = normal(0, 2, *edges, inputs), normal(1, size, size, inputs, outputs)
    ours = value_and_gradients(lambda a, b: convolve(a, b, stride), x, kernel)
    theirs = value_and_gradients(lambda a, b: reference(a, b, stride), x, kernel)
    for actual, expected in zip(ours, theirs, strict=True):
        assert_close(actual, expected)


def test_other_backends_get_the_plain_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(0, 1, 9, 8, 3)
    kernels = [(normal(1, 1, 1, 3, 2), 1), (normal(2, 3, 3, 3, 2), 1), (normal(3, 7, 7, 3, 2), 2)]
    fast = [convolve(x, kernel, stride) for kernel, stride in kernels]
    monkeypatch.setattr(operations, "prefers_products", lambda: False)
    for (kernel, stride), value in zip(kernels, fast, strict=True):
        jaxpr = str(jax.make_jaxpr(lambda a, b, s=stride: convolve(a, b, s))(x, kernel))
        assert "conv_general_dilated" in jaxpr
        assert "custom_vjp" not in jaxpr
        assert_close(plain_convolution(x, kernel, stride), value)


@pytest.mark.parametrize("edges", [(8, 8), (9, 6), (3, 7)])
def test_pools(edges: tuple) -> None:
    x = jnp.abs(normal(0, 2, *edges, 4))  # no two are equal, so the gradient of the maximum is unique

    def largest(a: jax.Array) -> jax.Array:
        padding = ((0, 0), (1, 1), (1, 1), (0, 0))
        return lax.reduce_window(a, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), padding)

    def mean(a: jax.Array) -> jax.Array:
        return lax.reduce_window(a, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4

    for ours, theirs in ((max_pool3_stride2, largest), (average_pool2, mean)):
        pairs = zip(value_and_gradients(ours, x), value_and_gradients(theirs, x), strict=True)
        for actual, expected in pairs:
            assert_close(actual, expected)
