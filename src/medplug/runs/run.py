"""A finished run, opened from Python: predict, evaluate and explain with it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from medplug.config import Config
from medplug.config.config import SECTION_OF, from_assignments
from medplug.config.files import parse_recipe
from medplug.data.batches import Loader
from medplug.data.decode import check_pixels, to_input
from medplug.data.preprocess import Preprocessors
from medplug.data.split import group_of
from medplug.data.store import PixelStore
from medplug.errors import RunError, UsageError
from medplug.evaluation.aggregate import by_group
from medplug.evaluation.decision import DecisionRules
from medplug.evaluation.scores import named_metrics
from medplug.evaluation.tables import read_predictions
from medplug.files import read_json
from medplug.images import ImageError, load_image
from medplug.model.apply import Outputs, outputs, outputs_function
from medplug.model.network import BuiltNetwork
from medplug.plugins.registry import Registry
from medplug.progress import Reporter, quiet_reporter
from medplug.runs import folder as names
from medplug.runs.elsewhere import evaluate_data
from medplug.runs.evaluating import Part, decide, evaluate_into, note_changes, read_rules, refuse_rules, save_rules
from medplug.runs.explaining.album import Explained
from medplug.runs.explaining.asked import Explanations, explain_with
from medplug.runs.independence import stored_independence, stored_index
from medplug.runs.inputs import Readers, Stored, expand, groups_of, nothing_readable
from medplug.runs.model import ModelCard, load_card, load_network, load_preprocessors
from medplug.runs.reporting import write_report
from medplug.seeds import child_seed
from medplug.values import Index, Predictions, Skipped


def _unregistered(config: Config) -> list[str]:
    """The metrics that were instances of classes that no registry knows, by the name that stands in their place."""
    uses = config.uses("metric")
    named = uses if isinstance(uses, (list, tuple)) else ()
    return [use for use in named if isinstance(use, str) and use.startswith("unregistered:")]


class Run:
    """The folder of a finished run.

    Attributes:
        folder: where it lies.
        card: classes, task, architecture, preprocessing.
        skipped: images that the last ``predict`` or ``explain`` could not read.
        explained_into: folder of the pictures of the last ``explain``.
        evaluated_into: folder of the files of the last ``evaluate``.
    """

    def __init__(
        self,
        folder: str | Path,
        registry: Registry,
        architecture: Any = None,
        reader: Any = None,
        config: Config | None = None,
        preprocessors: Sequence[Any] = (),
    ) -> None:
        self.folder = Path(folder)
        self.card: ModelCard = load_card(self.folder)
        self.skipped: tuple[Skipped, ...] = ()
        self.explained_into = self.folder / names.EXPLANATIONS
        self.evaluated_into = self.folder
        self._registry, self._architecture, self._reader = registry, architecture, reader
        self._own_preprocessors = preprocessors
        if config is not None:  # with instances of the user's own, which no file can hold
            self.config = config

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.card.architecture}, {len(self.classes)} classes)"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probability columns."""
        return self.card.classes

    @property
    def task(self) -> str:
        """``multiclass`` or ``multilabel``."""
        return self.card.task

    @property
    def metrics(self) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        return read_json(self.folder / names.METRICS)

    @property
    def history(self) -> list[dict[str, Any]]:
        """One row per epoch."""
        return names.read_history(self.folder / names.HISTORY)

    @cached_property
    def config(self) -> Config:
        """The configuration that the run used."""
        path = self.folder / names.CONFIG
        return Config.from_layers(parse_recipe(path.read_text("utf-8"), str(path)))

    @cached_property
    def network(self) -> BuiltNetwork:
        """The network with its trained weights."""
        return load_network(self.folder, self.card, self._registry, self.preprocessors, self._architecture)

    @cached_property
    def preprocessors(self) -> Preprocessors:
        """What brings images to the form that the network was trained with."""
        return load_preprocessors(self.folder, self.card, self._registry, self._own_preprocessors)

    # ------------------------------------------------------------ predicting

    def predict(
        self,
        images: Any,
        batch_size: int = 32,
        groups: Mapping[str, str] | None = None,
        reporter: Reporter | None = None,
    ) -> Predictions:
        """Probabilities of new images, with the run's decisions in ``columns``.

        Args:
            images: arrays ``[*S, C]``, or one path or several: image files, folders, lists of paths (``@list``, ``*.txt``),
                tables and files of many images that a reader understands, ``READER:ARGUMENT``.
            batch_size: images at once.
            groups: the group (patient) of each image, by its name or path, or its file name alone; see :meth:`by_group`.
            reporter: shows progress; silent without one.

        Images that cannot be read are left out and listed in ``run.skipped``. No more than a few batches are held in
        memory.

        Raises:
            DataError: there is no readable image.
        """
        reporter = reporter or quiet_reporter()
        sources = list(expand(images, self.card.spatial, Readers(self._run_reader, self._registry)))
        tracked = iter(reporter.track(sources, "predicting", len(sources), "images"))
        self.skipped, names_, parts = (), [], []
        while chunk := list(itertools.islice(tracked, batch_size)):
            found, pixels, skipped = self._read(chunk)
            self.skipped += skipped
            names_ += [name for name, _ in found]
            if found:
                parts.append(self._outputs(np.stack(pixels), batch_size))
        if not names_:
            raise nothing_readable(self.skipped)
        together = Outputs(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        of_image = None if groups is None else groups_of(names_, groups)
        found = Predictions(tuple(names_), together.probabilities, None, self.classes, self.card.task, of_image)
        return replace(found, columns=self.decision.columns(found, together.energy, together.features))

    def by_group(self, predictions: Predictions) -> Predictions:
        """One prediction per group (patient), as the run's setting ``evaluation.aggregate`` says, with its decisions."""
        together = by_group(predictions, self.config.evaluation.aggregate)
        plain = Predictions(together.samples, together.probabilities, None, self.classes, self.card.task)
        return replace(plain, columns=self.decision.columns(plain))

    def _outputs(self, pixels: np.ndarray, batch_size: int) -> Outputs:
        """Outputs of images ``[N, *S, C]``; few images get a small batch, so that few shapes are compiled."""
        size = min(batch_size, 1 << (len(pixels) - 1).bit_length())
        rows = np.arange(len(pixels))
        loader = Loader(PixelStore(pixels), np.zeros((len(rows), 1), np.float32), rows, size)
        return outputs(self._forward, loader.once(), self.task)

    @cached_property
    def _forward(self) -> Any:
        return outputs_function(self.network, self.task)

    @cached_property
    def decision(self) -> DecisionRules:
        """What was decided on the validation part: thresholds, calibration, conformal sets, limits of novelty."""
        return read_rules(self.folder)

    def _read(
        self, sources: Iterable[tuple[str, Any]]
    ) -> tuple[list[tuple[str, Any]], list[np.ndarray], tuple[Skipped, ...]]:
        """(name, source) and pixels of the images that can be read, and the others."""
        found, pixels, skipped = [], [], []
        for name, source in sources:
            try:
                raw = check_pixels(source if isinstance(source, np.ndarray) else self._read_file(source), name)
                if raw.ndim != self.card.spatial + 1:
                    raise ImageError(
                        f"has {raw.ndim - 1} spatial axes; the run was trained on images with {self.card.spatial}"
                    )
                pixels.append(to_input(raw, self.preprocessors.decode, name))
                found.append((name, source))
            except ImageError as error:
                skipped.append(Skipped(name, str(error)))
        return found, pixels, tuple(skipped)

    def _read_file(self, path: str | Stored) -> np.ndarray:
        if isinstance(path, Stored):
            return path.load()
        reader = self._run_reader()
        return reader.load(path) if getattr(reader, "loads_files", False) else load_image(path)

    def _run_reader(self) -> Any:
        if self._reader is None and not self.card.reader.startswith("unregistered:"):
            section = {"reader": {"use": self.card.reader, **self.card.reader_parameters}}
            self._reader = Config.from_layers(section).make("reader", self._registry)[1]
        return self._reader

    # ------------------------------------------------------------ evaluating

    def evaluate(
        self,
        data: str | Path | None = None,
        *,
        out: str | Path | None = None,
        settings: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
    ) -> dict[str, Any]:
        """Score the stored predictions again, or other labelled data.

        Args:
            data: labelled data with classes of the run, as ``Pipeline.fit`` takes them; None scores the run's own
                test part again, into the run folder, with thresholds and calibration decided again on validation.
            out: folder for the files of other data; by default a fresh one under ``evaluations/`` in the run.
            settings: changes to the run's configuration: ``{"evaluation.thresholds": "sensitivity"}``.
            reporter: tells what happens.

        Returns:
            The content of the ``metrics.json`` that was written; ``run.evaluated_into`` is its folder.
        """
        reporter = reporter or quiet_reporter()
        config = self._changed(settings or {})
        metrics = self._metrics(config)
        if data is None:
            self.evaluated_into = self.folder
            return self._evaluate_again(config, metrics, reporter)
        refuse_rules(settings or {}, self.folder)
        folder = names.claim(out, str(data), False) if out else names.fresh(self.folder / names.EVALUATIONS, str(data))
        self.evaluated_into = folder
        try:
            return evaluate_data(
                self.folder, self.card, self.preprocessors.decode, self._forward, self.decision, metrics, str(data), config, self._registry,
                folder, reporter,
            )  # fmt: skip
        except BaseException:
            names.discard_empty(folder)
            raise

    def _evaluate_again(self, config: Config, metrics: dict[str, Any], reporter: Reporter) -> dict[str, Any]:
        test, validation = self._part("test"), self._part("validation")
        before, novelty = self._decided_before(reporter)
        rules = decide(validation, None, config.evaluation, child_seed(config.seed, "decision"), before)
        figures = evaluate_into(
            self.folder, test, metrics, config.evaluation, seed=config.seed, rules=rules,
            independence=stored_independence(self.folder, self.card), validation=validation, reporter=reporter,
            novelty=novelty,
        )  # fmt: skip
        note_changes(self.folder, self.config.evaluation, config.evaluation)
        save_rules(self.folder, rules)
        self.decision = rules  # what predict applies from now on
        write_report(self.folder, metrics)
        return figures

    def _decided_before(self, reporter: Reporter) -> tuple[DecisionRules | None, dict[str, Any] | None]:
        """The rules so far, whose limits of novelty are kept, and the test part's analysis of novelty; None where lost."""
        try:
            before = self.decision
        except RunError as error:
            reporter.warn(
                f"{str(error).partition(';')[0]}; all is decided anew but the limits that tell unlike inputs, which need "
                "the training images: predict flags none until the run is trained again"
            )
            return None, None
        path = self.folder / names.ANALYSIS
        return before, read_json(path).get("novelty") if path.exists() else None

    def write_report(self) -> Path:
        """Write the report, the model card and the figures again from the files of the run; returns the page's path."""
        if not (self.folder / names.ANALYSIS).exists():
            raise RunError(f"{self.folder} has not been evaluated by this version: medplug evaluate {self.folder}")
        config, lost = self.config, _unregistered(self.config)
        if lost:  # only what metrics say in plain words is asked of them
            config = config.with_components("metric", [use for use in config.uses("metric") if use not in lost])
        return write_report(self.folder, self._metrics(config))

    def predictions(self, part: str = "test") -> Predictions:
        """The stored predictions of a part, with labels and groups from ``split.csv``."""
        return self._part(part).predictions

    def _part(self, part: str) -> Part:
        if part not in names.PREDICTIONS:
            raise UsageError(f"predictions are stored of {' and '.join(names.PREDICTIONS)}, not of {part!r}")
        table = read_predictions(self.folder / names.PREDICTIONS[part])
        split = names.read_split(self.folder / names.SPLIT, self.classes)
        row_of = {name: i for i, name in enumerate(split.samples)}
        unknown = [s for s in table.samples if s not in row_of]
        if unknown or table.classes != self.classes:
            what = f"samples such as {unknown[0]!r}" if unknown else f"classes {table.classes}"
            raise RunError(f"{self.folder}: predictions and split.csv do not belong together ({what})")
        rows = [row_of[s] for s in table.samples]
        groups = group_of(self._index(), self.config.split.groups)
        found = Predictions(
            table.samples, table.probabilities, split.targets[rows], self.classes, self.card.task,
            None if groups is None else groups[rows].astype(str),
        )  # fmt: skip
        return Part(found, {name: column[rows] for name, column in split.metadata.items()})

    def _index(self) -> Index:
        return stored_index(self.folder, self.card)[0]

    def _changed(self, settings: Mapping[str, Any]) -> Config:
        if not settings:
            return self.config
        path = self.folder / names.CONFIG
        given = from_assignments(dict(settings))
        config = Config.from_layers(parse_recipe(path.read_text("utf-8"), str(path)), given)
        # Instances of the user's own, which the file can only name.
        own = {
            kind: choice
            for kind, choice in self.config.choices.items()
            if SECTION_OF[kind] not in given
            and isinstance(choice.use, tuple)
            and not all(isinstance(use, str) for use in choice.use)
        }
        return replace(config, choices={**config.choices, **own})

    def _metrics(self, config: Config) -> dict[str, Any]:
        lost = _unregistered(config)
        if lost:
            raise UsageError(
                f"the metric {lost[0].partition(':')[2]} was an instance of a class that is not registered, and a run folder "
                "cannot hold it: name the metrics to use with metric.use"
            )
        made = config.make_all("metric", self._registry, self.task)
        return named_metrics([(name, metric) for name, metric in made if self.task in metric.tasks])

    # ------------------------------------------------------------ explaining

    def explain(
        self,
        images: Any = None,
        method: Any = None,
        out: str | Path | None = None,
        reporter: Reporter | None = None,
        *,
        classes: str | Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        sheets: bool = False,
    ) -> list[Explained]:
        """Draw maps of the most probable class (multi-label: of every class from 0.5 on, or the most probable one).

        Maps that are in the folder already, of the same image, class, method, parameters and weights, are not made again.

        Args:
            images: as in :meth:`predict`; None takes the sample of the test split that the report shows.
            method: name or instance of an explainer, or several; None takes the run's own.
            out: folder for the pictures; None is ``explanations/METHOD`` in the run folder. Several methods get a folder
                each in it.
            reporter: tells what happens.
            classes: name of the class to explain, or several, or ``"all"``; None takes the predicted ones.
            settings: ``{"rendering.style": "contour", "explainer.occlusion.size": 24}``.
            sheets: also draw contact sheets, one or more a class.

        Returns:
            The maps, with raw values and pictures; all of them in memory, unlike :meth:`explain_into`.
        """
        return self.explain_into(
            images, method, out, reporter, classes=classes, settings=settings, sheets=sheets
        ).load()

    def explain_into(
        self,
        images: Any = None,
        method: Any = None,
        out: str | Path | None = None,
        reporter: Reporter | None = None,
        *,
        classes: str | Sequence[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        sheets: bool = False,
    ) -> Explanations:
        """The same for any number of images: a few at a time are in memory, and what is returned says where files lie."""
        return explain_with(self, images, method, out, classes, settings or {}, sheets, reporter or quiet_reporter())
