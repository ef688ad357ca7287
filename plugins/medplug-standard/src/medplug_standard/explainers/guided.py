"""Guided backpropagation: gradients of which activation functions pass on what is positive only."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from medplug.plugins import NetworkView, Score, component, param
from medplug_standard.explainers.grad_cam import GradCam
from medplug_standard.explainers.gradients import Asked, over_channels
from medplug_standard.explainers.halves import SCORE, STAGE

Activation = Callable[[jax.Array], jax.Array]


def guided(activation: Activation) -> Activation:
    """The same function, whose derivative is applied to the positive part of the gradient that comes in.

    ``gradient of x = activation'(x) * max(incoming, 0)``. For the ReLU that is the rule of the paper: what comes in
    passes where it is positive and ``x`` is positive; for the ReLU6, where it is positive and ``x`` is between 0 and 6.
    Other functions pass on their own derivative's share of it, which may be negative, as with the swish below -1.28.
    """

    @jax.custom_vjp
    def changed(x: jax.Array) -> jax.Array:
        return activation(x)

    def backward(x: jax.Array, incoming: jax.Array) -> tuple[jax.Array, ...]:
        return jax.vjp(activation, x)[1](jnp.maximum(incoming, 0))

    changed.defvjp(lambda x: (activation(x), x), backward)
    return changed


def guided_gradients(network: NetworkView, images: jax.Array, classes: jax.Array, score: Score) -> jax.Array:
    """The guided gradient ``[B, T, *S, C]`` float32 of the score of ``classes`` ``[B, T]``."""
    assert network.with_activations is not None, "the engine refuses a network that does not declare its activations"
    return Asked(network.with_activations(guided), images, classes, score).gradients()


@component
class GuidedBackprop:
    """Guided backpropagation (Springenberg et al. 2015), summed over the channels of a pixel.

    On the way back each activation function ``f`` at ``x`` turns what comes in, ``g``, into ``f'(x) * max(g, 0)``: for the
    ReLU and the ReLU6 the rule of the paper, for any other function its natural extension. The network must
    declare where its activation functions are. Such maps are sharp, but largely show the edges of the image, whatever the
    network learned (Adebayo et al. 2018).
    """

    needs = ("with_activations",)
    score: Score = param(SCORE, default="logit")

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32, signed, as large as the images.

        ``keys`` are not used. The cost: one pass through the network, and a backward pass for each of the T targets.
        """
        return over_channels(jnp.add, guided_gradients(network, images, classes, self.score))


@component
class GuidedGradCam:
    """Guided Grad-CAM (Selvaraju et al. 2017): the guided gradient where Grad-CAM is positive, and as strong as it is.

    ``sum over channels of the guided gradient * max(Grad-CAM, 0)``, with Grad-CAM brought to the size of the image
    (linear between the centres of its places). It is signed: what is positive of Grad-CAM says where, the guided gradient
    in which direction. Where Grad-CAM has no positive place, the map is 0.
    """

    needs = ("with_activations",)
    score: Score = param(SCORE, default="logit")
    stage: str | None = param(STAGE, default=None)

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32, signed, as large as the images.

        ``keys`` are not used. The cost: that of ``guided_backprop`` and that of ``grad_cam``.
        """
        coarse = GradCam(score=self.score, stage=self.stage)(network, images, classes, keys)
        weights = jax.image.resize(jnp.maximum(coarse, 0), (*classes.shape, *images.shape[1:-1]), "linear")
        return weights * over_channels(jnp.add, guided_gradients(network, images, classes, self.score))
