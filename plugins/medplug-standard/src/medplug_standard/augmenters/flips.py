"""Mirror images and quarter turns, in the plane of the last two spatial axes."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from medplug.plugins import component, param
from medplug_standard.augmenters.draws import coins, per_image, require_plane, where_any

_HEIGHT, _WIDTH = -3, -2


def apply_flip(images: jax.Array, horizontal: jax.Array, vertical: jax.Array) -> jax.Array:
    """Images ``[B, *S, C]`` mirrored left to right where ``horizontal``, top to bottom where ``vertical`` (``[B]``)."""
    mirrored = jnp.where(per_image(horizontal, images), jnp.flip(images, _WIDTH), images)
    return jnp.where(per_image(vertical, images), jnp.flip(mirrored, _HEIGHT), mirrored)


def apply_rotate90(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Images ``[B, *S, C]`` turned counter-clockwise by ``turns`` ``[B]`` int32 quarters, 0 to 3.

    Where height and width differ, odd turns would change the shape: they are taken for half of what they
    say (1 as 0, 3 as 2).
    """
    half = per_image(turns >= 2, images)
    turned = jnp.where(half, jnp.flip(images, (_HEIGHT, _WIDTH)), images)
    if images.shape[_HEIGHT] != images.shape[_WIDTH]:
        return turned
    quarter = jnp.flip(jnp.swapaxes(turned, _HEIGHT, _WIDTH), _HEIGHT)
    return jnp.where(per_image(turns % 2 == 1, images), quarter, turned)


@component
class HorizontalFlip:
    """Mirrors an image left to right."""

    p: float = param("probability of a mirrored image", default=0.5, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each mirrored along its last spatial axis with probability ``p``."""
        require_plane(images, "horizontal_flip")
        chosen = coins(key, images.shape[0], self.p)
        return apply_flip(images, chosen, jnp.zeros_like(chosen))


@component
class VerticalFlip:
    """Mirrors an image top to bottom."""

    p: float = param("probability of a mirrored image", default=0.5, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each mirrored along its last but one spatial axis with probability ``p``."""
        require_plane(images, "vertical_flip")
        chosen = coins(key, images.shape[0], self.p)
        return apply_flip(images, jnp.zeros_like(chosen), chosen)


@component
class Flip:
    """Mirrors an image horizontally, vertically or both ways, each in a third of the cases.

    Mayer et al.'s pipeline did so; ``horizontal_flip`` and ``vertical_flip`` together draw each apart.
    """

    p: float = param("probability of a mirrored image", default=0.5, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each mirrored in one of three ways with probability ``p``."""
        require_plane(images, "flip")
        coin_key, way_key = jax.random.split(key)
        chosen = coins(coin_key, images.shape[0], self.p)
        way = jax.random.randint(way_key, chosen.shape, 0, 3)  # 0 horizontal, 1 vertical, 2 both
        return apply_flip(images, chosen & (way != 1), chosen & (way != 0))


@component
class Rotate90:
    """Turns an image by 0, 90, 180 or 270 degrees, with equal chances; an image that is not square by 0 or 180."""

    p: float = param("probability that a turn is drawn; a quarter of the draws is no turn", default=0.5, ge=0, le=1)

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32, each turned counter-clockwise in the plane of its last two spatial axes."""
        require_plane(images, "rotate90")
        coin_key, turn_key = jax.random.split(key)
        chosen = coins(coin_key, images.shape[0], self.p)
        turns = jnp.where(chosen, jax.random.randint(turn_key, chosen.shape, 0, 4), 0)
        return where_any(turns > 0, lambda x: apply_rotate90(x, turns), images)
