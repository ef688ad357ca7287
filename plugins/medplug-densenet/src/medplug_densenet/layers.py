"""The layers of DenseNet as ``flax.nnx`` modules: convolution, batch norm, dense."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.core import Tracer

from medplug_densenet.operations import convolve

Moments = tuple[jax.Array, jax.Array]


class Draws:
    """Initial values from NumPy: the same on every JAX version, and 30 times faster to build than JAX's own."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        key = rngs.params()
        if isinstance(key, Tracer):
            raise TypeError("a DenseNet draws its initial weights with NumPy: build it outside of jit and eval_shape")
        self._generator = np.random.default_rng(np.asarray(jax.random.key_data(key)))

    def he_normal(self, shape: tuple[int, ...]) -> np.ndarray:
        """Normal values of variance 2 / fan-in (He et al. 2015); ``shape`` ends in ``(in, out)``."""
        scale = math.sqrt(2 / math.prod(shape[:-1]))
        return self._generator.standard_normal(shape, dtype=np.float32) * np.float32(scale)

    def glorot_uniform(self, shape: tuple[int, int]) -> np.ndarray:
        """Uniform values within sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010)."""
        limit = math.sqrt(6 / sum(shape))
        return (2 * self._generator.random(shape, dtype=np.float32) - 1) * np.float32(limit)


class Conv(nnx.Module):
    """A convolution without bias; ``kernel`` is ``[size, size, in, out]``, also where ``size`` is 1."""

    def __init__(self, size: int, inputs: int, outputs: int, *, stride: int = 1, draws: Draws) -> None:
        self.stride = stride
        self.kernel = nnx.Param(jnp.asarray(draws.he_normal((size, size, inputs, outputs))))

    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B, H, W, in]`` to ``[B, H / stride, W / stride, out]``, odd edges rounded up."""
        return convolve(x, self.kernel[...], self.stride)


class Dense(nnx.Module):
    """A dense layer with bias; ``kernel`` is ``[in, out]``."""

    def __init__(self, inputs: int, outputs: int, *, draws: Draws) -> None:
        self.kernel = nnx.Param(jnp.asarray(draws.glorot_uniform((inputs, outputs))))
        self.bias = nnx.Param(jnp.zeros(outputs, jnp.float32))

    def __call__(self, x: jax.Array) -> jax.Array:
        """``[B, in]`` to ``[B, out]``."""
        return x @ self.kernel[...] + self.bias[...]


def moments(x: jax.Array) -> Moments:
    """Mean and biased variance of each channel over all other axes, in two passes (one pass cancels digits)."""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    return mean, jnp.square(x - mean).mean(axes)


class BatchNorm(nnx.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) over the last axis.

    ``train()`` and ``eval()`` of any module around it switch ``use_running_average``. In training the batch
    is scaled by its own moments, with the biased variance, and the running ones move towards them.

    Attributes:
        epsilon: added to the variance.
        momentum: the share that the running moments keep in one step.
        unbiased: whether the running variance collects the unbiased estimate, n / (n - 1) times the other.
    """

    def __init__(self, channels: int, *, epsilon: float, momentum: float, unbiased: bool) -> None:
        self.scale = nnx.Param(jnp.asarray(np.ones(channels, np.float32)))
        self.bias = nnx.Param(jnp.asarray(np.zeros(channels, np.float32)))
        self.mean = nnx.BatchStat(jnp.asarray(np.zeros(channels, np.float32)))
        self.var = nnx.BatchStat(jnp.asarray(np.ones(channels, np.float32)))
        self.epsilon, self.momentum, self.unbiased = epsilon, momentum, unbiased
        self.use_running_average = False

    def __call__(self, x: jax.Array, shared: Moments | None = None) -> jax.Array:
        """Normalise ``[B, H, W, C]``; ``shared`` are its moments where they are known already."""
        if self.use_running_average:
            mean, var = self.mean[...], self.var[...]
        else:
            mean, var = moments(x) if shared is None else shared
            self._remember(mean, var, x.size // x.shape[-1])
        return (x - mean) * (self.scale[...] * lax.rsqrt(var + self.epsilon)) + self.bias[...]

    def _remember(self, mean: jax.Array, var: jax.Array, count: int) -> None:
        if self.unbiased:
            var = var * (count / max(count - 1, 1))
        for running, batch in ((self.mean, mean), (self.var, var)):
            running[...] = self.momentum * running[...] + (1 - self.momentum) * lax.stop_gradient(batch)


class Head(nnx.Module):
    """The classifier behind the pooled features: an optional dense layer, dropout, and the dense output.

    The optional layer has no activation, as in AUCMEDI's networks: it is there to repeat them.
    """

    def __init__(
        self, inputs: int, classes: int, *, hidden: int | None, dropout: float, draws: Draws, rngs: nnx.Rngs
    ) -> None:
        self.hidden: Any = None if hidden is None else Dense(inputs, hidden, draws=draws)
        # Dropout keeps a key and a count in the state, which a network without it should not carry.
        self.dropout: Any = nnx.Dropout(dropout, rngs=rngs) if dropout else None
        self.output = Dense(hidden or inputs, classes, draws=draws)

    def kernel(self) -> jax.Array:
        """``[D, K]``, of all dense layers as one: none has an activation."""
        last = self.output.kernel[...]
        return last if self.hidden is None else self.hidden.kernel[...] @ last

    def __call__(self, pooled: jax.Array) -> jax.Array:
        """``[B, D]`` to logits ``[B, K]``."""
        x = pooled if self.hidden is None else self.hidden(pooled)
        return self.output(x if self.dropout is None else self.dropout(x))
