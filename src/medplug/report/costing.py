"""Decisions by the costs of mistakes, beside those for the most probable class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medplug.report.discrimination import class_matrix, confusion_cells
from medplug.report.facts import ReportFacts
from medplug.report.markup import name, plural, table, text
from medplug.report.tables import Footnotes, bounds_of, cell, notes_list


def costs(facts: ReportFacts) -> str:
    """The costs, what decisions cost on the test images by either rule, and the confusion matrix of the cheaper one."""
    found = facts.analysis.get("costs")
    if not found:
        return ""
    matrix = found["matrix"]
    rows = [[_cost(matrix[t][d], diagonal=t == d) for d in facts.classes] for t in facts.classes]
    shown = class_matrix(facts, "labelled as ↓<br>decided as →", rows, "confusion costs")
    return (
        f"<h3>Decisions by costs</h3>{_opening(facts, found)}{shown}"
        '<p class="notes">Each cell: what it costs to decide for the class of the column where that of the row is right.</p>'
        + _figures(facts, found["test"])
        + _confusion(facts, found["test"])
    )


def _opening(facts: ReportFacts, found: Mapping[str, Any]) -> str:
    trusted = (
        "as calibrated on the validation part"
        if found["probabilities"] == "calibrated"
        else "as they were predicted, since none were calibrated"
    )
    used = "It is the one that predict tells; the" if facts.config else "The"  # bare predictions have no run
    return (
        "<p>Mistakes were given costs. Each image is decided for the class that costs least on average over what the image may "
        f"show, with the probabilities of the classes {trusted}: the decision is as good as these probabilities. {used} "
        "headline figures stay those of the most probable class.</p>"
    )


def _cost(cost: float, *, diagonal: bool) -> str:
    kind = (" right" if diagonal else "") + ("" if cost else " zero")
    return f'<div class="cell{kind}"><b>{cost:,.6g}</b></div>'


def _figures(facts: ReportFacts, test: Mapping[str, Any]) -> str:
    rules = {
        "most_probable": "the most probable class",
        "least_cost": "the least expected cost",
        "difference": "the second less the first",
        "always": f"always {name(test['always'].get('decision', ''))}",
    }
    notes = Footnotes("method-costs")
    bounds = bounds_of(test[key] for key in rules if key != "difference")
    rows = []
    for key, title in rules.items():
        signed = bounds_of([test[key]]) if key == "difference" else bounds
        rows.append([title, cell(test[key], signed, notes.mark(test[key]), drawn=key != "difference")])
    changed = (
        f"{plural(test['changed'], 'image')} of {test['n']:,} {'is' if test['changed'] == 1 else 'are'} decided otherwise than "
        "for the most probable class."
    )
    reading = (
        "In the unit of the costs, for classes as frequent as in the test set. Below 0 the difference is a saving. The last row "
        "is the one decision for all images that would have been cheapest."
    )
    missing = [
        f"No interval for {title}: {text(test[key]['interval_reason'])}."
        for key, title in rules.items()
        if test[key].get("interval_reason")
    ]
    return table(["decided by", "cost per image"], rows, "figures") + notes_list(
        [*notes.items(), changed, reading, *missing]
    )


def _confusion(facts: ReportFacts, test: Mapping[str, Any]) -> str:
    cells = confusion_cells(test["confusion"])
    body = class_matrix(facts, "labelled as ↓<br>decided as →", cells, "confusion")
    return f"<details><summary>Confusion matrix of the decisions with the least expected cost</summary>{body}</details>"
