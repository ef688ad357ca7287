"""A signed map over its image, as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from medplug.config.settings import RenderingSettings
from medplug.errors import ContractError
from medplug.explain.colormaps import colours, signed_colours
from medplug.explain.contours import draw_lines, smooth_resize

_EPSILON = 1e-8  # added to the range in "minmax", as published: a map of hardly any range stays pale


@dataclass(frozen=True)
class Overlay:
    """A drawn map.

    Attributes:
        picture: RGB, as large as the image.
        evidence: whether the map has any positive value. Without one a rectified map adds no colour at all.
        low, high: the lowest and highest raw value, before rectifying and scaling.
        scale: the raw values at the two ends of the colours.
    """

    picture: Image.Image
    evidence: bool
    low: float
    high: float
    scale: tuple[float, float]


def render_map(
    map2d: np.ndarray, image: np.ndarray, settings: RenderingSettings, scale: tuple[float, float] | None = None
) -> Overlay:
    """Draw a map over its image.

    Args:
        map2d: ``[h, w]`` float32, signed; brought to the size of the image bilinearly, after scaling.
        image: ``[H, W, C]`` uint8; C is 1 or 3.
        settings: with ``rectify`` and ``scaling`` ``"max"``, values are ``max(x, 0) / max(x)``: zero is the lower end of
            the colours. ``"max"`` without ``rectify`` keeps the sign: zero is in the middle of the colours and transparent.
            ``"minmax"`` stretches whatever range there is over all colours, so that even a map that speaks
            against the class everywhere has its warmest colour somewhere.
            The opacity is ``alpha`` times the value, or ``alpha`` everywhere with ``constant_alpha``.
            The style ``"contour"`` draws lines at ``levels`` of the scaled values instead, without ``rectify`` also
            at the same levels of what speaks against the class; the map is then resized smoothly.
        scale: the raw values at the two ends of the colours, where several maps share them; values beyond are drawn as the
            ends. None takes those of this map.

    Raises:
        ContractError: wrong shape or dtype, or a map that is not finite.

    Reference: Selvaraju et al., Grad-CAM, ICCV 2017 (rectified, divided by the maximum).
    """
    _check(map2d, image)
    raw = np.asarray(map2d, np.float64)
    low, high = float(raw.min()), float(raw.max())
    ends = scale_ends(low, high, settings) if scale is None else scale
    height, width = image.shape[:2]
    base = np.broadcast_to(image, (height, width, 3)) / 255
    if settings.rectify and high <= 0:
        return Overlay(_picture(base), False, low, high, ends)
    scaled = _scale(raw, settings, ends)
    if settings.style == "contour":
        lines = draw_lines(base, smooth_resize(scaled, (height, width)), contour_lines(settings))
        return Overlay(_picture(lines), high > 0, low, high, ends)
    colour, opacity = _paint(_resize(scaled, width, height), settings)
    return Overlay(_picture(base + opacity[..., None] * (colour - base)), high > 0, low, high, ends)


def scale_ends(low: float, high: float, settings: RenderingSettings) -> tuple[float, float]:
    """The raw values at the two ends of the colours, for raw values from ``low`` to ``high``."""
    if settings.rectify:
        low, high = max(low, 0.0), max(high, 0.0)
    if settings.scaling == "minmax":
        return low, high
    if settings.rectify:
        return 0.0, high
    largest = max(abs(low), abs(high))
    return -largest, largest


def positive_share(values: np.ndarray) -> float | None:
    """The sum of the positive values over the sum of all absolute values, 0 to 1; None where all are zero."""
    exact = np.asarray(values, np.float64)
    total = float(np.abs(exact).sum())
    return float(np.maximum(exact, 0).sum()) / total if total else None


def colour_scale(settings: RenderingSettings, stops: int = 33) -> tuple[str, ...]:
    """The colours of a scale as ``"#rrggbb"``, lowest value first: as they look over black, as in :func:`render_map`.

    Contours have none.
    """
    if settings.style == "contour":
        return ()
    rows = np.round(255 * scale_colours(settings, stops)).astype(np.uint8)
    return tuple("#" + bytes(row).hex() for row in rows)


def scale_colours(settings: RenderingSettings, stops: int, over: float = 0.0) -> np.ndarray:
    """``[stops, 3]`` sRGB in [0, 1] from the lowest value to the highest, as they look over a grey from 0 to 1."""
    colour, opacity = _paint(np.linspace(-1 if keeps_sign(settings) else 0, 1, stops), settings)
    return over + opacity[:, None] * (colour - over)


def keeps_sign(settings: RenderingSettings) -> bool:
    """Whether zero is in the middle of the colours."""
    return settings.scaling == "max" and not settings.rectify


def contour_lines(settings: RenderingSettings) -> list[tuple[float, np.ndarray]]:
    """Level, of scaled values, and colour of each contour, lowest level first."""
    lines = [(level, colours(np.array(0.75 + 0.25 * level), "magma")) for level in sorted(settings.levels)]
    if keeps_sign(settings):
        against = [(-level, signed_colours(np.array(-0.75 - 0.25 * level), "magma")) for level, _ in lines]
        return [*against, *lines]
    return lines


def _scale(raw: np.ndarray, settings: RenderingSettings, ends: tuple[float, float]) -> np.ndarray:
    """To [0, 1], or to [-1, 1] where the sign is kept."""
    if settings.rectify:
        raw = np.maximum(raw, 0)
    low, high = ends
    if settings.scaling == "minmax":
        return np.clip((raw - low) / (high - low + _EPSILON), 0, 1)
    return np.clip(raw / max(high, np.finfo(np.float64).tiny), -1, 1)


def _paint(scaled: np.ndarray, settings: RenderingSettings) -> tuple[np.ndarray, np.ndarray]:
    """The colours of scaled values, sRGB ``[..., 3]``, and their opacities ``[...]``."""
    chosen = signed_colours if keeps_sign(settings) else colours
    opacity = np.full_like(scaled, settings.alpha) if settings.constant_alpha else settings.alpha * np.abs(scaled)
    return chosen(scaled, settings.colormap), opacity


def _resize(values: np.ndarray, width: int, height: int) -> np.ndarray:
    smooth = Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(smooth, np.float64)


def _picture(rgb: np.ndarray) -> Image.Image:
    return Image.fromarray(np.round(255 * np.clip(rgb, 0, 1)).astype(np.uint8))


def _check(map2d: np.ndarray, image: np.ndarray) -> None:
    if map2d.ndim != 2 or 0 in map2d.shape:
        raise ContractError(f"a map to draw must be [h, w], got shape {list(map2d.shape)}")
    if not np.isfinite(map2d).all():
        raise ContractError("a map to draw must be finite; this one holds NaN or infinite values")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ContractError(f"an image to draw on must be [H, W, 1 or 3] uint8, got {list(image.shape)} {image.dtype}")
