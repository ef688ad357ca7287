"""The model card: what a model is, what it was made from, how good it is and how to use it, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medplug.report.answers import data, model, results
from medplug.report.answers.telling import told
from medplug.report.cases import one_class, undefined_everywhere
from medplug.report.facts import ReportFacts
from medplug.report.markdown import bullets, escape, table, yaml
from medplug.report.markup import label

_USE = (
    "For research. This is not a medical device: it must not be used to diagnose or treat anyone.",
    "The figures hold for images like the test images, and for no other hospital, device or population until tested there.",
    "Which population and question the model is meant for is for its authors to say; this file does not know.",
)
_LEVELS = {
    "image": "Images of one patient may lie on both sides of the split: the figures may be too good.",
    "group (guessed)": "Groups were guessed: if the guess is wrong, the figures may be too good.",
    "unknown": "What test and training images share is not known: the figures may be too good.",
}
NOT_RECORDED = "not recorded"


def model_card(facts: ReportFacts) -> str:
    """Markdown with YAML front matter.

    What the facts do not hold is told as not recorded. The licence is left to the authors.
    """
    sections = {
        "What it is": _what(facts),
        "Intended use and limits": bullets(_USE),
        "Data and split": _data(facts),
        "Training": _answers(facts, model.training, model.initial_weights, model.selection),
        "Evaluation": _evaluation(facts),
        "Calibration and thresholds": _answers(facts, results.updating, results.updating_results, results.output),
        "Subgroups": _subgroups(facts),
        "How to use it": _usage(facts),
        "Environment": _answers(facts, model.versions),
    }
    body = "\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"---\n{yaml(_front(facts))}---\n\n# {escape(facts.title)}\n\n{body}"


def _front(facts: ReportFacts) -> dict[str, Any]:
    """What indexes of models read."""
    metrics = [
        {"type": metric, "name": f"{label(metric)} (mean over the {_several(facts)})" if "excluded" in figure else label(metric)}
        | {"value": figure["value"], "args": _interval(facts, figure)}
        for metric, figure in facts.test.get("macro", {}).items()
        if figure.get("value") is not None
    ]  # fmt: skip
    source = facts.manifest.get("source")
    task = {"type": "image-classification", "name": f"{facts.task} image classification"}
    split = {"name": facts.title, "type": "local", "split": "test", **({"source": str(source)} if source else {})}
    return {
        "license": NOT_RECORDED,
        "library_name": "medplug",
        "pipeline_tag": "image-classification",
        "tags": ["medplug", "jax", "image-classification", "medical-imaging", facts.task],
        "metrics": [metric["type"] for metric in metrics],
        "model-index": [{"name": facts.title, "results": [{"task": task, "dataset": split, "metrics": metrics}]}],
    }


def _interval(facts: ReportFacts, figure: Mapping[str, Any]) -> dict[str, Any]:
    if figure.get("low") is None or figure.get("high") is None:
        return {"interval": figure.get("interval_reason", NOT_RECORDED)}
    method = figure.get("method", NOT_RECORDED)
    return {"low": figure["low"], "high": figure["high"], "confidence": facts.confidence, "method": method}


def _several(facts: ReportFacts) -> str:
    return "labels" if facts.task == "multilabel" else "classes"


def _answers(facts: ReportFacts, *questions: Any) -> str:
    found = [answer for answer in (question(facts) for question in questions) if answer]
    return _paragraphs(found) if found else f"{NOT_RECORDED.capitalize()}.\n"


def _paragraphs(parts: Iterable[str]) -> str:
    return "".join(f"{escape(part)}\n\n" for part in parts).removesuffix("\n")


def _what(facts: ReportFacts) -> str:
    classes = ", ".join(facts.classes)
    if facts.task == "multilabel":
        what = f"A model that tells for each of {len(facts.classes)} labels how probable it is that an image shows it: {classes}."
    else:
        what = f"A model that sorts images into {len(facts.classes)} classes: {classes}."
    return _paragraphs(part for part in (what, model.model(facts)) if part)


def _data(facts: ReportFacts) -> str:
    level = f"Level of independence of the test part: {facts.independence_level}. {facts.independence}".strip()
    caution = _LEVELS.get(facts.independence_level)
    made = (data.preprocessing(facts), data.exclusions(facts))
    parts = [level, caution, data.partitions(facts), *made]
    split = [part for part in ("train", "validation", "test") if facts.split_counts.get(part)]
    rows = [(c, *(f"{facts.split_counts[part].get(c, 0):,}" for part in split)) for c in facts.classes]
    counts = f"\n{table((facts.word, *split), rows)}" if split else ""
    return _paragraphs(part for part in parts if part) + counts


def _evaluation(facts: ReportFacts) -> str:
    """Averaged figures, those of each class, and how the intervals were made."""
    test = facts.test
    if not test:
        return f"{NOT_RECORDED.capitalize()}.\n"
    macro, per_class = test.get("macro", {}), test.get("per_class", {})
    rows = [(label(metric), told(figure), figure.get("method", "")) for metric, figure in macro.items()]
    shown = f"{test['n']:,} test images. A mean over the {_several(facts)} unless a metric has a single value.\n\n"
    parts = [shown + table(("metric", "value (interval)", "method of the interval"), rows)]
    by_class = [m for m in macro if any(m in entry for entry in per_class.values())]
    if by_class:
        head = (facts.word, "test images", *(label(m) for m in by_class))
        cells = [(c, f"{e['n']:,}", *(told(e[m]) if m in e else "" for m in by_class)) for c, e in per_class.items()]
        parts.append(table(head, cells))
    if test.get("warnings"):
        parts.append(bullets(test["warnings"]))
    if test.get("groups"):
        figures = ", ".join(f"{label(m)} {told(f)}" for m, f in test["groups"].get("macro", {}).items())
        grouped = f"Images of a group taken together ({test['groups']['n']:,} groups): {figures}."
        parts.append(f"{escape(grouped)}\n")
    return "\n".join(parts)


def _subgroups(facts: ReportFacts) -> str:
    parts = []
    for column, entry in (facts.analysis.get("subgroups") or {}).items():
        metrics = list(dict.fromkeys(m for row in entry["rows"] for m in row.get("macro") or {}))
        rows = [(row["name"], f"{row['n']:,}", *_subgroup(row, metrics)) for row in entry["rows"]]
        shown = table((column, "images", *(label(m) for m in metrics)), rows)
        there = [row for row in entry["rows"] if not row["suppressed"]]
        warning = one_class(facts, undefined_everywhere(metrics, there)) if there else ""
        caution = f"{escape(warning)}\n\n" if warning else ""
        parts.append(f"### By {escape(column)}\n\n{caution}{shown}\n{escape(entry['note'])}\n")
    return "\n".join(parts) if parts else f"{NOT_RECORDED.capitalize()}.\n"


def _subgroup(row: Mapping[str, Any], metrics: Sequence[str]) -> list[str]:
    if row["suppressed"]:
        return ["too few"] * len(metrics)
    return [told(row["macro"][m]) if m in row["macro"] else "" for m in metrics]


def _usage(facts: ReportFacts) -> str:
    """Commands are written by us alone: no name from outside stands in a code block."""
    poor = results.poor_inputs(facts)
    more = f"\n{escape(poor)}\n" if poor else ""
    return (
        "RUN is the folder that this file lies in; `images/` a folder of images, or files.\n\n"
        "```sh\nmedplug predict RUN images/\n```\n\n"
        "In Python: `medplug.load_run(RUN).predict(images)`. Both need medplug and the plugins that stand under Environment.\n"
        + more
    )
