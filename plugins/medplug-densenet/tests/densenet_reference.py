"""DenseNet written down a second time, plainly: what the fast forms are compared with."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

MOMENTUM = 0.9


class Plain:
    """DenseNet by XLA's own convolution and pooling, each norm with statistics of its own input.

    Reads weights by the network's paths; in training it collects the new running statistics in ``moved``
    (PyTorch's rule: unbiased variance, momentum 0.1).
    """

    def __init__(self, weights: Mapping[str, jax.Array], blocks: tuple[int, ...], *, train: bool, epsilon: float):
        self.weights, self.blocks, self.train, self.epsilon = weights, blocks, train, epsilon
        self.moved: dict[str, jax.Array] = {}

    def __call__(self, x: jax.Array) -> jax.Array:
        """Images ``[B, H, W, C]`` to logits ``[B, K]``."""
        pooled = self.features(x).mean((1, 2))
        return pooled @ self.weights["head/output/kernel"] + self.weights["head/output/bias"]

    def features(self, x: jax.Array) -> jax.Array:
        """Images ``[B, H, W, C]`` to features ``[B, h, w, D]``."""
        x = jnp.maximum(self.norm("stem/norm", self.conv("stem/conv", x, 2, 3)), 0)
        window, strides, padding = (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
        x = lax.reduce_window(x, -jnp.inf, lax.max, window, strides, padding)
        for i, depth in enumerate(self.blocks, start=1):
            for j in range(1, depth + 1):
                name = f"block{i}/layer{j}"
                y = self.conv(f"{name}/conv1", jax.nn.relu(self.norm(f"{name}/norm1", x)), 1, 0)
                y = self.conv(f"{name}/conv2", jax.nn.relu(self.norm(f"{name}/norm2", y)), 1, 1)
                x = jnp.concatenate([x, y], -1)
            if i < len(self.blocks):
                x = self.conv(f"transition{i}/conv", jax.nn.relu(self.norm(f"transition{i}/norm", x)), 1, 0)
                x = lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
        return jax.nn.relu(self.norm("final/norm", x))

    def conv(self, name: str, x: jax.Array, stride: int, padding: int) -> jax.Array:
        pads = [(padding, padding)] * 2
        kernel = self.weights[f"{name}/kernel"]
        return lax.conv_general_dilated(x, kernel, (stride,) * 2, pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def norm(self, name: str, x: jax.Array) -> jax.Array:
        scale, bias, mean, var = (self.weights[f"{name}/{part}"] for part in ("scale", "bias", "mean", "var"))
        if self.train:
            count = x.size / x.shape[-1]
            old_mean, old_var = mean, var
            mean, var = jnp.mean(x, (0, 1, 2)), jnp.var(x, (0, 1, 2))
            self.moved[f"{name}/mean"] = MOMENTUM * old_mean + (1 - MOMENTUM) * mean
            self.moved[f"{name}/var"] = MOMENTUM * old_var + (1 - MOMENTUM) * var * count / (count - 1)
        return (x - mean) / jnp.sqrt(var + self.epsilon) * scale + bias
