"""What went in and what it ran on: data, split, training, environment, configuration, checklists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from medplug.report.facts import ChecklistItem, ReportFacts
from medplug.report.figures import loss_curves, phases
from medplug.report.found import found
from medplug.report.markup import bullets, listing, name, plural, section, table, text, words
from medplug.report.tables import independence_line
from medplug.values import SPLITS

_NAMED = 200  # skipped files that are listed one by one; checks.json has all
_STATUS = {"filled": "filled from the run", "not recorded": "not recorded", "authors": "for the authors"}


def data(facts: ReportFacts) -> str:
    """Counts per class and part, what parts may share, findings of the checks, files left out."""
    several = "<p>An image can carry several labels, or none.</p>" if facts.task == "multilabel" else ""
    counts = _counts_table(facts)
    return section(
        "data",
        "Data and split",
        independence_line(facts),
        f"<p>{text(facts.independence)}</p>" if facts.independence else "",
        several + counts if counts else "",
        _parts(facts),
        bullets(text(note) for note in facts.split_notes),
        found(facts.checks),
        _skipped(facts.checks.get("skipped", ())),
    )


def _counts_table(facts: ReportFacts) -> str:
    """Positives by class and part; of the test part alone where no split is known."""
    parts = [part for part in SPLITS if part in facts.split_sizes]
    if not parts:
        per_class = facts.test.get("per_class", {})
        rows = [[name(c), f"{per_class[c]['n']:,}"] for c in facts.classes if c in per_class]
        if rows:
            rows.append(["all images", f"{facts.test['n']:,}"])
        return table([facts.word, "test"], rows, "counts last-total") if rows else ""
    counts = {c: [facts.split_counts.get(p, {}).get(c, 0) for p in parts] for c in facts.classes}
    rows = [[name(c), *(f"{n:,}" for n in row), f"{sum(row):,}"] for c, row in counts.items()]
    sizes = [facts.split_sizes[p] for p in parts]
    rows.append(["all images", *(f"{size:,}" for size in sizes), f"{sum(sizes):,}"])
    return table([facts.word, *parts, "total"], rows, "counts last-total")


def _parts(facts: ReportFacts) -> str:
    sizes = ", ".join(
        f"{part} {plural(facts.split_sizes[part], 'image')}" for part in SPLITS if part in facts.split_sizes
    )
    if "train" not in facts.split_sizes:  # data from elsewhere: nothing was learned from any of them
        return ""
    return (
        f"<p>{sizes[:1].upper()}{sizes[1:]}. The weights learn from the training part; the validation part chooses "
        "among them, and thresholds and calibration; only the test part, which took no part in either, stands behind "
        "the figures below.</p>"
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


def training(facts: ReportFacts) -> str:
    """Loss by epoch."""
    drawing = loss_curves(facts.history, facts.tested_epoch)
    if not drawing:
        return ""
    legend = ['<li><i class="key key-a"></i>training</li>', '<li><i class="key key-b"></i>validation</li>']
    if facts.tested_epoch is not None:
        legend.append(f'<li><i class="key key-ring"></i>tested weights: epoch {facts.tested_epoch}</li>')
    for i, (phase, first, last) in enumerate(phases(facts.history)):
        epochs = f"epoch {first:g}" if first == last else f"epochs {first:g} to {last:g}"
        legend.append(
            f'<li><i class="key {"key-band" if i % 2 == 0 else "key-plain"}"></i>phase {text(phase)}: {epochs}</li>'
        )
    return section(
        "training",
        "Training",
        f'<figure class="wide"><figcaption>Loss by epoch (lower is better)<ul class="legend">{"".join(legend)}</ul>'
        f"</figcaption>{drawing}</figure>",
    )


def environment(facts: ReportFacts) -> str:
    """The manifest as it is, and the whole configuration, folded."""
    rows = [
        [text(key.replace("_", " ")), text(words(value))] for key, value in facts.manifest.items() if key != "argument"
    ]
    return section(
        "environment",
        "Environment and configuration",
        table(["item", "value"], rows, "facts") if rows else "",
        f"<details><summary>config.toml</summary><pre>{text(facts.config)}</pre></details>" if facts.config else "",
    )


def checklists(facts: ReportFacts) -> str:
    """Items of reporting guidelines, each guideline folded."""
    guidelines: dict[str, list[ChecklistItem]] = defaultdict(list)
    for item in facts.checklists:
        guidelines[item.guideline].append(item)
    return section(
        "checklists",
        "Reporting checklists",
        "<p>Items that the software knows are filled in; those that it could have known are marked as not recorded; all "
        "others are left to the authors.</p>"
        if guidelines
        else "",
        *(_guideline(title, items) for title, items in guidelines.items()),
    )


def _guideline(title: str, items: Sequence[ChecklistItem]) -> str:
    counts = ", ".join(
        f"{sum(item.status == status for item in items)} {told}"
        for status, told in _STATUS.items()
        if any(item.status == status for item in items)
    )
    rows = [
        [
            text(item.number),
            text(item.topic),
            f'<span class="status-{item.status.replace(" ", "-")}">{_STATUS[item.status]}</span>',
            text(item.value),
        ]
        for item in items
    ]
    return (
        f"<details><summary>{text(title)}: {counts}</summary>"
        f"{table(['item', 'topic', 'status', 'value'], rows, 'checklist')}</details>"
    )
