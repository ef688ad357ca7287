"""A signed map over its image, as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from medplug.config.settings import RenderingSettings
from medplug.errors import ContractError
from medplug.explain.colormaps import colours

_EPSILON = 1e-8  # added to the range in "minmax", as published: a map of hardly any range stays pale


@dataclass(frozen=True)
class Overlay:
    """A drawn map.

    Attributes:
        picture: RGB, as large as the image.
        evidence: whether the map has any positive value. Without one a rectified map adds no colour at all.
        low, high: the lowest and highest raw value, before rectifying and scaling.
    """

    picture: Image.Image
    evidence: bool
    low: float
    high: float


def render_map(map2d: np.ndarray, image: np.ndarray, settings: RenderingSettings) -> Overlay:
    """Draw a map over its image.

    Args:
        map2d: ``[h, w]`` float32, signed; brought to the size of the image bilinearly, after scaling.
        image: ``[H, W, C]`` uint8; C is 1 or 3.
        settings: with ``rectify`` and ``scaling`` ``"max"``, values are ``max(x, 0) / max(x)``: zero is the lower end of
            the colours. ``"max"`` without ``rectify`` keeps the sign: zero is in the middle of the colours and transparent.
            ``"minmax"`` stretches whatever range there is over all colours, so that even a map that speaks
            against the class everywhere has its warmest colour somewhere.
            The opacity is ``alpha`` times the value, or ``alpha`` everywhere with ``constant_alpha``.

    Raises:
        ContractError: wrong shape or dtype, or a map that is not finite.

    Reference: Selvaraju et al., Grad-CAM, ICCV 2017 (rectified, divided by the maximum).
    """
    _check(map2d, image)
    raw = np.asarray(map2d, np.float64)
    low, high = float(raw.min()), float(raw.max())
    height, width = image.shape[:2]
    base = np.broadcast_to(image, (height, width, 3)) / 255
    if settings.rectify and high <= 0:
        return Overlay(_picture(base), False, low, high)
    scaled = _resize(_scale(raw, settings), width, height)
    position, opacity = _place(scaled, settings)
    blended = base + opacity[..., None] * (colours(position, settings.colormap) - base)
    return Overlay(_picture(blended), high > 0, low, high)


def colour_scale(settings: RenderingSettings, stops: int = 33) -> tuple[str, ...]:
    """The colours of a scale as ``"#rrggbb"``, lowest value first: as they look over black, as in :func:`render_map`."""
    return tuple("#" + bytes(row).hex() for row in _over_black(settings, stops))


def scale_ends(overlay: Overlay, settings: RenderingSettings) -> tuple[float, float]:
    """The raw values at the two ends of the colour scale."""
    low, high = (max(overlay.low, 0.0), max(overlay.high, 0.0)) if settings.rectify else (overlay.low, overlay.high)
    if settings.scaling == "minmax":
        return low, high
    if settings.rectify:
        return 0.0, high
    largest = max(abs(low), abs(high))
    return -largest, largest


def _scale(raw: np.ndarray, settings: RenderingSettings) -> np.ndarray:
    """To [0, 1], or to [-1, 1] where the sign is kept."""
    if settings.rectify:
        raw = np.maximum(raw, 0)
    if settings.scaling == "minmax":
        return (raw - raw.min()) / (raw.max() - raw.min() + _EPSILON)
    return raw / max(np.abs(raw).max(), np.finfo(np.float64).tiny)


def _place(scaled: np.ndarray, settings: RenderingSettings) -> tuple[np.ndarray, np.ndarray]:
    """Scaled values to places on the colour scale, [0, 1], and opacities."""
    signed = settings.scaling == "max" and not settings.rectify
    position = (1 + scaled) / 2 if signed else scaled
    opacity = np.full_like(scaled, settings.alpha) if settings.constant_alpha else settings.alpha * np.abs(scaled)
    return position, opacity


def _over_black(settings: RenderingSettings, stops: int) -> np.ndarray:
    """``[stops, 3]`` uint8 from the lowest value to the highest."""
    signed = settings.scaling == "max" and not settings.rectify
    position, opacity = _place(np.linspace(-1 if signed else 0, 1, stops), settings)
    return np.round(255 * opacity[:, None] * colours(position, settings.colormap)).astype(np.uint8)


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
