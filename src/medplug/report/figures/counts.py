"""Drawings of counts: confusion matrices and bars."""

from __future__ import annotations

from collections.abc import Sequence

from medplug.report.figures.axes import Axes, fit, label, svg, text_width


def confusion_matrix(classes: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Counts and row shares; rows are the labelled classes, columns carry numbers, right answers are framed."""
    k = len(classes)
    cell = 46 if k <= 8 else 28
    names = [f"{i}  {name}" for i, name in enumerate(classes, 1)]
    left = 20 + min(190.0, max(text_width(name) for name in names) + 8)
    top = 36
    parts = [label(left + cell * k / 2, 12, "predicted class", "middle")]
    parts.append(label(12, top + cell * k / 2, "labelled class", "middle", turned=True))
    for i, name in enumerate(names):
        parts.append(label(left - 6, top + cell * (i + 0.5) + 3.5, fit(name, left - 27), "end", "name"))
        parts.append(label(left + cell * (i + 0.5), top - 6, str(i + 1), "middle", "name"))
    for t, row in enumerate(counts):
        total = sum(row)
        for p, count in enumerate(row):
            x, y = left + cell * p, top + cell * t
            share = count / total if total else 0.0
            parts.append(f'<rect class="empty" x="{x:.1f}" y="{y}" width="{cell}" height="{cell}"/>')
            if count:
                parts.append(
                    f'<rect class="heat" x="{x:.1f}" y="{y}" width="{cell}" height="{cell}" fill-opacity="{share:.3f}"/>'
                )
            if count or k <= 8:
                parts += _cell(x + cell / 2, y + cell / 2, count, share, cell, total)
    for i in range(k):
        place = f'x="{left + cell * i + 1:.1f}" y="{top + cell * i + 1}"'
        parts.append(f'<rect class="frame" {place} width="{cell - 2}" height="{cell - 2}"/>')
    return svg(left + cell * k + 4, top + cell * k + 4, "Confusion matrix", parts)


def _cell(x: float, y: float, count: int, share: float, cell: float, total: int) -> list[str]:
    shown = f"{100 * share:.0f} %" if total else "–"
    if cell >= 40:
        return [label(x, y - 1, f"{count:,}", "middle", "name"), label(x, y + 13, shown, "middle", "small")]
    return [label(x, y - 1, f"{count:,}", "middle", "tiny"), label(x, y + 9, shown, "middle", "tiny")]


def bars(rows: Sequence[tuple[str, int]], title: str, about: str) -> str:
    """Horizontal bars of counts, each with its number behind it."""
    most = max([count for _, count in rows], default=0)
    if most == 0:
        return ""
    names = min(150.0, max(text_width(name) for name, _ in rows) + 8)
    aside = text_width(f"{most:,}") + 10
    axes = Axes(names, 4, 390 - names - aside, 22 * len(rows), 0.0, most)  # each bar has its number: no scale is needed
    parts = []
    for i, (name, count) in enumerate(rows):
        top = axes.top + 22 * i
        width = axes.x(count) - axes.left
        parts.append(label(names - 6, top + 15, fit(name, names), "end", "name"))
        parts.append(f'<rect class="fill-a" x="{axes.left:.1f}" y="{top + 4}" width="{width:.1f}" height="14"/>')
        parts.append(label(axes.left + width + 5, top + 15, f"{count:,}"))
    parts.append(f'<path class="axis" d="M{axes.left:.1f} {axes.top}V{axes.bottom}"/>')
    height = axes.bottom + 20
    parts.append(label(axes.left + axes.width / 2, height - 5, title, "middle"))
    return svg(400, height, about, parts)
