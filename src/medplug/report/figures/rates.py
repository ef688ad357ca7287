"""The curve of a learning-rate range test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from medplug.report.figures.axes import Axes, Panel, label, legend, line, nice_ticks, panel_grid

_SIDE = 250.0
_LEGEND = {"chance": "loss of a batch", "line-a": "smoothed", "mark": "suggested"}
_TITLES = {"frozen": "head on frozen features", "full": "all layers"}


def rate_curves(sweeps: Mapping[str, Mapping[str, Any]]) -> str:
    """Loss over the learning rate for each phase, with what is suggested; empty where nothing was measured.

    Args:
        sweeps: by phase ``rates``, ``losses``, ``smoothed`` and ``suggestion``, as ``lr_find.json`` has them.
    """
    panels: list[tuple[str, Panel]] = [
        (_TITLES.get(phase, phase), partial(_panel, sweep)) for phase, sweep in sweeps.items() if sweep["rates"]
    ]
    if not panels:
        return ""
    return legend(panel_grid(panels, _SIDE, "Loss by learning rate"), _LEGEND)


def _panel(sweep: Mapping[str, Any], left: float, top: float) -> list[str]:
    x = [math.log10(rate) for rate in sweep["rates"]]
    ticks = _loss_ticks(sweep["smoothed"])
    decades = range(math.floor(x[0] + 1e-9), math.ceil(x[-1] - 1e-9) + 1)
    axes = Axes(left + 42, top + 6, _SIDE, _SIDE, decades[0], decades[-1] + (len(decades) == 1), ticks[0], ticks[-1])
    parts = axes.frame((), ticks, "learning rate", "loss")
    step = -(-len(decades) // 5)
    for decade in decades[::step]:
        parts.append(f'<path class="grid" d="M{axes.x(decade):.1f} {axes.top:.1f}V{axes.bottom:.1f}"/>')
        parts.append(label(axes.x(decade), axes.bottom + 13, f"1e{decade}", "middle"))
    for key, kind in (("losses", "chance"), ("smoothed", "line-a")):
        inside = [min(max(y, ticks[0]), ticks[-1]) for y in sweep[key]]
        parts.append(line([axes.place(point) for point in zip(x, inside, strict=True)], kind))
    if sweep["suggestion"] is not None:
        at = sweep["rates"].index(sweep["suggestion"])
        column, row = axes.place((x[at], min(max(sweep["smoothed"][at], ticks[0]), ticks[-1])))
        parts.append(f'<circle class="mark" cx="{column:.1f}" cy="{row:.1f}" r="4.5"/>')
        parts.append(f'<path class="axis" d="M{column:.1f} {row + 4.5:.1f}V{axes.bottom:.1f}"/>')
        parts.append(label(column - 5, axes.bottom - 6, f"{sweep['suggestion']:.1e}", "end", "small"))
    return parts


def _loss_ticks(smoothed: Sequence[float]) -> list[float]:
    """From the lowest loss to a little above where it began: how high it flies in the end says nothing."""
    low, start = min(smoothed), max(smoothed[: max(1, len(smoothed) // 3)])
    return nice_ticks(low, max(start + 0.5 * (start - low), low), 5)
