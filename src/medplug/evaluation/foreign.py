"""Predictions and labels of other tools: read as they come, and matched sample by sample."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medplug.data.split import group_of
from medplug.errors import DataError, UsageError, did_you_mean
from medplug.evaluation.pairing import label_rows
from medplug.evaluation.sheets import LabelTable, Sheet, is_missing, listed, number, place, read_sheet
from medplug.evaluation.tables import RESERVED, PredictionTable
from medplug.values import Index, Predictions, Task

LABEL_COLUMNS = ("label", "class")
_TOLERANCE = 1e-3  # of the sum of a row in a multi-class task
_ROUNDED_TOLERANCE = 0.05  # the same at most, for probabilities with few digits
_EMPTY = "no number there: every sample needs a probability for every class"
_OUTSIDE = (
    "is no probability, which lies between 0 and 1: divide percentages by 100, and put scores (logits) through a softmax, "
    "or a sigmoid for multi-label tasks"
)


def read_predictions(path: str | Path) -> PredictionTable:
    """Read ``sample`` and one column of probabilities per class from a file of any tool.

    ``SAMPLE`` is understood too. The separator is a comma, semicolon or tab, whichever makes ``sample`` a column; with
    the last two numbers may have a decimal comma. Text is UTF-8 (or UTF-16 with its mark), else Latin-1. Columns whose
    name begins with ``medplug:`` are left alone. Empty cells become NaN, which :func:`match` refuses.

    Raises:
        DataError: not such a table; the message names file, line and column.
    """
    sheet = read_sheet(Path(path))
    kept = [name for name in sheet.columns if not name.startswith(RESERVED)]
    if not kept:
        raise DataError(f"{path}: there are no probabilities beside the sample: one column per class, named as it is")
    probabilities = np.empty((len(sheet.samples), len(kept)))
    for column, name in enumerate(kept):
        probabilities[:, column] = [_probability(sheet, row, name) for row in range(len(sheet.samples))]
    return PredictionTable(sheet.samples, tuple(kept), probabilities, str(path), sheet.lines, sheet.notes)


def read_labels(path: str | Path) -> LabelTable:
    """Read ``sample`` and any other columns; the file may look as in :func:`read_predictions`.

    Raises:
        DataError: not such a table; the message names file and line.
    """
    sheet = read_sheet(Path(path))
    return LabelTable(sheet.samples, sheet.columns, str(path), sheet.lines, sheet.decimal_comma, sheet.notes)


def match(
    predictions: PredictionTable,
    labels: LabelTable,
    *,
    groups: Sequence[str] = (),
    task: Task | None = None,
) -> tuple[Predictions, dict[str, np.ndarray], list[str]]:
    """Predictions with the labels of their samples.

    Args:
        predictions: in whose order samples and classes are returned.
        labels: of the same samples.
        groups: columns of the labels; samples that share a value of any of them belong together. An empty cell is no
            group.
        task: None is multi-class where every sample has exactly one label, else multi-label.

    Returns:
        The predictions with targets (and groups); the columns of the labels that are neither labels nor groups, by
        name, ``[N]`` float64 with NaN for gaps where all other cells are numbers, else text; and notes for the user.

    Raises:
        DataError: samples, classes, labels or probabilities that do not fit; the message names file, line and column.
        UsageError: a column or task that is not there.
    """
    groups = (groups,) if isinstance(groups, str) else tuple(groups)
    if task not in (None, "multiclass", "multilabel"):
        raise UsageError(f"the task is multiclass or multilabel, not {task!r}")
    _check(predictions)
    for name in groups:
        if name not in labels.columns:
            near = did_you_mean(name, labels.columns) or f" (there are {listed(labels.columns)})"
            raise UsageError(f"{labels.source}: there is no column {name!r} for the groups{near}")
    rows, notes = label_rows(predictions, labels)
    columns = {name: _texts(column, labels, name) for name, column in labels.columns.items()}
    found = _Labels(predictions, labels, rows, {name: [cells[r] for r in rows] for name, cells in columns.items()})
    targets, decided = found.targets(task, groups)
    if decided == "multiclass":
        notes += _check_sums(predictions)
    further = {n: c for n, c in found.columns.items() if n not in groups and n not in found.used}
    metadata = {name: _metadata(cells, labels.decimal_comma) for name, cells in further.items()}
    together = Predictions(
        predictions.samples, np.asarray(predictions.probabilities, np.float64), targets, predictions.classes, decided,
        _groups(predictions, targets, decided, {name: found.columns[name] for name in groups}),
    )  # fmt: skip
    return together, metadata, [*predictions.notes, *labels.notes, *notes, *found.notes]


# ------------------------------------------------------------ probabilities


def _probability(sheet: Sheet, row: int, name: str) -> float:
    cell = sheet.columns[name][row]
    value = number(cell, sheet.decimal_comma)
    if value is None:
        raise DataError(
            f"{sheet.path}, line {sheet.lines[row]}, column {name!r}: {cell!r} is not a number; beside the sample there "
            "must be probabilities only, one column per class (remove others)"
        )
    return value


def _check(table: PredictionTable) -> None:
    """Names once each, and every cell a probability."""
    values = np.asarray(table.probabilities, np.float64)
    if values.shape != (len(table.samples), len(table.classes)):
        expected = [len(table.samples), len(table.classes)]
        raise DataError(
            f"{table.source}: probabilities must be {expected} (samples, classes), not {list(values.shape)}"
        )
    if not len(table.samples):
        raise DataError(f"{table.source}: there is no sample")
    twice = [c for c in table.classes if table.classes.count(c) > 1]
    if twice:
        raise DataError(f"{table.source}: the class {twice[0]!r} has two columns")
    for wrong, what in ((np.isnan(values), _EMPTY), (~((values >= 0) & (values <= 1)), _OUTSIDE)):
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            where = f"{place(table, row)}, column {table.classes[column]!r}"
            more = f" (and {wrong.sum() - 1} more)" if wrong.sum() > 1 else ""
            value = "" if np.isnan(values[row, column]) else f"{values[row, column]:g} "
            raise DataError(f"{where}: {value}{what}{more}")


def _check_sums(table: PredictionTable) -> list[str]:
    """Refuse rows that are no distribution; a note where they are one only up to their few digits."""
    if len(table.classes) == 1:
        only = table.classes[0]
        raise DataError(
            f"{table.source}: {only!r} is the only class, but a multi-class task has two or more: add a column for the other "
            f"class (1 − {only}), or give the labels as a column {only!r} with 0 and 1 and say --task multilabel"
        )
    off = np.abs(table.probabilities.sum(1) - 1)
    tolerance = _sum_tolerance(table.probabilities)
    if (off > tolerance).any():
        row = int(np.argmax(off > tolerance))
        raise DataError(
            f"{place(table, row)}: the probabilities of {table.samples[row]!r} sum to {table.probabilities[row].sum():.4g}, "
            "but each sample has one label, so that they should sum to 1: if classes are judged one by one (sigmoid), say "
            "--task multilabel; if these are scores, put them through a softmax"
        )
    if (off > _TOLERANCE).any():
        return [f"{table.source}: rows sum to 1 only within {off.max():.2g}, as probabilities with few digits do"]
    return []


def _sum_tolerance(probabilities: np.ndarray) -> float:
    """How far rows may be from 1: rounding each of K numbers to d digits moves their sum by up to K / 2 · 10^-d."""
    for digits in (2, 3):
        if np.allclose(probabilities, probabilities.round(digits), rtol=0, atol=1e-9):
            rounded = probabilities.shape[1] / 2 * 10**-digits
            return max(_TOLERANCE, min(rounded, _ROUNDED_TOLERANCE)) + 1e-9
    return _TOLERANCE


# ------------------------------------------------------------ labels


class _Labels:
    """The labels of a table in the order of the predictions; ``used`` and ``notes`` fill as they are read."""

    def __init__(
        self, predictions: PredictionTable, labels: LabelTable, rows: list[int], columns: dict[str, list[str]]
    ) -> None:
        self.classes, self.probabilities = predictions.classes, predictions.probabilities
        self.predictions, self.table, self.rows, self.columns = predictions, labels, rows, columns
        self.used: set[str] = set()
        self.notes: list[str] = []

    def targets(self, task: Task | None, groups: tuple[str, ...]) -> tuple[np.ndarray, Task]:
        """``[N, K]`` float32 with NaN for unknown, and the task."""
        free = [n for n in self.columns if n not in groups and n not in self.classes]
        named = [n for n in free if n.casefold() in LABEL_COLUMNS]
        per_class = [c for c in self.classes if c in self.columns and c not in groups]
        if named:
            self.used |= {named[0], *per_class}
            if per_class:
                self.notes.append(
                    f"{self.table.source}: labels come from the column {named[0]!r}, not from one per class"
                )
            return self._of_names(named[0]), task or "multiclass"
        missing = [c for c in self.classes if c not in per_class]
        if missing:
            near = did_you_mean(missing[0], free)
            held = "; it has " + listed(free) if free else ""
            raise DataError(
                f"{self.table.source}: there is neither a column 'label' nor one column for each class of "
                f"{self.predictions.source}: {listed(missing)} {'is' if len(missing) == 1 else 'are'} missing{near or held}"
            )
        self.used |= set(per_class)
        targets = np.array([[self._known(row, c) for c in self.classes] for row in range(len(self.rows))], np.float32)
        return targets, self._task(targets, task)

    def _of_names(self, column: str) -> np.ndarray:
        by_name = {name: i for i, name in enumerate(self.classes)}
        values = [number(name, False) for name in self.classes]
        numbers = not any(value is None or np.isnan(value) for value in values)
        by_value = {value: i for i, value in enumerate(values)} if numbers else {}
        targets = np.zeros((len(self.rows), len(self.classes)), np.float32)
        for row, cell in enumerate(self.columns[column]):
            found = by_name.get(cell, by_value.get(number(cell, False)))
            if found is None:
                raise DataError(f"{self._place(row)}, column {column!r}: {self._why_not(cell)}")
            targets[row, found] = 1
        return targets

    def _why_not(self, cell: str) -> str:
        if is_missing(cell) and cell not in self.classes:
            return "the label is empty; remove the sample from both files, or fill it in"
        classes = f"the classes of {self.predictions.source} are {listed(self.classes)}"
        value = number(cell, False)
        if value is not None:
            return f"which class the number {cell} means is not known; write its name ({classes})"
        if all(part.strip() in self.classes for part in re.split(r"[+|,;/]", cell)):
            return f"{cell!r} are several labels, which need one column per class with 1 and 0 ({classes})"
        alike = [c for c in self.classes if c.casefold() == cell.casefold()]
        near = f"; did you mean {alike[0]!r}?" if alike else did_you_mean(cell, self.classes)
        return f"{cell!r} is no class: {classes}{near}"

    def _known(self, row: int, name: str) -> float:
        cell = self.columns[name][row]
        value = {"true": 1.0, "false": 0.0}.get(cell.casefold(), number(cell, self.table.decimal_comma))
        if value is None or not (np.isnan(value) or value in (0, 1)):
            raise DataError(
                f"{self._place(row)}, column {name!r}: {cell!r} must be 1 (present), 0 (absent) or empty (unknown)"
            )
        return value

    def _task(self, targets: np.ndarray, task: Task | None) -> Task:
        if task == "multilabel":
            return task
        single = targets.sum(1) == 1  # False where a label is unknown
        if single.all():
            return "multiclass"
        row = int(np.argmin(single))
        unknown = [c for c, t in zip(self.classes, targets[row], strict=True) if np.isnan(t)]
        what = f"the label {unknown[0]!r} is unknown" if unknown else f"there are {targets[row].sum():g} labels"
        if task == "multiclass":
            raise DataError(f"{self._place(row)}: {what}, but in a multi-class task each sample has exactly one")
        off = np.abs(self.probabilities.sum(1) - 1)
        if len(self.classes) > 1 and (off <= _TOLERANCE).all():
            raise DataError(
                f"{self._place(row)}: {what}, but the probabilities of every sample in {self.predictions.source} sum to 1, as in "
                "a multi-class task: does it lack the column of a class? If several labels (or none) are meant, say --task multilabel"
            )
        self.notes.append(f"a multi-label task, because {what} in {self._place(row)}")
        return "multilabel"

    def _place(self, row: int) -> str:
        return place(self.table, self.rows[row])


# ------------------------------------------------------------ other columns


def _texts(column: Sequence[Any], table: LabelTable, name: str) -> list[str]:
    cells = ["" if cell is None else str(cell).strip() for cell in column]
    if len(cells) != len(table.samples):
        raise DataError(f"{table.source}: column {name!r} has {len(cells)} cells for {len(table.samples)} samples")
    return cells


def _metadata(cells: list[str], decimal_comma: bool) -> np.ndarray:
    values = [number(cell, decimal_comma) for cell in cells]
    if None in values or all(is_missing(cell) for cell in cells):
        return np.array(cells, str)
    return np.array(values, np.float64)


def _groups(
    table: PredictionTable, targets: np.ndarray, task: Task, columns: dict[str, list[str]]
) -> np.ndarray | None:
    """One name per sample, empty where a cell is; columns that chain samples together are joined."""
    if not columns:
        return None
    named = {name: np.array(["" if is_missing(c) else c for c in cells], str) for name, cells in columns.items()}
    if len(named) == 1:
        return next(iter(named.values()))
    joined = group_of(Index(table.samples, table.samples, targets, table.classes, task, named))
    return None if joined is None else np.array([table.samples[row] for row in joined.tolist()], str)
