"""A policy: one operation of a list for each image, with a strength that chance decides."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.augmenters.colour import apply_hue_yiq, apply_saturation
from medplug_standard.augmenters.draws import coins, require_plane, where_any
from medplug_standard.augmenters.flips import apply_flip
from medplug_standard.augmenters.intensity import apply_brightness, apply_contrast
from medplug_standard.augmenters.warp import apply_warp, turned

# Operations and what they do at full strength, either way.
_PLANE = {
    "turn": 30.0,  # degrees
    "shear_rows": 0.3,  # pixels down for a pixel to the right
    "shear_columns": 0.3,
    "shift_down": 0.2,  # of the edge
    "shift_right": 0.2,
    "zoom": 0.4,  # logarithm of the factor: 0.67 to 1.5
}
_GREY = {"brightness": 0.3, "contrast": 0.8}
_COLOUR = {"saturation": 0.8, "hue": 0.1}


@component
class TrivialAugment:
    """Changes each image by one operation, with all operations and all strengths alike (Müller & Hutter 2021).

    The operations are: none, turn, shear and shift in two directions, zoom, brightness, contrast, and for colour images
    saturation and hue. At full strength images are turned by 30 degrees, sheared by 0.3, shifted by a fifth of
    their edge, zoomed by 1.5, lightened by 0.3; contrast and saturation change by a factor of 0.2 to 1.8, hues by 36
    degrees. Surroundings are mirrored.
    """

    strength: float = param("share of the full strength that is drawn at most", default=1.0, ge=0, le=1)
    colour: bool = param(
        "hue and saturation are among the operations; no for grey images with three channels", default=True
    )
    flips: Literal["none", "horizontal", "both"] = param(
        "before that, mirror half of the images left to right, or half in each direction: where anatomy allows it",
        default="none",
    )

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each changed by an operation of its own; slices of a volume alike."""
        require_plane(images, "trivial_augment")
        batch = images.shape[0]
        choice_key, strength_key, across_key, down_key = jax.random.split(key, 4)
        across = coins(across_key, batch, 0.0 if self.flips == "none" else 0.5)
        down = coins(down_key, batch, 0.5 if self.flips == "both" else 0.0)
        images = where_any(across | down, lambda x: apply_flip(x, across, down), images)
        sizes = _PLANE | _GREY | (_COLOUR if self.colour and images.shape[-1] != 1 else {})
        choice = jax.random.randint(choice_key, (batch,), 0, len(sizes) + 1)  # the last one is none
        drawn = jax.random.uniform(strength_key, (batch,), minval=-self.strength, maxval=self.strength)
        amounts = {name: jnp.where(choice == i, size * drawn, 0) for i, (name, size) in enumerate(sizes.items())}
        return _apply(images, amounts)


def _apply(images: jax.Array, amounts: dict[str, jax.Array]) -> jax.Array:
    """All operations in a row, each with its amounts ``[B]``: those that were not chosen are 0 and change nothing."""
    height, width = images.shape[-3:-1]
    matrix = turned(amounts["turn"]) * jnp.exp(-amounts["zoom"])[:, None, None]
    matrix = matrix.at[:, 0, 1].add(amounts["shear_rows"]).at[:, 1, 0].add(amounts["shear_columns"])
    shift = jnp.stack([amounts["shift_down"] * height, amounts["shift_right"] * width], 1)
    moved = sum(jnp.abs(amounts[name]) for name in _PLANE) > 0
    images = where_any(moved, lambda x: apply_warp(x, matrix, -shift), images)
    images = apply_brightness(images, amounts["brightness"])
    stretch = 1 + amounts["contrast"]
    images = where_any(stretch != 1, lambda x: apply_contrast(x, stretch), images)
    if "hue" in amounts:
        factor, turns = 1 + amounts["saturation"], amounts["hue"]
        images = where_any(factor != 1, lambda x: apply_saturation(x, factor), images)
        images = where_any(turns != 0, lambda x: apply_hue_yiq(x, turns), images)
    return images
