"""Occlusion sensitivity."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import NetworkView, ParameterError, Score, component, param
from medplug_standard.explainers.variants import along_axes, blurred, scores_of_variants


@component
class Occlusion:
    """Occlusion sensitivity (Zeiler & Fergus 2014): how much of the score is lost where a patch is covered.

    A patch moves over the image, stride by stride from the first corner; the last of an axis is cut at the edge of the image.
    The map is ``score(image) - score(image with a patch covered)``, at each pixel the mean over the patches that cover
    it. So it is positive where what is covered speaks for the class.
    """

    patch: int = param("edge of the patch, pixels on every axis", default=16, ge=1)
    stride: int = param(
        "pixels from one patch to the next; half of it costs four times as much, and shows finer borders",
        default=16,
        ge=1,
    )
    value: Literal["mean", "blur"] = param(
        "what covers: mean is 0 once standardised, the mean of the data that the weights know; blur is the image, blurred "
        "over half a patch, which changes nothing where there is nothing, as on a black border",
        default="mean",
    )
    score: Score = param("what is lost; a network that is sure loses hardly any probability", default="logit")

    def __post_init__(self) -> None:
        if self.stride > self.patch:
            raise ParameterError(
                f"a stride of {self.stride} pixels leaves pixels that no patch of {self.patch} covers; "
                "take a stride of at most the patch"
            )

    def __call__(self, network: NetworkView, images: jax.Array, classes: jax.Array, keys: jax.Array) -> jax.Array:
        """Maps ``[B, T, *S]`` float32 at the size of the images, for ``classes`` ``[B, T]`` int32.

        ``keys`` are not used. The cost: one pass through the network for each patch, whatever the number of targets; 197
        for an image of 224 x 224 pixels.
        """
        covers = [patches(n, self.patch, self.stride) for n in images.shape[1:-1]]
        grid = tuple(len(rows) for rows in covers)
        count = int(np.prod(grid))
        cover = blurred(images, [self.patch / 2] * len(grid)) if self.value == "blur" else jnp.zeros_like(images)

        def covered(number: jax.Array) -> jax.Array:
            mask = number < count  # one more, with nothing covered: so the network is compiled once
            for rows, place in zip(covers, jnp.unravel_index(number, grid), strict=True):
                mask = mask[..., None] & jnp.asarray(rows)[place]
            return jnp.where(mask[..., None], cover, images)

        scores = scores_of_variants(network, classes, self.score, count + 1, covered)
        lost = jnp.moveaxis(scores[count] - scores[:count], 0, -1)
        return along_axes(lost.reshape(*classes.shape, *grid), [rows / rows.sum(0) for rows in covers])


def patches(edge: int, patch: int, stride: int) -> np.ndarray:
    """Which pixels of an axis of ``edge`` pixels each patch covers, ``[patches, edge]`` bool; each pixel has one."""
    starts = stride * np.arange(-(-max(edge - patch, 0) // stride) + 1)[:, None]
    pixels = np.arange(edge)
    return (pixels >= starts) & (pixels < starts + patch)
