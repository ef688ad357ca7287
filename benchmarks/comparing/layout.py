"""The split that all rivals get, and the images as the network sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparing.plan import BACKBONE, STANDARD
from benchmarks.experiments import Experiment
from benchmarks.family import BenchmarkError
from medplug import Pipeline
from medplug.data.split import group_of
from medplug.evaluation.tables import read_predictions
from medplug.files import read_json, write_json
from medplug.pipeline import prepare
from medplug.plugins.registry import Registry, registry
from medplug.progress import quiet_reporter
from medplug.runs import folder as run_files
from medplug.runs.prepared import Prepared
from medplug.values import Task

SPLIT, TRUTH = "split.csv", "truth.json"


@dataclass(frozen=True)
class Truth:
    """Who is in which part of a set, and what is known of everybody.

    Attributes:
        file: the ``split.csv``; every rival is given this one.
        table: its content.
        classes: K names.
        task: ``multiclass`` or ``multilabel``.
        groups: ``[N]`` str, whom a bootstrap must not tear apart; None without groups.
        split_hash: tells splits apart.
    """

    file: Path
    table: run_files.SplitTable
    classes: tuple[str, ...]
    task: Task
    groups: np.ndarray | None
    split_hash: str

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """The row of each sample."""
        return {name: row for row, name in enumerate(self.table.samples)}

    def rows(self, part: str) -> np.ndarray:
        """The rows of one part, ``[n]`` int64."""
        return np.flatnonzero(np.array(self.table.parts) == part)

    def answers(self, part: str) -> tuple[np.ndarray, np.ndarray | None]:
        """Targets ``[n, K]`` float32 and groups ``[n]`` of one part, in the order of the table."""
        rows = self.rows(part)
        return self.table.targets[rows], None if self.groups is None else self.groups[rows]

    def probabilities(self, file: Path, part: str) -> np.ndarray:
        """What a table of predictions says, ``[n, K]`` float64 in the order of the table.

        Raises:
            BenchmarkError: the table has other samples or classes than the part.
        """
        found = read_predictions(file)
        wanted = [self.table.samples[row] for row in self.rows(part)]
        if sorted(found.samples) != sorted(wanted) or sorted(found.classes) != sorted(self.classes):
            raise BenchmarkError(f"{file}: its samples or classes are not those of the {part} part of {self.file}")
        place = {name: row for row, name in enumerate(found.samples)}
        columns = [found.classes.index(name) for name in self.classes]
        return found.probabilities[[place[name] for name in wanted]][:, columns]


def reader_settings(experiment: Experiment, source: str | Path) -> dict[str, Any]:
    """The reader by name, so that no recipe chooses another one, and its parameters."""
    reader = "csv" if str(source).endswith(".csv") else "folder"
    return {"reader.use": reader, **(experiment.run.settings or {})}


def lay_out(
    experiment: Experiment, source: str | Path, seed: int, home: Path, plugins: Registry | None = None,
    recipe: str = STANDARD,
) -> Truth:  # fmt: skip
    """The split that the recipe draws with this seed, made once and kept in ``home``.

    Groups, duplicates and samples that are left out are those of the recipe. The split goes by the pixels of the
    files, so that it is the same at every size.
    """
    if not (home / TRUTH).exists():
        size = experiment.run.size or 0
        made, _ = prepared(experiment, source, seed, size, plugins=plugins, recipe=recipe)
        run_files.write_split(home / SPLIT, made.index, made.split, made.keys)
        groups = group_of(made.index, "respect")
        known = None if groups is None else [str(group) for group in groups]
        found = {"classes": made.index.classes, "task": made.index.task, "groups": known, "hash": made.split_hash}
        write_json(home / TRUTH, found)
    return read_truth(home)


def read_truth(home: Path) -> Truth:
    """What :func:`lay_out` left in a folder."""
    found = read_json(home / TRUTH)
    classes, groups = tuple(found["classes"]), found["groups"]
    table = run_files.read_split(home / SPLIT, classes)
    groups = None if groups is None else np.array(groups)
    return Truth(home / SPLIT, table, classes, found["task"], groups, found["hash"])


def prepared(
    experiment: Experiment, source: str | Path, seed: int, size: int, *, split: Path | None = None,
    plugins: Registry | None = None, recipe: str = STANDARD,
) -> tuple[Prepared, Any]:  # fmt: skip
    """Read, check and divide a set as a run of the recipe would, by the ``split`` where one is given; no training.

    Returns:
        The images, and the backbone with its pretrained weights.
    """
    known = registry() if plugins is None else plugins
    settings = reader_settings(experiment, source) | ({} if split is None else {"split.file": str(split)})
    architecture = experiment.run.architecture or BACKBONE
    pipeline = Pipeline(
        recipe=recipe, architecture=architecture, settings=settings, seed=seed, size=size, plugins=plugins
    )
    config = pipeline.config()
    _, backbone = config.make("architecture", known)
    return prepare(config, str(source), backbone, known, quiet_reporter()), backbone


def pictures(made: Prepared, truth: Truth) -> np.ndarray:
    """The images in the order of the truth's table, ``[N, S, S, C]`` uint8 at the size of the network's input."""
    stored = {name: row for row, name in enumerate(made.index.samples)}
    return made.store.take(np.array([stored[name] for name in truth.table.samples]))
