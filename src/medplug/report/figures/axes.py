"""What all drawings share: scales, frames, lines and text.

A drawing is one ``<svg>`` of a small vocabulary, so that it can also be drawn without a browser: ``path`` (absolute
``M``, ``L``, ``H``, ``V``, ``Z``), ``rect``, ``circle`` and ``text`` (``text-anchor``; titles of vertical axes have
``transform="rotate(-90 X Y)"``). There are no groups. Colours, widths and dashes are classes of one name each, see
``figures.css``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from medplug.report.markup import text, visible

Point = tuple[float, float]
Panel = Callable[[float, float], list[str]]  # draws with its upper left corner at (x, y)

MARGIN_X, MARGIN_Y = 52, 38  # pixels that titles and tick labels of a panel take beside its square
_LEFT, _TOP = 42, 6
_NARROW, _WIDE = frozenset("ijlftrI.,:;'|!()[]{} -/"), frozenset("mwMWOQ@%&<>=+~#…")


@dataclass(frozen=True)
class Axes:
    """A box in pixels with a linear scale on each side; y grows upwards.

    Attributes:
        left, top, width, height: the box.
        x_low, x_high, y_low, y_high: the values at its edges.
    """

    left: float
    top: float
    width: float
    height: float
    x_low: float = 0.0
    x_high: float = 1.0
    y_low: float = 0.0
    y_high: float = 1.0

    @property
    def bottom(self) -> float:
        """The pixel row of the lower edge."""
        return self.top + self.height

    def x(self, value: float) -> float:
        """The pixel column of a value."""
        return self.left + self.width * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        """The pixel row of a value."""
        return self.bottom - self.height * (value - self.y_low) / (self.y_high - self.y_low)

    def place(self, value: Point) -> Point:
        """Pixels of a point."""
        return self.x(value[0]), self.y(value[1])

    def frame(self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_title: str, y_title: str) -> list[str]:
        """Grid, tick labels and titles."""
        parts = []
        for tick in y_ticks:
            row = self.y(tick)
            parts.append(f'<path class="grid" d="M{self.left:.1f} {row:.1f}H{self.left + self.width:.1f}"/>')
            shown = row + (8 if row < self.top + 4 else 3.5)  # the uppermost stays inside the drawing
            parts.append(label(self.left - 4, shown, f"{tick:.6g}", "end"))
        for tick in x_ticks:
            column = self.x(tick)
            parts.append(f'<path class="grid" d="M{column:.1f} {self.top:.1f}V{self.bottom:.1f}"/>')
            parts.append(label(column, self.bottom + 13, f"{tick:.6g}", "middle"))
        parts.append(label(self.left + self.width / 2, self.bottom + 27, x_title, "middle"))
        x, y = self.left - 32, self.top + self.height / 2
        parts.append(label(x, y, y_title, "middle", turned=True))
        return parts


def square(x: float, y: float, side: float, y_low: float = 0.0, y_high: float = 1.0, x_high: float = 1.0) -> Axes:
    """The axes of a panel whose drawing begins at (x, y)."""
    return Axes(x + _LEFT, y + _TOP, side, side, 0.0, x_high, y_low, y_high)


def ticks_of(side: float) -> tuple[float, ...]:
    """Ticks from 0 to 1 that fit a panel of this size."""
    return (0.0, 0.25, 0.5, 0.75, 1.0) if side >= 180 else (0.0, 0.5, 1.0)


def panel_svg(panel: Panel, side: float, about: str) -> str:
    """One panel as a drawing of its own."""
    return svg(side + MARGIN_X, side + MARGIN_Y, about, panel(0, 0))


def panel_grid(panels: Sequence[tuple[str, Panel]], side: float, about: str) -> str:
    """Panels with their titles in rows, as one drawing."""
    columns = min(6, max(1, len(panels) if len(panels) <= 4 else math.ceil(math.sqrt(len(panels)))))
    width, height = side + MARGIN_X + 8, side + MARGIN_Y + 26
    parts = []
    for i, (title, panel) in enumerate(panels):
        x, y = (i % columns) * width, (i // columns) * height
        parts.append(label(x + _LEFT, y + 13, fit(title, side, 12), "start", "head"))
        parts += panel(x, y + 18)
    return svg(columns * width, math.ceil(len(panels) / columns) * height, about, parts)


def label(x: float, y: float, words: str, anchor: str = "start", kind: str = "", *, turned: bool = False) -> str:
    """Text at a place; ``turned`` reads upwards."""
    extra = (f' class="{kind}"' if kind else "") + (f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else "")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{text(words)}</text>'


def legend(drawing: str, entries: Mapping[str, str]) -> str:
    """The drawing with a line below it that says what its lines (by class) are; nothing where there is no drawing."""
    if not drawing:
        return ""
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
    assert size is not None  # all drawings are made by ``svg``
    width, height = float(size[1]), float(size[2])
    parts, x, y = [], 8.0, height + 12
    for kind, words in entries.items():
        needed = 34 + text_width(words)
        if x > 8 and x + needed > width:
            x, y = 8.0, y + 16
        if kind == "mark":
            parts.append(f'<circle class="{kind}" cx="{x + 10:.1f}" cy="{y - 3.5:.1f}" r="4.5"/>')
        else:
            parts.append(f'<path class="{kind}" d="M{x:.1f} {y - 3.5:.1f}H{x + 22:.1f}"/>')
        parts.append(label(x + 27, y, words))
        x += needed + 12
    grown = drawing.replace(size[0], f'viewBox="0 0 {width:g} {y + 8:g}"', 1)
    return grown.removesuffix("</svg>") + "".join(parts) + "</svg>"


def fit(words: str, width: float, size: float = 11) -> str:
    """The text, shortened with an ellipsis where it would be wider than ``width`` pixels."""
    words = visible(words)
    if text_width(words, size) <= width:
        return words
    kept = words
    while kept and text_width(kept + "…", size) > width:
        kept = kept[:-1]
    return kept.rstrip() + "…"


def text_width(words: str, size: float = 11) -> float:
    """About how wide a text is in a sans-serif face, in pixels; rather too wide than too narrow."""
    em = 0.0
    for character in visible(words):
        if character in _NARROW:
            em += 0.39
        elif ord(character) > 0x2E80:
            em += 1.0  # ideographs and pictures
        elif character in _WIDE:
            em += 0.98
        else:
            em += 0.77 if character.isupper() else 0.635
    return em * size


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """About ``count`` round numbers that span ``low`` to ``high``, at least two.

    >>> nice_ticks(0.13, 0.92, 4)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):  # a constant, but for rounding
        spread = abs(low) / 2 if abs(low) > 1e-6 else 0.5
        low, high = low - spread, low + spread
    raw = (high - low) / count
    base = 10 ** math.floor(math.log10(raw))
    step = next(base * m for m in (1, 2, 2.5, 5, 10) if base * m >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def line(points: Sequence[Point], kind: str) -> str:
    """A line without the points that fall on the same place or lie between two others on a straight step."""
    kept = _thinned(points)
    if not kept:
        return ""
    if len(kept) == 1:
        x, y = kept[0]
        return f'<circle class="{kind}-dot" cx="{x:g}" cy="{y:g}" r="2.5"/>'
    return f'<path class="{kind}" d="M{"L".join(f"{x:g} {y:g}" for x, y in kept)}"/>'


def band(lower: Sequence[Point], upper: Sequence[Point], kind: str) -> str:
    """The area between two lines."""
    if len(lower) < 2 or len(upper) < 2:
        return ""
    around = [*_thinned(lower), *reversed(_thinned(upper))]
    return f'<path class="{kind}" d="M{"L".join(f"{x:g} {y:g}" for x, y in around)}Z"/>'


def pairs(xs: Sequence[float], ys: Sequence[float | None]) -> list[Point]:
    """Points of two columns without those that have no value."""
    return [(x, y) for x, y in zip(xs, ys, strict=True) if y is not None and math.isfinite(y)]


def svg(width: float, height: float, about: str, parts: Sequence[str], kind: str = "plot") -> str:
    """The drawing; ``about`` says what it shows to who cannot see it."""
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text(about)}">'
        f"{''.join(parts)}</svg>"
    )


def _thinned(points: Sequence[Point]) -> list[Point]:
    rounded = [(round(2 * x) / 2, round(2 * y) / 2) for x, y in points]
    rounded = [p for i, p in enumerate(rounded) if i == 0 or p != rounded[i - 1]]
    if len(rounded) < 3:
        return rounded
    kept = rounded[:1]
    for here, following in pairwise(rounded[1:]):
        before = kept[-1]
        straight = any(
            before[i] == here[i] == following[i]
            and (here[1 - i] - before[1 - i]) * (following[1 - i] - here[1 - i]) > 0
            for i in (0, 1)
        )
        if not straight:
            kept.append(here)
    return [*kept, rounded[-1]]
