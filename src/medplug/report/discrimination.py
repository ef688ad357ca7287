"""How well classes are told apart: headline figures, curves, confusions, every metric of every class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medplug.report.facts import ReportFacts
from medplug.report.figures import class_forest, curve_panels, leading_metric, panel_svg, side_of
from medplug.report.figures.axes import Panel
from medplug.report.markup import bullets, label, name, percent, plural, section, table, text
from medplug.report.tables import class_table, independence_line, overall_table


def headline(facts: ReportFacts) -> str:
    """All images together, and the leading metric of each class as a plot."""
    test = facts.test
    if not test.get("macro"):
        return ""
    warnings = bullets(f'<span class="level warning">warning</span> {text(w)}' for w in test.get("warnings", ()))
    return section(
        "results",
        "Headline figures",
        independence_line(facts),
        f"<p>{_measured(facts, test)}</p>",
        warnings,
        overall_table(facts, test, "method-overall"),
        _forest(facts),
    )


def _measured(facts: ReportFacts, test: Mapping[str, Any]) -> str:
    told = f"Measured on {plural(test['n'], 'test image')}"
    if test.get("unit") == "groups" and test.get("units"):
        told += f" of {plural(test['units'], 'group')} (such as patients), which the intervals take into account"
    return (
        f"{told}. The intervals aim at a coverage of {100 * facts.confidence:g}\u00a0%. Where probabilities become "
        f"decisions, it is {'from 0.5 on' if facts.task == 'multilabel' else 'for the most probable class'}, without "
        "calibration."
    )


def _forest(facts: ReportFacts) -> str:
    drawing = class_forest(facts)
    metric = leading_metric(facts)
    if not drawing or metric is None:
        return ""
    values = {entry.get(metric, {}).get("value") for entry in facts.test["per_class"].values()}
    if len(facts.classes) == 2 and len(values) == 1:  # one figure twice, which the table has
        return ""
    return (
        f'<figure class="wide"><figcaption>{text(label(metric))} of each {facts.word}, with its interval; the dashed line '
        f"is the mean</figcaption>{drawing}</figure>"
    )


def curves(facts: ReportFacts) -> str:
    """ROC and precision-recall curves, one small square a class."""
    panels = curve_panels(facts)
    parts = []
    against = (
        "images with each label against those without" if facts.task == "multilabel" else "each class against the rest"
    )
    if panels["roc"]:
        parts.append(
            f"<h3>ROC curves, {against}</h3>"
            '<p class="notes">Upwards: share of the images of the class that are found. To the right: share of the other '
            "images that are wrongly called so. The dashed diagonal is guessing. Shaded: interval of the height at each "
            "place.</p>" + panel_figures(facts, panels["roc"], "ROC curve", {})
        )
    if panels["precision_recall"]:
        curves_of = facts.analysis["curves"]["precision_recall"]
        prevalence = {c: prevalence_text(curve) for c, curve in curves_of.items() if curve}
        parts.append(
            "<h3>Precision and recall</h3>"
            '<p class="notes">Upwards: share of the images called so that are of the class. To the right: share of the '
            "images of the class that are found. The dashed line is the share of the class in the test set, which "
            "guessing reaches and which stands in brackets; curves of data with other shares cannot be compared.</p>"
            + panel_figures(facts, panels["precision_recall"], "Precision-recall curve", prevalence)
        )
    return section("curves", "ROC and precision-recall curves", *parts)


def panel_figures(facts: ReportFacts, panels: Mapping[str, Panel], kind: str, captions: Mapping[str, str]) -> str:
    """Panels by class with captions: the number of images, and what else is to be said."""
    side = side_of(len(facts.classes))
    figures = []
    for c, panel in panels.items():
        entry = facts.test.get("per_class", {}).get(c)
        below = [plural(entry["n"], "image")] if entry else []
        below += [captions[c]] if captions.get(c) else []
        small = f"<small>{' '.join(below)}</small>" if below else ""
        figures.append(
            f"<figure><figcaption>{name(c)}{small}</figcaption>{panel_svg(panel, side, f'{kind} of {c}')}</figure>"
        )
    return panel_list(figures, side)


def prevalence_text(curve: Mapping[str, Any]) -> str:
    """The share of a class among the images of a curve, for its caption; nothing where it is not known."""
    return f"({percent(curve['prevalence'])})" if curve.get("prevalence") is not None else ""


def panel_list(figures: list[str], side: float) -> str:
    """Finished figures in as many columns as fit."""
    return f'<div class="panels{" large" if side > 180 else ""}">{"".join(figures)}</div>'


def confusions(facts: ReportFacts) -> str:
    """What is taken for what: of classes a matrix, of labels the four counts of each."""
    title = "Confusion matrix" if facts.confusion_counts is not None else f"Decisions on each {facts.word}"
    return section("confusion", title, _confusion_table(facts), _decision_table(facts))


def _confusion_table(facts: ReportFacts) -> str:
    counts = facts.confusion_counts
    if counts is None:
        return ""
    return (
        f"{class_matrix(facts, 'labelled as ↓<br>predicted as →', confusion_cells(counts), 'confusion')}"
        '<p class="notes">Each cell: number of images, and its share of the images labelled as that row\'s class. '
        "Framed cells are right answers.</p>"
    )


def class_matrix(facts: ReportFacts, corner: str, cells: Sequence[Sequence[str]], kind: str) -> str:
    """A table of finished cells ``[K][K]`` of class by class; columns carry numbers where names would not fit."""
    k = len(facts.classes)
    short = k <= 4 and max(map(len, facts.classes)) <= 16
    head = [corner]
    head += [name(c) if short else f'<abbr title="{text(c)}">{i}</abbr>' for i, c in enumerate(facts.classes, 1)]
    titles = [name(c) if short else f"{i}\u2002{name(c)}" for i, c in enumerate(facts.classes, 1)]
    rows = [[title, *row] for title, row in zip(titles, cells, strict=True)]
    return table(head, rows, f"{kind} dense" if k > 12 else kind)


def confusion_cells(counts: Sequence[Sequence[int]]) -> list[list[str]]:
    """Counts and row shares, with right answers marked."""
    return [[_share(count, sum(row), diagonal=t == p) for p, count in enumerate(row)] for t, row in enumerate(counts)]


def _share(count: int, total: int, *, diagonal: bool) -> str:
    share = count / total if total else 0.0
    kind = (" right" if diagonal else "") + ("" if count else " zero")
    shown = f"{100 * share:.0f}\u00a0%" if count else "–" if total == 0 else "&nbsp;"
    return f'<div class="cell{kind}" style="--share:{100 * share:.1f}%"><b>{count:,}</b><small>{shown}</small></div>'


def _decision_table(facts: ReportFacts) -> str:
    counts = facts.decision_counts
    if counts is None:
        return ""
    thresholds = facts.thresholds or [0.5] * len(facts.classes)
    rows = []
    for c, (hit, alarm, miss, clear), limit in zip(facts.classes, counts, thresholds, strict=True):
        rows.append(
            [name(c), f"{limit:.2f}", *(_of(v, total) for v, total in ((hit, hit + miss), (miss, hit + miss))),
             *(_of(v, total) for v, total in ((alarm, alarm + clear), (clear, alarm + clear)))]
        )  # fmt: skip
    head = [
        "label",
        "reported from",
        "present, reported",
        "present, missed",
        "absent, reported",
        "absent, not reported",
    ]
    return (
        f"{table(head, rows, 'counts')}"
        '<p class="notes">Shares are of the images with the label, and of those without it. Images whose label is not known '
        "do not count.</p>"
    )


def _of(count: int, total: int) -> str:
    return f"{count:,} <small>{100 * count / total:.0f}\u00a0%</small>" if total else f"{count:,} <small>–</small>"


def per_class(facts: ReportFacts) -> str:
    """Every metric of every class."""
    body = class_table(facts, facts.test, "method-class") if facts.test.get("per_class") else ""
    if not body:
        return ""
    return section("classes", f"Every metric of every {facts.word}", independence_line(facts), body)
