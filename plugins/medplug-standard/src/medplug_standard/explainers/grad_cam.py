"""Gradient-weighted class activation maps."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from medplug.plugins import NetworkView, component, param
from medplug_standard.explainers.halves import gradients, spatial_part, with_spatial


@component
class GradCam:
    """Grad-CAM (Selvaraju et al. 2017): the features, each weighted with the mean gradient of the score in its channel.

    The map of class c is ``sum_k w_k A_k`` with ``w_k`` the mean over space of ``d score_c / d A_k``. It is signed: the
    ReLU of the paper, and any scaling, belong to rendering. For a network that ends in global average pooling
    and one linear layer it equals the class activation map (Zhou et al. 2016), divided by the number of places.
    """

    score: Literal["logit", "log_odds", "probability"] = param(
        "what the gradient is taken of; that of a probability vanishes where the network is sure "
        "(probability was used in the published pipeline)",
        default="logit",
    )
    stage: str | None = param("features that are looked at; none takes the last, earlier ones are finer", default=None)
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
        found = network.features(images, self.stage)
        spatial = spatial_part(found)
        count, targets = classes.shape
        depth, places = spatial.shape[-1], spatial.shape[1:-1]
        flat = spatial.astype(jnp.float32).reshape(count, -1, depth)
        last = self.stage is None or self.stage == network.stages[-1]
        if self.form == "auto" and self.score == "logit" and last and network.linear_head is not None:
            weights = network.linear_head.astype(jnp.float32).T[classes] / flat.shape[1]
        else:

            def scores(maps: jax.Array) -> jax.Array:
                logits = network.classify(with_spatial(found, maps), self.stage)
                return network.scores(logits, classes, self.score)

            _, each = gradients(scores, spatial)
            weights = each.reshape(count, targets, -1, depth).mean(2)
        return jnp.einsum("btd,bpd->btp", weights, flat).reshape(count, targets, *places)
