"""Benchmarks that are one ``medplug run``, read from ``experiments/*.toml``, and the published numbers."""

from __future__ import annotations

import csv
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from benchmarks.family import BenchmarkError, MissingDataError, Options
from benchmarks.records import ROOT

FOLDER = ROOT / "experiments"
PUBLISHED = ROOT / "published.csv"


@dataclass(frozen=True)
class Source:
    """Where the data come from: the publisher's page, what to cite, the licence as generally known, how to lay them out."""

    page: str
    citation: str
    licence: str
    preparation: str


@dataclass(frozen=True)
class Data:
    """What is expected.

    Attributes:
        path: folder or table below the data folder.
        task: ``multiclass`` or ``multilabel``.
        images: number of images.
        classes: images of each class, or with each label.
    """

    path: str
    task: Literal["multiclass", "multilabel"]
    images: int
    classes: Mapping[str, int]


@dataclass(frozen=True)
class RunPlan:
    """The options of ``medplug run``; None leaves one out.

    Attributes:
        seeds: one run each.
        recipe, architecture: by name.
        size: pixels.
        budget: minutes.
        settings: ``--set``.
    """

    seeds: tuple[int, ...]
    recipe: str | None = None
    architecture: str | None = None
    size: int | None = None
    budget: float | None = None
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Thumbnail:
    """What the linear floor sees: ``edge`` pixels squared, ``grey`` or ``rgb``."""

    edge: int
    colour: Literal["grey", "rgb"]


@dataclass(frozen=True)
class Experiment:
    """One file of ``experiments/``.

    Attributes:
        name: of the file.
        title: one line.
        group: ``paper`` (the nine published experiments) or ``small``.
        source, data, run: see there.
        thumbnail: of the linear floor; None for none.
        features: whether frozen features are a floor.
        published: experiment in ``published.csv``; None for none.
    """

    name: str
    title: str
    group: str
    source: Source
    data: Data
    run: RunPlan
    thumbnail: Thumbnail | None = None
    features: bool = False
    published: str | None = None

    def find(self, root: Path | None) -> Path:
        """The data below the folder ``root``.

        Raises:
            MissingDataError: they are not there.
        """
        if root is None:
            raise MissingDataError(f"{self.name}: no data folder; set MEDPLUG_DATA or --data DIR. {self.where()}")
        path = (root / self.data.path).resolve()
        if not path.exists():
            raise MissingDataError(f"{self.name}: data not here. {self.where()}")
        return path

    def where(self) -> str:
        """Where to get the data, in words."""
        source = self.source
        return f"Get them from {source.page} ({source.licence}; {source.citation}) as DIR/{self.data.path}. {source.preparation}"


def parse(name: str, text: str) -> Experiment:
    """One experiment from TOML.

    Raises:
        BenchmarkError: a key is missing or unknown.
    """
    try:
        tree = tomllib.loads(text)
        run = tree.pop("run")
        floors, published = tree.pop("floors", {}), tree.pop("published", {})
        thumbnail = floors.pop("thumbnail", None)
        return Experiment(
            name=name,
            source=Source(**tree.pop("source")),
            data=Data(**tree.pop("data")),
            run=RunPlan(seeds=tuple(run.pop("seeds")), **run),
            thumbnail=Thumbnail(**thumbnail) if thumbnail else None,
            published=published.pop("experiment", None),
            **floors,
            **published,
            **tree,
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise BenchmarkError(f"experiments/{name}.toml: {error}") from error


@cache
def experiments() -> dict[str, Experiment]:
    """All experiments by name: the paper's first."""
    found = [parse(path.stem, path.read_text("utf-8")) for path in FOLDER.glob("*.toml")]
    return {e.name: e for e in sorted(found, key=lambda e: (e.group, e.name))}


def names() -> dict[str, list[str]]:
    """Names by group."""
    groups: dict[str, list[str]] = {}
    for experiment in experiments().values():
        groups.setdefault(experiment.group, []).append(experiment.name)
    return groups


def describe(name: str, options: Options) -> str:
    """A few lines on one experiment: what it is, and whether its data are here."""
    experiment = experiments()[name]
    data = experiment.data
    head = f"{name}: {experiment.title}; {data.images} images, {len(data.classes)} classes"
    try:
        state = f"data here: {experiment.find(options.data)}"
    except MissingDataError:
        state = f"data not here. {experiment.where()}"
    return (
        f"{head}\n{textwrap.fill(state, 110, initial_indent='    ', subsequent_indent='    ', break_on_hyphens=False)}"
    )


@cache
def _published_rows() -> tuple[dict[str, str], ...]:
    with PUBLISHED.open(encoding="utf-8", newline="") as stream:
        return tuple(csv.DictReader(stream))


def published(experiment: str) -> dict[tuple[str, str], float]:
    """Published values by (class, metric); ``macro`` and ``all`` stand where a class would.

    Metrics are named as medplug's. ``accuracy_ovr`` is the paper's accuracy: one class against the rest, then the
    mean over classes. ``roc_auc_sd`` and the like are standard deviations over classes, not over runs.
    """
    rows = [row for row in _published_rows() if row["experiment"] == experiment]
    return {(row["class"], row["metric"]): float(row["value"]) for row in rows}
