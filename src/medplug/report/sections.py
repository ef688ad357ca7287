"""The sections of the report, in the order of the page."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from medplug.report.facts import ReportFacts
from medplug.report.figures import area, loss_curves, phases, roc_panel, whisker
from medplug.report.markup import bullets, listing, name, number, plural, section, table, text, words
from medplug.report.summary import FEW, label
from medplug.values import SPLITS

_NAMED = 200  # skipped files that are listed one by one; checks.json has all


def data(facts: ReportFacts) -> str:
    """Counts per class and part, findings of the checks, files left out."""
    parts = [part for part in SPLITS if part in facts.split_sizes]
    totals = {c: sum(facts.split_counts.get(p, {}).get(c, 0) for p in parts) for c in facts.classes}
    rows = [
        [name(c), *(f"{facts.split_counts.get(p, {}).get(c, 0):,}" for p in parts), f"{totals[c]:,}"]
        for c in facts.classes
    ]
    sizes = [facts.split_sizes[p] for p in parts]
    rows.append(["all images", *(f"{size:,}" for size in sizes), f"{sum(sizes):,}"])
    head = ["label" if facts.task == "multilabel" else "class", *parts, "total"]
    several = "<p>An image can carry several labels, or none.</p>" if facts.task == "multilabel" else ""
    findings = [
        f'<span class="level {text(f["level"])}">{text(f["level"])}</span> {text(f["text"])}'
        for f in facts.checks.get("findings", ())
    ]
    return section(
        "data",
        "Data",
        several + table(head, rows, "counts last-total"),
        f"<h3>Checks</h3>{bullets(findings)}" if findings else "",
        _skipped(facts.checks.get("skipped", ())),
    )


def _skipped(skipped: Sequence[Mapping[str, str]]) -> str:
    if not skipped:
        return ""
    reasons: dict[str, list[str]] = defaultdict(list)
    for entry in skipped:
        reasons[entry["reason"]].append(entry["name"])
    lines = [f"{len(names):,} × {text(reason)}: {listing(names, 3)}" for reason, names in reasons.items()]
    every = bullets(f"{name(e['name'])}: {text(e['reason'])}" for e in skipped[:_NAMED])
    more = f"<p>The first {_NAMED}; checks.json lists all.</p>" if len(skipped) > _NAMED else ""
    return (
        f"<h3>Left out: {plural(len(skipped), 'file')}</h3>{bullets(lines)}"
        f"<details><summary>All by name</summary>{more}{every}</details>"
    )


def split(facts: ReportFacts) -> str:
    """What training and test images may share."""
    sizes = ", ".join(
        f"{part} {plural(facts.split_sizes[part], 'image')}" for part in SPLITS if part in facts.split_sizes
    )
    return section(
        "split",
        "Split",
        f"<p><strong>{text(facts.independence)}</strong></p><p>{sizes[:1].upper()}{sizes[1:]}. "
        "The weights learn from the training part and are chosen by the validation part; only the test part, which "
        "took no part in either, stands behind the figures below.</p>",
        bullets(text(note) for note in facts.split_notes),
    )


def training(facts: ReportFacts) -> str:
    """Loss by epoch."""
    drawing = loss_curves(facts.history, facts.tested_epoch)
    if not drawing:
        return ""
    legend = ['<li><i class="key line-a"></i>training</li>', '<li><i class="key line-b"></i>validation</li>']
    if facts.tested_epoch is not None:
        legend.append(f'<li><i class="key ring"></i>tested weights: epoch {facts.tested_epoch}</li>')
    for i, (phase, first, last) in enumerate(phases(facts.history)):
        epochs = f"epoch {first:g}" if first == last else f"epochs {first:g} to {last:g}"
        legend.append(f'<li><i class="key {"band" if i % 2 == 0 else "plain"}"></i>phase {text(phase)}: {epochs}</li>')
    return section(
        "training",
        "Training",
        f'<figure class="wide"><figcaption>Loss by epoch (lower is better)<ul class="legend">{"".join(legend)}</ul>'
        f"</figcaption>{drawing}</figure>",
    )


def results(facts: ReportFacts) -> str:
    """Tables of figures, decisions and curves."""
    test = facts.metrics.get("test", {})
    if not test:
        return ""
    return section(
        "results",
        "Results on the test set",
        _figures_table(facts, test),
        _methods(test),
        _confusion_table(facts),
        _decision_table(facts),
        _roc_panels(facts, test),
    )


def _figures_table(facts: ReportFacts, test: Mapping[str, Any]) -> str:
    """The macro row above the classes, an interval beside each figure."""
    metrics = list(test["macro"])
    bounds = _bounds(test)
    rows = [["all images", f"{test['n']:,}", *(_cell(test["macro"][m], bounds[m]) for m in metrics)]]
    for c in facts.classes:
        entry = test["per_class"][c]
        few = f'<span class="few">{name(c)}</span>' if entry["n"] < FEW else name(c)
        cells = [_cell(entry[m], bounds[m]) if m in entry else "" for m in metrics]
        rows.append([few, f"{entry['n']:,}", *cells])
    head = ["label" if facts.task == "multilabel" else "class", "test images", *(text(label(m)) for m in metrics)]
    return table(head, rows, "figures first-total")


def _bounds(test: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """One scale per metric: 0 to 1 where everything fits, else the range of what is drawn."""
    bounds = {}
    for metric in test["macro"]:
        figures = [test["macro"][metric], *(entry.get(metric, {}) for entry in test["per_class"].values())]
        values = [f[key] for f in figures for key in ("value", "low", "high") if f.get(key) is not None]
        low, high = min([0.0, *values]), max([1.0, *values])
        bounds[metric] = (low, high)
    return bounds


def _cell(figure: Mapping[str, Any], bounds: tuple[float, float]) -> str:
    if figure.get("value") is None:
        return f'<span class="undefined">not defined: {text(figure.get("reason", "no reason given"))}</span>'
    if figure.get("low") is None:
        return f'<span class="value">{number(figure["value"])}</span>'
    drawn = whisker(figure["value"], figure["low"], figure["high"], bounds)
    return (
        f'<span class="value">{number(figure["value"])}</span>{drawn}'
        f'<span class="interval">{number(figure["low"])} to {number(figure["high"])}</span>'
    )


def _methods(test: Mapping[str, Any]) -> str:
    """How the intervals were made, what was averaged, and what is missing in either."""
    notes = ["Where each class has a figure, the first row is their mean; each class counts alike."]
    methods: dict[str, list[str]] = defaultdict(list)
    for metric, figure in test["macro"].items():
        if figure.get("method"):
            methods[figure["method"]].append(label(metric))
        if figure.get("excluded"):
            notes.append(
                f"The mean of {text(label(metric))} is without {listing(figure['excluded'])}: not defined there."
            )
        if figure.get("interval_reason"):
            notes.append(f"No interval for {text(label(metric))}: {text(figure['interval_reason'])}.")
        left_out = figure.get("undefined_resamples")
        if left_out and not figure.get("interval_reason"):
            notes.append(
                f"{left_out} resamples in which {text(label(metric))} is not defined do not count in its interval."
            )
    for method, metrics in methods.items():
        which = "Intervals" if len(methods) == 1 else f"Intervals of {text(', '.join(metrics))}"
        notes.insert(0, f"{which}: {text(method)}.")
    if all(bounds == (0.0, 1.0) for bounds in _bounds(test).values()):
        notes.append("The lines beside the figures run from 0 to 1.")
    if any(entry["n"] < FEW for entry in test["per_class"].values()):
        notes.append(f"Names in grey have fewer than {FEW} test images.")
    return f'<div class="notes">{bullets(notes)}</div>'


def _confusion_table(facts: ReportFacts) -> str:
    """Counts and row shares; columns carry numbers where names would not fit."""
    if facts.confusion is None:
        return ""
    k = len(facts.classes)
    short = k <= 4 and max(map(len, facts.classes)) <= 16
    head = ["labelled as ↓<br>predicted as →"]
    head += [name(c) if short else f'<abbr title="{text(c)}">{i}</abbr>' for i, c in enumerate(facts.classes, 1)]
    rows = []
    for t, row in enumerate(facts.confusion):
        total = sum(row)
        title = name(facts.classes[t]) if short else f"{t + 1}\u2002{name(facts.classes[t])}"
        rows.append([title, *(_share(count, total, diagonal=t == p) for p, count in enumerate(row))])
    kind = "confusion dense" if k > 12 else "confusion"
    return (
        f"<h3>Which class is taken for which</h3>{table(head, rows, kind)}"
        '<p class="notes">Each cell: number of images, and its share of the images labelled as that row\'s class. '
        "Framed cells are right answers.</p>"
    )


def _share(count: int, total: int, *, diagonal: bool) -> str:
    share = count / total if total else 0.0
    kind = (" right" if diagonal else "") + ("" if count else " zero")
    shown = f"{100 * share:.0f}\u00a0%" if count else "–" if total == 0 else ""
    return f'<div class="cell{kind}" style="--share:{share:.3f}"><b>{count:,}</b><small>{shown}</small></div>'


def _decision_table(facts: ReportFacts) -> str:
    if facts.decisions is None:
        return ""
    thresholds = facts.thresholds or [0.5] * len(facts.classes)
    rows = []
    for c, (hit, alarm, miss, clear), limit in zip(facts.classes, facts.decisions, thresholds, strict=True):
        rows.append([name(c), f"{limit:.2f}", *(f"{v:,}" for v in (hit, miss, alarm, clear))])
    head = [
        "label",
        "reported from",
        "present, reported",
        "present, missed",
        "absent, reported",
        "absent, not reported",
    ]
    return f"<h3>What is reported for each label</h3>{table(head, rows, 'counts')}"


def _roc_panels(facts: ReportFacts, test: Mapping[str, Any]) -> str:
    """One small square a class: readable for two classes and for thirty."""
    if not facts.roc:
        return ""
    panels = []
    for c in facts.classes:
        curve = facts.roc.get(c)
        images = plural(test["per_class"][c]["n"], "image")
        below = f"area {number(area(curve))}, {images}" if curve else f"no curve, {images}"
        panels.append(f"<figure><figcaption>{name(c)}<small>{below}</small></figcaption>{roc_panel(curve, c)}</figure>")
    return (
        "<h3>ROC curves, each class against the rest</h3>"
        '<p class="notes">Upwards: share of the images of the class that are found. To the right: share of the other '
        "images that are wrongly called so. The dashed diagonal is guessing.</p>"
        f'<div class="panels">{"".join(panels)}</div>'
    )


def environment(facts: ReportFacts) -> str:
    """The manifest as it is."""
    rows = [
        [text(key.replace("_", " ")), text(words(value))] for key, value in facts.manifest.items() if key != "argument"
    ]
    return section("environment", "Environment", table(["item", "value"], rows, "facts") if rows else "")


def configuration(facts: ReportFacts) -> str:
    """The whole configuration, folded."""
    if not facts.config:
        return ""
    body = f"<details><summary>config.toml</summary><pre>{text(facts.config)}</pre></details>"
    return section("configuration", "Configuration", body)
