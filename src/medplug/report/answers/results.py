"""Figures, thresholds, calibration, subgroups and failures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from medplug.evaluation.costs import told_costs
from medplug.report.answers.telling import answer, component, joined, some, told, trained
from medplug.report.facts import ReportFacts
from medplug.report.markup import label, number, percent, plural, words

_RATES = 6  # figures of a class that are told in a sentence


@answer
def measures(facts: ReportFacts) -> str | None:
    """Metrics and plots."""
    macro = facts.test.get("macro", {})
    if not macro:
        return None
    analysis = facts.analysis
    plots = [kind.replace("_", "-") + " curves" for kind in analysis.get("curves", {})]
    plots += ["reliability diagrams"] if analysis.get("calibration") else []
    plots += ["decision curves"] if analysis.get("clinical", {}).get("decision_curve") else []
    shown = f" Plots: {', '.join(plots)}." if plots else ""
    return joined([f"Metrics: {', '.join(label(m) for m in macro)}.{shown}", intervals(facts)])


@answer
def intervals(facts: ReportFacts) -> str | None:
    """Methods of the intervals."""
    found: dict[str, str] = {}
    for figures in (facts.test.get("macro", {}), *facts.test.get("per_class", {}).values()):
        for figure in figures.values():
            if isinstance(figure, Mapping) and figure.get("method"):
                found.setdefault(re.sub(r"\d[\d,.]*", "#", figure["method"]), figure["method"])
    if not found:
        return None
    unit, units = facts.test.get("unit"), facts.test.get("units")
    independent = f" Independent units: {units:,} {unit}." if unit and units else ""
    return f"Intervals aim at {100 * facts.confidence:g} %; methods: {some(found.values(), 12)}.{independent}"


def headline(facts: ReportFacts, part: str = "test") -> str:
    """All averaged figures of a part."""
    macro = (facts.metrics.get(part) or {}).get("macro", {})
    return ", ".join(f"{label(metric)} {told(figure)}" for metric, figure in macro.items())


@answer
def performance(facts: ReportFacts) -> str | None:
    """Averaged figures by part, and subgroups."""
    if not headline(facts):
        return None
    validation = f"Validation: {headline(facts, 'validation')}." if headline(facts, "validation") else None
    return joined([f"Test, {plural(facts.test['n'], 'image')}: {headline(facts)}.", validation, subgroups(facts)])


@answer
def internal_test(facts: ReportFacts) -> str | None:
    """The test on the data's own test part."""
    if not trained(facts) or not headline(facts):
        return None
    before = f" On validation: {headline(facts, 'validation')}." if headline(facts, "validation") else ""
    return f"On {plural(facts.test['n'], 'image')} of the same data that took no part in training: {headline(facts)}.{before}"


@answer
def external_test(facts: ReportFacts) -> str | None:
    """The test on data of which nothing was learned."""
    if trained(facts) or not facts.config or not headline(facts):
        return None
    return f"On {plural(facts.test['n'], 'image')} of other data, with weights and thresholds as they were: {headline(facts)}."


@answer
def class_accuracy(facts: ReportFacts) -> str | None:
    """Figures of each class, and those at the chosen thresholds."""
    per_class = facts.test.get("per_class", {})
    if not per_class:
        return None
    chosen = (facts.analysis.get("thresholds") or {}).get("per_class", {})
    rows = []
    for c, entry in per_class.items():
        figures = {m: figure for m, figure in entry.items() if isinstance(figure, Mapping)}
        at = chosen.get(c) or {}
        if at.get("test") and at.get("value") is not None:
            rates = ", ".join(f"{name} {told(figure)}" for name, figure in at["test"].items())
            shown = f"{_lead(facts, figures)}; from {number(at['value'])} on {rates}"
        else:
            shown = ", ".join(f"{label(m)} {told(figure)}" for m, figure in list(figures.items())[:_RATES])
        rows.append(f"{c} (n {entry['n']:,}): {shown or 'no figures'}")
    return f"{some(rows)}."


@answer
def cross_table(facts: ReportFacts) -> str | None:
    """Labels against predictions."""
    if facts.confusion_counts is not None:
        rows = (
            f"{c}: {', '.join(f'{n:,} as {p}' for p, n in zip(facts.classes, row, strict=True) if n) or 'no image'}"
            for c, row in zip(facts.classes, facts.confusion_counts, strict=True)
        )
        return f"Labelled class, and how many were predicted as what: {some(rows, 30)}."
    if facts.decision_counts is not None:
        order = ("true positives", "false positives", "false negatives", "true negatives")
        rows = (
            f"{c}: {', '.join(f'{n:,} {what}' for what, n in zip(order, row, strict=True))}"
            for c, row in zip(facts.classes, facts.decision_counts, strict=True)
        )
        return f"{some(rows, 30)}."
    return None


@answer
def output(facts: ReportFacts) -> str | None:
    """What the model gives, and thresholds."""
    thresholds, costs = facts.analysis.get("thresholds"), facts.analysis.get("costs")
    if not thresholds and not costs:
        return None
    plain = "each label from 0.5 on" if facts.task == "multilabel" else "the most probable class"
    return joined([
        f"Probabilities of {', '.join(facts.classes)}; plain decision: {plain}.",
        _thresholds(thresholds) if thresholds else None,
        _costs(costs) if costs else None,
    ])  # fmt: skip


def _costs(costs: Mapping[str, Any]) -> str:
    """What mistakes cost, the dearest first, and what decisions cost by either rule."""
    dear = (f"{truth} decided as {decided} {cost:g}" for truth, decided, cost in told_costs(costs["matrix"]))
    test = costs["test"]
    return (
        f"Decisions with the least expected cost, by the {costs['probabilities']} probabilities (costs: {some(dear, 12)}): "
        f"cost per test image {told(test['least_cost'])}, by the most probable class {told(test['most_probable'])}, difference "
        f"{told(test['difference'])}."
    )


def _thresholds(thresholds: Mapping[str, Any]) -> str:
    if thresholds.get("skipped") or not thresholds.get("per_class"):
        return f"No thresholds were chosen{_because(thresholds.get('skipped'))}."
    rule = thresholds["rule"]
    extra = f" ({words(dict(rule['parameters']))})" if rule.get("parameters") else ""
    rows = (f"{c} {told(t)}" for c, t in thresholds["per_class"].items())
    return f"Thresholds by the rule {rule['name']}{extra}, chosen {_fitted(thresholds)}: {some(rows, 30)}."


def _fitted(entry: Mapping[str, Any]) -> str:
    on = entry["fitted_on"]
    return f"on the {on['part']} part ({plural(on['n'], 'image')})"


def _because(reason: str | None) -> str:
    return f" ({reason})" if reason else ""


def _parameters(fit: Mapping[str, Any]) -> str:
    """The parameters that are single numbers, in words."""
    return words({k: number(v) for k, v in fit["parameters"].items() if isinstance(v, (int, float))})


@answer
def updating(facts: ReportFacts) -> str | None:
    """Recalibration."""
    fit = (facts.analysis.get("calibration") or {}).get("fit")
    if not fit:
        return None
    if fit.get("skipped") or fit["method"] == "none":
        return f"None: the probabilities are the network's own{_because(fit.get('skipped'))}."
    return f"Calibrated probabilities beside the network's own: {fit['method']}{_because(_parameters(fit))}, fitted {_fitted(fit)}."


@answer
def updating_results(facts: ReportFacts) -> str | None:
    """Figures before and after calibration."""
    calibration = facts.analysis.get("calibration")
    if not calibration:
        return None
    before, after = calibration["before"], calibration.get("after")
    if after is None:
        return f"Nothing was updated{_because(calibration['fit'].get('skipped'))}."
    rows = (f"{label(m)} {told(before[m])} before, {told(after[m])} after" for m in ("log_loss", "brier", "ece"))
    return f"Calibration on the test part: {'; '.join(rows)}."


@answer
def subgroups(facts: ReportFacts) -> str | None:
    """Figures of subgroups."""
    columns = facts.analysis.get("subgroups")
    if not columns:
        return None
    parts = []
    for column, entry in columns.items():
        shown = [row for row in entry["rows"] if not row["suppressed"]]
        rows = (f"{row['name']} (n {row['n']:,}) {_lead(facts, row['macro'])}" for row in shown)
        hidden = len(entry["rows"]) - len(shown)
        parts.append(f"By {column}: {some(rows)}{f'; {hidden} too small to be shown' if hidden else ''}.")
    return " ".join(parts)


def _lead(facts: ReportFacts, macro: Mapping[str, Any]) -> str:
    """The first metric that the report tells in words, else the first one."""
    metric = next((m for m in facts.readings if m in macro), next(iter(macro), None))
    return "without figures" if metric is None else f"{label(metric)} {told(macro[metric])}"


@answer
def cluster_methods(facts: ReportFacts) -> str | None:
    """Which subgroups were looked at."""
    columns = facts.analysis.get("subgroups")
    return f"All metrics with intervals in the subgroups by {', '.join(columns)}." if columns else None


@answer
def explainability(facts: ReportFacts) -> str | None:
    """Method of the maps."""
    shown = [e for e in facts.explanations if e.overlay]
    if not shown:
        return None
    how = component(facts, "explainer")
    stated = f" Settings: {how}." if how else ""
    return f"Maps by {', '.join(sorted({e.method for e in shown}))} for {plural(len(shown), 'test image')}, in the report.{stated}"


@answer
def failures(facts: ReportFacts) -> str | None:
    """Confusions, confident errors, likely label errors."""
    mistakes = facts.analysis.get("mistakes")
    if not mistakes:
        return None
    pairs = [f"{p['truth']} taken for {p['predicted']}: {p['n']:,} of {p['of']:,}" for p in mistakes.get("pairs", ())]
    sure = [
        f"{e['sample']} ({e['label']}; predicted {e['predicted']}, {percent(e['probability'])})"
        for e in mistakes.get("confident", ())
    ]
    issues = mistakes.get("label_issues", ())
    found = joined([
        f"Confusions: {some(pairs, 5)}." if pairs else None,
        f"Most confident errors: {some(sure, 3)}." if sure else None,
        f"Labels that may be wrong: {len(issues):,}." if issues else None,
    ])  # fmt: skip
    return found or "Neither confusions nor confident errors nor doubtful labels were found."


@answer
def errors_and_bias(facts: ReportFacts) -> str | None:
    """Failures and subgroups."""
    return joined([failures(facts), subgroups(facts)])


@answer
def indeterminate(facts: ReportFacts) -> str | None:
    """Doubt."""
    if not facts.test:
        return None
    sets = facts.analysis.get("conformal") or {}
    found = sets.get("test")
    every = f"Each of the {plural(facts.test['n'], 'test image')} got a result."
    if not found:
        return every
    sizes = ", ".join(f"{n:,} with {k}" for k, n in enumerate(found["sizes"]) if n)
    return f"{every} Doubt is told by conformal sets of classes (coverage {sets['coverage']:g}); images by size of their set: {sizes}."


@answer
def poor_inputs(facts: ReportFacts) -> str | None:
    """Inputs unlike the training images."""
    novelty = facts.analysis.get("novelty")
    if not novelty:
        return None
    if novelty.get("skipped"):
        return f"medplug predict names images that it cannot read, but flags none as unlike the training images: {novelty['skipped']}"
    test = novelty.get("test")
    seen = f"; of the test images, {test['flagged']:,} of {test['n']:,} were flagged" if test else ""
    return f"medplug predict names images that it cannot read and flags those unlike the training images{seen}."
