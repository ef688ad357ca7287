"""Class activation maps without gradients: channels weighted by what the score does with or without them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from medplug.plugins import NetworkView, Score, component, param
from medplug_standard.explainers.halves import (
    STAGE,
    flat_places,
    in_chunks,
    pooled_head,
    repeated,
    spatial_part,
    with_spatial,
)
from medplug_standard.explainers.variants import scores_of_variants

_SCORE = "what is compared between the variants of an image"


@component
class ScoreCam:
    """Score-CAM (Wang et al. 2020): each channel weighted by the score of the image seen through that channel.

    Channel ``A_k``, enlarged to the image and brought to [0, 1] by its least and largest value, is the mask ``H_k``. The
    weights are the softmax over the channels of ``score(image * H_k)``, and the map is ``sum_k w_k A_k``; what the paper
    subtracts from all the scores, that of an empty image, cancels in the softmax. Masked places become 0 in the
    standardised image. A channel that is the same everywhere masks all of it.
    """

    score: Score = param(_SCORE, default="logit")
    stage: str | None = param(STAGE, default=None)
    channels: int | None = param(
        "how many channels are tried, those that vary most over the image; none tries all, as the paper does",
        default=None,
        ge=1,
    )

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, for ``classes`` ``[B, T]`` int32; ``keys`` are not used.

        The cost: one pass through the whole network for each channel, whatever the number of targets.
        """
        spatial = spatial_part(network.features(images, self.stage))
        tried = flat_places(spatial)  # [B, P, D]
        if self.channels is not None and self.channels < tried.shape[2]:
            chosen = jax.lax.top_k(tried.var(1), self.channels)[1]
            tried = jnp.take_along_axis(tried, chosen[:, None, :], axis=2)
        each = tried.reshape(*spatial.shape[:-1], -1)
        scores = masked_scores(network, images, classes, each, self.score, enlarged)
        maps = jnp.einsum("btd,bpd->btp", jax.nn.softmax(scores, axis=2), tried)
        return maps.reshape(*classes.shape, *spatial.shape[1:-1])


@component
class AblationCam:
    """Ablation-CAM (Desai and Ramaswamy 2020): each channel weighted by the share of the score that is lost without it.

    ``w_k = (y - y_k) / |y|`` with the score ``y`` and the score ``y_k`` when channel k is zero. The paper divides by ``y``, which
    turns the map of a negative score around; with its absolute value positive always speaks for the class. A score of
    exactly zero has no share: then the weight is the loss itself.
    """

    score: Score = param(_SCORE, default="logit")
    stage: str | None = param(STAGE, default=None)

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *s]`` float32 at the size of the features, for ``classes`` ``[B, T]`` int32; ``keys`` are not used.

        The cost: one pass through the network, and one from the stage on for each channel, whatever the number of
        targets; none where the network declares a pooled, linear head, from which the losses follow.
        """
        found = network.features(images, self.stage)
        spatial = spatial_part(found)
        flat = flat_places(spatial)
        whole = network.scores(network.classify(found, self.stage), classes, self.score)
        head = pooled_head(network, self.stage, self.score)
        if head is not None:
            lost = flat.mean(1)[:, None, :] * head.T[classes]
        else:
            lost = whole[..., None] - _ablated_scores(network, found, classes, self.stage, self.score)
        size = jnp.abs(whole)[..., None]
        maps = jnp.einsum("btd,bpd->btp", lost / jnp.where(size > 0, size, 1), flat)
        return maps.reshape(*classes.shape, *spatial.shape[1:-1])


def enlarged(masks: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """``[N, *s]`` to ``[N, *size]``, linear between the middles of the places."""
    return jax.image.resize(masks, (len(masks), *size), "linear")


def masked_scores(
    network: NetworkView,
    images: jax.Array,
    classes: jax.Array,
    channels: jax.Array,
    score: Score,
    enlarge: Callable[[jax.Array, tuple[int, ...]], jax.Array],
) -> jax.Array:
    """Scores ``[B, T, k]`` of the images ``[B, *S, C]`` behind each of their ``channels`` ``[B, *s, k]`` as a mask.

    ``enlarge`` brings ``[N, *s]`` to a size ``S``; the masks are scaled to [0, 1] after it.
    """
    channels = jnp.moveaxis(channels, -1, 0)
    size, space = images.shape[1:-1], tuple(range(1, images.ndim - 1))

    def variant(number: jax.Array) -> jax.Array:
        masks = enlarge(channels[number], size)
        low, high = masks.min(space, keepdims=True), masks.max(space, keepdims=True)
        return images * ((masks - low) / jnp.where(high > low, high - low, 1))[..., None]

    return jnp.moveaxis(scores_of_variants(network, classes, score, len(channels), variant), 0, -1)


def _ablated_scores(network: NetworkView, found: Any, classes: jax.Array, stage: str | None, score: Score) -> jax.Array:
    """Scores ``[B, T, D]`` when each of the D channels is zero everywhere."""
    spatial = spatial_part(found)
    count, depth = len(spatial), spatial.shape[-1]

    def logits(numbers: jax.Array) -> jax.Array:
        kept = (jnp.arange(depth) != numbers[:, None]).astype(spatial.dtype)
        less = spatial * kept.reshape(len(numbers), *(1,) * (spatial.ndim - 1), depth)
        variants = with_spatial(repeated(found, len(numbers)), less.reshape(-1, *spatial.shape[1:]))
        return network.classify(variants, stage).reshape(len(numbers), count, -1)

    each = in_chunks(logits, depth, network.at_once // count)
    scores = network.scores(each.reshape(depth * count, -1), repeated(classes, depth), score)
    return jnp.moveaxis(scores.reshape(depth, *classes.shape), 0, -1)
