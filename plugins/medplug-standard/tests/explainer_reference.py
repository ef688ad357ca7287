"""A small network with fixed weights, for comparing explainers with those of other libraries.

Three convolutions with ReLU, an average pool after the first, and a pooled linear head. Tapped after ``conv2`` its head is
not linear, so that methods differ that agree on a pooled linear one.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import NetworkView

CHANNELS, CLASSES, EDGE, IMAGES = (3, 8, 12, 10), 5, 32, 4


def weights() -> dict[str, np.ndarray]:
    """Kernels ``[3, 3, in, out]`` and biases of ``conv1`` to ``conv3``, and ``head/kernel`` ``[10, 5]`` with ``head/bias``."""
    rng = np.random.default_rng(7)
    found: dict[str, np.ndarray] = {}
    for n, (inputs, outputs) in enumerate(pairwise(CHANNELS), start=1):
        found[f"conv{n}/kernel"] = rng.normal(0, (2 / (9 * inputs)) ** 0.5, (3, 3, inputs, outputs)).astype(np.float32)
        found[f"conv{n}/bias"] = rng.normal(0, 0.1, outputs).astype(np.float32)
    found["head/kernel"] = rng.normal(0, 0.5, (CHANNELS[-1], CLASSES)).astype(np.float32)
    found["head/bias"] = rng.normal(0, 0.1, CLASSES).astype(np.float32)
    return found


def images() -> np.ndarray:
    """``[4, 32, 32, 3]`` float32, about as large as standardised ones: a bright blob on faint noise."""
    rng = np.random.default_rng(11)
    rows, columns = np.mgrid[:EDGE, :EDGE]
    found = rng.normal(0, 0.3, (IMAGES, EDGE, EDGE, 3))
    for image in found:
        y, x = rng.uniform(8, 24, 2)
        blob = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 40)
        image += 2 * blob[..., None] * rng.uniform(-1, 1, 3)
    return found.astype(np.float32)


def reference_view(activation: Any = jax.nn.relu) -> NetworkView:
    """The network, with stages ``conv1`` (32 x 32, 8 channels), ``conv2`` (16 x 16, 12) and ``conv3`` (16 x 16, 10)."""
    w = {name: jnp.asarray(value) for name, value in weights().items()}
    stages = ("conv1", "conv2", "conv3")

    def layer(name: str, x: jax.Array) -> jax.Array:
        if name == "conv2":
            x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).mean((2, 4))
        dims = ("NHWC", "HWIO", "NHWC")
        y = jax.lax.conv_general_dilated(x, w[f"{name}/kernel"], (1, 1), "SAME", dimension_numbers=dims)
        return activation(y + w[f"{name}/bias"])

    def through(x: jax.Array, names: tuple[str, ...]) -> jax.Array:
        for name in names:
            x = layer(name, x)
        return x

    def after(stage: str | None) -> int:
        return len(stages) if stage is None else stages.index(stage) + 1

    return NetworkView(
        features=lambda x, stage=None: through(x, stages[: after(stage)]),
        classify=lambda f, stage=None: (
            through(f, stages[after(stage) :]).mean((1, 2)) @ w["head/kernel"] + w["head/bias"]
        ),
        stages=stages,
        linear_head=w["head/kernel"],
        with_activations=lambda rule: reference_view(rule(activation)),
    )
