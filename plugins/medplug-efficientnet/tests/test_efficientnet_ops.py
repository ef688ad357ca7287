"""The CPU's forms of the operations against XLA's own convolutions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medplug_efficientnet import ops

DEPTHWISE = [  # (batch, height, width, channels, kernel, stride): odd and even sizes, smaller than the kernel, chunked
    (2, 8, 8, 3, 3, 1),
    (2, 9, 6, 3, 3, 2),
    (1, 6, 9, 5, 5, 1),
    (4, 7, 10, 5, 5, 2),
    (8, 8, 7, 2, 5, 2),
    (6, 5, 5, 2, 3, 1),
    (5, 2, 3, 4, 5, 2),
    (3, 1, 1, 4, 5, 1),
]


def normal(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def value_and_pullback(function, *arguments, seed=7):
    def both(*arguments):
        out, pullback = jax.vjp(function, *arguments)
        return [out, *pullback(normal(*out.shape, seed=seed))]

    return jax.jit(both)(*arguments)


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("batch", "height", "width", "channels", "kernel", "stride"), DEPTHWISE)
def test_shifted_depthwise_is_the_grouped_convolution(batch, height, width, channels, kernel, stride):
    x, w = normal(batch, height, width, channels), normal(kernel, kernel, 1, channels, seed=1)
    shifted = value_and_pullback(lambda x, w: ops.depthwise_shifted(x, w, stride), x, w)
    grouped = value_and_pullback(lambda x, w: ops.depthwise_grouped(x, w, stride), x, w)
    assert_same(shifted, grouped)


def test_depthwise_has_one_form_for_the_cpu_and_one_for_other_backends(monkeypatch):
    x, w = normal(1, 4, 4, 2), normal(3, 3, 1, 2)

    def uses_convolution():
        return "conv_general_dilated" in str(jax.make_jaxpr(partial(ops.depthwise, stride=1))(x, w))

    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    assert not uses_convolution()
    for other in ("gpu", "tpu"):
        monkeypatch.setattr(jax, "default_backend", lambda other=other: other)
        assert uses_convolution()


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 9, 6, 3), (2, 5, 7, 1), (1, 1, 2, 4)])
def test_stem_is_the_convolution(shape):
    x, w = normal(*shape), normal(3, 3, shape[3], 4, seed=1)
    expected = value_and_pullback(lambda x, w: ops.convolve(x, w, 2), x, w)
    assert_same(value_and_pullback(ops.stem, x, w), expected)
    assert_same(value_and_pullback(ops.stem_as_product, x, w), expected)


def test_pointwise_is_the_convolution():
    x, w = normal(2, 3, 5, 4), normal(1, 1, 4, 6, seed=1)
    assert_same(value_and_pullback(ops.pointwise, x, w), value_and_pullback(ops.convolve, x, w))


def test_same_padding_is_that_of_xla():
    for size in range(1, 12):
        for kernel in (1, 3, 5):
            for stride in (1, 2):
                by_xla = jax.lax.padtype_to_pads((size,), (kernel,), (stride,), "SAME")
                assert ops.same_padding(size, kernel, stride) == (-(-size // stride), tuple(by_xla[0]))


def test_relu6_and_its_gradient():
    x = jnp.array([-1.0, 0.0, 0.5, 5.5, 6.0, 7.0])
    assert ops.relu6(x).tolist() == [0, 0, 0.5, 5.5, 6, 6]
    assert jax.grad(lambda x: ops.relu6(x).sum())(x).tolist() == [0, 0, 1, 1, 0, 0]


def test_wrong_strides_are_refused():
    with pytest.raises(ValueError, match="stride 1"):
        ops.pointwise(normal(1, 2, 2, 1), normal(1, 1, 1, 1), 2)
    with pytest.raises(ValueError, match="3x3"):
        ops.stem(normal(1, 6, 6, 1), normal(5, 5, 1, 1))
