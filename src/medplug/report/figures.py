"""Figures as SVG. Colours are classes of the style sheet, so that light, dark and print share one drawing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from medplug.report.facts import Curve
from medplug.report.markup import number, text

_WIDTH, _HEIGHT = 400, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 38


def loss_curves(history: Sequence[Mapping[str, Any]], tested_epoch: int | None) -> str:
    """Training and validation loss by epoch, with the phases as bands; the legend belongs to the page."""
    rows = [row for row in history if row.get("epoch") is not None]
    series = {key: _points(rows, key) for key in ("loss", "validation_loss")}
    values = [y for points in series.values() for _, y in points]
    if not values:
        return ""
    first, last = float(rows[0]["epoch"]), float(rows[-1]["epoch"])
    ticks = nice_ticks(min(values), max(values), 5)
    low, high = min(ticks[0], *values), max(ticks[-1], *values)

    def x(epoch: float) -> float:
        span = last - first
        share = (epoch - first) / span if span else 0.5
        return _LEFT + 4 + share * (_WIDTH - _LEFT - _RIGHT - 8)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_band(start, end, x, first, last) for _, start, end in phases(rows)[::2]]
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{_LEFT} {y(tick):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y(tick) + 3.5:.1f}" text-anchor="end">{tick:.6g}</text>')
    for tick in epoch_ticks(int(first), int(last)):
        parts.append(f'<path class="axis" d="M{x(tick):.1f} {_HEIGHT - _BOTTOM}v4"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 15}" text-anchor="middle">{tick}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{_HEIGHT - _BOTTOM}H{_WIDTH - _RIGHT}"/>')
    for key, kind in (("loss", "line-a"), ("validation_loss", "line-b")):
        parts += [_line([(x(e), y(v)) for e, v in run], kind) for run in _runs(series[key], rows)]
    for epoch, value in series["validation_loss"]:
        if epoch == tested_epoch:
            parts.append(f'<circle class="mark" cx="{x(epoch):.1f}" cy="{y(value):.1f}" r="4.5"/>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">epoch</text>')
    return _svg(_WIDTH, _HEIGHT, "Loss by epoch, training and validation", parts)


def phases(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float]]:
    """The phases in order: name, first epoch, last epoch."""
    found: list[tuple[str, float, float]] = []
    for row in rows:
        label, epoch = str(row.get("phase", "")), float(row["epoch"])
        if found and found[-1][0] == label:
            found[-1] = (label, found[-1][1], epoch)
        else:
            found.append((label, epoch, epoch))
    return found


def roc_panel(curve: Curve | None, label: str) -> str:
    """One class's ROC curve in a small square; an empty frame where there is none."""
    side, margin = 130, 22

    def place(fpr: float, tpr: float) -> tuple[float, float]:
        return margin + side * fpr, 6 + side * (1 - tpr)

    parts = []
    for tick in (0.0, 0.5, 1.0):
        x, y = place(tick, tick)
        parts.append(f'<path class="grid" d="M{margin} {y:.1f}h{side}M{x:.1f} 6v{side}"/>')
        parts.append(
            f'<text x="{margin - 4}" y="{y + (8 if tick == 1 else 3.5):.1f}" text-anchor="end">{tick:g}</text>'
        )
        parts.append(f'<text x="{x:.1f}" y="{side + 18}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<path class="chance" d="M{margin} {side + 6}L{margin + side} 6"/>')
    if curve is not None:
        parts.append(_line([place(f, t) for f, t in zip(*curve, strict=True)], "line-a"))
    return _svg(margin + side + 8, side + 22, f"ROC curve of {label}", parts)


def area(curve: Curve) -> float:
    """The area under a curve, by trapezoids."""
    fpr, tpr = curve
    return sum((fpr[i] - fpr[i - 1]) * (tpr[i] + tpr[i - 1]) / 2 for i in range(1, len(fpr)))


def whisker(value: float, low: float, high: float, bounds: tuple[float, float]) -> str:
    """A figure with its interval on a common scale, as a dot and a line."""
    start, end = bounds

    def x(v: float) -> float:
        return 4 + 72 * (v - start) / (end - start)

    parts = [
        '<path class="grid" d="M4 6H76"/>',
        f'<path class="span" d="M{x(low):.1f} 6H{x(high):.1f}"/>',
        f'<circle class="dot" cx="{x(value):.1f}" cy="6" r="3"/>',
    ]
    return _svg(80, 12, f"{number(value)}, interval {number(low)} to {number(high)}", parts, "whisker")


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


def epoch_ticks(first: int, last: int) -> list[int]:
    """At most eight whole epochs, the first among them."""
    step = next(s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 10**9) if (last - first) / s <= 7)
    return [first, *(e for e in range(step, last + 1, step) if e - first >= step / 2 and e > first)]


def _band(start: float, end: float, x: Any, first: float, last: float) -> str:
    left = _LEFT if start == first else (x(start - 1) + x(start)) / 2
    right = _WIDTH - _RIGHT if end == last else (x(end) + x(end + 1)) / 2
    return (
        f'<rect class="band" x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"/>'
    )


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> list[tuple[float, float]]:
    found = [(float(row["epoch"]), row.get(key)) for row in rows]
    return [(epoch, float(value)) for epoch, value in found if value is not None and math.isfinite(float(value))]


def _runs(points: Sequence[tuple[float, float]], rows: Sequence[Mapping[str, Any]]) -> list[list[tuple[float, float]]]:
    """Points cut where an epoch has no finite value, so that no line bridges the gap."""
    values = dict(points)
    runs: list[list[tuple[float, float]]] = [[]]
    for row in rows:
        epoch = float(row["epoch"])
        if epoch in values:
            runs[-1].append((epoch, values[epoch]))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _line(points: Sequence[tuple[float, float]], kind: str) -> str:
    """A polyline without the points that fall on the same place or lie between two others on a straight step."""
    rounded = list(dict.fromkeys((round(2 * x) / 2, round(2 * y) / 2) for x, y in points))
    if len(rounded) == 1:
        x, y = rounded[0]
        return f'<circle class="{kind}-dot" cx="{x:g}" cy="{y:g}" r="2.5"/>'
    kept = rounded[:1]
    for here, following in pairwise(rounded[1:]):
        before = kept[-1]
        straight = any(before[i] == here[i] == following[i] for i in (0, 1))
        if not straight:
            kept.append(here)
    kept.append(rounded[-1])
    return f'<path class="{kind}" d="M{"L".join(f"{x:g} {y:g}" for x, y in kept)}"/>'


def _svg(width: float, height: float, label: str, parts: Sequence[str], kind: str = "plot") -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{text(label)}">'
        f"{''.join(parts)}</svg>"
    )
