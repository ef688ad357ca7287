"""The Python door: compose a pipeline, fit it, open a run, build a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medplug.config import Config, load_recipe
from medplug.config.config import SECTION_OF, from_assignments
from medplug.data.arrays import ArrayReader
from medplug.errors import DataError, UsageError
from medplug.evaluation.foreign import match
from medplug.evaluation.scores import named_metrics
from medplug.evaluation.sheets import LabelTable
from medplug.evaluation.tables import PredictionTable
from medplug.model.network import BuiltNetwork, build
from medplug.pipeline import run_pipeline
from medplug.plugins.registry import Registry, registry
from medplug.progress import Reporter, quiet_reporter
from medplug.runs import folder as names
from medplug.runs.comparing import compare_into
from medplug.runs.foreign import evaluate_foreign
from medplug.runs.run import Run
from medplug.values import Predictions, Task

STANDARD = "standard"  # the name of the default recipe; a plugin ships it


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """One pipeline: a recipe, and what is different from it.

    Each component is a name, or an instance of a registered class or of your own.

    Args:
        recipe: name, or path of a TOML file.
        architecture, reader, loss, explainer: one component each.
        augmenters, metrics, observers: lists of components.
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
    explainer: Any = None
    augmenters: Sequence[Any] | None = None
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
    ) -> Run:
        """Train, evaluate and explain.

        Args:
            data: DATA as on the command line; a sequence of images with ``labels``; or a data frame with a
                column of image paths (absolute, or below ``reader.image_root``). None takes the recipe's own ``source``.
            labels: of images in memory, ``[N]`` or ``[N, K]``.
            out: folder of the run; by default a fresh one under ``runs/``.
            resume: go on with the run in ``out``.
            groups: ``[N]``, for images in memory: images with the same value stay in one split.
        """
        config = self.config()
        registry_ = self.registry()
        if data is None and not config.source:
            raise UsageError("no data: say what to train on; only a recipe with a source of its own runs without")
        data = config.source if data is None else data
        in_memory = not isinstance(data, (str, Path)) and not hasattr(data, "columns")
        if not in_memory and (labels is not None or groups is not None):
            raise UsageError(
                "labels= and groups= belong to images in memory; of a table name the columns: "
                "settings={'reader.label_column': …, 'reader.group_column': …}"
            )
        if in_memory and labels is None:
            raise DataError("images in memory need labels: fit(images, labels)")
        folder = names.claim(out, str(data) if isinstance(data, (str, Path)) else "memory", resume)
        reader = None
        if isinstance(data, (str, Path)):
            source: Any = str(data)
        elif hasattr(data, "columns"):
            source = _from_frame(data, folder)
            config = config.with_defaults("reader", image_root=str(Path.cwd()))
        else:
            reader = ArrayReader(data, labels, groups=groups)
            source = ("unregistered:arrays", reader, "arrays")
        try:
            run_pipeline(config, source, folder, registry_, self.reporter, resume)
        except BaseException:
            names.discard_empty(folder)
            raise
        return Run(folder, registry_, _instance(self.architecture), reader or _instance(self.reader), config)

    def registry(self) -> Registry:
        """The registry that names are looked up in."""
        return self.plugins if self.plugins is not None else registry()

    def _components(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture,
            "reader": self.reader,
            "loss": self.loss,
            "explainer": self.explainer,
            "augmenter": self.augmenters,
            "metric": self.metrics,
            "observer": self.observers,
        }


def load_run(
    folder: str | Path, *, architecture: Any = None, reader: Any = None, plugins: Registry | None = None
) -> Run:
    """Open a finished run; ``architecture`` and ``reader`` only where they were instances of your own unregistered classes."""
    return Run(folder, registry() if plugins is None else plugins, architecture, reader)


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
    folder = names.claim(out, title, False)
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
    return compare_into(names.claim(out, "comparison", False), runs, chosen, config.evaluation, config.seed)


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


def _from_frame(frame: Any, folder: Path) -> str:
    """The frame as a CSV file in the run folder; from there on it is data like any other."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "data.csv"
    if hasattr(frame, "write_csv"):  # polars
        frame.write_csv(path)
    elif hasattr(frame, "to_csv"):  # pandas
        frame.to_csv(path, index=False)
    else:
        raise DataError(f"{type(frame).__name__} has columns but can be written neither by write_csv nor by to_csv")
    return str(path)
