"""Figures with their intervals as text tables; the methods of the intervals stand below, marked by letters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Methods:
    """Methods of intervals by letter, in the order of their first use."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def mark(self, method: str | None) -> str:
        """The letter of a method; nothing for none."""
        if not method:
            return ""
        if method not in self._found:
            self._found.append(method)
        place = self._found.index(method)
        return _LETTERS[place] if place < len(_LETTERS) else str(place + 1)

    def lines(self) -> list[str]:
        """One line a method."""
        return [f"  {self.mark(method)}  {method}" for method in self._found]


def score_lines(scores: Mapping[str, Any], title: str) -> list[str]:
    """The macro figures of one block of ``metrics.json``, with what has to be known beside them."""
    count = f"{scores['n']} samples"
    if scores.get("unit") == "groups":
        count += f" in {scores['units']} groups"
    methods = Methods()
    rows = [[metric, *cells(figure), methods.mark(figure.get("method"))] for metric, figure in scores["macro"].items()]
    lines = [f"{title}: {count}", *aligned(["metric", "value", "interval", "method"], rows), *methods.lines()]
    without: dict[str, list[str]] = {}
    for metric, figure in scores["macro"].items():
        for name in figure.get("excluded", ()) if figure.get("value") is not None else ():
            without.setdefault(name, []).append(metric)
    lines += [f"  {name} is left out of {', '.join(m)}: undefined for this class" for name, m in without.items()]
    few = [f"{name} ({f['n']})" for name, f in scores["per_class"].items() if f.get("few")]
    lines += [f"  few samples: {', '.join(few)}"] if few else []
    return [*lines, *(f"  note: {warning}" for warning in scores.get("warnings", ()))]


def comparison_lines(found: Mapping[str, Any]) -> list[str]:
    """The content of ``comparison.json``: figures of each run, then differences of each two."""
    methods = Methods()
    rows = [
        [metric, run, *cells(figure), methods.mark(figure.get("method"))]
        for metric, runs in found["metrics"].items()
        for run, figure in runs.items()
    ]
    head = f"{len(found['runs'])} runs on the same {found['n']} samples"
    lines = [head, *aligned(["metric", "run", "value", "interval", "method"], rows), ""]
    rows = [
        [
            pair["metric"], f"{pair['a']} − {pair['b']}", *cells(pair["difference"]), _p(pair.get("p")),
            _p(pair.get("p_holm")), methods.mark(pair.get("method")),
        ]
        for pair in found["pairs"]
    ]  # fmt: skip
    lines += aligned(["metric", "runs", "difference", "interval", "p", "p (Holm)", "method"], rows)
    return [*lines, *methods.lines()]


def cells(figure: Mapping[str, Any]) -> list[str]:
    """Value and interval; why, where there is none."""
    if figure.get("value") is None:
        return ["–", f"undefined: {figure.get('reason', 'no reason given')}"]
    if figure.get("low") is None or figure.get("high") is None:
        return [_number(figure["value"]), figure.get("interval_reason", "")]
    side = ", one-sided" if figure.get("one_sided") else ""
    return [_number(figure["value"]), f"{_number(figure['low'])} to {_number(figure['high'])}{side}"]


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are as wide as their widest cell."""
    table = [list(head), *map(list, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table]


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.4g}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
