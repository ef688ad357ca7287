"""Gradient-weighted class activation maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

from medplug.plugins import Features, component, param


@component
class GradCam:
    """Grad-CAM (Selvaraju et al. 2017): the features, each weighted with the mean gradient of the score in its channel.

    The map of class c is ``sum_k w_k A_k`` with ``w_k`` the mean over space of ``d score_c / d A_k``. It is signed: the
    ReLU of the paper, and any scaling, belong to rendering. For a network that ends in global average pooling
    and one linear layer it equals the class activation map, divided by the number of places.
    """

    score: Literal["logit", "probability"] = param(
        "what the gradient is taken of; that of a probability vanishes where the network is sure "
        "(probability was used in the published pipeline)",
        default="logit",
    )
    activation: Literal["softmax", "sigmoid"] = param(
        "how logits become probabilities: softmax for exclusive classes, sigmoid for multi-label tasks; "
        "matters only with score=probability",
        default="softmax",
    )

    def __call__(
        self,
        features: Callable[[jax.Array], Any],
        classify: Callable[[Any], jax.Array],
        images: jax.Array,
        classes: jax.Array,
        key: jax.Array,
    ) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, for ``classes`` ``[B, T]`` int32.

        ``features`` may return an array ``[B, *s, D]`` or ``Features``; a token takes part in the score, not in the
        map. ``key`` is not used. The cost: one pass through the network, and for each of the T targets a backward
        pass through ``classify``.
        """
        found = features(images)
        spatial = found.spatial if isinstance(found, Features) else found

        def scores(maps: jax.Array) -> jax.Array:
            logits = classify(found._replace(spatial=maps) if isinstance(found, Features) else maps)
            return jnp.take_along_axis(self._scores(logits), classes, axis=1)

        _, pull = jax.vjp(scores, spatial)
        images_count, targets_count = classes.shape
        # Images do not influence each other, so the sum over a column of targets has each image's own gradient.
        directions = jnp.broadcast_to(jnp.eye(targets_count)[:, None, :], (targets_count, images_count, targets_count))
        (gradients,) = jax.vmap(pull)(directions)  # [T, B, *s, D]
        depth, places = spatial.shape[-1], spatial.shape[1:-1]
        weights = gradients.astype(jnp.float32).reshape(targets_count, images_count, -1, depth).mean(2)
        flat = spatial.astype(jnp.float32).reshape(images_count, -1, depth)
        maps = jnp.einsum("tbd,bpd->btp", weights, flat)
        return maps.reshape(images_count, targets_count, *places)

    def _scores(self, logits: jax.Array) -> jax.Array:
        if self.score == "logit":
            return logits
        return jax.nn.softmax(logits) if self.activation == "softmax" else jax.nn.sigmoid(logits)
