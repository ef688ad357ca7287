"""All drawings of a report by name, to be written as files of their own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from medplug.report.facts import ReportFacts
from medplug.report.figures.axes import Panel, legend, panel_grid
from medplug.report.figures.calibration import reliability_panel
from medplug.report.figures.counts import bars, confusion_matrix
from medplug.report.figures.curves import decision_panel, precision_recall_panel, roc_panel, side_of
from medplug.report.figures.intervals import ForestRow, forest
from medplug.report.figures.training import loss_curves
from medplug.report.markup import label


def all_figures(facts: ReportFacts) -> dict[str, str]:
    """Name to ``<svg>`` of every drawing that the facts have something for; names are safe as file names."""
    found = {
        "training": legend(loss_curves(facts.history, facts.tested_epoch), _losses(facts)),
        **{name: _grid(facts, list(panels.items())) for name, panels in curve_panels(facts).items()},
        "calibration": legend(_grid(facts, calibration_panels(facts)), _calibrated(facts)),
        "classes": class_forest(facts),
        "conformal_sets": set_sizes(facts),
    }
    curves = {"line-a": "the model", "line-b": "calling all so", "chance": "calling none so"}
    found["decision_curves"] = legend(found["decision_curves"], curves)
    if facts.confusion_counts is not None:
        found["confusion"] = confusion_matrix(facts.classes, facts.confusion_counts)
    for i, column in enumerate(facts.analysis.get("subgroups", {}), 1):
        slug = re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")
        key = f"subgroups_{slug or i}"
        found[key if key not in found else f"{key}_{i}"] = subgroup_forest(facts, column)
    return {name: drawing for name, drawing in found.items() if drawing}


def _losses(facts: ReportFacts) -> dict[str, str]:
    tested = {} if facts.tested_epoch is None else {"mark": f"tested weights (epoch {facts.tested_epoch})"}
    return {"line-a": "training", "line-b": "validation", **tested}


def _calibrated(facts: ReportFacts) -> dict[str, str]:
    after = (facts.analysis.get("calibration") or {}).get("after")
    return {"line-a": "before calibration", "line-b": "after"} if after else {"line-a": "as predicted"}


def curve_panels(facts: ReportFacts) -> dict[str, dict[str, Panel]]:
    """Panels by kind of curve and class; classes without any curve of the kind are not in it."""
    side = side_of(len(facts.classes))
    curves = facts.analysis.get("curves", {})
    roc, recall = curves.get("roc", {}), curves.get("precision_recall", {})
    decision = facts.analysis.get("clinical", {}).get("decision_curve", {})
    return {
        "roc": {c: roc_panel(roc[c], side) for c in facts.classes if c in roc},
        "precision_recall": {c: precision_recall_panel(recall[c], side) for c in facts.classes if c in recall},
        "decision_curves": {
            c: decision_panel(decision[c], side) for c in facts.classes if (decision.get(c) or {}).get("prevalence")
        },
    }


def calibration_panels(facts: ReportFacts) -> list[tuple[str, Panel]]:
    """Titles and reliability diagrams of the classes, that of the most probable class first where there is one."""
    calibration = facts.analysis.get("calibration")
    if not calibration:
        return []
    before, after = calibration["before"], calibration.get("after")
    side = side_of(len(facts.classes))
    panels = []
    if before.get("top_label"):
        panel = reliability_panel(before["top_label"], after and after.get("top_label"), side)
        panels.append(("predicted class", panel))
    for c in facts.classes:
        entry = before["per_class"].get(c)
        if entry and any(b["n"] for b in entry["bins"]):
            later = after["per_class"].get(c) if after else None
            panels.append((c, reliability_panel(entry["bins"], later and later["bins"], side)))
    return panels


def leading_metric(facts: ReportFacts) -> str | None:
    """The metric that stands for the model where there is room for one: the first that is told in words."""
    macro = facts.test.get("macro", {})
    by_class = [m for m in macro if any(m in entry for entry in facts.test.get("per_class", {}).values())]
    told = [m for m in facts.readings if m in macro]
    return next((m for m in told if m in by_class), next(iter([*by_class, *macro]), None))


def class_forest(facts: ReportFacts) -> str:
    """The leading metric of each class with its interval."""
    metric = leading_metric(facts)
    per_class = facts.test.get("per_class", {})
    if metric is None or not any(metric in entry for entry in per_class.values()):
        return ""
    rows = [
        ForestRow(c, per_class[c]["n"], per_class[c].get(metric, {}), "not defined")
        for c in facts.classes
        if c in per_class
    ]
    title = label(metric)
    return forest(rows, title, f"{title} of each class", facts.test["macro"][metric].get("value"))


def subgroup_metric(facts: ReportFacts, column: str) -> str | None:
    """The metric by which the subgroups of a column are drawn; None where none has a value in two of them."""
    rows = facts.analysis["subgroups"][column]["rows"]
    drawn = [(metric, figure) for row in rows for metric, figure in (row.get("macro") or {}).items()]
    several = Counter(metric for metric, figure in drawn if figure.get("value") is not None)
    there = [metric for metric in dict.fromkeys([*facts.readings, *several]) if several[metric] > 1]
    leading = leading_metric(facts)
    return leading if leading in there else next(iter(there), None)


def subgroup_forest(facts: ReportFacts, column: str) -> str:
    """One metric of each subgroup of a column with its interval."""
    metric = subgroup_metric(facts, column)
    if metric is None:
        return ""
    shown = [row for row in facts.analysis["subgroups"][column]["rows"] if not row.get("suppressed")]
    rows = [ForestRow(str(row["name"]), row["n"], row["macro"].get(metric, {}), "not defined") for row in shown]
    title = label(metric)
    whole = facts.test.get("macro", {}).get(metric, {}).get("value")
    return forest(rows, title, f"{title} by {column}", whole)


def set_sizes(facts: ReportFacts) -> str:
    """How many samples get a conformal set of each size."""
    test = facts.analysis.get("conformal", {}).get("test")
    if not test:
        return ""
    sizes = list(test["sizes"])
    while len(sizes) > 1 and not sizes[-1]:
        sizes.pop()
    one, several = ("label", "labels") if facts.task == "multilabel" else ("class", "classes")
    rows = [(f"{i or 'no'} {one if i < 2 else several}", n) for i, n in enumerate(sizes)]
    while len(rows) > 1 and not rows[0][1]:
        rows.pop(0)
    return bars(rows, "test images", "Sizes of the conformal sets")


def _grid(facts: ReportFacts, panels: Sequence[tuple[str, Panel]]) -> str:
    if not panels:
        return ""
    return panel_grid(panels, side_of(len(facts.classes)), "Panels: " + ", ".join(title for title, _ in panels))
