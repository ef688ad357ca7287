"""Saturation and hue: operations on colours, which leave grey pixels exactly as they are."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from medplug.plugins import component, param
from medplug_standard.augmenters.draws import per_image, uniform_or, where_any
from medplug_standard.augmenters.levels import LUMA, colours, floor_levels, round_levels, to_levels

_TO_YIQ = np.array([LUMA, (0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135)])
# A turn of the IQ plane by t is cos t * X + sin t * QUARTER X for the chromatic part X of a colour. The sign is
# that of the hue in HSV: red turns to yellow, then green.
_QUARTER = np.linalg.inv(_TO_YIQ) @ np.array([(0, 0, 0), (0, 0, 1), (0, -1, 0)]) @ _TO_YIQ


def apply_saturation(images: jax.Array, factor: jax.Array, integer: bool = False) -> jax.Array:
    """``grey + factor * (x - grey)`` of images ``[B, *S, C]``, clipped to [0, 1]; ``factor`` is ``[B]``, grey the luma.

    With ``integer``: grey and result are rounded to the nearest of the levels 0..255, as 8-bit OpenCV does.
    """
    rgb = colours(to_levels(images) if integer else images, "saturation")
    if rgb is None:
        return images
    red, green, blue = rgb
    extra = per_image(factor - 1, red)
    if integer:
        grey = jnp.round(LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)
        return round_levels(jnp.stack([x + extra * (x - grey) for x in rgb], -1))
    # Differences of channels, rather than x - grey, are exactly zero in grey pixels.
    chroma = (
        LUMA[1] * (red - green) + LUMA[2] * (red - blue),
        LUMA[0] * (green - red) + LUMA[2] * (green - blue),
        LUMA[0] * (blue - red) + LUMA[1] * (blue - green),
    )
    return jnp.clip(jnp.stack([x + extra * c for x, c in zip(rgb, chroma, strict=True)], -1), 0, 1)


def apply_hue_yiq(images: jax.Array, turns: jax.Array, integer: bool = False) -> jax.Array:
    """Images ``[B, *S, C]`` with their colours rotated by ``turns`` ``[B]`` (1 is a full circle) about the grey axis.

    The rotation takes place in the IQ plane of YIQ: it keeps the luma, where an HSV shift keeps the largest
    channel. The result is clipped to [0, 1]; with ``integer`` it is rounded to the nearest of the levels 0..255.
    """
    rgb = colours(to_levels(images) if integer else images, "hue")
    if rgb is None:
        return images
    angle = per_image(2 * jnp.pi * turns, rgb[0])
    away, sine = 1 - jnp.cos(angle), jnp.sin(angle)
    rows = []
    for i, x in enumerate(rgb):
        # Rows of the matrix sum to one; written with differences of channels, grey pixels stay exactly the same.
        others = [j for j in range(3) if j != i]
        rows.append(x + sum((away * LUMA[j] + sine * float(_QUARTER[i, j])) * (rgb[j] - x) for j in others))
    changed = jnp.stack(rows, -1)
    return round_levels(changed) if integer else jnp.clip(changed, 0, 1)


def apply_hue_hsv(images: jax.Array, turns: jax.Array, integer: bool = False) -> jax.Array:
    """Images ``[B, *S, C]`` with their HSV hue shifted by ``turns`` ``[B]``; 1 is a full circle.

    Value and saturation stay. With ``integer``: hue (180 steps a circle, rounded down after the shift),
    saturation and value (0..255) are whole numbers in between, as in 8-bit OpenCV images.
    """
    rgb = colours(to_levels(images) if integer else images, "hue")
    if rgb is None:
        return images
    value = jnp.maximum(jnp.maximum(rgb[0], rgb[1]), rgb[2])
    chroma = value - jnp.minimum(jnp.minimum(rgb[0], rgb[1]), rgb[2])
    sixths = _sixths(rgb, value, chroma)
    shift = per_image(turns, value)
    if integer:
        steps = jnp.floor(_modulo(_fixed_point(sixths, 30, chroma) + 180 * shift, 180))
        chroma = value * _fixed_point(chroma, 255, value) / 255
        shifted = floor_levels(_from_hue(steps / 30, value, chroma))
    else:
        hue = sixths / jnp.where(chroma > 0, chroma, 1)
        shifted = jnp.clip(_from_hue(hue + 6 * shift, value, chroma), 0, 1)
    return jnp.where(per_image(turns == 0, images), images, shifted)  # the way there and back is not exact


def _sixths(rgb: tuple[jax.Array, ...], value: jax.Array, chroma: jax.Array) -> jax.Array:
    """The chroma times the hue in sixths of a circle, -1 to 5 (red 0, green 2, blue 4); 0 for grey."""
    red, green, blue = rgb
    from_green, from_blue = blue - red + 2 * chroma, red - green + 4 * chroma
    return jnp.where(value == red, green - blue, jnp.where(value == green, from_green, from_blue))


def _fixed_point(numerator: jax.Array, scale: int, denominator: jax.Array) -> jax.Array:
    """``scale * numerator / denominator`` as a whole number, by OpenCV's table of quotients with 12 binary places.

    All numbers stay below 2^24, so that float32 holds them exactly. Where the denominator is 0, so is the numerator.
    """
    quotient = jnp.round(scale * 4096 / jnp.maximum(denominator, 1))
    return jnp.floor((numerator * quotient + 2048) / 4096)


def _modulo(x: jax.Array, period: int) -> jax.Array:
    """``x % period`` up to rounding; the operator itself is a slow library call per element on CPUs."""
    return x - period * jnp.floor(x * (1 / period))


def _from_hue(hue: jax.Array, value: jax.Array, chroma: jax.Array) -> jax.Array:
    """Colours ``[..., 3]`` of hue (sixths of a circle, any real number), value and chroma."""
    channels = []
    for offset in (5, 3, 1):  # a channel lies below the value by the chroma times a trapezium of the hue
        k = _modulo(hue + offset, 6)
        channels.append(value - chroma * jnp.clip(jnp.minimum(k, 4 - k), 0, 1))
    return jnp.stack(channels, -1)


@component
class Saturation:
    """Makes colours stronger or paler; grey images stay as they are."""

    limit: float = param(
        "largest change of the factor, which is drawn from 1 - limit to 1 + limit", default=0.1, ge=0, le=1
    )
    p: float = param("probability of a change", default=0.5, ge=0, le=1)
    integer: bool = param(
        "work on whole grey levels 0..255 and round to the nearest, as 8-bit OpenCV does", default=False
    )

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32 with one or three channels, each with its own factor."""
        factor = uniform_or(key, images.shape[0], self.p, 1 - self.limit, 1 + self.limit, neutral=1.0)
        return apply_saturation(images, factor, self.integer)


@component
class Hue:
    """Turns the colours of an image around the colour circle; grey images stay as they are."""

    limit: float = param("largest shift, in turns of the colour circle (0.1 is 36 degrees)", default=0.1, ge=0, le=0.5)
    p: float = param("probability of a change", default=0.5, ge=0, le=1)
    method: Literal["yiq", "hsv"] = param(
        "yiq turns colours about the grey axis and keeps the luma; hsv shifts the hue, as the published pipeline did",
        default="yiq",
    )
    integer: bool = param(
        "whole grey levels 0..255; hsv: whole steps of hue, saturation and value too, as 8-bit OpenCV has them",
        default=False,
    )

    def __call__(self, key: jax.Array, images: jax.Array) -> jax.Array:
        """Images ``[B, *S, C]`` float32 with one or three channels, each with its own shift from [-limit, limit)."""
        turns = uniform_or(key, images.shape[0], self.p, -self.limit, self.limit, neutral=0.0)
        apply = apply_hue_yiq if self.method == "yiq" else apply_hue_hsv
        return where_any(turns != 0, lambda x: apply(x, turns, self.integer), images)
