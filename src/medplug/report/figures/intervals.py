"""Figures with their intervals as dots and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medplug.report.figures.axes import Axes, fit, label, nice_ticks, svg, text_width
from medplug.report.markup import number, text


def whisker(value: float, low: float, high: float, bounds: tuple[float, float]) -> str:
    """A figure with its interval on a common scale, as a dot and a line, to stand in a table."""
    start, end = bounds

    def x(v: float) -> float:
        return 4 + 72 * (v - start) / (end - start)

    parts = [
        '<path class="grid" d="M4 6H76"/>',
        f'<path class="span-a" d="M{x(low):.1f} 6H{x(high):.1f}"/>',
        f'<circle class="point-a" cx="{x(value):.1f}" cy="6" r="2.4"/>',
    ]
    return svg(80, 12, f"{number(value)}, interval {number(low)} to {number(high)}", parts, "whisker")


@dataclass(frozen=True)
class ForestRow:
    """One line of a dot-and-interval plot.

    Attributes:
        name: at the left.
        n: how many samples stand behind it, or None.
        figure: with ``value``, ``low`` and ``high``; ``value`` None where there is nothing to draw.
        note: stands in the place of a dot that is not there.
    """

    name: str
    n: int | None
    figure: Mapping[str, Any]
    note: str = ""


def forest(rows: Sequence[ForestRow], title: str, about: str, reference: float | None = None) -> str:
    """Dots with intervals below each other on one scale; the dashed line is the figure of all samples.

    Nothing is drawn where no row has a value.
    """
    ends = [row.figure[key] for row in rows for key in ("value", "low", "high") if row.figure.get(key) is not None]
    if not ends:
        return ""
    if reference is not None:
        ends.append(reference)
    ticks = _ticks(min(ends), max(ends))
    counts = [f"{row.n:,}" if row.n is not None else "" for row in rows]
    aside = max([text_width(c) for c in [*counts, "n"]]) + 8
    names = min(150.0, max(text_width(row.name) for row in rows) + 6)
    left = names + aside + 8
    axes = Axes(left, 18, 384 - left, 20 * len(rows), ticks[0], ticks[-1])
    height = axes.bottom + 34
    parts = []
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{axes.x(tick):.1f} {axes.top}V{axes.bottom}"/>')
        parts.append(label(axes.x(tick), axes.bottom + 13, f"{tick:.4g}", "middle"))
    if any(counts):
        parts.append(label(names + aside, 11, "n", "end"))
    for i, (row, count) in enumerate(zip(rows, counts, strict=True)):
        middle = axes.top + 20 * i + 10
        parts.append(label(0, middle + 3.5, fit(row.name, names), "start", "name"))
        if count:
            parts.append(label(names + aside, middle + 3.5, count, "end"))
        if reference is not None and row.figure.get("value") is not None:
            parts.append(f'<path class="chance" d="M{axes.x(reference):.1f} {middle - 10:.1f}V{middle + 10:.1f}"/>')
        parts += _dot(axes, row, middle)
    parts.append(label(axes.left + axes.width / 2, height - 6, fit(title, axes.width), "middle"))
    return svg(400, height, about, parts)


def _dot(axes: Axes, row: ForestRow, middle: float) -> list[str]:
    value, low, high = (row.figure.get(key) for key in ("value", "low", "high"))
    if value is None:
        return [label(axes.left + 4, middle + 3.5, fit(row.note, axes.width - 8), "start", "faint")] if row.note else []
    parts = []
    if low is not None and high is not None:
        parts.append(f'<path class="span-a" d="M{axes.x(low):.1f} {middle:.1f}H{axes.x(high):.1f}"/>')
    parts.append(f'<circle class="point-a" cx="{axes.x(value):.1f}" cy="{middle:.1f}" r="3.5"/>')
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """Round ends around what is drawn; shares never run past 0 and 1."""
    ticks = nice_ticks(low, high, 4)
    if low >= 0 and high <= 1:
        ticks = [t for t in ticks if -1e-9 <= t <= 1 + 1e-9]
        if ticks[-1] < high:
            ticks.append(1.0)
    return ticks


def scale_bar(colours: Sequence[str]) -> str:
    """A vertical colour scale, the highest value on top, in steps that touch."""
    steps = len(colours)
    parts = [
        f'<rect x="0" y="{100 * i / steps:.2f}" width="10" height="{100 / steps + 0.3:.2f}" fill="{text(colour)}"/>'
        for i, colour in enumerate(reversed(colours))
    ]
    return (
        '<svg class="scale" viewBox="0 0 10 100" preserveAspectRatio="none" aria-hidden="true" '
        f'shape-rendering="crispEdges">{"".join(parts)}</svg>'
    )
