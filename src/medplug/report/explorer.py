"""The threshold explorer, the page's one interactive part, and the table that stands in its place without script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from medplug.report.facts import ReportFacts
from medplug.report.figures.axes import MARGIN_X, MARGIN_Y, square, svg, ticks_of
from medplug.report.markup import name, percent, table, text

_SIDE = 190
_RATES = {
    "sensitivity": ("sensitivity", "of those with it, called so"),
    "specificity": ("specificity", "of those without it, not called so"),
    "ppv": ("positive predictive value", "of those called so, with it"),
    "npv": ("negative predictive value", "of those not called so, without it"),
}
_STEPS = (0.1, 0.25, 0.5, 0.75, 0.9)  # of the table without script


def script() -> str:
    """The one script of the page."""
    return files("medplug.report").joinpath("explorer.js").read_text("utf-8")


def script_source() -> str:
    """What the page's policy allows to run: this script and nothing else."""
    digest = hashlib.sha256(script().encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def operating_points(facts: ReportFacts) -> dict[str, Mapping[str, Any]]:
    """Counts by threshold of the classes that have any."""
    found = facts.analysis.get("operating", {})
    return {c: found[c] for c in facts.classes if found.get(c) and found[c]["threshold"]}


def explorer(facts: ReportFacts) -> str:
    """The interactive part, hidden until its script runs, and the table, hidden by the script."""
    points = operating_points(facts)
    if not points:
        return ""
    return (
        f"<h3>Threshold explorer</h3><p>What the test set would have shown at other thresholds, each {facts.word} by itself "
        "against the rest. It is for understanding: a threshold chosen here, on the test set, makes the figures of the test "
        f'set too good.</p><p class="notes">{_told(facts, points)}</p>{_interactive(facts, points)}'
        f'<div id="explorer-static">{_static(facts, points)}</div>'
    )


def _told(facts: ReportFacts, points: Mapping[str, Mapping[str, Any]]) -> str:
    """A sentence on the intervals."""
    if not all(counts.get("intervals") for counts in points.values()):
        return "No intervals here: these figures are of an earlier version of medplug, and evaluating again makes them."
    if facts.test.get("unit") == "groups":
        return (
            "Intervals are Wilson's, of each threshold by itself, with an effective number of images: those of one group (such "
            "as a patient) are not independent."
        )
    return "Intervals are Wilson's, of each threshold by itself."


def _interactive(facts: ReportFacts, points: Mapping[str, Mapping[str, Any]]) -> str:
    options = "".join(_option(facts, c, counts) for c, counts in points.items())
    axes = square(0, 0, _SIDE)
    (x0, y0), (x1, y1) = axes.place((0, 0)), axes.place((1, 1))
    drawing = svg(
        _SIDE + MARGIN_X, _SIDE + MARGIN_Y, "ROC curve with the chosen operating point",
        [
            *axes.frame(ticks_of(_SIDE), ticks_of(_SIDE), "1 – specificity", "sensitivity"),
            f'<path class="chance" d="M{x0} {y0}L{x1} {y1}"/><path class="line-a" data-is="curve" d="M0 0"/>',
            '<circle class="mark" data-is="mark" cx="0" cy="0" r="5.5"/>',
        ],
    )  # fmt: skip
    shares = "".join(
        f'<tr><th scope="row">{title}<small>{meaning}</small></th><td><b data-is="{key}"></b>'
        f'<span class="interval" data-is="{key}-interval"></span><span class="interval" data-is="{key}-of"></span></td></tr>'
        for key, (title, meaning) in _RATES.items()
    )
    return (
        f'<div id="explorer" hidden data-left="{axes.left:g}" data-top="{axes.top:g}" '
        f'data-side="{_SIDE}"><div class="controls"><label>{facts.word} <select data-is="class" autocomplete="off">{options}'
        '</select></label><label class="sliding">called so from <output data-is="threshold"></output>'
        '<input type="range" data-is="range" min="0" max="1" step="1" autocomplete="off"></label>'
        '<button type="button" data-is="reset"></button></div><div class="explored" aria-live="polite">'
        '<div><table class="twobytwo"><thead><tr><td></td><th scope="col">called so</th><th scope="col">not called so</th></tr></thead>'
        '<tbody><tr><th scope="row">labelled so</th><td class="good"><b data-is="hit"></b><small>found</small></td>'
        '<td class="bad"><b data-is="miss"></b><small>missed</small></td></tr>'
        '<tr><th scope="row">not labelled so</th><td class="bad"><b data-is="alarm"></b><small>false alarms</small></td>'
        '<td class="good"><b data-is="clear"></b><small>rightly not called so</small></td></tr></tbody></table>'
        f'<table class="shares"><tbody>{shares}</tbody></table></div><figure>{drawing}</figure></div></div>'
    )


def _option(facts: ReportFacts, class_name: str, counts: Mapping[str, Any]) -> str:
    stored = _stored(facts, class_name)
    numbers = {
        "threshold": " ".join(f"{t:.5g}" for t in counts["threshold"]),
        "hits": " ".join(f"{v:d}" for v in counts["true_positives"]),
        "alarms": " ".join(f"{v:d}" for v in counts["false_positives"]),
        "positives": counts["positives"],
        "negatives": counts["negatives"],
        **{f"{rate}-{end}": _per_mille(counts, rate, end) for rate in _RATES for end in ("low", "high")},
        "start": f"{0.5 if stored is None else stored:.6g}",
        "stored": "" if stored is None else "yes",
    }
    attributes = " ".join(f'data-{key}="{value}"' for key, value in numbers.items())
    return f"<option {attributes}>{text(class_name)}</option>"


def _per_mille(counts: Mapping[str, Any], rate: str, end: str) -> str:
    """Bounds as whole tenths of a percent, to one of which they are shown; a dash where there is none."""
    bounds = (counts.get("intervals") or {}).get(rate, {}).get(end, ())
    return " ".join("-" if bound is None else f"{1000 * bound:.0f}" for bound in bounds)


def _static(facts: ReportFacts, points: Mapping[str, Mapping[str, Any]]) -> str:
    """A few operating points of each class."""
    rows = []
    for c, counts in points.items():
        stored = _stored(facts, c)
        wanted = sorted({*_STEPS, *([] if stored is None else [stored])})
        for limit in wanted:
            at = min(range(len(counts["threshold"])), key=lambda i: abs(counts["threshold"][i] - limit))
            hit, alarm = counts["true_positives"][at], counts["false_positives"][at]
            miss, clear = counts["positives"] - hit, counts["negatives"] - alarm
            mark = " <small>stored</small>" if limit == stored else ""
            rows.append(
                [
                    name(c),
                    f"{counts['threshold'][at]:.3g}{mark}",
                    *(f"{n:,}" for n in (hit, miss, alarm, clear)),
                    *(
                        _share(k, n, (counts.get("intervals") or {}).get(rate), at)
                        for rate, k, n in (
                            ("sensitivity", hit, hit + miss),
                            ("specificity", clear, clear + alarm),
                            ("ppv", hit, hit + alarm),
                            ("npv", clear, clear + miss),
                        )
                    ),
                ]
            )
    head = [
        facts.word, "called so from", "found", "missed", "false alarms", "rightly not called so",
        "sensitivity", "specificity", "positive predictive value", "negative predictive value",
    ]  # fmt: skip
    return table(head, rows, "points")


def _share(successes: int, trials: int, bounds: Mapping[str, Any] | None, at: int) -> str:
    if trials == 0:
        return '<span class="undefined">not defined: no image to count</span>'
    if not bounds:
        return percent(successes / trials)
    low, high = bounds["low"][at], bounds["high"][at]
    return f'{percent(successes / trials)}<span class="interval">{percent(low)} to {percent(high)}</span>'


def _stored(facts: ReportFacts, class_name: str) -> float | None:
    entry = facts.analysis.get("thresholds", {}).get("per_class", {}).get(class_name)
    return None if not entry else entry.get("value")
