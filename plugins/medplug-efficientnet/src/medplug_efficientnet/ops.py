"""The network's operations on NHWC arrays, each in the form that its backend runs fast.

On the CPU, XLA's own 1x1 and depthwise convolutions are slow: a 1x1 convolution is written as a matrix product, a
depthwise one as a sum of shifted copies with its own gradient. All forms compute the same numbers up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

CHUNK = 4  # images whose intermediates stay in a CPU's cache
LAYOUT = ("NHWC", "HWIO", "NHWC")
Padding = tuple[int, int]


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, Padding]:
    """The output length and the zeros before and after one axis, by TensorFlow's rule ``SAME``."""
    out = -(-size // stride)
    total = max((out - 1) * stride + kernel - size, 0)
    return out, (total // 2, total - total // 2)


@jax.custom_jvp
def relu6(x: jax.Array) -> jax.Array:
    """``min(max(x, 0), 6)``, with the gradient zero at both corners."""
    return jnp.clip(x, 0, 6)


@relu6.defjvp
def _relu6_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    y = relu6(primals[0])
    return y, jnp.where((y > 0) & (y < 6), tangents[0], jnp.zeros((), y.dtype))  # from y: x need not be kept


def pointwise(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """1x1 convolution of ``[B, H, W, I]`` with ``[1, 1, I, O]`` as one matrix product; ``stride`` must be 1."""
    if stride != 1:
        raise ValueError(f"pointwise convolutions have stride 1, got {stride}")
    return _product(x.reshape(-1, x.shape[3]), kernel[0, 0]).reshape(*x.shape[:3], kernel.shape[3])


@jax.custom_vjp
def _product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return x @ kernel


def _product_gradients(saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    # What automatic differentiation makes of the second one transposes the large gradient in memory.
    x, kernel = saved
    return gradient @ kernel.T, lax.dot_general(x, gradient, (((0,), (0,)), ((), ())))


_product.defvjp(lambda x, kernel: (_product(x, kernel), (x, kernel)), _product_gradients)


def convolve(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolution of ``[B, H, W, I]`` with ``[k, k, I, O]``, padded by the rule ``SAME``."""
    padding = [same_padding(n, k, stride)[1] for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)]
    return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT)


def stem(x: jax.Array, kernel: jax.Array, stride: int = 2) -> jax.Array:
    """The first convolution, :func:`convolve` of a 3x3 kernel with stride 2; its gradients by products on the CPU."""
    if kernel.shape[:2] != (3, 3) or stride != 2:
        raise ValueError(f"the stem is a 3x3 convolution with stride 2, got {kernel.shape[:2]} with {stride}")
    return _stem(x, kernel) if jax.default_backend() == "cpu" else convolve(x, kernel, 2)


def stem_as_product(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """:func:`stem` as one matrix product: pixels in blocks of 2x2, then 2x2 neighbouring blocks side by side."""
    batch, height, width, channels = x.shape
    (oh, ph), (ow, pw) = (same_padding(n, 3, 2) for n in (height, width))
    before, after = (ph[0], pw[0]), (2 * oh + 2 - height - ph[0], 2 * ow + 2 - width - pw[0])
    x = jnp.pad(x, ((0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)))
    blocks = x.reshape(batch, oh + 1, 2, ow + 1, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    blocks = blocks.reshape(batch, oh + 1, ow + 1, 4 * channels)
    columns = jnp.concatenate([blocks[:, i : i + oh, j : j + ow] for i in (0, 1) for j in (0, 1)], axis=3)
    kernel = jnp.pad(kernel, ((0, 1), (0, 1), (0, 0), (0, 0)))  # the fourth row and column see nothing
    kernel = kernel.reshape(2, 2, 2, 2, channels, -1).transpose(0, 2, 1, 3, 4, 5).reshape(16 * channels, -1)
    return _product(columns.reshape(-1, 16 * channels), kernel).reshape(batch, oh, ow, -1)


@jax.custom_vjp
def _stem(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return convolve(x, kernel, 2)


_stem.defvjp(
    lambda x, kernel: (_stem(x, kernel), (x, kernel)),
    lambda saved, gradient: jax.vjp(stem_as_product, *saved)[1](gradient),
)


def depthwise(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Depthwise convolution of ``[B, H, W, C]`` with ``[k, k, 1, C]``, padded by the rule ``SAME``.

    Shifted sums on the CPU, where XLA's grouped convolution is 10 to 40 times slower; the grouped convolution
    elsewhere.
    """
    form = depthwise_shifted if jax.default_backend() == "cpu" else depthwise_grouped
    return form(x, kernel, stride)


def depthwise_grouped(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """:func:`depthwise` as XLA's grouped convolution."""
    padding = [same_padding(n, k, stride)[1] for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True)]
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=LAYOUT, feature_group_count=x.shape[3]
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise_shifted(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """:func:`depthwise` as a sum over the kernel's taps of shifted copies of the padded image."""
    (oh, ph), (ow, pw) = (same_padding(n, k, stride) for n, k in zip(x.shape[1:3], kernel.shape[:2], strict=True))
    padded = jnp.pad(x, ((0, 0), ph, pw, (0, 0)))
    return _tap_sum(
        kernel, lambda i, j: padded[:, i : i + stride * (oh - 1) + 1 : stride, j : j + stride * (ow - 1) + 1 : stride]
    )


def _tap_sum(kernel: jax.Array, window: Callable[[int, int], jax.Array]) -> jax.Array:
    rows, columns = kernel.shape[:2]
    terms = [window(i, j) * kernel[i, j, 0] for i in range(rows) for j in range(columns)]
    return sum(terms[1:], terms[0])


def _forward(x: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return depthwise_shifted(x, kernel, stride), (x, kernel)


def _backward(stride: int, saved: tuple[jax.Array, jax.Array], gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    x, kernel = saved
    batch = x.shape[0]
    chunk = next(c for c in range(min(CHUNK, batch), 0, -1) if batch % c == 0)
    if chunk == batch:
        by_kernel = _kernel_gradient(x, gradient, kernel.shape[:2], stride)
        return _input_gradient(gradient, kernel, x.shape, stride), by_kernel.astype(kernel.dtype)

    def step(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        total = total + _kernel_gradient(*part, kernel.shape[:2], stride)
        return total, _input_gradient(part[1], kernel, part[0].shape, stride)

    def chunks(a: jax.Array) -> jax.Array:
        return a.reshape(batch // chunk, chunk, *a.shape[1:])

    start = jnp.zeros(kernel.shape, jnp.float32)
    by_kernel, by_input = lax.scan(step, start, (chunks(x), chunks(gradient)))
    return by_input.reshape(x.shape), by_kernel.astype(kernel.dtype)


depthwise_shifted.defvjp(_forward, _backward)


def _kernel_gradient(x: jax.Array, gradient: jax.Array, size: tuple[int, ...], stride: int) -> jax.Array:
    """``[k, k, 1, C]`` float32: for each tap, the product of window and gradient summed over batch and space.

    Rows are added up one after the other into ``[B, W, C]`` per tap, because XLA vectorises sums of whole
    arrays and not reductions that leave only the channels.
    """
    (oh, ph), (ow, pw) = (same_padding(n, k, stride) for n, k in zip(x.shape[1:3], size, strict=True))
    padded = jnp.pad(x, ((0, 0), ph, pw, (0, 0)))
    taps = [(i, j) for i in range(size[0]) for j in range(size[1])]

    def add_row(totals: list[jax.Array], row: jax.Array) -> tuple[list[jax.Array], None]:
        of_row = lax.dynamic_slice_in_dim(gradient, row, 1, 1)[:, 0]
        window = lax.dynamic_slice_in_dim(padded, row * stride, size[0], 1)
        products = [window[:, i, j : j + stride * (ow - 1) + 1 : stride] * of_row for i, j in taps]
        return [t + p.astype(jnp.float32) for t, p in zip(totals, products, strict=True)], None

    zeros = jnp.zeros((x.shape[0], ow, x.shape[3]), jnp.float32)
    totals, _ = lax.scan(add_row, [zeros] * len(taps), jnp.arange(oh), unroll=2)
    return jnp.stack([t.sum((0, 1)) for t in totals]).reshape(*size, 1, x.shape[3])


def _input_gradient(gradient: jax.Array, kernel: jax.Array, shape: tuple[int, ...], stride: int) -> jax.Array:
    """The transposed convolution, one pass for each of the ``stride ** 2`` phases of the input's pixels.

    A pixel meets only the taps of its own phase, so no zeros are multiplied.
    """
    (rows, ph), (columns, pw) = (
        (-(-n // stride), same_padding(n, k, stride)[1]) for n, k in zip(shape[1:3], kernel.shape[:2], strict=True)
    )
    edge = max(kernel.shape[:2])
    padded = jnp.pad(gradient, ((0, 0), (edge, edge), (edge, edge), (0, 0)))

    def phase(a: int, b: int) -> jax.Array:
        terms = [
            padded[:, edge + (a + ph[0] - i) // stride :, edge + (b + pw[0] - j) // stride :][:, :rows, :columns]
            * kernel[i, j, 0]
            for i in range(kernel.shape[0])
            for j in range(kernel.shape[1])
            if (a + ph[0] - i) % stride == 0 and (b + pw[0] - j) % stride == 0
        ]
        return sum(terms[1:], terms[0]) if terms else jnp.zeros((shape[0], rows, columns, shape[3]), gradient.dtype)

    if stride == 1:
        return phase(0, 0)
    lines = [jnp.stack([phase(a, b) for b in range(stride)], axis=3) for a in range(stride)]
    whole = jnp.stack(lines, axis=2).reshape(shape[0], rows * stride, columns * stride, shape[3])
    return whole[:, : shape[1], : shape[2]]
