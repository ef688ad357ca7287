"""A network of which one knows where it looks: at the texture on a ring, and nowhere else."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from medplug.contracts.architecture import Preprocessing
from medplug.explain.faithfulness.resizing import to_input_size
from medplug.model.explain import network_view
from medplug.model.network import BuiltNetwork

EDGE, IMAGES, POOL = 48, 6, 12


def ring() -> np.ndarray:
    """``[48, 48]`` bool: off the centre, thinner than a place of the features."""
    rows, columns = np.mgrid[:EDGE, :EDGE]
    distance = np.hypot(rows - 19.5, columns - 26.5)
    return (distance > 8) & (distance < 13)


class Ring(nnx.Module):
    """The probability of class 0 grows with contrast on the ring, in both channels at once; class 1 is what is left."""

    stages = ()

    def __init__(self) -> None:
        self.mask = nnx.Param(jnp.asarray(ring()[..., None], jnp.float32))
        self.gain = nnx.Param(jnp.asarray([1.0, 1.5]))

    def features(self, images, stage=None):
        contrast = jnp.square(images) * self.mask[...]
        return (
            jax.lax.reduce_window(contrast, 0.0, jax.lax.add, (1, POOL, POOL, 1), (1, POOL, POOL, 1), "VALID") / POOL**2
        )

    def classify(self, features, metadata=None, stage=None):
        both = jnp.sqrt(features + 1e-3).mean((1, 2)) * self.gain[...]
        score = 60 * both[:, 0] * both[:, 1] - 3
        return jnp.stack([score, jnp.zeros_like(score)], axis=1)

    def __call__(self, images, metadata=None):
        return self.classify(self.features(images))


class Known(NamedTuple):
    network: BuiltNetwork
    images: np.ndarray
    classes: np.ndarray
    mask: np.ndarray
    coarse: np.ndarray
    random: np.ndarray


def known() -> Known:
    """The network with textured images, and three maps for each: the ring itself, Grad-CAM's, white noise."""
    network = BuiltNetwork(Ring(), Preprocessing(EDGE, 2), ())
    rng = np.random.default_rng(3)
    images = rng.normal(0, 1, (IMAGES, EDGE, EDGE, 2)).astype(np.float32)
    mask = np.broadcast_to(ring(), (IMAGES, EDGE, EDGE)).astype(np.float32)
    raw = grad_cam(network, images)
    noise = rng.normal(size=mask.shape).astype(np.float32)
    return Known(network, images, np.zeros(IMAGES, np.int32), mask, to_input_size(raw, (EDGE, EDGE)), noise)


def grad_cam(network: BuiltNetwork, images: np.ndarray) -> np.ndarray:
    """``[N, 4, 4]`` for class 0."""
    view = network_view(lambda: network.module, "multiclass")

    @jax.jit
    def explain(x):
        features = view.features(x)
        slopes = jax.grad(lambda f: view.classify(f)[:, 0].sum())(features).mean((1, 2), keepdims=True)
        return (slopes * features).sum(-1)

    return np.asarray(explain(images))
