"""One picture that explains itself: the image, the map over it, its scale, and a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from medplug.config.settings import RenderingSettings
from medplug.explain.lettering import Lettering
from medplug.explain.overlay import Overlay, contour_lines, keeps_sign, render_map, scale_colours

_SMALLEST = (
    256  # pixels of the longer edge: smaller images are shown with larger pixels, so that there is room for text
)
_LETTERS = 14, 90  # the smallest letters, pixels; and the width of the panel divided by that of larger ones
_PAPER, _INK, _FAINT = "#ffffff", "#1a1a1a", "#5c5c5c"
_BAR_STOPS = 256


@dataclass(frozen=True)
class Caption:
    """What stands under the pictures.

    Attributes:
        title: one line in larger letters.
        lines: sentences; each begins a line.
    """

    title: str
    lines: Sequence[str] = ()


def draw_panel(
    map2d: np.ndarray,
    image: np.ndarray,
    overlay: Overlay,
    settings: RenderingSettings,
    caption: Caption,
    lettering: Lettering,
) -> Image.Image:
    """The image and its overlay beside each other (wide ones below each other), the scale with its numbers, and the caption.

    Args:
        map2d, image: as :func:`~medplug.explain.overlay.render_map` takes them.
        overlay: what it gave. Pictures are as large as the image; one with less than 256 pixels along its
            longer edge is drawn anew with each pixel as a square of several.
        settings: those of the overlay.
        caption: the text.
        lettering: what it is written with.
    """
    factor = max(1, -(-_SMALLEST // max(image.shape[:2])))
    if factor > 1:
        image = image.repeat(factor, 0).repeat(factor, 1)
        drawn = render_map(map2d, image, settings, overlay.scale).picture
    else:
        drawn = overlay.picture
    original = Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).copy())
    width, height = original.size
    below = width > 1.5 * height
    size = max(_LETTERS[0], round((width if below else 2 * width) / _LETTERS[1]))
    gap = size
    second = (0, height + gap) if below else (width + gap, 0)
    tall = second[1] + height
    bar = _draw_bar(overlay, settings, max(min(tall, 30 * size), 9 * size), size, lettering)
    inside = second[0] + width + gap + bar.width
    text = _text(caption, max(inside, 22 * size), size, lettering)
    panel = Image.new("RGB", (max(inside, text.width) + 2 * gap, max(tall, bar.height) + text.height + 3 * gap), _PAPER)
    panel.paste(original, (gap, gap))
    panel.paste(drawn, (gap + second[0], gap + second[1]))
    panel.paste(bar, (gap + second[0] + width + gap, gap))
    panel.paste(text, (gap, max(tall, bar.height) + 2 * gap))
    return panel


def number(value: float) -> str:
    """A raw value in three digits."""
    return f"{value:.3g}".replace("e-0", "e-").replace("e+0", "e+")


def _text(caption: Caption, width: int, size: int, lettering: Lettering) -> Image.Image:
    large = round(1.25 * size)
    rows = [(line, large, _INK) for line in lettering.wrapped(caption.title, large, width)]
    rows += [(line, size, _FAINT) for told in caption.lines for line in lettering.wrapped(told, size, width)]
    picture = Image.new("RGB", (width, sum(lettering.line_height(s) for _, s, _ in rows)), _PAPER)
    y = 0
    for line, s, ink in rows:
        lettering.write(picture, (0, y), line, s, ink)
        y += lettering.line_height(s)
    return picture


def _draw_bar(
    overlay: Overlay, settings: RenderingSettings, height: int, size: int, lettering: Lettering
) -> Image.Image:
    """The scale, highest value above: as it looks over black and over white, or the contours; empty without evidence."""
    low, high = overlay.scale
    if low == high:
        return Image.new("RGB", (size, 1), _PAPER)
    ticks = _ticks(low, high, settings)
    labels = [f"{number(value)}{told}" for value, told in ticks]
    bar = max(2 * (size // 2), 12)
    wide = bar + round(0.6 * size) + int(max(lettering.width(label, size) for label in labels)) + 1
    margin = size // 2  # half a line stands out above and below
    strip = height - 2 * margin
    picture = Image.new("RGB", (wide, height), _PAPER)
    picture.paste(_strip(settings, low, high, strip, bar), (0, margin))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, margin, bar - 1, margin + strip - 1), outline=_FAINT)
    for (value, _), label in zip(ticks, labels, strict=True):
        y = margin + round((high - value) / (high - low) * (strip - 1))
        pen.line((bar, y, bar + size // 4, y), _INK, max(1, size // 14))
        lettering.write(picture, (bar + 0.5 * size, y - 0.62 * size), label, size, _INK)
    return picture


def _ticks(low: float, high: float, settings: RenderingSettings) -> list[tuple[float, str]]:
    """Raw values that are written at the scale, and what is written behind them."""
    if settings.style == "contour":
        lines = [level for level, _ in contour_lines(settings)]
        at = {level: low + level * (high - low) if settings.scaling == "minmax" else level * high for level in lines}
        ends = [(low, ""), (high, "")]
        return [*ends, *((value, f"  ({100 * abs(level):.3g} %)") for level, value in at.items())]
    middle = [0.0] if keeps_sign(settings) else []
    return [(value, "") for value in (low, *middle, high)]


def _strip(settings: RenderingSettings, low: float, high: float, height: int, width: int) -> Image.Image:
    if settings.style == "contour":
        return _contour_strip(settings, height, width)
    sides = [scale_colours(settings, _BAR_STOPS, over)[::-1, None] for over in (0.0, 1.0)]
    both = np.concatenate(sides, axis=1)
    colours = Image.fromarray(np.round(255 * both).astype(np.uint8))
    return colours.resize((width, height), Image.Resampling.NEAREST)


def _contour_strip(settings: RenderingSettings, height: int, width: int) -> Image.Image:
    grey = np.full((height, width, 3), 0.5)
    reach = 1.0 if keeps_sign(settings) else 0.0
    for level, colour in contour_lines(settings):
        y = round((1 - (level + reach) / (1 + reach)) * (height - 1))
        thick = max(2, height // 60)
        grey[max(0, y - thick) : y + thick + 1] = 0
        grey[max(0, y - thick // 2) : y + thick // 2 + 1] = colour
    return Image.fromarray(np.round(255 * grey).astype(np.uint8))
