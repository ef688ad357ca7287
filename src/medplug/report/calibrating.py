"""Whether probabilities can be taken at their word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medplug.report.discrimination import panel_list
from medplug.report.facts import ReportFacts
from medplug.report.figures import calibration_panels, even_bins, panel_svg, side_of
from medplug.report.markup import name, number, p_value, plural, section, table, text, words
from medplug.report.tables import cell, class_title, independence_line, notes_list

Cal = Mapping[str, Any]


def calibration(facts: ReportFacts) -> str:
    """What was fitted, figures and diagrams before and after."""
    found = facts.analysis.get("calibration")
    if not found:
        return ""
    before, after = found["before"], found.get("after")
    return section(
        "calibration",
        "Calibration",
        independence_line(facts),
        _fit(found.get("fit")),
        _whole_table(facts, before, after),
        _diagrams(facts, after is not None),
        _class_table(facts, before, after),
    )


def _fit(fit: Mapping[str, Any] | None) -> str:
    if not fit:
        return ""
    if fit.get("skipped"):
        return f"<p>Probabilities were not recalibrated: {text(fit['skipped'])}</p>"
    if fit["method"] == "none":
        return "<p>Probabilities were not recalibrated.</p>"
    numbers = {k: v for k, v in (fit.get("parameters") or {}).items() if isinstance(v, (int, float))}
    parameters = words({k: number(v) for k, v in numbers.items()})
    on = fit.get("fitted_on") or {}
    told = f"{text(fit['method'].capitalize())} scaling" if fit["method"] != "isotonic" else "Isotonic regression"
    told += f" ({text(parameters)})" if parameters else ""
    where = f", fitted on the {text(on['part'])} part ({plural(on['n'], 'image')})" if on else ""
    return (
        f"<p>{told}{where}. Probabilities before it are those of the network and stand behind all other figures of this "
        "page; those after it are told beside them by predict.</p>"
    )


def _whole_table(facts: ReportFacts, before: Cal, after: Cal | None) -> str:
    parts = [("before", before), ("after", after)] if after else [("as predicted", before)]
    rows = [
        [words_of, *(cell(part.get(key)) for _, part in parts)]
        for key, words_of in (("log_loss", "log loss"), ("brier", "Brier score"))
        if any(part.get(key) for _, part in parts)
    ]
    several = "labels" if facts.task == "multilabel" else "classes"
    errors = {
        "ece": f"expected calibration error (ECE), mean over the {several}",
        "top_label_ece": "ECE of the predicted class",
    }
    for key, title in errors.items():
        if any(part.get(key) for _, part in parts):
            rows.append([title, *(_ece(part.get(key)) for _, part in parts)])
    if not rows:
        return ""
    told = {part[key]["note"]: None for _, part in parts for key in errors if (part.get(key) or {}).get("note")}
    note = (
        "Lower is better. The ECE is above 0 even where every probability is right, the more so the fewer images: its "
        "null value is what a perfectly calibrated model would show on so many, and p is the probability that such a "
        "model would show at least the ECE found."
    )
    return table(["all images", *(title for title, _ in parts)], rows, "figures") + notes_list([note, *map(text, told)])


def _ece(ece: Mapping[str, Any] | None) -> str:
    if not ece or ece.get("value") is None:
        return cell(ece) if ece else ""
    beside = []
    if ece.get("null") is not None:
        beside.append(f"null\u00a0value\u00a0{number(ece['null'])}")
    if ece.get("p") is not None:
        beside.append(p_value(ece["p"]))
    return (
        f'<span class="value">{number(ece["value"])}</span><span class="interval companion">{", ".join(beside)}</span>'
    )


def _diagrams(facts: ReportFacts, compared: bool) -> str:
    panels = calibration_panels(facts)
    if not panels:
        return ""
    side = side_of(len(facts.classes))
    figures = [
        f"<figure><figcaption>{name(title)}</figcaption>{panel_svg(panel, side, f'Reliability diagram: {title}')}</figure>"
        for title, panel in panels
    ]
    legend = f'<li><i class="key key-a"></i>{"before" if compared else "as predicted"}</li>'
    if compared:
        legend += '<li><i class="key key-b"></i>after</li>'
    if not _equal(facts):
        legend += '<li><i class="key key-bars"></i>how many predictions</li>'
    return (
        '<h3>Reliability diagrams</h3><p class="notes">To the right: the predicted probability, in bins. Upwards: the share of '
        "the images in a bin that are of the class, with its interval. On the dashed diagonal probabilities mean what they "
        f'say; below it they are too high.{_equal(facts)}</p><ul class="legend">{legend}</ul>{panel_list(figures, side)}'
    )


def _equal(facts: ReportFacts) -> str:
    """A sentence where bins hold about equally many predictions: bars that tell how many would all be as high."""
    before = facts.analysis["calibration"]["before"]
    bins = next((entry["bins"] for entry in before["per_class"].values() if any(b["n"] for b in entry["bins"])), [])
    if even_bins(bins):
        return ""
    size = sum(b["n"] for b in bins) / len(bins)
    return f" The bins are as wide as it takes to hold about {plural(round(size), 'image')} each, so that dots lie close together where predictions are many."


def _class_table(facts: ReportFacts, before: Cal, after: Cal | None) -> str:
    rows = []
    for c in facts.classes:
        entry = before["per_class"].get(c)
        if not entry:
            continue
        scores = facts.test.get("per_class", {}).get(c)
        title = class_title(c, scores) if scores else name(c)
        later = after["per_class"].get(c) if after else None
        rows.append([title, *(cell(e.get(key)) if e else "" for key in ("slope", "intercept") for e in (entry, later))])
    if not rows:
        return ""
    head = ["slope before", "slope after", "intercept before", "intercept after"]
    if after is None:
        head = ["slope", "intercept"]
        rows = [[row[0], row[1], row[3]] for row in rows]
    head = [facts.word, *head]
    note = (
        "From a logistic fit of the labels on the log odds of the predictions. A slope of 1 and an intercept of 0 are "
        "perfect; a slope below 1 means that probabilities are too extreme, an intercept below 0 that they are too high."
    )
    return f"<h3>Slope and intercept</h3>{table(head, rows, 'figures')}{notes_list([note])}"
