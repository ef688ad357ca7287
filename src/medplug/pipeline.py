"""The pipeline: the only file that knows all stages, in the order in which data flow through them.

DATA → index → network → pixels (decoded once) → checks → split → training → predictions → scores → maps → report.
Names become components here; the stages themselves only see objects. The network is built before any image is
decoded, so that weights that are missing or do not fit are told at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from medplug.config import Config, to_toml
from medplug.data.batches import Batch, Loader
from medplug.data.checks import check_data
from medplug.data.grouping import with_guessed_groups
from medplug.data.preprocess import Preprocessors
from medplug.data.sampling import column_of_weights, make_sampling
from medplug.data.source import Source, check_classes, read_source
from medplug.data.split import group_of, make_split
from medplug.data.store import input_shape, open_store
from medplug.errors import DataError, UsageError
from medplug.evaluation.costs import cost_matrix
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.novelty import REFERENCE_LIMIT
from medplug.evaluation.scores import named_metrics, score
from medplug.evaluation.subgroups import chosen_columns
from medplug.evaluation.tables import RESERVED, write_predictions
from medplug.explain.select import confident_errors
from medplug.files import write_json, write_text
from medplug.model.apply import outputs, outputs_function
from medplug.model.explain import check_explainer
from medplug.model.network import BuiltNetwork, build
from medplug.model.preprocess import check_match
from medplug.params import parameters
from medplug.plugins.events import Events
from medplug.plugins.registry import Registry
from medplug.progress import Reporter
from medplug.runs import folder as names
from medplug.runs.evaluating import Part, decide, evaluate_into, save_rules
from medplug.runs.explaining.maps import Method
from medplug.runs.explaining.testpart import explain_rows, explain_split
from medplug.runs.manifest import now, open_manifest
from medplug.runs.model import ModelCard, save_model
from medplug.runs.planning import DataFacts, NetworkFacts, device_name, plan_json, plan_lines
from medplug.runs.prepared import Prepared
from medplug.runs.reporting import write_report
from medplug.runs.resume import as_planned
from medplug.runs.telling import say_data, say_results
from medplug.seeds import child_seed
from medplug.train.checkpoint import Checkpoints
from medplug.train.loop import FitResult, Trainer
from medplug.train.measuring import look_around
from medplug.train.plan import make_plan
from medplug.values import Predictions, Skipped
from medplug.version import STARTED

Made = dict[str, list[tuple[str, Any]]]  # (reference, component) by kind


@dataclass(frozen=True)
class RunInfo:
    """What observers are told of a run: its folder, its whole configuration, its seed."""

    folder: str
    config: Mapping[str, Any]
    seed: int


def run_pipeline(
    config: Config, data: Any, folder: Path, registry: Registry, reporter: Reporter, resume: bool = False
) -> None:
    """Everything from data to report, into ``folder``, which is claimed already.

    ``data`` is DATA as the user typed it, or (name, reader, argument) for a reader that exists already.
    """
    config.check_components(registry)
    source = read_source(data, config, registry)
    _check_names(source, config)
    made = _make_components(config, source, registry)
    config, preprocessors = _preprocessors(config, made["preprocessor"], made["architecture"][0][1])
    network = _build(config, source, made, preprocessors, reporter)
    prepared = _prepare_pixels(config, source, preprocessors, reporter)
    say_data(prepared.index, prepared.split, prepared.report, source.name, reporter)
    reporter.say(f"  split {prepared.split_hash[:12]}, independence of the test part: {prepared.independence['level']}")
    used = [name for components in made.values() for name, _ in components]
    manifest = open_manifest(folder, source, config.seed, prepared.report.fingerprint, registry, used, resume)
    if resume:
        config = as_planned(folder, config, prepared.index, prepared.split)
    prepared.write(folder)
    manifest["split_hash"] = prepared.split_hash
    run = _Run(config, prepared, made, network, folder, reporter, Events(made["observer"]), manifest, resume)
    try:
        result = run.train()
        if result.tested_epoch:
            run.finish(result)
        if result.stopped:
            raise KeyboardInterrupt
    except BaseException as error:
        run.events.emit("run_failed", run=run.info, error=f"{type(error).__name__}: {error}")
        raise
    finally:
        for problem in run.events.problems:
            reporter.warn(str(problem))


# ---------------------------------------------------------------- before training


def prepare(config: Config, data: Any, architecture: Any, registry: Registry, reporter: Reporter) -> Prepared:
    """From DATA to a split, without a network: read, decode once, check, divide."""
    source = read_source(data, config, registry)
    made = config.make_all("preprocessor", registry, source.index.task)
    config, preprocessors = _preprocessors(config, made, architecture)
    return _prepare_pixels(config, source, preprocessors, reporter)


def ready_to_train(config: Config, data: Any, registry: Registry, reporter: Reporter) -> Trainer:
    """From DATA to a trainer, without a run: nothing is written but the cache."""
    config.check_components(registry)
    source = read_source(data, config, registry)
    made = _make_components(config, source, registry)
    config, preprocessors = _preprocessors(config, made["preprocessor"], made["architecture"][0][1])
    network = _build(config, source, made, preprocessors, reporter)
    prepared = _prepare_pixels(config, source, preprocessors, reporter)
    return _Run(config, prepared, made, network, Path(), reporter, Events([]), {}, False)._trainer()


def _prepare_pixels(config: Config, source: Source, preprocessors: Preprocessors, reporter: Reporter) -> Prepared:
    store = open_store(
        source.reader, source.name, source.index.uris, preprocessors.decode, config.data.threads, reporter,
        source.argument,
    )  # fmt: skip
    guessed = with_guessed_groups(source.index, config.split)
    index, kept, report = check_data(guessed, store.facts, store.thumbs, config.checks, store.key)
    store = store.select(kept)
    check_classes(index, f"{source.typed}{_left_out(report.skipped)}")
    keys = tuple(fact.pixels for fact in store.facts)
    split = make_split(index, report.alike, keys, config.split, config.seed)
    return Prepared(source, index, store, report, split, preprocessors)


def _check_names(source: Source, config: Config) -> None:
    """What would end a run only after its training."""
    reserved = [name for name in source.index.classes if name.startswith(RESERVED)]
    if reserved:
        raise DataError(
            f"{source.typed}: a class cannot be called {reserved[0]!r}: names that begin with {RESERVED} are columns that "
            "medplug adds to predictions; rename it"
        )
    chosen_columns(source.index.metadata, config.evaluation.subgroups)
    if config.training.sampling_column is not None:
        column_of_weights(source.index, config.training.sampling_column)
    cost_matrix(config.evaluation.costs, source.index.classes, source.index.task)


def _left_out(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return ""
    few = ", ".join(f"{s.name} ({s.reason})" for s in skipped[-3:])  # the images come last
    return f", with {len(skipped)} files left out, such as {few}"


def _preprocessors(config: Config, made: Sequence[tuple[str, Any]], architecture: Any) -> tuple[Config, Preprocessors]:
    size = config.data.size or architecture.preprocessing.size
    chain = Preprocessors(tuple(made), replace(architecture.preprocessing, size=size))
    return replace(config, data=replace(config.data, size=size)), chain


def _make_components(config: Config, source: Source, registry: Registry) -> Made:
    task = source.index.task
    kinds = (
        "preprocessor",
        "augmenter",
        "mixer",
        "architecture",
        "loss",
        "optimizer",
        "schedule",
        "metric",
        "explainer",
        "observer",
    )
    made: Made = {kind: config.make_all(kind, registry, task) for kind in kinds}
    for kind in ("architecture", "loss", "optimizer", "schedule", "explainer"):
        made[kind] = [config.make(kind, registry, task)]
    name, loss = made["loss"][0]
    if task not in loss.tasks:
        raise UsageError(f"the loss {name} is for {' and '.join(loss.tasks)} tasks, but this one is {task}")
    made["metric"] = [(name, metric) for name, metric in made["metric"] if task in metric.tasks]
    _check_monitor(config.training.monitor, made["metric"])
    return {"reader": [(source.name, source.reader)], **made}


def _check_monitor(monitor: str, metrics: Sequence[tuple[str, Any]]) -> None:
    figures = ["loss", *named_metrics(metrics)]
    if monitor not in figures:
        raise UsageError(f"training.monitor={monitor}: it can be one of {', '.join(figures)}; metric.use adds figures")


def _build(
    config: Config, source: Source, made: Made, preprocessors: Preprocessors, reporter: Reporter
) -> BuiltNetwork:
    name, architecture = made["architecture"][0]
    spatial = len(input_shape(source.reader, source.index.uris, preprocessors.decode)) - 1
    shape = preprocessors.input_shape(spatial)
    reporter.say(f"building {name} for an input of {' x '.join(map(str, shape))}")
    network = build(architecture, shape, len(source.index.classes), child_seed(config.seed, "network"))
    if network.loaded:
        check_match(preprocessors, spatial, config.data.mismatch, reporter)
        left = f"; new: {', '.join(network.left_out)}" if network.left_out else ""
        reporter.say(f"  {network.loaded} arrays of pretrained weights{left}")
    check_explainer(*made["explainer"][0], network)
    return network.within(preprocessors)


# ---------------------------------------------------------------- training and after


@dataclass
class _Run:
    """One run after its data are ready; holds what the later stages share."""

    config: Config
    prepared: Prepared
    made: Made
    network: BuiltNetwork
    folder: Path
    reporter: Reporter
    events: Events
    manifest: dict[str, Any]
    resume: bool
    info: RunInfo | None = None

    def train(self) -> FitResult:
        """Plan, write the configuration down, train."""
        planned = self.folder / names.CONFIG
        self.config = replace(self.config, task=self.prepared.index.task)
        self.info = RunInfo(str(self.folder), {}, self.config.seed)
        trainer = self._trainer()
        if not planned.exists():
            self._plan(trainer)
        tree = replace(self.config, budget=None).to_tree(self.made)
        write_text(planned, to_toml(tree))
        write_json(self.folder / names.MANIFEST, self.manifest)
        self.info = trainer.run = RunInfo(str(self.folder), tree, self.config.seed)
        self.events.emit("run_started", run=self.info)
        result = trainer.fit(Checkpoints(self.folder / names.CHECKPOINTS), self.resume)
        names.write_history(self.folder / names.HISTORY, result.history)
        self.manifest["training_ended_after_seconds"] = round(time.monotonic() - STARTED, 1)
        return result

    def _trainer(self) -> Trainer:
        index, split, store, seed = self.prepared.index, self.prepared.split, self.prepared.store, self.config.seed
        batch = min(self.config.training.batch_size, len(split.train))
        begun = self.resume and (self.folder / names.CONFIG).exists()
        budget = None if begun else self.config.budget
        sampling = make_sampling(self.config.training, index, split.train)
        train = Loader(store, index.targets, split.train, batch, child_seed(seed, "data"), sampling)
        return Trainer(
            network=self.network,
            train=train,
            validation=Loader(store, index.targets, split.validation, batch),
            optimizer=self.made["optimizer"][0][1],
            schedule=self.made["schedule"][0][1],
            augmenters=tuple(c for _, c in self.made["augmenter"]),
            mixers=tuple(c for _, c in self.made["mixer"]),
            loss=self.made["loss"][0][1],
            class_counts=train.class_counts(),
            task=index.task,
            settings=self.config.training,
            seed=seed,
            score=self._macros,
            greater=frozenset(
                name for name, metric in named_metrics(self.made["metric"]).items() if metric.higher_is_better
            ),
            reporter=self.reporter,
            events=self.events,
            deadline=None if budget is None else STARTED + 60 * budget,
        )

    def _plan(self, trainer: Trainer) -> None:
        """Measure a few steps, let the rules decide, tell it all and write it down."""
        self.reporter.say("plan (measured on a few steps; the first ones compile):")
        name, architecture = self.made["architecture"][0]
        plan = make_plan(self.config.training, look_around(trainer, self.config.budget))
        data = DataFacts.of(self.prepared.index, self.prepared.split)
        spatial = len(self.prepared.store.images.shape) - 2
        told = plan, data, NetworkFacts.of(name, architecture, self.network, spatial), device_name()
        for line in plan_lines(*told):
            self.reporter.say(line)
        write_json(self.folder / names.PLAN, plan_json(*told))
        if self.config.budget is not None:
            self.manifest["budget_minutes"] = self.config.budget
        self.config = replace(self.config, training=plan.settings)
        trainer.follow(plan)

    def _macros(self, targets: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
        index = self.prepared.index
        rows = tuple(map(str, range(len(targets))))
        predictions = Predictions(rows, probabilities, targets, index.classes, index.task)
        found = score(predictions, named_metrics(self.made["metric"]), split="validation")["macro"]
        return {name: float("nan") if f["value"] is None else f["value"] for name, f in found.items()}

    def finish(self, result: FitResult) -> None:
        """Save, predict, decide on validation, score the test part, explain, report."""
        save_model(self.folder, self.network, self._card(result))
        forward = outputs_function(self.network, self.prepared.index.task)
        parts = {part: self._predict(part, forward) for part in names.PREDICTIONS}
        for part, found in parts.items():
            write_predictions(self.folder / names.PREDICTIONS[part], found.predictions)
        test, validation = parts["test"], parts["validation"]
        rules = self._decide(validation, forward)
        metrics = named_metrics(self.made["metric"])
        figures = evaluate_into(
            self.folder, test, metrics, self.config.evaluation, seed=self.config.seed, rules=rules,
            independence=self.prepared.independence, validation=validation,
            reporter=self.reporter,
        )  # fmt: skip
        self.events.emit("evaluated", run=self.info, split="test", metrics=figures["test"])
        self._explain(test.predictions)
        self.manifest |= {"finished": now(), "seconds": round(time.monotonic() - STARTED, 1)}
        write_json(self.folder / names.MANIFEST, self.manifest)
        write_report(self.folder, metrics)
        self.events.emit("run_ended", run=self.info, metrics=figures)
        say_results(figures["test"], self.folder, self.reporter)

    def _predict(self, part: str, forward: Any) -> Part:
        index, rows = self.prepared.index, self.prepared.split.part(part)
        found = outputs(forward, self._batches(rows), index.task)
        groups = group_of(index, self.config.split.groups)
        predictions = Predictions(
            tuple(index.samples[r] for r in rows),
            found.probabilities,
            index.targets[rows],
            index.classes,
            index.task,
            None if groups is None else groups[rows].astype(str),
        )
        metadata = {name: np.asarray(column)[rows] for name, column in index.metadata.items()}
        return Part(predictions, metadata, found.energy, found.features)

    def _batches(self, rows: np.ndarray) -> Iterator[Batch]:
        batch = min(self.config.training.batch_size, len(rows))
        return Loader(self.prepared.store, self.prepared.index.targets, rows, batch).once()

    def _decide(self, validation: Part, forward: Any) -> DecisionRules:
        """What the validation part decides, written down before the test part is scored."""
        settings, train = self.config.evaluation, self.prepared.split.train
        seed = child_seed(self.config.seed, "decision")
        features = None
        if settings.novelty:
            chosen = np.random.default_rng(seed).permutation(train)[:REFERENCE_LIMIT]
            self.reporter.say("keeping features of training images, to tell inputs that are unlike them")
            features = outputs(forward, self._batches(np.sort(chosen)), self.prepared.index.task).features
        rules = decide(validation, features, settings, seed)
        save_rules(self.folder, rules)
        return rules

    def _explain(self, test: Predictions) -> None:
        """Maps of one test image a class or more, and of the most confident errors."""
        self.reporter.say("explaining test images")
        shared = (
            self.config.rendering, self.prepared.source.reader, self.prepared.index, self.prepared.store,
            self.prepared.split, test,
        )  # fmt: skip
        name, explainer = self.made["explainer"][0]
        task = self.prepared.index.task
        method = Method(name.rpartition(":")[2], explainer, self.network, task, self.config.seed)
        explain_split(self.folder, *shared, method, self.reporter.warn)
        wrong = confident_errors(test, self.config.rendering.errors)
        explain_rows(self.folder / names.ERRORS, *shared, wrong, method, self.reporter.warn)

    def _card(self, result: FitResult) -> ModelCard:
        name, architecture = self.made["architecture"][0]
        source = self.prepared.source
        return ModelCard(
            architecture=name,
            parameters=parameters(architecture),
            classes=self.prepared.index.classes,
            task=self.prepared.index.task,
            preprocessing=self.prepared.preprocessors.target,
            preprocessors=tuple(self.prepared.preprocessors.to_json()),
            spatial=len(self.prepared.store.images.shape) - 2,
            reader=source.name,
            reader_parameters=parameters(source.reader),
            tested_epoch=result.tested_epoch,
        )
