"""The names of the files in a run folder, and the rule that a folder is never overwritten."""

from __future__ import annotations

import csv
import datetime
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medplug.errors import RunError, UsageError
from medplug.files import atomic
from medplug.values import Index, Split

CONFIG, MANIFEST, CHECKS, SPLIT = "config.toml", "manifest.json", "checks.json", "split.csv"
PLAN, RATES = "plan.json", "lr_find.json"
HISTORY, METRICS, REPORT, MODEL = "history.csv", "metrics.json", "report.html", "model.json"
WEIGHTS, CHECKPOINTS, EXPLANATIONS = "weights.safetensors", "checkpoints", "explanations"
ANALYSIS, DECISION, REFERENCE = "analysis.json", "decision.json", "novelty.safetensors"
TABLES, FIGURES, ERRORS, EVALUATIONS = "tables", "figures", "errors", "evaluations"
FAITHFULNESS = "faithfulness.json"
CARD, CHECKLIST, GROUPS = "card.md", "checklist.md", "predictions.groups.csv"
HASH_LENGTH = 16  # hexadecimal digits: enough to tell the images of any data set apart
_NAME_LENGTH = 60  # characters of a default folder's name; DATA may be named longer than file systems allow
PREDICTIONS = {"test": "predictions.csv", "validation": "predictions.validation.csv"}


def claim(out: str | Path | None, source: str, resume: bool) -> Path:
    """The folder of a run; the first file makes one that was named. Without ``out`` a fresh one under ``runs/``, named by data and time.

    Raises:
        UsageError: it holds something already and ``resume`` is off, or it cannot be written.
    """
    if out is None:
        if resume:
            raise UsageError("--resume needs --out: the folder of the run to go on with")
        return fresh(Path("runs"), source)
    folder = Path(out)
    try:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--out {folder}: is a file")
        if folder.is_dir() and any(folder.iterdir()) and not resume:
            raise UsageError(f"--out {folder}: the folder is not empty; choose another one, or go on with --resume")
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot be written: {error.strerror}") from None
    rights = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK, **rights):
        reason = "permission denied" if there.is_dir() else "not a folder"
        raise UsageError(f"--out {folder}: cannot be written: {there}: {reason}")
    return folder


def fresh(parent: Path, source: str) -> Path:
    """A folder named by data and time, made for this run alone, also where several start in the same second."""
    stem = re.sub(r"[^A-Za-z0-9]+", "-", Path(source).name or source).strip("-")[:_NAME_LENGTH] or "run"
    wanted = parent / f"{stem}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1, 1000):
        folder = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(
                f"{folder}: cannot be written: {error.strerror}; choose another folder with --out"
            ) from None
        return folder
    raise UsageError(f"{wanted}: there are too many runs of this name; choose a folder with --out")


def discard_empty(folder: Path) -> None:
    """Remove a run folder, and ``runs/`` around it, if nothing was written into it."""
    for place in (folder, folder.parent if folder.parent.name == "runs" else folder):
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()


@dataclass(frozen=True)
class SplitTable:
    """The content of ``split.csv``.

    Attributes:
        samples: N names.
        parts: N of ``train``, ``validation``, ``test`` or ``""``.
        targets: ``[N, K]`` float32, NaN for unknown.
        groups: columns by name.
        pixels: the beginning of each image's hash, empty where it was not written.
        metadata: further columns by name, float64 with NaN for gaps where every cell is a number, else text.
    """

    samples: tuple[str, ...]
    parts: tuple[str, ...]
    targets: np.ndarray
    groups: dict[str, np.ndarray]
    metadata: dict[str, np.ndarray]
    pixels: tuple[str, ...] = ()


def write_split(path: Path, index: Index, split: Split, pixels: Sequence[str] = ()) -> None:
    """``sample,split``, the hash of the pixels where it is known, then ``label`` (multi-class) or one ``label:NAME`` column a label, then one ``group:NAME`` column a group and one ``metadata:NAME`` column each."""
    multiclass = index.task == "multiclass"
    labels = ["label"] if multiclass else [f"label:{c}" for c in index.classes]
    with atomic(path, errors="surrogateescape") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        further = [*(f"group:{g}" for g in index.groups), *(f"metadata:{m}" for m in index.metadata)]
        columns = [*index.groups.values(), *(_cells(column) for column in index.metadata.values())]
        hashed = ["pixels"] if pixels else []
        writer.writerow(["sample", "split", *hashed, *labels, *further])
        for row, (name, part) in enumerate(zip(index.samples, split.names(len(index)), strict=True)):
            if multiclass:
                cells = [index.classes[int(index.targets[row].argmax())]]
            else:
                cells = ["" if np.isnan(t) else f"{t:g}" for t in index.targets[row]]
            known = [pixels[row][:HASH_LENGTH]] if pixels else []
            writer.writerow([name, part, *known, *cells, *(column[row] for column in columns)])


def read_split(path: Path, classes: tuple[str, ...]) -> SplitTable:
    """Read what :func:`write_split` wrote."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except OSError:
        raise RunError(f"{path} is missing; the run did not get that far") from None
    if rows and "label" in rows[0]:
        number = {c: i for i, c in enumerate(classes)}
        targets = np.eye(len(classes), dtype=np.float32)[[number[r["label"]] for r in rows]]
    else:
        cells = [[r[f"label:{c}"] for c in classes] for r in rows]
        targets = np.array([[float(c) if c else np.nan for c in row] for row in cells], np.float32)
    groups = _columns(rows, "group:")
    metadata = {name: _numbers(column) for name, column in _columns(rows, "metadata:").items()}
    pixels = tuple(r["pixels"] for r in rows) if rows and "pixels" in rows[0] else ()
    return SplitTable(
        tuple(r["sample"] for r in rows), tuple(r["split"] for r in rows), targets, groups, metadata, pixels
    )


def _columns(rows: list[dict[str, str]], prefix: str) -> dict[str, np.ndarray]:
    names = [k for k in (rows[0] if rows else {}) if k.startswith(prefix)]
    return {k.removeprefix(prefix): np.array([r[k] for r in rows]) for k in names}


def _cells(column: np.ndarray) -> list[str]:
    """Text of a column of metadata; a gap in a column of numbers is empty."""
    return ["" if cell != cell else str(cell) for cell in column.tolist()]  # noqa: PLR0124 - NaN differs from itself


def _numbers(column: np.ndarray) -> np.ndarray:
    try:
        return np.array([float(cell) if cell else np.nan for cell in column.tolist()])
    except ValueError:
        return column


def write_history(path: Path, history: list[dict[str, object]]) -> None:
    """One row per epoch; rows of a run that was finished with other metrics may have other columns."""
    columns = list(dict.fromkeys(key for row in history for key in row)) or ["epoch"]
    with atomic(path) as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def read_history(path: Path) -> list[dict[str, object]]:
    """Rows of ``history.csv``, numbers as numbers."""
    with path.open(encoding="utf-8", newline="") as stream:
        return [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
