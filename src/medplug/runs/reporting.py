"""From the files of a run to its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medplug.config.config import Config
from medplug.data.split import independence
from medplug.evaluation.curves import confusion_matrix, label_decisions, roc_curves
from medplug.explain.overlay import colour_scale
from medplug.files import read_json, write_text
from medplug.report.facts import ExplainedImage, ReportFacts
from medplug.report.page import render_report
from medplug.runs import folder as names
from medplug.values import SPLITS, Index, Predictions, Split

_INDEPENDENCE = {
    "group": "Known groups ({groups}) and pixel-identical images are never shared between training and test.",
    "image": (
        "Test images were set apart image by image (pixel-identical copies stay together): images of one patient "
        "may lie on both sides, which makes results look better than they are."
    ),
}


def write_report(
    folder: Path,
    index: Index,
    split: Split,
    predictions: Predictions,
    config: Config,
    metrics: Mapping[str, Any],
    explanations: Sequence[ExplainedImage],
    tested_epoch: int,
) -> None:
    """Write ``report.html`` from what the run folder holds and the values at hand."""
    multiclass = index.task == "multiclass"
    curves = roc_curves(predictions)
    checks = read_json(folder / names.CHECKS)
    manifest = read_json(folder / names.MANIFEST)
    decisions = None if multiclass else label_decisions(predictions).tolist()
    facts = ReportFacts(
        title=f"{_short(manifest['source'])}: {len(index.classes)} classes",
        task=index.task,
        classes=index.classes,
        metrics=read_json(folder / names.METRICS),
        split_sizes={part: len(split.part(part)) for part in SPLITS},
        split_counts={part: _counts(index, split, part) for part in SPLITS},
        independence=_INDEPENDENCE[independence(index, config.split)].format(groups=", ".join(index.groups)),
        split_notes=split.notes,
        checks=checks,
        history=names.read_history(folder / names.HISTORY),
        tested_epoch=tested_epoch,
        roc={
            name: None if curve is None else (curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist())
            for name, curve in curves.items()
        },
        confusion=confusion_matrix(predictions).tolist() if multiclass else None,
        decisions=decisions,
        thresholds=None if multiclass else [0.5] * len(index.classes),
        explanations=explanations,
        colour_scale=colour_scale(config.rendering),
        readings={name: metric.reading for name, metric in metrics.items() if getattr(metric, "reading", "")},
        confidence=config.evaluation.confidence,
        manifest=manifest,
        config=(folder / names.CONFIG).read_text("utf-8"),
    )
    write_text(folder / names.REPORT, render_report(facts))


def _short(source: str) -> str:
    """The last part of DATA that says something: a folder's name, or a file with its folder."""
    path = Path(source)
    return "/".join(path.parts[-2:]) if path.suffix else path.name or source


def _counts(index: Index, split: Split, part: str) -> dict[str, int]:
    counts = index.take(split.part(part)).class_counts()[:, 0]
    return {name: int(n) for name, n in zip(index.classes, counts, strict=True)}
