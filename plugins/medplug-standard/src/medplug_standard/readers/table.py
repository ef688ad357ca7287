"""Reader ``csv``: a table of images with labels, groups and splits."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from medplug.plugins import DataError, Index, Skipped, component, load_image, param
from medplug_standard.readers import columns as col
from medplug_standard.readers.columns import Roles
from medplug_standard.readers.filematch import Finder, finders
from medplug_standard.readers.files import count, some, walk
from medplug_standard.readers.folder import case_notes
from medplug_standard.readers.tablefile import Table, is_missing, read_table

_NO_LABEL = "no label"
_SURENESS = {".csv": 0.9, ".tsv": 0.9, ".txt": 0.3}


@component
class Csv:
    """A separated text file with one row per image; the images lie beside it or in a folder below.

    Columns that are not named are guessed, and the guess is told in ``Index.notes``. The rules stand in
    :mod:`~medplug_standard.readers.filematch` (images) and :mod:`~medplug_standard.readers.columns` (all others).

    Labels: one column of classes (multi-class; several labels with ``|`` between make it multi-label), or several
    columns of 0 and 1 (multi-class if each row has exactly one 1, else multi-label; an empty cell or -1 is unknown).
    Classes are sorted as strings, as numbers if all of them are; several columns keep their order.

    Rows without a file, without a label, or whose image occurs again with another label are skipped with a reason.
    Row numbers count the header as row 1. Columns without another role become metadata.
    """

    loads_files = True

    image_column: str | None = param("column of image paths, names or ids; left out, it is guessed", default=None)
    label_column: str | None = param(
        "label column, or several with commas between (one-hot, multi-label); left out, guessed", default=None
    )
    group_column: str | None = param(
        "columns (commas between) of patient, lesion …; left out, guessed; '' for none", default=None
    )
    split_column: str | None = param("column of train, validation, test; left out, guessed; '' for none", default=None)
    image_root: str | None = param(
        "folder of the images, relative to that of the table; left out, it is guessed", default=None
    )
    separator: str | None = param("one character, or the word tab; left out, it is guessed", default=None)
    encoding: str | None = param("text encoding, e.g. latin-1; left out, it is guessed", default=None)
    pixels: Literal["faithful", "pillow"] = param(
        "with pillow, images are read as convert('RGB') does: 16 bits saturate, EXIF and alpha are ignored",
        default="faithful",
    )

    def can_read(self, source: str) -> float:
        """0.9 for a file named ``.csv`` or ``.tsv``, 0.3 for ``.txt``, else 0."""
        try:
            return _SURENESS.get(os.path.splitext(source)[1].lower(), 0.0) if Path(source).is_file() else 0.0
        except (OSError, ValueError):
            return 0.0

    def index(self, source: str) -> Index:
        """The rows whose image is there.

        Raises:
            DataError: an unreadable table, a column that is not there, images that are not there, labels that
                are none, or one class only.
        """
        path = Path(os.path.abspath(source))
        if os.path.isdir(path):  # unlike Path.is_dir it does not raise where a folder above is closed
            raise DataError(f"{source}: a folder; the reader 'csv' takes the table itself")
        table = read_table(path, self.separator, self.encoding)
        try:
            roles = self._roles(table, path)
            rows, skipped = _located(table, roles)
            labels = _read_labels(table, roles)
            return _build(table, roles, labels, rows, skipped)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None

    def load(self, uri: str) -> np.ndarray:
        """The pixels of one file, as :func:`medplug.plugins.load_image` reads them."""
        return load_image(uri, convert=self.pixels == "pillow")

    def _roles(self, table: Table, path: Path) -> Roles:
        asked = {
            name: col.named(table, getattr(self, name) or "", f"reader.{name}")
            for name in ("image_column", "label_column", "group_column", "split_column")
        }
        for name in ("image_column", "split_column"):
            if len(asked[name]) > 1:
                raise DataError(f"reader.{name}: one column is wanted, got {', '.join(asked[name])}")
        places = _places(path.parent, self.image_root)
        image, finder, how = col.find_images(table, places, self.image_column)
        taken = {image, *(name for names in asked.values() for name in names)}
        split = "".join(asked["split_column"])
        if self.split_column is None:
            split = col.guess_split(table, taken)
        groups, remarks = asked["group_column"], []
        if self.group_column is None:
            groups, remarks = col.guess_groups(table, taken | {split})
        labels, why = asked["label_column"], ""
        if not labels:
            labels, why = col.guess_labels(table, taken | {split, *groups})
        notes = self._told(path, image, finder, how, labels, why, groups, split)
        return Roles(image, finder, labels, groups, split, [*table.notes, *notes, *remarks])

    def _told(
        self,
        path: Path,
        image: str,
        finder: Finder,
        how: str,
        labels: tuple[str, ...],
        why: str,
        groups: tuple[str, ...],
        split: str,
    ) -> list[str]:
        def mark(value: str | None) -> str:
            return " (guessed)" if value is None else ""

        folder = os.path.relpath(finder.root, path.parent).replace(os.sep, "/")
        where = "beside the table" if folder == "." else f"in folder {folder}/"
        notes = [f"images from column {image!r}{mark(self.image_column)}, {where}{mark(self.image_root)}"]
        if how:
            notes[0] += f": {how}"
        word = "label from column" if len(labels) == 1 else "labels from columns"
        notes.append(f"{word} {some([repr(name) for name in labels], 20)}" + (f" ({why})" if why else ""))
        if groups:
            notes.append(f"groups from {', '.join(map(repr, groups))}{mark(self.group_column)}")
        if split:
            notes.append(f"given splits from column {split!r}{mark(self.split_column)}")
        return notes


def _places(base: Path, image_root: str | None) -> list[Finder]:
    if image_root is None:
        return finders(base)
    root = Path(os.path.abspath(base / image_root))
    if not root.is_dir():
        raise DataError(f"reader.image_root: no such folder: {root} (a relative one starts at the folder of the table)")
    return [Finder(root, [found.name for found in walk(root) if not found.problem])]


def _located(table: Table, roles: Roles) -> tuple[dict[str, list[int]], list[Skipped]]:
    """The rows of each image that is there, by its name; the rows without one."""
    rows: dict[str, list[int]] = defaultdict(list)
    skipped = []
    for i, value in enumerate(table.columns[roles.image]):
        match = roles.finder.find(value)
        if match.name:
            rows[match.name].append(i)
        else:
            skipped.append(Skipped(f"row {table.rows[i]}: {value}", match.reason, lost=True))
    if not rows:
        raise DataError(
            f"no row leads to an image in {roles.finder.root}; set reader.image_root or reader.image_column"
        )
    return rows, skipped


# ---------------------------------------------------------------- labels


@dataclass(frozen=True)
class _Labels:
    """Targets of every row of the table, ``[rows, K]``; a row of NaN has no label."""

    targets: np.ndarray
    classes: tuple[str, ...]
    note: str = ""


def _read_labels(table: Table, roles: Roles) -> _Labels:
    label, *more = roles.labels
    if more:
        return _from_columns(table, roles.labels)
    cells = table.columns[label]
    if any("|" in cell for cell in cells):
        return _from_lists(cells)
    classes = sorted_classes({cell for cell in cells if not is_missing(cell)})
    if len(classes) > 100 and len(classes) * 2 > len(cells):
        raise DataError(
            f"column {label!r} has {len(classes)} different values in {len(cells)} rows: "
            "not classes; set reader.label_column"
        )
    targets = np.full((len(cells), len(classes)), np.nan, np.float32)
    for i, cell in enumerate(cells):
        if not is_missing(cell):
            targets[i] = [cell == name for name in classes]
    return _Labels(targets, classes)


def _from_columns(table: Table, names: tuple[str, ...]) -> _Labels:
    targets = np.empty((len(table), len(names)), np.float32)
    for k, name in enumerate(names):
        for i, cell in enumerate(table.columns[name]):
            value = col.truth(cell)
            if value is None:
                raise DataError(
                    f"column {name!r}, row {table.rows[i]}: {cell!r}, but several label columns must hold 0 and 1 "
                    "(or nothing, for unknown)"
                )
            targets[i, k] = value
    return _Labels(targets, names)


def _from_lists(cells: list[str]) -> _Labels:
    lists = [[part.strip() for part in cell.split("|") if not is_missing(part.strip())] for cell in cells]
    classes = sorted_classes({part for parts in lists for part in parts})
    targets = np.full((len(cells), len(classes)), np.nan, np.float32)
    for i, parts in enumerate(lists):
        if parts:
            targets[i] = [name in parts for name in classes]
    return _Labels(targets, classes, "cells hold several labels with | between")


def sorted_classes(names: set[str]) -> tuple[str, ...]:
    """Class names in order: as numbers if all of them are, else as strings."""
    try:
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(names))


# ---------------------------------------------------------------- the index


def _build(table: Table, roles: Roles, labels: _Labels, rows: dict[str, list[int]], skipped: list[Skipped]) -> Index:
    given = col.splits_of(table, roles.split) if roles.split else []
    names, kept, repeats = [], [], 0
    for name, same in rows.items():
        problem = _conflict(table, roles, labels, given, same)
        if np.isnan(labels.targets[same[0]]).all() and not problem:
            problem = _NO_LABEL
        if problem:
            numbers = ", ".join(str(table.rows[i]) for i in same[:6])
            skipped.append(
                Skipped(f"row{'s' if len(same) > 1 else ''} {numbers}: {name}", problem, problem != _NO_LABEL)
            )
        else:
            names.append(name)
            kept.append(same[0])
            repeats += len(same) - 1
    targets = labels.targets[kept]
    multiclass = bool(kept) and bool(np.all(np.sum(targets, axis=1) == 1))  # NaN is not 1
    targets, classes = _check(targets, labels.classes, multiclass, skipped)
    notes = [*roles.notes, *_remarks(labels, multiclass, len(roles.labels) > 1, repeats, skipped, classes)]
    return Index(
        samples=tuple(names),
        uris=tuple(os.path.normpath(roles.finder.root / name) for name in names),
        targets=targets,
        classes=classes,
        task="multiclass" if multiclass else "multilabel",
        groups={name: _groups(table, name, kept) for name in roles.groups},
        metadata=_metadata(table, roles, kept),
        splits=np.array([given[i] for i in kept]) if given else None,
        skipped=tuple(skipped),
        notes=tuple(notes),
    )


def _conflict(table: Table, roles: Roles, labels: _Labels, given: list[str], same: list[int]) -> str:
    """Why the rows of one image contradict each other; empty if they agree."""
    first, *others = same
    for other in others:
        if not np.array_equal(labels.targets[first], labels.targets[other], equal_nan=True):
            return "the rows give one image different labels"
        if given and given[first] != given[other]:
            return "the rows put one image into different splits"
        for name in roles.groups:
            if table.columns[name][first] != table.columns[name][other]:
                return f"the rows give one image different values of {name!r}"
    return ""


def _check(
    targets: np.ndarray, classes: tuple[str, ...], multiclass: bool, skipped: list[Skipped]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Refuse what cannot be learnt. Classes of a label column that only skipped rows had are dropped."""
    reasons = Counter(s.reason for s in skipped)
    left = f"; rows left out: {some([f'{n} ({reason})' for reason, n in reasons.most_common()])}" if reasons else ""
    if not len(targets):
        raise DataError(f"no usable row{left}")
    if not multiclass:
        return targets, classes
    there = targets.sum(0) > 0
    if there.sum() < 2:
        [name] = [c for c, t in zip(classes, there, strict=True) if t]
        raise DataError(f"only one class, {name!r} ({count(len(targets), 'image')}){left}; set reader.label_column")
    return targets[:, there], tuple(c for c, t in zip(classes, there, strict=True) if t)


def _remarks(
    labels: _Labels, multiclass: bool, several: bool, repeats: int, skipped: list[Skipped], classes: tuple[str, ...]
) -> list[str]:
    notes = [labels.note] if labels.note else []
    if several:
        notes.append(
            "each row has exactly one 1: one class per image" if multiclass else "multi-label: any number of 1"
        )
    if set(classes) < set(labels.classes):
        notes.append(f"classes without a usable row, left out: {some([c for c in labels.classes if c not in classes])}")
    if repeats:
        notes.append(f"{count(repeats, 'row')} repeat an image with the same label; counted once")
    if skipped:
        reasons = Counter(s.reason for s in skipped)
        notes.append(f"rows left out: {some([f'{n} ({reason})' for reason, n in reasons.most_common()])}")
    return notes + case_notes(set(classes))


def _groups(table: Table, column: str, kept: list[int]) -> np.ndarray:
    cells = [table.columns[column][i] for i in kept]
    return np.array(["" if is_missing(cell) else cell for cell in cells], dtype=str)


def _metadata(table: Table, roles: Roles, kept: list[int]) -> dict[str, np.ndarray]:
    """The other columns: float64 with NaN for gaps where every cell is a number, else text."""
    used = {roles.image, *roles.labels, *roles.groups, roles.split}
    columns = {}
    for name in table.columns:
        if name not in used:
            columns[name] = _numbers_or_text([table.columns[name][i] for i in kept])
    return columns


def _numbers_or_text(cells: list[str]) -> np.ndarray:
    try:
        return np.array([float("nan") if is_missing(cell) else float(cell) for cell in cells], np.float64)
    except ValueError:
        return np.array(cells, dtype=str)
