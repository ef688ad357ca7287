"""Tables of metrics: an interval beside every figure, and the method of every interval below the table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medplug.report.facts import ReportFacts
from medplug.report.figures import whisker
from medplug.report.markup import bullets, label, listing, name, number, p_value, table, text
from medplug.report.summary import FEW

Figure = Mapping[str, Any]
Bounds = tuple[float, float]

_LEVELS = {
    "image": "images of one patient may lie on both sides of the split",
    "group (guessed)": "no group is on both sides, as far as groups could be guessed",
    "group (given)": "no group (such as a patient) is on both sides of the split",
    "site": "the test images come from other sites than the training images",
    "unknown": "what test and training images share is not known",
}
_TRANSPOSED = 4  # up to so many classes metrics are the rows
_BLOCK = 5  # metrics in one table else


class Footnotes:
    """Methods of intervals, marked by letters that lead to a list.

    Methods that differ in numbers only ("over 31 samples", "over 52 samples") share a letter.
    """

    def __init__(self, anchor: str) -> None:
        self._anchor = anchor
        self._variants: dict[str, list[str]] = defaultdict(list)

    def mark(self, figure: Figure) -> str:
        """The letter of a figure's method as a link; nothing where it has none."""
        method = figure.get("method")
        if not method:
            return ""
        variants = self._variants[_family(method)]
        if method not in variants:
            variants.append(method)
        letter = _letter(list(self._variants).index(_family(method)))
        return f'<sup><a href="#{self._anchor}-{letter}" title="{text(method)}">{letter}</a></sup>'

    def shared(self, figures: Sequence[Figure]) -> str:
        """The mark for a whole column; nothing where its figures differ in method."""
        methods = [f for f in figures if f.get("method")]
        return self.mark(methods[0]) if methods and len({_family(f["method"]) for f in methods}) == 1 else ""

    def items(self) -> list[str]:
        """The methods as list items."""
        found = []
        for i, variants in enumerate(self._variants.values()):
            letter = _letter(i)
            more = "; the numbers in it differ from figure to figure"
            told = text(variants[0]) + (more if len(variants) > 1 else "")
            found.append(f'<span id="{self._anchor}-{letter}">{letter}: {told}.</span>')
        return found


def independence_line(facts: ReportFacts) -> str:
    """One short line that stands above every table of metrics."""
    level = facts.independence_level
    return f'<p class="level-line"><strong>Independence: {text(level)}.</strong> {_LEVELS.get(level, "").capitalize()}.</p>'


def metric_order(facts: ReportFacts, metrics: Iterable[str]) -> list[str]:
    """Those that are told in plain words first, the others as they come."""
    there = list(dict.fromkeys(metrics))
    return [m for m in there if m in facts.readings] + [m for m in there if m not in facts.readings]


def bounds_of(figures: Iterable[Figure]) -> Bounds:
    """One scale for a metric: 0 to 1 where everything fits, else the range of what is drawn."""
    values = [f[key] for f in figures for key in ("value", "low", "high") if f.get(key) is not None]
    return min([0.0, *values]), max([1.0, *values])


def cell(figure: Figure | None, bounds: Bounds = (0.0, 1.0), mark: str = "", *, drawn: bool = True) -> str:
    """A figure with its interval, or why there is none; nothing for None."""
    if figure is None:
        return ""
    if figure.get("value") is None:
        reason = str(figure.get("reason", "no reason given"))
        opening = "" if reason.startswith("infinite") else "not defined: "
        return f'<span class="undefined">{opening}{text(reason)}</span>'
    value = f'<span class="value">{number(figure["value"])}{mark}</span>'
    told = ", ".join(_beside(key, v) for key, v in _companions(figure).items())
    beside = f'<span class="interval companion">{told}</span>' if told else ""
    if figure.get("low") is None or figure.get("high") is None:
        return value + beside
    if drawn:
        line = whisker(figure["value"], figure["low"], figure["high"], bounds)
        value = f'<span class="drawn">{value}{line}</span>'
    one_sided = ", one-sided" if figure.get("one_sided") else ""
    return (
        f'{value}<span class="interval">{number(figure["low"])} to {number(figure["high"])}{one_sided}</span>{beside}'
    )


def overall_table(facts: ReportFacts, scores: Mapping[str, Any], anchor: str) -> str:
    """Metrics as rows: macro, weighted and micro figures as columns."""
    columns = {
        "all classes alike (macro), or all images": scores["macro"],
        "classes weighted by size": scores.get("weighted") or {},
        "all decisions pooled (micro)": scores.get("micro") or {},
    }
    columns = {head: figures for head, figures in columns.items() if figures}
    metrics = metric_order(facts, [m for figures in columns.values() for m in figures])
    notes = Footnotes(anchor)
    rows = []
    for metric in metrics:
        bounds = bounds_of(figures[metric] for figures in columns.values() if metric in figures)
        cells = [_marked(figures.get(metric), bounds, notes) for figures in columns.values()]
        rows.append([text(label(metric)), *cells])
    return table(["metric", *columns], rows, "figures roomy") + notes_list([*notes.items(), *remarks(scores["macro"])])


def class_table(facts: ReportFacts, scores: Mapping[str, Any], anchor: str) -> str:
    """All metrics of all classes; the longer of the two runs downwards where there are few classes."""
    per_class = {c: scores["per_class"][c] for c in facts.classes if c in scores["per_class"]}
    metrics = [m for m in dict.fromkeys(m for entry in per_class.values() for m in entry) if m not in ("n", "few")]
    metrics = metric_order(facts, metrics)
    if not metrics:
        return ""
    notes = Footnotes(anchor)
    by_metric = {m: [entry.get(m) for entry in per_class.values()] for m in metrics}
    bounds = {m: bounds_of(f for f in by_metric[m] if f is not None) for m in metrics}
    marks = {m: notes.shared([f for f in by_metric[m] if f is not None]) for m in metrics}

    def one(entry: Mapping[str, Any], m: str) -> str:
        figure = entry.get(m)
        return cell(figure, bounds[m], "" if marks[m] or figure is None else notes.mark(figure))

    titles = {c: class_title(c, entry) for c, entry in per_class.items()}
    counts = [f"{entry['n']:,}" for entry in per_class.values()]
    if len(per_class) <= _TRANSPOSED:
        rows = [["test images", *counts]]
        rows += [[text(label(m)) + marks[m], *(one(entry, m) for entry in per_class.values())] for m in metrics]
        body = table(["metric", *titles.values()], rows, "figures roomy")
    else:  # blocks of metrics, because neither a screen nor paper is wide enough for all
        blocks = []
        for start in range(0, len(metrics), _BLOCK):
            block = metrics[start : start + _BLOCK]
            rows = [
                [titles[c], n, *(one(entry, m) for m in block)]
                for (c, entry), n in zip(per_class.items(), counts, strict=True)
            ]
            heads = [text(label(m)) + marks[m] for m in block]
            shown = table([facts.word, "test images", *heads], rows, "figures counted")
            names = text(", ".join(map(label, block)))
            blocks.append(f"<details><summary>{names}</summary>{shown}</details>" if start else shown)
        body = "".join(blocks)
    lines = [*notes.items(), *_without_interval(per_class, metrics)]
    if any(is_few(entry) for entry in per_class.values()):
        lines.append(f"Names in grey have fewer than {FEW} test images: their figures say little.")
    return body + notes_list(lines)


def comparison_table(facts: ReportFacts, columns: Mapping[str, Mapping[str, Figure]], anchor: str) -> str:
    """The same metrics under several conditions, side by side."""
    notes = Footnotes(anchor)
    rows = []
    for metric in metric_order(facts, [m for figures in columns.values() for m in figures]):
        there = [figures.get(metric) for figures in columns.values()]
        bounds = bounds_of(f for f in there if f is not None)
        rows.append([text(label(metric)), *(_marked(f, bounds, notes) for f in there)])
    return table(["metric", *columns], rows, "figures roomy") + notes_list(notes.items()) if rows else ""


def remarks(macro: Mapping[str, Figure]) -> list[str]:
    """What was averaged, and what is missing in figures or intervals; what is true of several metrics stands once."""
    without: dict[str, list[str]] = defaultdict(list)
    no_interval: dict[str, list[str]] = defaultdict(list)
    left_out: dict[int, list[str]] = defaultdict(list)
    for metric, figure in macro.items():
        told = text(label(metric))
        if figure.get("excluded") and figure.get("value") is not None:
            without[listing(figure["excluded"], 12)].append(told)
        if figure.get("interval_reason"):
            no_interval[text(figure["interval_reason"])].append(told)
        elif figure.get("undefined_resamples"):
            left_out[figure["undefined_resamples"]].append(told)
    averaged = sum("excluded" in figure for figure in macro.values())
    all_of = {c: "" if len(m) == averaged > 1 else f" of {', '.join(m)}" for c, m in without.items()}
    return [
        *(f"The means{all_of[classes]} are without {classes}: not defined there." for classes in without),
        *(f"No interval for {', '.join(m)}: {reason}." for reason, m in no_interval.items()),
        *(
            f"{n} resamples without a value do not count in the interval of {', '.join(m)}."
            for n, m in left_out.items()
        ),
    ]


def notes_list(lines: Sequence[str]) -> str:
    """Small print below a table."""
    return f'<div class="notes">{bullets(lines)}</div>' if lines else ""


def class_title(class_name: str, entry: Mapping[str, Any]) -> str:
    """A class's name, grey where few images stand behind its figures."""
    return f'<span class="few">{name(class_name)}</span>' if is_few(entry) else name(class_name)


def is_few(entry: Mapping[str, Any]) -> bool:
    """Whether fewer than ten test images stand behind a class."""
    return bool(entry.get("few", entry["n"] < FEW))


def _marked(figure: Figure | None, bounds: Bounds, notes: Footnotes) -> str:
    return "" if figure is None else cell(figure, bounds, notes.mark(figure))


def _companions(figure: Figure) -> dict[str, float | None]:
    return {key: value for key, value in (figure.get("companion") or {}).items() if not isinstance(value, list)}


def _beside(key: str, value: float | None) -> str:
    if key == "p" and value is not None:
        return p_value(value)
    title = "null\u00a0value" if key == "null" else text(label(key))
    return f"{title}\u00a0{number(value)}"


def _without_interval(per_class: Mapping[str, Mapping[str, Any]], metrics: Sequence[str]) -> list[str]:
    """Which figures of classes have no interval, and why."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for m in metrics:
        for c, entry in per_class.items():
            if (entry.get(m) or {}).get("interval_reason"):
                found[m, entry[m]["interval_reason"]].append(c)
    return [
        f"No interval for {text(label(m))} of {listing(c, 12)}: {text(reason)}." for (m, reason), c in found.items()
    ]


def _family(method: str) -> str:
    return re.sub(r"\d[\d,.]*", "#", method)


def _letter(index: int) -> str:
    """The index as a, b, … z, aa, ab, and so on."""
    return (_letter(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)
