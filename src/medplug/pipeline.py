"""The pipeline: the only file that knows all stages, in the order in which data flow through them.

source → index → pixels (decoded once) → checks → split → batches → training → predictions → scores →
explanations → report. Names become components here; the stages themselves only see objects.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medplug.config import Config, to_toml
from medplug.data.batches import Loader
from medplug.data.checks import CheckReport, check_data
from medplug.data.decode import DecodeOptions
from medplug.data.source import check_classes, choose_reader, read_index
from medplug.data.split import group_of, make_split, shared_units
from medplug.data.store import PixelStore, open_store
from medplug.errors import DataError, RunError, UsageError
from medplug.evaluate.intervals import IntervalSettings
from medplug.evaluate.scores import score
from medplug.evaluate.tables import write_predictions
from medplug.files import read_json, write_json, write_text
from medplug.model.apply import predict
from medplug.model.network import BuiltNetwork, build
from medplug.params import parameters
from medplug.plugins.events import Events
from medplug.plugins.registry import Registry
from medplug.progress import Reporter
from medplug.runs import folder as names
from medplug.runs.explaining import explain_split
from medplug.runs.manifest import describe_run, now
from medplug.runs.model import ModelCard, save_model
from medplug.runs.reporting import write_report
from medplug.seeds import child_seed
from medplug.train.checkpoint import Checkpoints
from medplug.train.loop import FitResult, Trainer
from medplug.train.plan import plan_epochs
from medplug.values import Index, Predictions, Split
from medplug.version import STARTED


@dataclass(frozen=True)
class RunInfo:
    """What observers are told of a run: its folder, its whole configuration, its seed."""

    folder: str
    config: Mapping[str, Any]
    seed: int


@dataclass(frozen=True)
class Prepared:
    """The data of a run, ready for training."""

    reader_name: str
    reader: Any
    typed: str
    argument: str
    index: Index
    store: PixelStore
    report: CheckReport
    split: Split
    decode: DecodeOptions


def run_pipeline(
    config: Config, source: Any, folder: Path, registry: Registry, reporter: Reporter, resume: bool = False
) -> None:
    """Everything from data to report, into ``folder``, which is claimed already.

    ``source`` is DATA as the user typed it, or (name, reader, argument) for a reader that exists already.
    """
    config.check_components(registry)
    architecture_name, architecture = config.make("architecture", registry)
    prepared = prepare(config, source, architecture, registry, reporter)
    components = _components(config, prepared, (architecture_name, architecture), registry)
    config = replace(config, task=prepared.index.task, data=replace(config.data, size=prepared.decode.size))
    events = Events(components["observer"])
    manifest = _open_manifest(folder, config, prepared, components, registry, resume)
    _write_data_files(folder, prepared)
    _say_data(prepared, config, reporter)
    run = RunInfo(str(folder), {}, config.seed)
    try:
        network, result, run = _train(config, prepared, components, folder, reporter, events, resume, manifest)
        _finish(config, prepared, components, network, result, folder, reporter, events, run, manifest, registry)
    except BaseException as error:
        events.emit("run_failed", run=run, error=f"{type(error).__name__}: {error}")
        raise
    finally:
        for problem in events.problems:
            reporter.warn(str(problem))


# ---------------------------------------------------------------- data


def prepare(config: Config, source: Any, architecture: Any, registry: Registry, reporter: Reporter) -> Prepared:
    """From DATA to a split: read, decode once, check, divide."""
    reader_name, reader, argument = choose_reader(source, config, registry) if isinstance(source, str) else source
    typed = source if isinstance(source, str) else argument
    index = read_index(reader, argument)
    if config.task not in ("auto", index.task):
        raise DataError(f"task={config.task}, but the data are {index.task}; leave task out, or change the labels")
    preprocessing = architecture.preprocessing
    decode = DecodeOptions(config.data.size or preprocessing.size, preprocessing.channels, config.data.antialias)
    check_classes(index, argument)
    store = open_store(reader, reader_name, index.uris, decode, config.data.threads, reporter)
    index, store, report = check_data(index, store, config.checks)
    check_classes(index, f"{argument}, after what cannot be used was left out")
    split = make_split(index, report.identical, config.split, config.seed)
    return Prepared(reader_name, reader, typed, argument, index, store, report, split, decode)


def _say_data(prepared: Prepared, config: Config, reporter: Reporter) -> None:
    index, split = prepared.index, prepared.split
    reporter.say(
        f"data: {len(index)} images, {len(index.classes)} classes ({index.task}), reader {prepared.reader_name}"
    )
    for finding in prepared.report.findings:
        (reporter.warn if finding.level == "warning" else reporter.say)(
            f"  {finding.text}" if finding.level != "warning" else finding.text
        )
    counts = {
        part: index.take(split.part(part)).class_counts()[:, 0].astype(int) for part in ("train", "validation", "test")
    }
    for number, name in enumerate(index.classes):
        reporter.say(f"  {name}: " + "  ".join(f"{part} {counts[part][number]}" for part in counts))
    for note in split.notes:
        reporter.warn(note)
    proof = shared_units(index, split, prepared.report.identical)
    reporter.say("  split: " + ", ".join(f"{n} {what} shared" for what, n in proof.items()))
    torn = {what: n for what, n in proof.items() if n}
    if torn:
        reporter.warn(f"parts of the split are not independent: {torn}")


def _write_data_files(folder: Path, prepared: Prepared) -> None:
    proof = shared_units(prepared.index, prepared.split, prepared.report.identical)
    checks = {**prepared.report.to_json(), "split_notes": list(prepared.split.notes), "shared_between_parts": proof}
    write_json(folder / names.CHECKS, checks)
    names.write_split(folder / names.SPLIT, prepared.index, prepared.split)


# ---------------------------------------------------------------- components


def _components(
    config: Config, prepared: Prepared, architecture: tuple[str, Any], registry: Registry
) -> dict[str, list[tuple[str, Any]]]:
    task = prepared.index.task
    made = {
        kind: config.make_all(kind, registry, task) for kind in ("augmenter", "loss", "metric", "explainer", "observer")
    }
    for kind in ("loss", "explainer"):
        made[kind] = [config.make(kind, registry, task)]
    for kind in ("loss", "metric"):
        wrong = [name for name, c in made[kind] if task not in c.tasks]
        if wrong and kind == "loss":
            raise UsageError(
                f"the loss {wrong[0]} is for {' and '.join(made[kind][0][1].tasks)} tasks, but this one is {task}"
            )
        made[kind] = [(name, c) for name, c in made[kind] if name not in wrong]
    return {"reader": [(prepared.reader_name, prepared.reader)], "architecture": [architecture], **made}


def metric_names(made: list[tuple[str, Any]]) -> dict[str, Any]:
    """Metrics by the name they have in ``metrics.json``: their own, or the whole reference where two share it."""
    short = [name.rpartition(":")[2] for name, _ in made]
    return {s if short.count(s) == 1 else name: metric for s, (name, metric) in zip(short, made, strict=True)}


# ---------------------------------------------------------------- training


def _train(
    config: Config,
    prepared: Prepared,
    components: dict[str, list[tuple[str, Any]]],
    folder: Path,
    reporter: Reporter,
    events: Events,
    resume: bool,
    manifest: dict[str, Any],
) -> tuple[BuiltNetwork, FitResult, RunInfo]:
    index, split = prepared.index, prepared.split
    shape = tuple(prepared.store.images.shape[1:])
    reporter.say(f"building {components['architecture'][0][0]} for an input of {' x '.join(map(str, shape))}")
    network = build(components["architecture"][0][1], shape, len(index.classes), child_seed(config.seed, "network"))
    if network.loaded:
        left = f"; new: {', '.join(network.left_out)}" if network.left_out else ""
        reporter.say(f"  {network.loaded} arrays of pretrained weights{left}")
    batch = min(config.training.batch_size, len(split.train))
    deadline = None if config.budget is None or resume else STARTED + 60 * config.budget
    metrics = metric_names(components["metric"])
    trainer = Trainer(
        network=network,
        train=Loader(prepared.store, index.targets, split.train, batch, child_seed(config.seed, "data")),
        validation=Loader(prepared.store, index.targets, split.validation, batch),
        augmenters=tuple(c for _, c in components["augmenter"]),
        loss=components["loss"][0][1],
        class_counts=index.take(split.train).class_counts(),
        task=index.task,
        settings=config.training,
        seed=config.seed,
        score=lambda targets, probabilities: _macros(index, targets, probabilities, metrics),
        reporter=reporter,
        events=events,
        deadline=deadline,
    )
    planned = folder / names.CONFIG
    if deadline is not None and not planned.exists():
        frozen, epochs = _plan(trainer, config, deadline, reporter, manifest)
        config = replace(config, training=replace(config.training, frozen_epochs=frozen, epochs=epochs))
        trainer.settings = config.training
    tree = replace(config, budget=None).to_tree(components)
    if not planned.exists():
        write_text(planned, to_toml(tree))
    write_json(folder / names.MANIFEST, manifest)
    trainer.run = RunInfo(str(folder), tree, config.seed)
    events.emit("run_started", run=trainer.run)
    result = trainer.fit(Checkpoints(folder / names.CHECKPOINTS), resume)
    names.write_history(folder / names.HISTORY, result.history)
    manifest["training_ended_after_seconds"] = round(time.monotonic() - STARTED, 1)
    return network, result, trainer.run


def _plan(
    trainer: Trainer, config: Config, deadline: float, reporter: Reporter, manifest: dict[str, Any]
) -> tuple[int, int]:
    reporter.say("measuring a few steps to plan the epochs that fit the budget (the first ones compile)")
    costs = trainer.costs()
    left = deadline - time.monotonic()
    frozen, epochs = plan_epochs(config.training, costs, left)
    reporter.say(
        f"plan: {frozen} frozen epochs of {costs.frozen_epoch:.1f} s and {epochs - frozen} full ones of {costs.full_epoch:.1f} s "
        f"in the {left / 60:.1f} minutes that are left of {config.budget:g}"
    )
    manifest["budget_minutes"] = config.budget
    manifest["plan"] = {
        "frozen_epoch_seconds": round(costs.frozen_epoch, 2),
        "full_epoch_seconds": round(costs.full_epoch, 2),
    }
    return frozen, epochs


def _macros(
    index: Index, targets: np.ndarray, probabilities: np.ndarray, metrics: Mapping[str, Any]
) -> dict[str, float]:
    names_ = tuple(map(str, range(len(targets))))
    found = score(Predictions(names_, probabilities, targets, index.classes, index.task), metrics, split="validation")
    return {
        name: float("nan") if figure["value"] is None else figure["value"] for name, figure in found["macro"].items()
    }


# ---------------------------------------------------------------- results


def _finish(
    config: Config,
    prepared: Prepared,
    components: dict[str, list[tuple[str, Any]]],
    network: BuiltNetwork,
    result: FitResult,
    folder: Path,
    reporter: Reporter,
    events: Events,
    run: RunInfo,
    manifest: dict[str, Any],
    registry: Registry,
) -> None:
    save_model(folder, network, _card(prepared, components, network, result))
    metrics, figures = metric_names(components["metric"]), {}
    predictions = {}
    for part in ("validation", "test"):
        predictions[part] = predict_part(config, prepared, network, part)
        write_predictions(folder / names.PREDICTIONS[part], predictions[part])
    reporter.say("scoring the test split, with bootstrap intervals")
    intervals = IntervalSettings(
        config.evaluation.resamples, config.evaluation.confidence, child_seed(config.seed, "bootstrap")
    )
    figures["test"] = score(predictions["test"], metrics, intervals=intervals)
    write_json(folder / names.METRICS, figures)
    events.emit("evaluated", run=run, split="test", metrics=figures["test"])
    reporter.say("explaining test images")
    explained = explain_split(
        folder, config.rendering, prepared.reader, prepared.index, prepared.store, prepared.split, predictions["test"],
        network, components["explainer"][0], config.seed,
    )  # fmt: skip
    manifest["finished"] = now()
    manifest["seconds"] = round(time.monotonic() - STARTED, 1)
    write_json(folder / names.MANIFEST, manifest)
    write_report(
        folder, prepared.index, prepared.split, predictions["test"], config, metrics, explained, result.tested_epoch
    )
    events.emit("run_ended", run=run, metrics=figures)
    _say_results(figures["test"], folder, reporter)


def predict_part(config: Config, prepared: Prepared, network: BuiltNetwork, part: str) -> Predictions:
    """Predictions of one part of the split, with the groups that intervals need."""
    index, rows = prepared.index, prepared.split.part(part)
    loader = Loader(prepared.store, index.targets, rows, min(config.training.batch_size, len(rows)))
    groups = group_of(index, config.split.groups == "respect")
    return Predictions(
        tuple(index.samples[r] for r in rows),
        predict(network, loader.once(), index.task),
        index.targets[rows],
        index.classes,
        index.task,
        None if groups is None else groups[rows].astype(str),
    )


def _card(
    prepared: Prepared, components: dict[str, list[tuple[str, Any]]], network: BuiltNetwork, result: FitResult
) -> ModelCard:
    name, architecture = components["architecture"][0]
    return ModelCard(
        architecture=name,
        parameters=parameters(architecture),
        classes=prepared.index.classes,
        task=prepared.index.task,
        decode=prepared.decode,
        spatial=prepared.store.images.ndim - 2
        if hasattr(prepared.store.images, "ndim")
        else len(prepared.store.images.shape) - 2,
        mean=tuple(network.preprocessing.mean),
        std=tuple(network.preprocessing.std),
        reader=prepared.reader_name,
        reader_parameters=parameters(prepared.reader),
        tested_epoch=result.tested_epoch,
    )


def _say_results(figures: Mapping[str, Any], folder: Path, reporter: Reporter) -> None:
    reporter.say(f"test split, {figures['n']} images:")
    for name, figure in figures["macro"].items():
        if figure["value"] is None:
            reporter.say(f"  {name}: undefined ({figure['reason']})")
            continue
        interval = f" [{figure['low']:.3f}, {figure['high']:.3f}]" if figure.get("low") is not None else ""
        excluded = f" (without {', '.join(figure['excluded'])})" if figure.get("excluded") else ""
        reporter.say(f"  {name}: {figure['value']:.3f}{interval}{excluded}")
    reporter.say(f"report: {folder / names.REPORT}")


def _open_manifest(
    folder: Path,
    config: Config,
    prepared: Prepared,
    components: dict[str, list[tuple[str, Any]]],
    registry: Registry,
    resume: bool,
) -> dict[str, Any]:
    used = [name for made in components.values() for name, _ in made]
    manifest = describe_run(
        prepared.typed,
        prepared.argument,
        prepared.reader_name,
        config.seed,
        prepared.report.fingerprint,
        registry,
        used,
    )
    stored = folder / names.MANIFEST
    if resume and stored.exists():
        before = read_json(stored)
        if before["data_fingerprint"] != manifest["data_fingerprint"]:
            raise RunError(
                f"{folder} was started on other data (images or labels have changed); start anew in another folder"
            )
        manifest = {
            **manifest,
            **{k: before[k] for k in ("started", "plan", "budget_minutes") if k in before},
            "resumed": now(),
        }
    return manifest
