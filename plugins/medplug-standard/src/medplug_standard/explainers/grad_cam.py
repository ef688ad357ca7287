"""Gradient-weighted class activation maps."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from medplug.plugins import NetworkView, Score, component, param
from medplug_standard.explainers.halves import SCORE, STAGE, flat_places, gradient_maps, pooled_head, spatial_part


@component
class GradCam:
    """Grad-CAM (Selvaraju et al. 2017): the features, each weighted with the mean gradient of the score in its channel.

    The map of class c is ``sum_k w_k A_k`` with ``w_k`` the mean over space of ``d score_c / d A_k``. It is signed: the
    ReLU of the paper, and any scaling, belong to rendering. For a network that ends in global average pooling
    and one linear layer it equals the class activation map (Zhou et al. 2016), divided by the number of places.
    """

    score: Score = param(SCORE, default="logit")
    stage: str | None = param(STAGE, default=None)
    form: Literal["auto", "gradient"] = param(
        "auto needs no gradient where the network declares a pooled, linear head: the maps of all classes are one matrix "
        "product, and the same",
        default="auto",
    )

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, for ``classes`` ``[B, T]`` int32.

        A token takes part in the score, not in the map. ``keys`` are not used. The cost: one pass through the network, and
        for each of the T targets a backward pass through ``classify``, or a matrix product instead.
        """
        head = pooled_head(network, self.stage, self.score) if self.form == "auto" else None
        if head is None:
            return gradient_maps(network, images, classes, self.stage, self.score, _weighted_by_mean)
        spatial = spatial_part(network.features(images, self.stage))
        flat = flat_places(spatial)
        maps = jnp.einsum("btd,bpd->btp", head.T[classes] / flat.shape[1], flat)
        return maps.reshape(*classes.shape, *spatial.shape[1:-1])


def _weighted_by_mean(features: jax.Array, gradient: jax.Array) -> jax.Array:
    return jnp.einsum("bd,bpd->bp", gradient.mean(1), features)
