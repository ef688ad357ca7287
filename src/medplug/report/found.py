"""What the checks of the data found: warnings first, with all names and figures folded behind each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medplug.report.markup import bullets, name, plural, table, text

_IN_TEXT = 5  # so many names stand in the sentences of the checks themselves
_NAMED = 200  # names that are listed one by one; checks.json has all
_ORDER = ("error", "warning", "note")


def found(checks: Mapping[str, Any]) -> str:
    """A list of the findings of ``checks.json``; those that found nothing are folded."""
    findings = checks.get("findings", ())
    if not findings:
        return ""
    shown = sorted((f for f in findings if f["level"] in _ORDER), key=lambda f: _ORDER.index(f["level"]))
    fine = [f for f in findings if f["level"] not in _ORDER]
    folded = f"<details><summary>{_passed(len(fine))}</summary>{bullets(map(_line, fine))}</details>" if fine else ""
    return f"<h3>What the checks of the data found</h3>{bullets(map(_line, shown))}{folded}"


def _passed(count: int) -> str:
    return f"{plural(count, 'check')} found nothing wrong"


def _line(finding: Mapping[str, Any]) -> str:
    level = text(finding["level"])
    return f'<span class="level {level}">{level}</span> {text(finding["text"])}{_names(finding)}{_figures(finding)}'


def _names(finding: Mapping[str, Any]) -> str:
    names: Sequence[str] = finding.get("names", ())
    if len(names) <= _IN_TEXT:
        return ""
    more = f"<p>The first {_NAMED}; checks.json lists all.</p>" if len(names) > _NAMED else ""
    every = bullets(map(name, names[:_NAMED]))
    return f"<details><summary>All {plural(len(names), 'image')} by name</summary>{more}{every}</details>"


def _figures(finding: Mapping[str, Any]) -> str:
    """The AUC of each property or column alone."""
    details = finding.get("details") or {}
    alone = details.get("alone") or {
        column: {"value": d["auc"], "low": d["low"], "high": d["high"]}
        for column, d in details.items()
        if isinstance(d, dict) and "leaks" in d
    }
    if len(alone) < 2:  # the sentence says it
        return ""
    rows = [[name(of), _cell(figure["value"]), _interval(figure)] for of, figure in alone.items()]
    return f"<details><summary>Each alone</summary>{table(['property', 'AUC', '95 % interval'], rows)}</details>"


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _interval(figure: Mapping[str, float | None]) -> str:
    low, high = figure["low"], figure["high"]
    return "–" if low is None or high is None else f"{low:.2f} to {high:.2f}"
