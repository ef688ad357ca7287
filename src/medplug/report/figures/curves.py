"""ROC, precision-recall and decision curves, one panel a class: readable for two classes and for thirty."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medplug.report.figures.axes import Axes, Panel, Point, band, label, line, nice_ticks, pairs, square, ticks_of

Curve = Mapping[str, Sequence[Any]]


def side_of(classes: int) -> int:
    """Pixels of the square of a panel, where there are so many of them."""
    return 220 if classes <= 4 else 130


def roc_panel(curve: Curve | None, side: float) -> Panel:
    """Sensitivity against false positive rate with its band; an empty frame where there is no curve."""

    def draw(x: float, y: float) -> list[str]:
        axes = square(x, y, side)
        parts = axes.frame(ticks_of(side), ticks_of(side), "1 – specificity", "sensitivity")
        parts.append(_straight([axes.place((0, 0)), axes.place((1, 1))]))
        if curve is None:
            return [*parts, _nothing(axes)]
        return [*parts, *_banded(axes, curve, "fpr", "tpr")]

    return draw


def precision_recall_panel(curve: Mapping[str, Any] | None, side: float) -> Panel:
    """Precision against recall with its band; the dashed line is the prevalence."""

    def draw(x: float, y: float) -> list[str]:
        axes = square(x, y, side)
        parts = axes.frame(ticks_of(side), ticks_of(side), "recall", "precision")
        if curve is None:
            return [*parts, _nothing(axes)]
        prevalence = curve.get("prevalence")
        if prevalence is not None:
            parts.append(_straight([axes.place((0, prevalence)), axes.place((1, prevalence))]))
        return [*parts, *_banded(axes, curve, "recall", "precision")]

    return draw


def decision_panel(curve: Curve, side: float) -> Panel:
    """Net benefit by threshold probability: the model, all called positive (dashed), none called positive (zero).

    Net benefits are drawn per 100 samples; how far a line falls below none does not matter and is cut off. The
    thresholds go as far as the model or calling all is better than calling none.
    """
    lines = {key: [(x, 100 * y) for x, y in pairs(curve["threshold"], curve[key])] for key in _LINES if curve.get(key)}
    best = max([y for key in ("model", "all") for _, y in lines.get(key, ())], default=0.0)
    uncertain = max([y for _, y in lines.get("high", ())], default=0.0)
    ticks = nice_ticks(0.0, max(best, min(uncertain, 1.4 * best), 0.1), 3)
    floor = -0.25 * ticks[-1]
    useful = [x for key in ("model", "all") for x, y in lines.get(key, ()) if y > 0.02 * best]
    x_high = next(end for end in (0.1, 0.2, 0.5, 1.0) if end >= min(max(useful, default=1.0), 1.0))

    def draw(x: float, y: float) -> list[str]:
        axes = square(x, y, side, floor, ticks[-1], x_high)
        parts = axes.frame([t * x_high for t in ticks_of(side)], ticks, "threshold probability", "net benefit per 100")
        parts.append(_straight([axes.place((0, 0)), axes.place((x_high, 0))]))
        shown = {key: [p for p in points if p[0] <= x_high + 1e-9] for key, points in lines.items()}
        for run in _runs(shown.get("model", ()), floor):
            inside = {x for x, _ in run}
            low, high = (
                [axes.place((x, min(max(y, floor), ticks[-1]))) for x, y in shown.get(key, ()) if x in inside]
                for key in ("low", "high")
            )
            parts.append(band(low, high, "band-a"))
        for key, kind in (("all", "line-b"), ("model", "line-a")):
            parts += [line([axes.place(p) for p in run], kind) for run in _runs(shown.get(key, ()), floor)]
        return parts

    return draw


_LINES = ("model", "all", "low", "high")


def _runs(points: Sequence[Point], floor: float) -> list[list[Point]]:
    """The pieces of a line above the floor, each as far as the place where it crosses the floor."""
    runs: list[list[Point]] = [[]]
    for before, here in zip([None, *points], points, strict=False):
        if before is not None and (before[1] - floor) * (here[1] - floor) < 0:
            crossing = (before[0] + (here[0] - before[0]) * (before[1] - floor) / (before[1] - here[1]), floor)
            runs[-1].append(crossing)
            if here[1] < floor:
                runs.append([])
        if here[1] >= floor:
            runs[-1].append(here)
    return [run for run in runs if run]


def _banded(axes: Axes, curve: Mapping[str, Any], across: str, up: str) -> list[str]:
    """The line and its band, in as many pieces as values that are not there cut them into."""
    parts = []
    if curve.get("low") and curve.get("high"):
        for run in _pieces(curve[across], curve["low"], curve["high"]):
            low, high = ([axes.place((x, ys[i])) for x, *ys in run] for i in (0, 1))
            parts.append(band(low, high, "band-a"))
    for run in _pieces(curve[across], curve[up]):
        parts.append(line([axes.place((x, y)) for x, y in run], "line-a"))
    return parts


def _pieces(*columns: Sequence[float | None]) -> list[list[tuple[float, ...]]]:
    """Rows of columns, cut where a row lacks a number."""
    runs: list[list[tuple[float, ...]]] = [[]]
    for row in zip(*columns, strict=True):
        there = tuple(v for v in row if v is not None and math.isfinite(v))
        if len(there) == len(row):
            runs[-1].append(there)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _straight(points: Sequence[Point]) -> str:
    (x0, y0), (x1, y1) = points
    return f'<path class="chance" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>'


def _nothing(axes: Axes) -> str:
    return label(axes.left + axes.width / 2, axes.top + axes.height * 0.32, "not defined", "middle", "faint")
