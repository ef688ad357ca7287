"""Convolutions and pools of DenseNet, written in the forms that XLA computes fast.

All arrays are float32, images ``[B, H, W, C]``, kernels ``[h, w, in, out]``. On the CPU backend XLA's own
convolution is slow for 1x1 kernels, for strides, and for weight gradients; there the same sums are written
as matrix products. Other backends have good kernels for all of these and get the plain convolution.
The rewritten forms have custom reverse-mode gradients, so forward-mode differentiation of them is not possible.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax

_LAYOUT = ("NHWC", "HWIO", "NHWC")
_Saved = tuple[jax.Array, jax.Array]


def prefers_products() -> bool:
    """Whether the backend computes convolutions best as matrix products. The only place that asks which one it is."""
    return jax.default_backend() == "cpu"


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolution with an odd square kernel and zero padding of half its size on all sides, so never "SAME".

    Args:
        x: ``[B, H, W, in]``.
        kernel: ``[k, k, in, out]``, k odd.
        stride: 1 or 2.

    Returns:
        ``[B, ceil(H / stride), ceil(W / stride), out]``.
    """
    size = kernel.shape[0]
    if prefers_products():
        if (size, stride) == (1, 1):
            return pointwise(x, kernel)
        if (size, stride) == (3, 1):
            return convolve3(x, kernel)
        if (size, stride) == (7, 2):
            return convolve7_stride2(x, kernel)
    return plain_convolution(x, kernel, stride)


def plain_convolution(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """The same as :func:`convolve`, always by XLA's convolution."""
    half = kernel.shape[0] // 2
    return _convolution(x, kernel, (half, half), stride)


def _convolution(x: jax.Array, kernel: jax.Array, padding: tuple[int, int], stride: int = 1) -> jax.Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), [padding, padding], dimension_numbers=_LAYOUT)


def _adjoint_kernel(kernel: jax.Array) -> jax.Array:
    """The kernel whose convolution with the output's gradient is the input's gradient (stride 1)."""
    return jnp.swapaxes(kernel[::-1, ::-1], 2, 3)


def _rows(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


def _windows(x: jax.Array, size: int, height: int, width: int) -> list[jax.Array]:
    return [x[:, i : i + height, j : j + width] for i in range(size) for j in range(size)]


# ---------------------------------------------------------------- 1x1


@jax.custom_vjp
def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 1x1 convolution as one matrix product; ``kernel`` is ``[1, 1, in, out]``."""
    return lax.dot_general(x, kernel[0, 0], (((3,), (0,)), ((), ())))


def _pointwise_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, _Saved]:
    return pointwise(x, kernel), (x, kernel)


def _pointwise_backward(saved: _Saved, gradient: jax.Array) -> _Saved:
    x, kernel = saved
    for_x = lax.dot_general(gradient, kernel[0, 0], (((3,), (1,)), ((), ())))
    # The transposed product is up to twice as fast as x.T @ gradient on XLA's CPU backend.
    for_kernel = (_rows(gradient).T @ _rows(x)).T
    return for_x, for_kernel.reshape(kernel.shape)


pointwise.defvjp(_pointwise_forward, _pointwise_backward)


# ---------------------------------------------------------------- 3x3


@jax.custom_vjp
def convolve3(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 3x3 convolution, stride 1, padding 1, whose weight gradient is one matrix product."""
    return _convolution(x, kernel, (1, 1))


def _convolve3_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, _Saved]:
    return convolve3(x, kernel), (x, kernel)


def _convolve3_backward(saved: _Saved, gradient: jax.Array) -> _Saved:
    x, kernel = saved
    _, height, width, out = gradient.shape
    padded = jnp.pad(gradient, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # Windows of the gradient, not of the input: a layer of DenseNet has four times fewer output channels.
    # Tap (i, j) meets the gradient shifted by (1 - i, 1 - j), hence the reversed order.
    columns = jnp.concatenate(_windows(padded, 3, height, width)[::-1], -1)
    product = _rows(x).T @ _rows(columns)
    for_kernel = product.reshape(x.shape[3], 9, out).transpose(1, 0, 2).reshape(kernel.shape)
    return convolve3(gradient, _adjoint_kernel(kernel)), for_kernel


convolve3.defvjp(_convolve3_forward, _convolve3_backward)


# ---------------------------------------------------------------- 7x7, stride 2


def convolve7_stride2(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 7x7 convolution, stride 2, padding 3, as a 4x4 convolution over 2x2 pixels stacked in the channels."""
    batch, height, width, channels = x.shape
    tall, wide = -(-height // 2), -(-width // 2)
    # An odd edge gets the row of zeros that the padding would have held.
    x = jnp.pad(x, ((0, 0), (0, 2 * tall - height), (0, 2 * wide - width), (0, 0)))
    x = x.reshape(batch, tall, 2, wide, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, tall, wide, 4 * channels)
    # A leading tap of zeros makes the kernel 8x8: it then covers whole pairs of rows, from 2 before to 1 after.
    kernel = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
    kernel = kernel.reshape(4, 2, 4, 2, channels, -1).transpose(0, 2, 1, 3, 4, 5)
    return _convolve4(x, kernel.reshape(4, 4, 4 * channels, -1))


@jax.custom_vjp
def _convolve4(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A 4x4 convolution, stride 1, padding 2 before and 1 after."""
    return _convolution(x, kernel, (2, 1))


def _convolve4_forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, _Saved]:
    return _convolve4(x, kernel), (x, kernel)


def _convolve4_backward(saved: _Saved, gradient: jax.Array) -> _Saved:
    x, kernel = saved
    padded = jnp.pad(x, ((0, 0), (2, 1), (2, 1), (0, 0)))
    columns = jnp.concatenate(_windows(padded, 4, *gradient.shape[1:3]), -1)
    for_kernel = (_rows(gradient).T @ _rows(columns)).T
    return _convolution(gradient, _adjoint_kernel(kernel), (1, 2)), for_kernel.reshape(kernel.shape)


_convolve4.defvjp(_convolve4_forward, _convolve4_backward)


# ---------------------------------------------------------------- pools


def max_pool3_stride2(x: jax.Array) -> jax.Array:
    """Largest value of 3x3 pixels, stride 2, padding 1. ``x`` must not be negative: the padding is zero.

    Written as maxima, first down, then across: XLA's CPU backend is slow at the gradient of its own pooling.
    Where several pixels of a window are the largest, the gradient is shared among them.
    """
    return _max_of_three(_max_of_three(x, 1), 2)


def _max_of_three(x: jax.Array, axis: int) -> jax.Array:
    """Value ``i`` is the largest of ``2i - 1``, ``2i`` and ``2i + 1`` along the axis."""
    edge = x.shape[axis]
    half = -(-edge // 2)
    x = _pad(x, axis, 0, 2 * half - edge)
    pairs = x.reshape(*x.shape[:axis], half, 2, *x.shape[axis + 1 :])
    even = lax.index_in_dim(pairs, 0, axis + 1, keepdims=False)
    odd = lax.index_in_dim(pairs, 1, axis + 1, keepdims=False)
    before = lax.slice_in_dim(_pad(odd, axis, 1, 0), 0, half, axis=axis)
    return jnp.maximum(jnp.maximum(even, odd), before)


def _pad(x: jax.Array, axis: int, before: int, after: int) -> jax.Array:
    widths = [(0, 0)] * x.ndim
    widths[axis] = (before, after)
    return jnp.pad(x, widths)


def average_pool2(x: jax.Array) -> jax.Array:
    """Mean of 2x2 pixels, stride 2, no padding: the last row or column of an odd edge is dropped."""
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
