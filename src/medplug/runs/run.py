"""A finished run, opened from Python: predict, evaluate and explain with it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from medplug.config import Config
from medplug.config.files import parse_recipe
from medplug.data.arrays import with_channels
from medplug.data.batches import Loader
from medplug.data.decode import check_pixels, to_input
from medplug.data.split import group_of
from medplug.data.store import ImageFacts, PixelStore
from medplug.errors import DataError, RunError, UsageError
from medplug.evaluation.intervals import IntervalSettings
from medplug.evaluation.scores import named_metrics, score
from medplug.evaluation.tables import read_predictions
from medplug.files import read_json, write_json
from medplug.images import ImageError, load_image
from medplug.model.apply import predict
from medplug.model.network import BuiltNetwork
from medplug.plugins.registry import Registry
from medplug.progress import Reporter, quiet_reporter
from medplug.report.facts import ExplainedImage
from medplug.runs import folder as names
from medplug.runs.explaining import Wanted, explain_images
from medplug.runs.model import ModelCard, load_card, load_network
from medplug.seeds import child_seed
from medplug.values import Index, Predictions, Skipped

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


class Run:
    """The folder of a finished run.

    Attributes:
        folder: where it lies.
        card: classes, task, architecture, preprocessing.
        skipped: images that the last ``predict`` or ``explain`` could not read.
        explained_into: folder of the pictures of the last ``explain``.
    """

    def __init__(
        self,
        folder: str | Path,
        registry: Registry,
        architecture: Any = None,
        reader: Any = None,
        config: Config | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.card: ModelCard = load_card(self.folder)
        self.skipped: tuple[Skipped, ...] = ()
        self.explained_into = self.folder / names.EXPLANATIONS
        self._registry, self._architecture, self._reader = registry, architecture, reader
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
        return load_network(self.folder, self.card, self._registry, self._architecture)

    # ------------------------------------------------------------ predicting

    def predict(self, images: Any, batch_size: int = 32, reporter: Reporter | None = None) -> Predictions:
        """Probabilities of new images.

        Args:
            images: paths (folders are searched for image files), one path, or arrays ``[*S, C]``.
            batch_size: images at once.
            reporter: shows progress; silent without one.

        Images that cannot be read are left out and listed in ``run.skipped``.

        Raises:
            DataError: there is no readable image.
        """
        reporter = reporter or quiet_reporter()
        loaded, pixels = self._load(images, reporter)
        store = PixelStore(pixels, tuple(ImageFacts() for _ in loaded))
        rows = np.arange(len(loaded))
        loader = Loader(store, np.zeros((len(rows), 1), np.float32), rows, min(batch_size, len(rows)))
        batches = reporter.track(loader.once(), "predicting", len(loader), "batches")
        probabilities = predict(self.network, batches, self.task)
        return Predictions(tuple(name for name, _ in loaded), probabilities, None, self.classes, self.card.task)

    def _load(self, images: Any, reporter: Reporter) -> tuple[list[tuple[str, Any]], np.ndarray]:
        found, pixels, skipped = [], [], []
        sources = list(_expand(images, self.card.spatial))
        for name, source in reporter.track(sources, "reading images", len(sources), "images"):
            try:
                raw = check_pixels(source if isinstance(source, np.ndarray) else self._read_file(source), name)
                if raw.ndim != self.card.spatial + 1:
                    raise ImageError(
                        f"has {raw.ndim - 1} spatial axes; the run was trained on images with {self.card.spatial}"
                    )
                pixels.append(to_input(raw, self.card.decode))
                found.append((name, source))
            except ImageError as error:
                skipped.append(Skipped(name, str(error)))
        self.skipped = tuple(skipped)
        if not found:
            reasons = "; ".join(f"{s.name} ({s.reason})" for s in skipped[:5]) or "nothing was given"
            raise DataError(f"no image can be read: {reasons}")
        return found, np.stack(pixels)

    def _read_file(self, path: str) -> np.ndarray:
        reader = self._run_reader()
        return reader.load(path) if getattr(reader, "loads_files", False) else load_image(path)

    def _run_reader(self) -> Any:
        if self._reader is None and not self.card.reader.startswith("unregistered:"):
            section = {"reader": {"use": self.card.reader, **self.card.reader_parameters}}
            self._reader = Config.from_layers(section).make("reader", self._registry)[1]
        return self._reader

    # ------------------------------------------------------------ evaluating

    def evaluate(self, part: str = "test") -> dict[str, Any]:
        """Score the stored predictions of ``test`` or ``validation`` with the run's metrics; written to ``metrics.json``."""
        predictions = self.predictions(part)
        config = self.config
        made = config.make_all("metric", self._registry, self.task)
        metrics = named_metrics([(name, metric) for name, metric in made if self.task in metric.tasks])
        intervals = IntervalSettings(
            config.evaluation.resamples, config.evaluation.confidence, child_seed(config.seed, "bootstrap")
        )
        figures = score(predictions, metrics, intervals=intervals, split=part)
        stored = self.metrics if (self.folder / names.METRICS).exists() else {}
        write_json(self.folder / names.METRICS, {**stored, part: figures})
        return figures

    def predictions(self, part: str = "test") -> Predictions:
        """The stored predictions of a part, with labels and groups from ``split.csv``."""
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
        index = Index(split.samples, split.samples, split.targets, self.classes, self.card.task, split.groups)
        groups = group_of(index, self.config.split.groups == "respect")
        return Predictions(
            table.samples, table.probabilities, split.targets[rows], self.classes, self.card.task,
            None if groups is None else groups[rows].astype(str),
        )  # fmt: skip

    # ------------------------------------------------------------ explaining

    def explain(
        self, images: Any = None, method: Any = None, out: str | Path | None = None, reporter: Reporter | None = None
    ) -> list[ExplainedImage]:
        """Draw maps of the most probable class (multi-label: of every class from 0.5 on, or the most probable one).

        Args:
            images: as in :meth:`predict`; None takes the sample of the test split that the report shows.
            method: name or instance of an explainer; None takes the run's own.
            out: folder for the pictures; None is ``explanations/METHOD`` in the run folder.
            reporter: tells what happens.
        """
        config = self.config if method is None else self.config.with_components("explainer", method)
        explainer = config.make("explainer", self._registry, self.task)
        own = self.folder / names.EXPLANATIONS / explainer[0].rpartition(":")[2]
        self.explained_into = Path(out) if out else own
        reporter = reporter or quiet_reporter()
        reporter.say(f"explaining with {explainer[0]}")
        wanted, reader = self._of_test_split(config) if images is None else self._of_images(images, reporter)
        return explain_images(
            self.explained_into, config.rendering, reader, wanted, self.classes, self.network, explainer, config.seed
        )

    def _of_images(self, images: Any, reporter: Reporter) -> tuple[list[Wanted], Any]:
        loaded, pixels = self._load(images, reporter)
        rows = np.arange(len(loaded))
        loader = Loader(PixelStore(pixels, ()), np.zeros((len(rows), 1), np.float32), rows, min(32, len(rows)))
        probabilities = predict(self.network, loader.once(), self.task)
        wanted = []
        for number, (name, _) in enumerate(loaded):
            best = int(probabilities[number].argmax())
            over = np.flatnonzero(probabilities[number] >= 0.5).tolist()
            for c in over if self.task == "multilabel" and over else [best]:
                wanted.append(Wanted(name, str(number), pixels[number], c, c, (), float(probabilities[number, c])))
        return wanted, _Loaded(
            [source if isinstance(source, np.ndarray) else self._read_file(source) for _, source in loaded]
        )

    def _of_test_split(self, config: Config) -> tuple[list[Wanted], Any]:
        from medplug.explain.select import select_examples

        source = read_json(self.folder / names.MANIFEST)["argument"]
        reader = self._run_reader()
        if reader is None:
            raise UsageError("this run was trained on arrays; pass the images to explain")
        index = reader.index(source)
        row_of = {name: i for i, name in enumerate(index.samples)}
        predictions = self.predictions("test")
        wanted = []
        for example in select_examples(predictions, config.rendering, seed=child_seed(config.seed, "explanations")):
            sample = predictions.samples[example.row]
            if sample not in row_of:
                raise DataError(f"{source}: the test image {sample} is no longer there; pass the images to explain")
            uri = index.uris[row_of[sample]]
            labels = tuple(c for c, t in zip(self.classes, predictions.targets[example.row], strict=True) if t >= 0.5)  # type: ignore[index]
            pixels = to_input(check_pixels(reader.load(uri), sample), self.card.decode)
            probability = float(predictions.probabilities[example.row, example.explained])
            wanted.append(Wanted(sample, uri, pixels, example.shown_for, example.explained, labels, probability))
        return wanted, reader


class _Loaded:
    """Images in memory behind the method that drawing needs."""

    def __init__(self, images: Sequence[np.ndarray]) -> None:
        self._images = images

    def load(self, uri: str) -> np.ndarray:
        return self._images[int(uri)]


def _expand(images: Any, spatial: int) -> Iterable[tuple[str, Any]]:
    single = isinstance(images, np.ndarray) and (
        images.ndim == spatial or (images.ndim == spatial + 1 and images.shape[-1] in (1, 3, 4))
    )
    if isinstance(images, (str, Path)) or single:
        images = [images]
    for number, image in enumerate(images):
        if not isinstance(image, (str, Path)):
            yield str(number), with_channels(np.asarray(image), spatial)
            continue
        path = Path(image)
        if path.is_dir():
            inside = sorted(
                p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
            )
            yield from ((str(p), str(p)) for p in inside)
        else:
            yield str(path), str(path)
