"""A run on other data than its own: read, predicted and evaluated into a folder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medplug.config.config import AUTO, Config
from medplug.config.settings import EvaluationSettings
from medplug.contracts.metric import Metric
from medplug.data.batches import Loader
from medplug.data.checks import CheckReport, Finding, check_data
from medplug.data.decode import DecodeOptions
from medplug.data.grouping import with_guessed_groups
from medplug.data.source import choose_reader, read_index
from medplug.data.split import group_of
from medplug.data.store import PixelStore, open_store
from medplug.errors import DataError
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.tables import write_predictions
from medplug.files import read_json, write_json
from medplug.model.apply import outputs
from medplug.plugins.registry import Registry
from medplug.progress import Reporter
from medplug.report.facts import ReportFacts
from medplug.runs import folder as names
from medplug.runs.evaluating import Part, evaluate_into
from medplug.runs.independence import other_data_independence, stored_index
from medplug.runs.model import ModelCard
from medplug.runs.reporting import counted, readings, with_checklists, write_page
from medplug.runs.telling import say_findings
from medplug.values import Index, Predictions

_BATCH = 32


def evaluate_data(
    run: Path,
    card: ModelCard,
    decode: DecodeOptions,
    forward: Any,
    rules: DecisionRules,
    metrics: Mapping[str, Metric],
    data: str,
    config: Config,
    registry: Registry,
    out: Path,
    reporter: Reporter,
) -> dict[str, Any]:
    """Predict and evaluate labelled data of the user's into ``out``; returns the content of its ``metrics.json``.

    Args:
        run: the run's folder, which is only read.
        card: of the run's network.
        decode: how the run prepares images.
        forward: of :func:`medplug.model.apply.outputs_function`.
        rules: the run's decisions, used as they are.
        metrics: by name.
        data: as the user typed it.
        config: the run's, with what the user changed.
        registry: knows readers.
        out: an empty folder.
        reporter: tells what happens.

    Raises:
        DataError: the labels are not those of the run, or nothing can be read.
    """
    name, reader, argument = _reader(data, card, config, registry)
    index = with_guessed_groups(aligned(read_index(reader, argument), card, data), config.split)
    settings = _known_subgroups(config.evaluation, index, data, reporter)
    store = open_store(reader, name, index.uris, decode, config.data.threads, reporter, argument)
    index, kept, report = check_data(index, store.facts, store.thumbs, config.checks, store.key)
    store = store.select(kept)
    if len(index) == 0:
        raise DataError(f"{data}: no image can be read")
    report = replace(report, findings=(*report.findings, *seen_before(run, card, index, store)))
    say_findings(report, reporter)
    part = _predict(index, store, card, forward, config, reporter)
    write_json(out / names.CHECKS, report.to_json())
    columns = rules.columns(part.predictions, part.energy, part.features)
    write_predictions(out / names.PREDICTIONS["test"], replace(part.predictions, columns=columns))
    figures = evaluate_into(
        out, part, metrics, settings, seed=config.seed, rules=rules, validation=None, reporter=reporter,
        independence=other_data_independence(*stored_index(run, card), index),
    )  # fmt: skip
    write_page(out, _facts(run, data, index, report, metrics, config, out), config.rendering)
    return figures


def _known_subgroups(settings: EvaluationSettings, index: Index, data: str, reporter: Reporter) -> EvaluationSettings:
    """The settings without subgroups that these data, unlike those of the run, have no column for."""
    kept = tuple(name for name in settings.subgroups if name == "all" or name in index.metadata)
    for name in sorted(set(settings.subgroups) - set(kept)):
        reporter.warn(f"{data} has no column {name!r}: there are no figures of its subgroups")
    return replace(settings, subgroups=kept)


def seen_before(run: Path, card: ModelCard, index: Index, store: PixelStore) -> list[Finding]:
    """A warning where images are pixel-identical to images that the run was trained on or chosen by."""
    split = names.read_split(run / names.SPLIT, card.classes)
    used = {p for p, part in zip(split.pixels, split.parts, strict=False) if part in ("train", "validation")}
    if not split.pixels:
        return []
    hashes = [fact.pixels[: names.HASH_LENGTH] for fact in store.facts]
    seen = tuple(name for name, pixels in zip(index.samples, hashes, strict=True) if pixels in used)
    if not seen:
        return [Finding("seen_before", "ok", "none of the images is pixel-identical to one that the run learned from")]
    text = (
        f"{len(seen)} of {len(index)} images are pixel-identical to images that the run learned from (such as {seen[0]}): "
        "the figures will look better than they are"
    )
    return [Finding("seen_before", "warning", text, seen)]


def aligned(index: Index, card: ModelCard, data: str) -> Index:
    """The index with the classes of the run, in their order; labels that the data do not speak of are unknown.

    Raises:
        DataError: a class that the run does not know, or another kind of task.
    """
    unknown = [c for c in index.classes if c not in card.classes]
    if unknown:
        raise DataError(
            f"{data}: the class {unknown[0]!r} is none of the run's ({', '.join(card.classes)}); rename it, or leave it out"
        )
    if index.task != card.task and card.task == "multiclass":
        raise DataError(f"{data}: samples carry several labels or none, but the run tells one class per image")
    absent = 0.0 if card.task == "multiclass" else np.nan
    targets = np.full((len(index), len(card.classes)), absent, np.float32)
    for column, name in enumerate(index.classes):
        targets[:, card.classes.index(name)] = index.targets[:, column]
    return replace(index, targets=targets, classes=card.classes, task=card.task, splits=None)


def _reader(data: str, card: ModelCard, config: Config, registry: Registry) -> tuple[str, Any, str]:
    """The reader that is surest of the data; the run's own parameters where it is the run's own reader."""
    stated = config.uses("reader") not in ((), (AUTO,)) and config.uses("reader") != (card.reader,)
    chosen = config
    if not stated:  # parameters of the run's reader are none of another one's; those that it lacks are the user's
        given = config.choices["reader"].direct if "reader" in config.choices else {}
        own = {name: value for name, value in given.items() if name not in card.reader_parameters}
        chosen = config.with_components("reader", AUTO).with_defaults("reader", **own)
    name, reader, argument = choose_reader(data, chosen, registry)
    if name == card.reader and not stated:
        name, reader = config.make("reader", registry)
    return name, reader, argument


def _predict(
    index: Index, store: PixelStore, card: ModelCard, forward: Any, config: Config, reporter: Reporter
) -> Part:
    loader = Loader(store, index.targets, np.arange(len(index)), min(_BATCH, len(index)))
    batches = reporter.track(loader.once(), "predicting", len(loader), "batches")
    found = outputs(forward, batches, card.task)
    groups = group_of(index, config.split.groups)
    predictions = Predictions(
        index.samples, found.probabilities, index.targets, index.classes, index.task,
        None if groups is None else groups.astype(str),
    )  # fmt: skip
    return Part(predictions, dict(index.metadata), found.energy, found.features)


def _facts(
    run: Path,
    data: str,
    index: Index,
    report: CheckReport,
    metrics: Mapping[str, Metric],
    config: Config,
    out: Path,
) -> ReportFacts:
    counts = index.class_counts()[:, 0]
    figures = read_json(out / names.METRICS)
    facts = ReportFacts(
        title=f"{run.name} on {Path(data).name or data}: {counted(index.task, index.classes)}",
        task=index.task,
        classes=index.classes,
        metrics=figures,
        analysis=read_json(out / names.ANALYSIS),
        split_sizes={"test": len(index)},
        split_counts={"test": {c: int(n) for c, n in zip(index.classes, counts, strict=True)}},
        independence=figures["test"]["independence"]["text"],
        independence_level=figures["test"]["independence"]["level"],
        checks=report.to_json(),
        readings=readings(metrics),
        confidence=config.evaluation.confidence,
        manifest={**read_json(run / names.MANIFEST), "source": data},
        config=(run / names.CONFIG).read_text("utf-8"),
    )
    return with_checklists(facts)
