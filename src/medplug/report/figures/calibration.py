"""Reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medplug.report.figures.axes import Axes, Panel, line, square, ticks_of

Bins = Sequence[Mapping[str, Any]]


def reliability_panel(before: Bins, after: Bins | None, side: float) -> Panel:
    """Observed share against predicted probability, before (filled) and after (open) calibration.

    The bars at the bottom show how the predictions before calibration are spread: the fullest bin has the highest. Bins
    of unequal width have none: they hold about equally many predictions, and equal bars would look like an even spread.
    """

    def draw(x: float, y: float) -> list[str]:
        axes = square(x, y, side)
        parts = axes.frame(ticks_of(side), ticks_of(side), "predicted probability", "observed share")
        most = max([b["n"] for b in before], default=0)
        for b in before if even_bins(before) else ():
            if b["n"]:
                left, right = axes.x(b["low"]), axes.x(b["high"])
                height = 0.16 * side * b["n"] / most
                parts.append(
                    f'<rect class="bars" x="{left + 0.5:.1f}" y="{axes.bottom - height:.1f}" '
                    f'width="{max(right - left - 1, 1):.1f}" height="{height:.1f}"/>'
                )
        (x0, y0), (x1, y1) = axes.place((0, 0)), axes.place((1, 1))
        parts.append(f'<path class="chance" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>')
        parts += _series(axes, before, "a")
        if after is not None:
            parts += _series(axes, after, "b")
        return parts

    return draw


def even_bins(bins: Bins) -> bool:
    """Whether bins are about equally wide, so that bars above them show how predictions are spread."""
    widths = [b["high"] - b["low"] for b in bins]
    return not widths or max(widths) - min(widths) < 0.01


def _series(axes: Axes, bins: Bins, kind: str) -> list[str]:
    shown = [b for b in bins if b["n"] and b.get("observed") is not None and b.get("predicted") is not None]
    parts = []
    for b in shown:
        if b.get("observed_low") is not None and b.get("observed_high") is not None:
            column = axes.x(b["predicted"])
            top, bottom = axes.y(b["observed_high"]), axes.y(b["observed_low"])
            parts.append(f'<path class="error-{kind}" d="M{column:.1f} {top:.1f}V{bottom:.1f}"/>')
    points = [axes.place((b["predicted"], b["observed"])) for b in shown]
    if len(points) > 1:
        parts.append(line(points, f"line-{kind}"))
    radius = 3 if axes.width >= 180 else 2.2
    parts += [f'<circle class="point-{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in points]
    return parts
