"""Parts of the test set and single cases: subgroups, conformal sets, unlike images, patients, errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medplug.report.facts import ReportFacts
from medplug.report.figures import leading_metric, set_sizes, subgroup_forest
from medplug.report.gallery import error_cards
from medplug.report.markup import bullets, label, listing, name, number, percent, plural, section, table, text, words
from medplug.report.tables import (
    Footnotes,
    bounds_of,
    cell,
    class_table,
    comparison_table,
    independence_line,
    metric_order,
    notes_list,
)

_PAIRS = 10
_LISTED = 20  # rows of a list of errors; the tables of the run have all


def subgroups(facts: ReportFacts) -> str:
    """Figures of each subgroup of each column of metadata."""
    columns = facts.analysis.get("subgroups") or {}
    return section(
        "subgroups",
        "Subgroups",
        independence_line(facts) if columns else "",
        *(_column(facts, column, found, number) for number, (column, found) in enumerate(columns.items(), 1)),
    )


def _column(facts: ReportFacts, column: str, found: Mapping[str, Any], number_of: int) -> str:
    rows = found["rows"]
    if not rows:
        return f"<h3>By {name(column)}</h3><p>{text(found.get('note') or 'No subgroups.')}</p>"
    metrics = metric_order(facts, [m for row in rows for m in row.get("macro") or {}])
    notes = Footnotes(f"method-subgroup-{number_of}")
    shown = [row for row in rows if not row.get("suppressed")]
    undefined = undefined_everywhere(metrics, shown)
    warning = one_class(facts, undefined)
    metrics = [m for m in metrics if m not in undefined]
    bounds = {m: bounds_of(row["macro"].get(m) or {} for row in shown) for m in metrics}
    body = []
    for row in shown:
        figures = [row["macro"].get(m) for m in metrics]
        cells = [cell(f, bounds[m], notes.mark(f)) if f else "" for m, f in zip(metrics, figures, strict=True)]
        body.append([name(row["name"]), f"{row['n']:,}", *cells])
    hidden = [f"{name(row['name'])} ({row['n']:,})" for row in rows if row.get("suppressed")]
    remarks = [f"Not shown, too few images: {', '.join(hidden)}."] if hidden else []
    if undefined:
        remarks.append(f"Not defined in any subgroup: {', '.join(text(label(m)) for m in undefined)}.")
    if found.get("note"):
        remarks.append(text(found["note"]))
    drawing = subgroup_forest(facts, column)
    figure = (
        f'<figure class="wide"><figcaption>Subgroups with enough images; the dashed line is all test images'
        f"</figcaption>{drawing}</figure>"
        if drawing
        else ""
    )
    return (
        f"<h3>By {name(column)}</h3>{f'<p>{warning}</p>' if warning else ''}{_worst(found, metrics)}{figure}"
        + (
            table([name(column), "test images", *(text(label(m)) for m in metrics)], body, "figures counted")
            if body
            else ""
        )
        + notes_list([*notes.items(), *remarks])
    )


def undefined_everywhere(metrics: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The metrics without a value in any row."""
    return [m for m in metrics if not any((row["macro"].get(m) or {}).get("value") is not None for row in rows)]


def one_class(facts: ReportFacts, undefined: Sequence[str]) -> str:
    """A warning where the leading metric, which compares classes, exists in no subgroup; a sentence, or nothing."""
    if leading_metric(facts) not in undefined:
        return ""
    return (
        f"No subgroup holds what it takes to tell one {facts.word} from another: differences between these subgroups "
        "may be differences between classes."
    )


def _worst(found: Mapping[str, Any], metrics: Sequence[str]) -> str:
    lines = []
    worst, gap = found.get("worst") or {}, found.get("gap") or {}
    for metric in metrics:
        if worst.get(metric) is None or (gap.get(metric) or {}).get("value") == 0:
            continue
        line = f"{text(label(metric))}: worst for {name(worst[metric])}"
        distance = gap.get(metric) or {}
        if distance.get("value") is not None:
            best = f" ({name(distance['best'])})" if distance.get("best") is not None else ""
            line += f", {number(distance['value'])} from the best{best}"
            if distance.get("low") is not None and distance.get("high") is not None:
                line += f", interval {number(distance['low'])} to {number(distance['high'])}"
        lines.append(line)
    if len(lines) > 3:
        rest = f"<details><summary>The other metrics</summary>{bullets(lines[3:])}</details>"
        return bullets(lines[:3]) + rest
    return bullets(lines)


def trust(facts: ReportFacts) -> str:
    """Conformal sets and images unlike the training images."""
    return section("trust", "Trust in single cases", _conformal(facts), _novelty(facts))


def _conformal(facts: ReportFacts) -> str:
    found = facts.analysis.get("conformal")
    if not found:
        return ""
    multilabel = facts.task == "multilabel"
    title = f"<h3>Sets of possible {'labels' if multilabel else 'classes'} (conformal prediction)</h3>"
    if found.get("skipped"):
        return f"{title}<p>No sets were made: {text(found['skipped'])}</p>"
    on, test = found.get("calibrated_on") or {}, found.get("test")
    where = f", calibrated on {plural(on['n'], 'image')} of the {text(on['part'])} part" if on else ""
    aim = "hold each label that is present" if multilabel else "hold the labelled one"
    reading = (
        f"The more {facts.word}s a set holds, the less it says."
        if multilabel
        else "More than one class in the set: the model cannot tell them apart at this level, and a person should look."
    )
    told = (
        f"{title}<p>For each image a set of {'labels' if multilabel else 'classes'} that should {aim} in "
        f"{_round(found['coverage'])} of cases ({text(found.get('method', ''))}{where}). {reading}</p>"
    )
    if test:
        rows = [["all images", cell(test["coverage"])]]
        rows += [[name(c), cell(test["per_class"][c])] for c in facts.classes if c in (test.get("per_class") or {})]
        drawing = set_sizes(facts)
        told += _reached(facts, found, test)
        told += f'<figure class="wide">{drawing}</figure>' if drawing else ""
        told += table([facts.word, "share of sets that hold the label"], rows, "figures first-total")
    return told + notes_list([text(note) for note in found.get("notes", ())])


def _reached(facts: ReportFacts, found: Mapping[str, Any], test: Mapping[str, Any]) -> str:
    """How large the sets are, and for what they hold the label clearly less often than they should."""
    several = "labels" if facts.task == "multilabel" else "classes"
    told = ""
    if test.get("mean_size") is not None:
        told = f"<p>On average {test['mean_size']:.1f} of {len(facts.classes)} {several} a set.</p>"
    figures = {
        "all images together": test["coverage"],
        **{name(c): f for c, f in (test.get("per_class") or {}).items()},
    }
    short = [
        f"{title} ({percent(f['value'])})"
        for title, f in figures.items()
        if f.get("high") is not None and f["high"] < found["coverage"]
    ]
    if short:
        told += (
            f"<p><strong>Not reached in the test set: the sets hold the label clearly less often than in "
            f"{_round(found['coverage'])} for {', '.join(short)}.</strong></p>"
        )
    return told


def _novelty(facts: ReportFacts) -> str:
    found = facts.analysis.get("novelty")
    if not found:
        return ""
    title = "<h3>Images unlike the training images</h3>"
    if found.get("skipped"):
        return f"{title}<p>Nothing is flagged: {text(found['skipped'])}</p>"
    limits = {
        key.replace("_", " "): f"{value:.4g}" for key, value in (found.get("limits") or {}).items() if value is not None
    }
    told = (
        f"{title}<p>Two scores tell how unlike the training images an image is: its distance to the nearest of "
        f"{found.get('reference', 0):,} training images, and the energy of the network's answer. An image is flagged where "
        f"either lies beyond its limit{f' ({text(words(limits))})' if limits else ''}. {_limits(found)} Predictions for flagged "
        "images mean little.</p>"
    )
    test = found.get("test")
    if test:
        total = test.get("n", 0)
        share = test.get("share") or {}
        beside = f" ({percent(share['value'])})" if share.get("value") is not None else ""
        told += f"<p>Flagged in the test set: {test['flagged']:,} of {plural(total, 'image')}{beside}.</p>"
        if test.get("samples"):  # flagged ones only
            told += f"<details><summary>The flagged images, the most unlike first</summary>{bullets(name(s) for s in test['samples'])}</details>"
    return told + notes_list([text(found["note"])] if found.get("note") else [])


def _limits(found: Mapping[str, Any]) -> str:
    """How the limits were made, and how many usual images lie beyond them."""
    on, quantile = found.get("fitted_on") or {}, _round(found["quantile"])
    count = f"the {plural(on['n'], 'image')} of the {text(on['part'])} part" if on.get("n") else "the validation images"
    if found.get("confidence") is None:  # of an earlier version
        told = f"Beyond each lie {_round(1 - found['quantile'])} of {count}, or none where they are few."
    else:
        told = (
            f"The limits come from {count}, and are as wide as it takes for {quantile} of images like them to lie within each with "
            f"a confidence of {_round(found['confidence'])}."
        )
    high = (found.get("expected") or {}).get("high")
    return told + (f" At most {percent(high)} of images like them should be flagged, on average." if high else "")


def patients(facts: ReportFacts) -> str:
    """Figures of groups beside those of images."""
    groups = facts.test.get("groups")
    if not groups or not groups.get("macro"):
        return ""
    how = text(groups.get("aggregate", "mean"))
    columns = {"each image": facts.test["macro"], "each group": groups["macro"]}
    folded = class_table(facts, groups, "method-group-class")
    return section(
        "patients",
        "Patients (groups of images)",
        independence_line(facts),
        f"<p>{plural(facts.test['n'], 'image')} of {plural(groups['n'], 'group')} (such as patients). The probabilities of the "
        f"images of a group are put together ({how}) and decided on once.</p>",
        comparison_table(facts, columns, "method-group"),
        f"<details><summary>Every metric of every {facts.word}, by group</summary>{folded}</details>" if folded else "",
    )


def errors(facts: ReportFacts) -> str:
    """What is mistaken for what, and which labels may be wrong."""
    found = facts.analysis.get("mistakes") or {}
    return section(
        "errors",
        "Errors",
        _pairs(found.get("pairs") or ()),
        error_cards(facts),
        _confident(found.get("confident") or (), folded=bool(facts.errors)),
        _label_issues(found),
    )


def _pairs(pairs: Sequence[Mapping[str, Any]]) -> str:
    if not pairs:
        return ""
    rows = [
        [
            name(p["truth"]),
            name(p["predicted"]),
            f"{p['n']:,}",
            f"{p['of']:,}",
            percent(p["n"] / p["of"]) if p["of"] else "–",
        ]
        for p in pairs[:_PAIRS]
    ]
    head = ["labelled", "predicted", "images", "of", "share"]
    more = f'<p class="notes">The first {_PAIRS} of {len(pairs):,}.</p>' if len(pairs) > _PAIRS else ""
    return f"<h3>What is most often taken for what</h3>{table(head, rows, 'counts pairs')}{more}"


def _confident(rows: Sequence[Mapping[str, Any]], *, folded: bool) -> str:
    if not rows:
        return ""
    body = table(
        ["image", "labelled", "predicted", "probability"],
        [
            [name(r["sample"]), _labels(r["label"]), _labels(r["predicted"]), percent(r["probability"])]
            for r in rows[:_LISTED]
        ],
        "samples",
    )
    if folded:
        return f"<details><summary>The most confident errors by name</summary>{body}</details>"
    return f"<h3>The most confident errors</h3>{body}"


def _label_issues(found: Mapping[str, Any]) -> str:
    issues = found.get("label_issues") or ()
    source = found.get("label_source")
    if not issues and not source:
        return ""
    told = f"<p>{text(source)}</p>" if source else ""
    if not issues:
        return f"<h3>Labels that may be wrong</h3>{told}<p>None found.</p>"
    rows = [
        [
            name(r["sample"]),
            text(r.get("part", "")),
            _labels(r["label"]),
            _labels(r["suggested"]),
            percent(r["probability"]),
        ]
        for r in issues[:_LISTED]
    ]
    total = found.get("label_issue_count", len(issues))
    more = f'<p class="notes">The first {_LISTED} of {total:,}.</p>' if total > _LISTED else ""
    head = ["image", "part", "labelled", "suggested", "probability"]
    return (
        f"<h3>Labels that may be wrong</h3>{told}<p>These are worth a second look by a person; none was changed. "
        "Often it is the model that is wrong, the more so the worse it is.</p>"
        f"{table(head, rows, 'samples')}{more}"
    )


def _labels(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return listing([str(v) for v in value]) if value else "none"
    return name(value)


def _round(share: float) -> str:
    """A chosen share, without decimals that it does not have."""
    return f"{100 * share:.4g}\u00a0%"
