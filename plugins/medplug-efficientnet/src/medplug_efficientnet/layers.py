"""Convolution, batch norm and activation as one layer, and the initial values of its arrays."""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from medplug_efficientnet import ops

EPSILON, MOMENTUM = 1e-3, 0.99  # of the weights' source; the momentum is the old value's share
_FORMS = {"stem": ops.stem, "pointwise": ops.pointwise, "depthwise": ops.depthwise}


def generator(rngs: nnx.Rngs) -> np.random.Generator:
    """NumPy's generator for the initial values, seeded by the next key of ``rngs.params``.

    Drawing with NumPy builds a network in a fraction of a second, where JAX compiles one program per shape.
    """
    key = rngs.params()
    if isinstance(key, jax.core.Tracer):
        raise TypeError("the network draws its initial weights with NumPy: build it outside of jit and eval_shape")
    return np.random.default_rng(np.asarray(jax.random.key_data(key)))


class Convolution(nnx.Module):
    """A convolution without bias; ``kernel`` is ``[k, k, I, O]``, of a depthwise one ``[k, k, 1, C]``."""

    def __init__(self, size: int, inputs: int, outputs: int, *, grouped: bool, random: np.random.Generator) -> None:
        shape = (size, size, 1 if grouped else inputs, outputs)
        fan_out = size * size * (1 if grouped else outputs)
        self.kernel = nnx.Param(jnp.asarray(random.normal(0, math.sqrt(2 / fan_out), shape), jnp.float32))


class BatchNorm(nnx.Module):
    """Batch normalisation over all axes but the last (Ioffe and Szegedy 2015), with biased variances.

    With ``use_running_average`` it applies the running statistics, as in ``eval()``, and leaves them alone.
    """

    def __init__(self, channels: int) -> None:
        self.scale = nnx.Param(jnp.asarray(np.ones(channels, np.float32)))
        self.bias = nnx.Param(jnp.asarray(np.zeros(channels, np.float32)))
        self.mean = nnx.BatchStat(jnp.asarray(np.zeros(channels, np.float32)))
        self.var = nnx.BatchStat(jnp.asarray(np.ones(channels, np.float32)))
        self.use_running_average = False

    def affine(self) -> tuple[jax.Array, jax.Array]:
        """Factor and offset, each ``[C]``, that the running statistics amount to."""
        factor = self.scale[...] * lax.rsqrt(self.var[...] + EPSILON)
        return factor, self.bias[...] - self.mean[...] * factor

    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalises by the statistics of this batch and moves the running ones towards them."""
        axes = tuple(range(x.ndim - 1))
        mean = jnp.mean(x, axes, dtype=jnp.float32)
        var = jnp.maximum(jnp.mean(lax.square(x), axes, dtype=jnp.float32) - lax.square(mean), 0)
        for running, now in ((self.mean, mean), (self.var, var)):
            running[...] = MOMENTUM * running[...] + (1 - MOMENTUM) * lax.stop_gradient(now)
        factor = self.scale[...] * lax.rsqrt(var + EPSILON)
        return (x * factor + (self.bias[...] - mean * factor)).astype(x.dtype)


class ConvNorm(nnx.Module):
    """A convolution, its batch norm and, where ``active``, ReLU6."""

    def __init__(
        self,
        form: Literal["stem", "pointwise", "depthwise"],
        inputs: int,
        outputs: int,
        *,
        size: int = 1,
        stride: int = 1,
        active: bool = True,
        random: np.random.Generator,
    ) -> None:
        self.form, self.stride = form, stride
        self.activation = ops.relu6 if active else None
        self.conv = Convolution(size, inputs, outputs, grouped=form == "depthwise", random=random)
        self.norm = BatchNorm(outputs)

    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B, H, W, I]`` to ``[B, H/stride, W/stride, O]``, sizes rounded up."""
        convolve = _FORMS[self.form]
        kernel = self.conv.kernel[...]
        if self.norm.use_running_average:
            # The factor goes into the kernel: one pass less, and no need to keep the convolution's result
            # for the gradient of the scale.
            factor, offset = self.norm.affine()
            y = convolve(x, kernel * factor, self.stride) + offset
        else:
            y = self.norm(convolve(x, kernel, self.stride))
        return y if self.activation is None else self.activation(y)
