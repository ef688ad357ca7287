"""Decisions: stored thresholds, what they are worth in use, and the threshold explorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medplug.report.costing import costs
from medplug.report.discrimination import panel_figures, prevalence_text
from medplug.report.explorer import explorer
from medplug.report.facts import ReportFacts
from medplug.report.figures import curve_panels
from medplug.report.markup import bullets, name, number, plural, section, table, text, words
from medplug.report.tables import Footnotes, cell, comparison_table, independence_line, notes_list

_RULES = {
    "youden": "sensitivity plus specificity is as large as possible (Youden's index)",
    "f_beta": "the F measure is as large as possible",
    "sensitivity": "the wanted sensitivity is reached, with the highest specificity",
    "specificity": "the wanted specificity is reached, with the highest sensitivity",
    "cost": "the costs of misses and false alarms are as low as possible",
}
_VALUES = {
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "number_needed_to_evaluate": "number needed to evaluate",
}
_FOLDED = 12  # rows from which a long table is folded


def operating(facts: ReportFacts) -> str:
    """Stored thresholds with how far they can be trusted, figures at them, and the explorer."""
    found = facts.analysis.get("thresholds")
    points, by_cost = explorer(facts), costs(facts)
    if not found and not points and not by_cost:
        return ""
    return section(
        "thresholds",
        "Operating points",
        independence_line(facts),
        _thresholds(facts, found) if found else "",
        _beside(facts, "thresholds", "at the stored thresholds"),
        by_cost,
        _beside(facts, "costs", "at the least expected cost"),
        points,
    )


def _thresholds(facts: ReportFacts, found: Mapping[str, Any]) -> str:
    if found.get("skipped"):
        return f"<p>No thresholds were chosen: {text(found['skipped'])}</p>"
    rule, on = found.get("rule") or {}, found.get("fitted_on") or {}
    if rule.get("name") == "none" or not found.get("per_class"):
        return "<p>No thresholds were chosen.</p>"
    parameters = words(rule.get("parameters") or {})
    where = f" on the {text(on['part'])} part ({plural(on['n'], 'image')})" if on else ""
    told = _RULES.get(rule.get("name", ""), f"the rule {rule.get('name')} says so")
    opening = (
        f"<p>Each threshold was chosen{where} such that {text(told)}"
        f"{f' ({text(parameters)})' if rule.get('parameters') else ''}. They are stored with the run"
        f"{_used(facts)}.</p>"
    )
    notes = Footnotes("method-threshold")
    rows, trust = [], []
    for c in facts.classes:
        entry = found["per_class"].get(c)
        if not entry:
            continue
        rows.append(_row(c, entry, notes))
        if entry.get("trust"):
            trust.append(f"<strong>{name(c)}</strong>: {text(entry['trust'])}")
    head = [
        facts.word, "called so from", "chosen on (with / without)", "expected: sensitivity", "specificity",
        "on test: sensitivity", "specificity", "positive predictive value", "negative predictive value",
    ]  # fmt: skip
    lines = bullets(trust)
    if len(trust) > 6:
        lines = f"<details><summary>How far each threshold can be trusted</summary>{lines}</details>"
    elif lines:
        lines = f"<h3>How far these thresholds can be trusted</h3>{lines}"
    said = "Expected: at these thresholds on the images that they were chosen on, which is too good; on test: on images that took no part in the choice."
    return opening + table(head, rows, "figures narrow") + notes_list([*notes.items(), said]) + lines


def _used(facts: ReportFacts) -> str:
    if facts.analysis.get("costs"):
        return ", but predict decides by costs, which were set too (see below)"
    usual = "decisions from 0.5 on" if facts.task == "multilabel" else "the most probable class"
    return f" and used by predict, beside {usual}"


def _row(class_name: str, entry: Mapping[str, Any], notes: Footnotes) -> list[str]:
    expected, test = entry.get("expected") or {}, entry.get("test") or {}
    if entry.get("value") is None:
        limit = cell(entry)
    else:
        mark = notes.mark(entry) if entry.get("low") is not None else ""
        limit = f'<span class="value">{number(entry["value"])}{mark}</span>'
        if entry.get("low") is not None and entry.get("high") is not None:
            limit += f'<span class="interval">{number(entry["low"])} to {number(entry["high"])}</span>'
    figures = [
        *(expected.get(key) for key in ("sensitivity", "specificity")),
        *(test.get(key) for key in ("sensitivity", "specificity", "ppv", "npv")),
    ]
    counts = f"{entry['positives']:,} / {entry['negatives']:,}" if "positives" in entry else ""
    return [name(class_name), limit, counts, *(_figure(f, notes) for f in figures)]


def _beside(facts: ReportFacts, block: str, title: str) -> str:
    """Figures that other decisions change, beside the headline figures."""
    chosen = facts.test.get(block)
    if not chosen or not chosen.get("macro"):
        return ""
    plain, other = facts.test["macro"], chosen["macro"]
    changed = [m for m in other if m in plain and plain[m].get("value") != other[m].get("value")]
    if not changed:
        return ""
    usual = "at 0.5" if facts.task == "multilabel" else "most probable class"
    columns = {usual: {m: plain[m] for m in changed}, title: {m: other[m] for m in changed}}
    return (
        f"<h3>Headline figures {title}</h3>"
        '<p class="notes">Figures that do not depend on the decision are the same and left out.</p>'
        + comparison_table(facts, columns, f"method-beside-{block}")
    )


def clinical(facts: ReportFacts) -> str:
    """Decision curves and predictive values at other prevalences."""
    found = facts.analysis.get("clinical")
    if not found:
        return ""
    return section(
        "use",
        "Use: decision curves and predictive values",
        _decision_curves(facts),
        _rates(facts, found.get("rates") or {}),
    )


def _decision_curves(facts: ReportFacts) -> str:
    panels = curve_panels(facts)["decision_curves"]
    if not panels:
        return ""
    curves = facts.analysis["clinical"]["decision_curve"]
    captions = {c: prevalence_text(curves[c]) for c in panels}
    legend = (
        '<ul class="legend"><li><i class="key key-a"></i>the model</li><li><i class="key key-b"></i>calling all images so</li>'
        '<li><i class="key key-dots"></i>calling none so</li></ul>'
    )
    return (
        '<h3>Decision curves</h3><p class="notes">The threshold probability is the risk at which one would act: at 0.1 one '
        "accepts nine false alarms for one case found. The net benefit is the number of cases found in 100 images, less the "
        "false alarms weighted that way. The model is of use where its line is the highest of the three.</p>"
        + legend
        + panel_figures(facts, panels, "Decision curve", captions)
    )


def _rates(facts: ReportFacts, rates: Mapping[str, Any]) -> str:
    """Likelihood ratios, and predictive values at other prevalences, by class."""
    there = {c: rates[c] for c in facts.classes if rates.get(c)}
    if not there:
        return ""
    notes = Footnotes("method-rates")
    ratios = [
        [name(c), _limit(entry), *(_figure(entry.get(key), notes) for key in ("lr_positive", "lr_negative"))]
        for c, entry in there.items()
    ]
    values = [
        [name(c), f"{100 * at['prevalence']:.4g}\u00a0%", *(_figure(at.get(key), notes) for key in _VALUES)]
        for c, entry in there.items()
        for at in entry["at"]
    ]
    ratio_head = [facts.word, "called so from", "positive likelihood ratio", "negative likelihood ratio"]
    value_head = [facts.word, "at a prevalence of", *_VALUES.values()]
    shown = table(value_head, values, "figures")
    if len(values) > _FOLDED:
        shown = f"<details><summary>Predictive values of each {facts.word}</summary>{shown}</details>"
    note = (
        "Sensitivity and specificity are taken to stay as they are in the test set. The number needed to evaluate is "
        "how many images called so one has to look at to find one that is labelled so."
    )
    return (
        f"<h3>Likelihood ratios, and predictive values where the {facts.word} is rarer or more frequent</h3>"
        + table(ratio_head, ratios, "figures")
        + (shown if values else "")
        + notes_list([*notes.items(), note])
    )


def _limit(entry: Mapping[str, Any]) -> str:
    return "most probable class" if entry.get("threshold") is None else number(entry["threshold"])


def _figure(figure: Mapping[str, Any] | None, notes: Footnotes) -> str:
    return cell(figure, mark=notes.mark(figure), drawn=False) if figure else ""
