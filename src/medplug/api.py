"""The Python door: compose a pipeline, fit it, open a run, build a network."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medplug.config import STANDARD, Config, load_recipe
from medplug.config.config import SECTION_OF, from_assignments
from medplug.data.arrays import is_table, reader_of, write_table
from medplug.errors import UsageError
from medplug.evaluation.foreign import match
from medplug.evaluation.scores import named_metrics
from medplug.evaluation.sheets import LabelTable
from medplug.evaluation.tables import PredictionTable
from medplug.model.network import BuiltNetwork, build
from medplug.pipeline import run_pipeline
from medplug.plugins.registry import Registry, registry
from medplug.progress import Reporter, quiet_reporter
from medplug.runs import folder as run_folder
from medplug.runs.checking import Checked, check_source
from medplug.runs.comparing import compare_into
from medplug.runs.foreign import evaluate_foreign
from medplug.runs.run import Run
from medplug.runs.splitting import Splits, split_checked
from medplug.values import Predictions, Task


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One pipeline: a recipe, and what is different from it.

    Each component is a name, or an instance of a registered class or of your own.

    Args:
        recipe: name, or path of a TOML file.
        architecture, reader, loss, optimizer, schedule, explainer: one component each.
        preprocessors, augmenters, mixers, metrics, observers: lists of components.
        settings: further keys as on the command line: ``{"training.epochs": 3}``.
        seed: of everything random.
        size: edge of the input in pixels.
        budget: minutes from the start of the process to the end of training.
        plugins: the registry; by default that of all installed plugins.
        reporter: tells what happens; ``Reporter(quiet=True)`` is silent.

    Example:
        >>> pipeline = Pipeline(recipe="standard", settings={"training.epochs": 2})
        >>> pipeline.settings
        {'training.epochs': 2}
    """

    recipe: str = STANDARD
    architecture: Any = None
    reader: Any = None
    loss: Any = None
    optimizer: Any = None
    schedule: Any = None
    explainer: Any = None
    preprocessors: Sequence[Any] | None = None
    augmenters: Sequence[Any] | None = None
    mixers: Sequence[Any] | None = None
    metrics: Sequence[Any] | None = None
    observers: Sequence[Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    size: int | None = None
    budget: float | None = None
    plugins: Registry | None = None
    reporter: Reporter = field(default_factory=Reporter)

    def config(self) -> Config:
        """The configuration, checked, before any data are seen."""
        registry_ = self.registry()
        given = {k: v for k, v in self._components().items() if v is not None}
        by_name = {k: v for k, v in given.items() if _all_names(v)}
        # In one layer with the settings: a later layer that changes `use` would drop the parameters set for it.
        uses = {f"{SECTION_OF[k]}.use": v if isinstance(v, str) else list(v) for k, v in by_name.items()}
        layers = [load_recipe(self.recipe, registry_), from_assignments({**self.settings, **uses})]
        top = {"seed": self.seed, "budget": self.budget}
        layers.append({k: v for k, v in top.items() if v is not None})
        layers[-1]["recipe"] = self.recipe
        if self.size is not None:
            layers.append({"data": {"size": self.size}})
        config = Config.from_layers(*layers)
        for kind, value in given.items():
            if kind not in by_name:
                config = config.with_components(kind, value)
        return config

    def fit(
        self,
        data: Any = None,
        labels: Any = None,
        *,
        out: str | Path | None = None,
        resume: bool = False,
        groups: Any = None,
        splits: Any = None,
        metadata: Mapping[str, Any] | None = None,
        names: Sequence[str] | None = None,
        classes: Sequence[Any] | None = None,
        site: str = "",
    ) -> Run:
        """Train, evaluate and explain.

        Args:
            data: DATA as on the command line; arrays or paths of images with ``labels``, as two arguments or a tuple;
                anything that yields (image or path, label); or a table with a column of image paths (absolute, or below
                ``reader.image_root``): a data frame, a dictionary of columns, a list of records. None takes the
                recipe's own ``source``.
            labels: of images in memory, ``[N]`` or ``[N, K]``.
            out: folder of the run; by default a fresh one under ``runs/``.
            resume: go on with the run in ``out``.
            groups: for images in memory, ``[N]`` or several by name: images with the same value stay in one split.
            splits, metadata, names, classes, site: for images in memory, as
                :class:`medplug.data.arrays.ArrayReader` takes them.
        """
        config = self.config()
        registry_ = self.registry()
        if data is None and not config.source:
            raise UsageError("no data: say what to train on; only a recipe with a source of its own runs without")
        data = config.source if data is None else data
        given = {"groups": groups, "splits": splits, "metadata": metadata, "names": names, "classes": classes}
        given = {name: value for name, value in given.items() if value is not None}
        table = is_table(data)
        reader = None
        if not isinstance(data, (str, Path)) and not table:
            reader = reader_of(data, labels, site=site, **given)
        elif labels is not None or given or site:
            raise UsageError(
                "labels=, groups= and their like belong to images in memory; of a table name the columns: "
                "settings={'reader.label_column': …, 'reader.group_column': …}"
            )
        folder = run_folder.claim(out, str(data) if isinstance(data, (str, Path)) else "memory", resume)
        if reader is not None:
            source: Any = ("unregistered:arrays", reader, "arrays")
        elif table:
            source = _from_table(data, folder)
            config = config.with_defaults("reader", image_root=str(Path.cwd()))
        else:
            source = str(data)
        try:
            run_pipeline(config, source, folder, registry_, self.reporter, resume)
        except BaseException:
            run_folder.discard_empty(folder)
            raise
        own = [one for _, one in config.make_all("preprocessor", registry_) if registry_.record_of(one) is None]
        return Run(folder, registry_, _instance(self.architecture), reader or _instance(self.reader), config, own)

    def registry(self) -> Registry:
        """The registry that names are looked up in."""
        return self.plugins if self.plugins is not None else registry()

    def _components(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "reader": self.reader,
            "loss": self.loss,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "explainer": self.explainer,
            "preprocessor": self.preprocessors,
            "augmenter": self.augmenters,
            "mixer": self.mixers,
            "metric": self.metrics,
            "observer": self.observers,
        }


def load_run(
    folder: str | Path,
    *,
    architecture: Any = None,
    reader: Any = None,
    preprocessors: Sequence[Any] = (),
    plugins: Registry | None = None,
) -> Run:
    """Open a finished run.

    ``architecture``, ``reader`` and ``preprocessors`` only where they were instances of your own unregistered classes.
    """
    return Run(folder, registry() if plugins is None else plugins, architecture, reader, preprocessors=preprocessors)


def check(
    data: Any,
    labels: Any = None,
    *,
    recipe: str = STANDARD,
    settings: Mapping[str, Any] | None = None,
    plugins: Registry | None = None,
    reporter: Reporter | None = None,
    **columns: Any,
) -> Checked:
    """Look a data set through without training: what ``medplug check`` does.

    Args:
        data, labels: as :meth:`Pipeline.fit` takes them.
        recipe, settings: as in :class:`Pipeline`; the sections of reader, data, checks and split count.
        plugins: the registry.
        reporter: shows progress; silent without one.
        columns: of images in memory (``groups``, ``splits`` …), as :meth:`Pipeline.fit` takes them.

    Returns:
        The findings, what is left of the samples, and the split that a run would make.
    """
    pipeline = Pipeline(recipe=recipe, settings=settings or {}, plugins=plugins)
    return _checked(data, labels, pipeline, reporter or quiet_reporter(), columns)


def split(
    data: Any,
    labels: Any = None,
    *,
    recipe: str = STANDARD,
    settings: Mapping[str, Any] | None = None,
    seed: int | None = None,
    plugins: Registry | None = None,
    reporter: Reporter | None = None,
    **columns: Any,
) -> Splits:
    """Divide a data set without training: what ``medplug split`` does.

    Args:
        data, labels: as :meth:`Pipeline.fit` takes them.
        recipe, settings: as in :class:`Pipeline`; the sections of reader, checks and split count, as in
            ``{"split.folds": 5}``.
        seed: of the draw, unless ``split.seed`` is set.
        plugins: the registry.
        reporter: shows progress; silent without one.
        columns: of images in memory (``groups``, ``splits`` …), as :meth:`Pipeline.fit` takes them.

    Returns:
        Every split that the settings describe: one hold-out set, or all folds; ``write`` keeps them as tables.

    Raises:
        DataError: the data cannot be used, or not be split in this way.
    """
    pipeline = Pipeline(recipe=recipe, settings=settings or {}, seed=seed, plugins=plugins)
    config = pipeline.config()
    return split_checked(
        _checked(data, labels, pipeline, reporter or quiet_reporter(), columns), config.split, config.seed
    )


def _checked(data: Any, labels: Any, pipeline: Pipeline, reporter: Reporter, columns: Mapping[str, Any]) -> Checked:
    config, registry_ = pipeline.config(), pipeline.registry()
    if isinstance(data, (str, Path)):
        return check_source(str(data), config, registry_, reporter)
    if not is_table(data):
        source = ("unregistered:arrays", reader_of(data, labels, **columns), "arrays")
        return check_source(source, config, registry_, reporter)
    with tempfile.TemporaryDirectory() as folder:
        config = config.with_defaults("reader", image_root=str(Path.cwd()))
        return check_source(_from_table(data, Path(folder)), config, registry_, reporter)


def evaluate_predictions(
    predictions: PredictionTable,
    labels: LabelTable,
    *,
    out: str | Path,
    groups: Sequence[str] = (),
    task: Task | None = None,
    title: str = "Predictions of another tool",
    recipe: str = STANDARD,
    settings: Mapping[str, Any] | None = None,
    metrics: Any = None,
    plugins: Registry | None = None,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Evaluate predictions of any tool: the same figures, tables and report as a run has.

    Args:
        predictions, labels: from :mod:`medplug.evaluation`'s ``read_predictions`` and ``read_labels``.
        out: folder for the files; it must be empty.
        groups: columns of the labels whose samples belong together (patients).
        task: ``multiclass`` or ``multilabel``; by default what the labels look like.
        title: of the report.
        recipe, settings: as in :class:`Pipeline`; the sections of metrics and evaluation count.
        metrics: names or instances; by default those of the recipe.
        plugins: the registry.
        reporter: tells what happens; silent without one.

    Returns:
        The content of ``metrics.json``.
    """
    reporter = reporter or quiet_reporter()
    found, metadata, notes = match(predictions, labels, groups=groups, task=task)
    for note in notes:
        reporter.say(note)
    folder = run_folder.claim(out, title, False)
    config, chosen = _evaluation(found.task, recipe, settings, metrics, plugins)
    return evaluate_foreign(folder, found, metadata, notes, title, chosen, config, reporter)


def compare_runs(
    runs: Sequence[str | Path] | Mapping[str, Predictions],
    *,
    out: str | Path,
    recipe: str = STANDARD,
    settings: Mapping[str, Any] | None = None,
    metrics: Any = None,
    plugins: Registry | None = None,
) -> dict[str, Any]:
    """Compare finished runs, or predictions by name, on the same test images, pair by pair.

    Returns:
        The content of ``comparison.json``; see :func:`medplug.evaluation.compare`.

    Raises:
        DataError: the test images or their labels differ.
    """
    if not isinstance(runs, Mapping):
        runs = {name: load_run(path, plugins=plugins).predictions() for name, path in _short_names(runs).items()}
    if len(runs) < 2:
        raise UsageError("a comparison needs at least two runs")
    config, chosen = _evaluation(next(iter(runs.values())).task, recipe, settings, metrics, plugins)
    return compare_into(run_folder.claim(out, "comparison", False), runs, chosen, config.evaluation, config.seed)


def _evaluation(
    task: Task, recipe: str, settings: Mapping[str, Any] | None, metrics: Any, plugins: Registry | None
) -> tuple[Config, dict[str, Any]]:
    """The configuration of an evaluation without training, and the metrics for its task by name."""
    pipeline = Pipeline(recipe=recipe, settings=settings or {}, metrics=metrics, plugins=plugins)
    config = pipeline.config()
    made = config.make_all("metric", pipeline.registry(), task)
    return config, named_metrics([(name, metric) for name, metric in made if task in metric.tasks])


def _short_names(runs: Sequence[str | Path]) -> dict[str, str | Path]:
    """The folders by their names, or by their whole paths where names repeat."""
    short = [Path(run).name for run in runs]
    found = {str(run) if short.count(name) > 1 else name: run for name, run in zip(short, runs, strict=True)}
    if len(found) != len(runs):
        raise UsageError("a run is named twice")
    return found


def make(kind: str, name: str, **parameters: Any) -> Any:
    """A component by name: ``make("loss", "focal", gamma=3)``."""
    return registry().make(kind, name, **parameters)


def build_network(
    architecture: Any,
    *,
    classes: int,
    size: int | None = None,
    seed: int = 0,
    plugins: Registry | None = None,
    **parameters: Any,
) -> BuiltNetwork:
    """A network in eval mode.

    ``net(x)``, ``net.features(x)`` and ``net.classify(f)`` take ``x`` ``[B, H, W, C]`` float32, standardised;
    ``net.preprocessing`` says how, and ``net.standardise`` does it for uint8 images.

    Args:
        architecture: a name, or an instance.
        classes: number of outputs.
        size: edge of the input; by default the architecture's own.
        seed: of initial values.
        plugins: the registry.
        parameters: of the architecture, such as ``weights``.
    """
    if isinstance(architecture, str):
        parameters = {k: str(v) if isinstance(v, Path) else v for k, v in parameters.items()}
        architecture = (registry() if plugins is None else plugins).make("architecture", architecture, **parameters)
    elif parameters:
        raise UsageError(f"parameters {sorted(parameters)} belong into the architecture's own constructor")
    preprocessing = architecture.preprocessing
    edge = size or preprocessing.size
    return build(architecture, (edge, edge, preprocessing.channels), classes, seed)


def _all_names(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value))


def _instance(value: Any) -> Any:
    return None if value is None or isinstance(value, str) else value


def _from_table(table: Any, folder: Path) -> str:
    """The table as a CSV file in the run folder; from there on it is data like any other."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data.csv"
    write_table(table, path)
    return str(path)
