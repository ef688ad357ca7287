"""The course of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medplug.report.figures.axes import Axes, Point, label, line, nice_ticks, svg

_WIDTH, _HEIGHT = 400, 236


def loss_curves(history: Sequence[Mapping[str, Any]], tested_epoch: int | None) -> str:
    """Training and validation loss by epoch, with the phases as bands; the legend belongs to the page."""
    rows = [row for row in history if row.get("epoch") is not None]
    series = {key: _points(rows, key) for key in ("loss", "validation_loss")}
    values = [y for points in series.values() for _, y in points]
    if not values:
        return ""
    first, last = float(rows[0]["epoch"]), float(rows[-1]["epoch"])
    ticks = nice_ticks(min(values), max(values), 5)
    pad = (last - first) * 0.012 or 0.5
    axes = Axes(
        52, 10, _WIDTH - 62, _HEIGHT - 50, first - pad, last + pad, min(ticks[0], *values), max(ticks[-1], *values)
    )
    parts = [_band(axes, start, end, first, last) for _, start, end in phases(rows)[::2]]
    for tick in ticks:
        parts.append(f'<path class="grid" d="M{axes.left} {axes.y(tick):.1f}H{axes.left + axes.width}"/>')
        parts.append(label(axes.left - 5, axes.y(tick) + 3.5, f"{tick:.6g}", "end"))
    for tick in epoch_ticks(int(first), int(last)):
        parts.append(f'<path class="axis" d="M{axes.x(tick):.1f} {axes.bottom}V{axes.bottom + 4}"/>')
        parts.append(label(axes.x(tick), axes.bottom + 16, str(tick), "middle"))
    parts.append(f'<path class="axis" d="M{axes.left} {axes.top}V{axes.bottom}H{axes.left + axes.width}"/>')
    for key, kind in (("loss", "line-a"), ("validation_loss", "line-b")):
        parts += [line([axes.place(point) for point in run], kind) for run in _runs(series[key], rows)]
    for epoch, value in series["validation_loss"]:
        if epoch == tested_epoch:
            parts.append(f'<circle class="mark" cx="{axes.x(epoch):.1f}" cy="{axes.y(value):.1f}" r="4.5"/>')
    parts.append(label(axes.left + axes.width / 2, _HEIGHT - 6, "epoch", "middle"))
    parts.append(label(12, axes.top + axes.height / 2, "loss", "middle", turned=True))
    return svg(_WIDTH, _HEIGHT, "Loss by epoch, training and validation", parts)


def phases(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, float, float]]:
    """The phases in order: name, first epoch, last epoch."""
    found: list[tuple[str, float, float]] = []
    for row in rows:
        name, epoch = str(row.get("phase", "")), float(row["epoch"])
        if found and found[-1][0] == name:
            found[-1] = (name, found[-1][1], epoch)
        else:
            found.append((name, epoch, epoch))
    return found


def epoch_ticks(first: int, last: int) -> list[int]:
    """At most eight whole epochs, the first among them."""
    step = next(s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 10**9) if (last - first) / s <= 7)
    return [first, *(e for e in range(step, last + 1, step) if e - first >= step / 2 and e > first)]


def _band(axes: Axes, start: float, end: float, first: float, last: float) -> str:
    left = axes.left if start == first else axes.x(start - 0.5)
    right = axes.left + axes.width if end == last else axes.x(end + 0.5)
    return f'<rect class="band" x="{left:.1f}" y="{axes.top}" width="{right - left:.1f}" height="{axes.height}"/>'


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> list[Point]:
    found = [(float(row["epoch"]), row.get(key)) for row in rows]
    return [(epoch, float(value)) for epoch, value in found if value is not None and math.isfinite(float(value))]


def _runs(points: Sequence[Point], rows: Sequence[Mapping[str, Any]]) -> list[list[Point]]:
    """Points cut where an epoch has no finite value, so that no line bridges the gap."""
    values = dict(points)
    runs: list[list[Point]] = [[]]
    for row in rows:
        epoch = float(row["epoch"])
        if epoch in values:
            runs[-1].append((epoch, values[epoch]))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
