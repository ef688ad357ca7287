"""From the files of a run to its report, model card, checklist and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medplug.config.config import Config
from medplug.config.files import parse_recipe
from medplug.config.settings import RenderingSettings
from medplug.explain.overlay import colour_scale
from medplug.files import read_json, write_text
from medplug.report.card import model_card
from medplug.report.checklist import checklist_markdown, fill_checklists
from medplug.report.export import write_figures
from medplug.report.facts import ReportFacts
from medplug.report.faithfulness import pictures_of
from medplug.report.figures import all_figures
from medplug.report.page import render_report
from medplug.runs import folder as names
from medplug.runs.evaluating import CHANGED
from medplug.runs.explaining.album import read_explained
from medplug.runs.folder import SplitTable
from medplug.runs.model import load_card
from medplug.values import SPLITS


def write_report(folder: Path, metrics: Mapping[str, Any]) -> Path:
    """Write ``report.html``, ``card.md``, ``checklist.md`` and ``figures/`` from what the run folder holds.

    Args:
        folder: of a run that has been evaluated.
        metrics: by name, for what they say in plain words.
    """
    config = _config(folder)
    facts = run_facts(folder, metrics, config)
    write_page(folder, facts, config.rendering)
    write_text(folder / names.CARD, model_card(facts))
    return folder / names.REPORT


def write_page(folder: Path, facts: ReportFacts, settings: RenderingSettings) -> Path:
    """Write the page, the checklist and the figures of these facts."""
    write_text(folder / names.REPORT, render_report(facts))
    write_text(folder / names.CHECKLIST, checklist_markdown(facts.checklists))
    write_figures(all_figures(facts), folder / names.FIGURES, settings.figures == "png")
    return folder / names.REPORT


def run_facts(folder: Path, metrics: Mapping[str, Any], config: Config) -> ReportFacts:
    """Everything that stands in the report of a run, read from its folder."""
    card = load_card(folder)
    checks, manifest = read_json(folder / names.CHECKS), read_json(folder / names.MANIFEST)
    figures, analysis = read_json(folder / names.METRICS), read_json(folder / names.ANALYSIS)
    split = names.read_split(folder / names.SPLIT, card.classes)
    facts = ReportFacts(
        title=f"{_short(manifest['source'])}: {counted(card.task, card.classes)}",
        task=card.task,
        classes=card.classes,
        metrics=figures,
        analysis=analysis,
        split_sizes={part: split.parts.count(part) for part in SPLITS},
        split_counts={part: _counts(split, card.classes, part) for part in SPLITS},
        independence=figures["test"]["independence"]["text"],
        independence_level=figures["test"]["independence"]["level"],
        split_notes=checks["split_notes"],
        checks=checks,
        history=names.read_history(folder / names.HISTORY),
        tested_epoch=card.tested_epoch,
        explanations=read_explained(folder / names.EXPLANATIONS),
        errors=read_explained(folder / names.ERRORS),
        **_faithfulness(folder),
        colour_scale=colour_scale(config.rendering),
        readings=readings(metrics),
        confidence=manifest.get(CHANGED, {}).get("confidence", config.evaluation.confidence),
        manifest=manifest,
        config=(folder / names.CONFIG).read_text("utf-8"),
    )
    return with_checklists(facts)


def _faithfulness(folder: Path) -> dict[str, Any]:
    """What was measured of the explanations, and its pictures."""
    path = folder / names.EXPLANATIONS / names.FAITHFULNESS
    if not path.exists():
        return {}
    found = read_json(path)
    pictures = {name: path.with_suffix("") / name for name in pictures_of(found)}
    there = {name: picture.read_bytes() for name, picture in pictures.items() if picture.exists()}
    return {"faithfulness": found, "faithfulness_pictures": there}


def _config(folder: Path) -> Config:
    path = folder / names.CONFIG
    return Config.from_layers(parse_recipe(path.read_text("utf-8"), str(path)))


def counted(task: str, classes: Sequence[str]) -> str:
    """``"3 classes"``, or ``"8 labels"`` in multi-label tasks."""
    return f"{len(classes)} {'labels' if task == 'multilabel' else 'classes'}"


def readings(metrics: Mapping[str, Any]) -> dict[str, str]:
    """What metrics say in plain words, by name."""
    return {name: metric.reading for name, metric in metrics.items() if getattr(metric, "reading", "")}


def with_checklists(facts: ReportFacts) -> ReportFacts:
    """The facts with the items of reporting guidelines that they fill."""
    return replace(facts, checklists=fill_checklists(facts))


def _short(source: str) -> str:
    """The last part of DATA that says something: a folder's name, or a file with its folder."""
    path = Path(source)
    return "/".join(path.parts[-2:]) if path.suffix else path.name or source


def _counts(split: SplitTable, classes: tuple[str, ...], part: str) -> dict[str, int]:
    rows = np.array([p == part for p in split.parts], bool)
    counts = (split.targets[rows] >= 0.5).sum(0)  # NaN compares as False
    return {name: int(n) for name, n in zip(classes, counts, strict=True)}
