"""From a table, the roles of its columns and its labels to an index."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from medplug.plugins import About, DataError, Index, Skipped
from medplug_standard.readers import columns as col
from medplug_standard.readers.columns import Roles
from medplug_standard.readers.files import count, some
from medplug_standard.readers.folder import case_notes
from medplug_standard.readers.tablefile import Table, is_missing
from medplug_standard.readers.tablelabels import Labels

Cell = tuple[int, int]  # a row of the table, a column of images
Cells = dict[str, list[Cell]]  # those that lead to one image, by the image's name


def located(table: Table, roles: Roles, base: Path) -> tuple[Cells, dict[str, str], list[Skipped]]:
    """The cells of each image that is there, its path by its name, and the cells without an image.

    Names are relative to the folder of the images, or to ``base`` where columns have different ones.

    Raises:
        DataError: no cell leads to an image.
    """
    cells: Cells = defaultdict(list)
    paths: dict[str, str] = {}
    skipped = []
    roots = {image.finder.root for image in roles.images}
    for k, image in enumerate(roles.images):
        column = f", {image.name}" if len(roles.images) > 1 else ""
        for i, value in enumerate(table.columns[image.name]):
            match = image.finder.find(value)
            if not match.name:
                lost = len(roles.images) == 1 or not is_missing(value)  # few rows have each of several images
                skipped.append(Skipped(f"{table.word} {table.rows[i]}{column}: {value}", match.reason, lost))
                continue
            path = os.path.normpath(image.finder.root / match.name)
            name = match.name if len(roots) == 1 else os.path.relpath(path, base).replace(os.sep, "/")
            cells[name].append((i, k))
            paths[name] = path
    if not cells:
        where = ", ".join(sorted(map(str, roots)))
        raise DataError(f"no {table.word} leads to an image in {where}; set reader.image_root or reader.image_column")
    if len(roles.images) > 1:  # in the order of the rows
        cells = dict(sorted(cells.items(), key=lambda item: item[1][0]))
    return cells, paths, skipped


def build(table: Table, roles: Roles, labels: Labels, base: Path, about: About) -> Index:
    """The index of the images that are there and have labels.

    Raises:
        DataError: no image, no usable row, or one class only.
    """
    cells, paths, skipped = located(table, roles, base)
    given = col.splits_of(table, roles.split) if roles.split else []
    kept: dict[str, Cell] = {}
    repeats = 0
    for name, same in cells.items():
        first = same[0][0]
        conflict = _conflict(table, roles, labels, given, [i for i, _ in same])
        problem = conflict or labels.reasons[first]
        if problem:
            numbers = ", ".join(dict.fromkeys(str(table.rows[i]) for i, _ in same[:6]))
            skipped.append(
                Skipped(f"{table.word}{'s' if len(same) > 1 else ''} {numbers}: {name}", problem, bool(conflict))
            )
        else:
            kept[name] = same[0]
            repeats += len(same) - 1
    rows = [i for i, _ in kept.values()]
    targets = labels.targets[rows]
    multiclass = bool(rows) and bool(np.all(np.sum(targets, axis=1) == 1))  # NaN is not 1
    targets, classes = _check(targets, labels.classes, multiclass, skipped, table.word)
    notes = [*roles.notes, *labels.notes, *_on_labels(table, labels, rows, multiclass, classes)]
    if repeats:
        notes.append(f"{count(repeats, table.word)} repeat an image with the same label; counted once")
    notes += [_reasons(skipped, table.word)] if skipped else []
    notes += case_notes(set(classes))
    return Index(
        samples=tuple(kept),
        uris=tuple(paths[name] for name in kept),
        targets=targets,
        classes=classes,
        task="multiclass" if multiclass else "multilabel",
        groups=_groups(table, roles, kept, cells),
        metadata=_metadata(table, roles, kept),
        splits=np.array([given[i] for i in rows]) if given else None,
        skipped=tuple(skipped),
        notes=tuple(notes),
        site=roles.site,
        about=about,
    )


def build_unlabelled(table: Table, roles: Roles, base: Path) -> Index:
    """The index of all images that the table names, without classes."""
    cells, paths, skipped = located(table, roles, base)
    kept = {name: same[0] for name, same in cells.items()}
    return Index(
        samples=tuple(kept),
        uris=tuple(paths[name] for name in kept),
        targets=np.zeros((len(kept), 0), np.float32),
        classes=(),
        task="multilabel",
        groups=_groups(table, roles, kept, cells),
        metadata=_metadata(table, roles, kept),
        skipped=tuple(skipped),
        notes=tuple(roles.notes),
        site=roles.site,
    )


def _conflict(table: Table, roles: Roles, labels: Labels, given: list[str], rows: list[int]) -> str:
    """Why the rows of one image contradict each other; empty if they agree."""
    first, *others = rows
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
    targets: np.ndarray, classes: tuple[str, ...], multiclass: bool, skipped: list[Skipped], word: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Refuse what cannot be learnt. Classes of a label column that only skipped rows had are dropped."""
    left = f"; {_reasons(skipped, word)}" if skipped else ""
    if not len(targets):
        raise DataError(f"no usable {word}{left}")
    if not multiclass:
        return targets, classes
    there = targets.sum(0) > 0
    if there.sum() < 2:
        [name] = [c for c, t in zip(classes, there, strict=True) if t]
        raise DataError(f"only one class, {name!r} ({count(len(targets), 'image')}){left}; set reader.label_column")
    return targets[:, there], tuple(c for c, t in zip(classes, there, strict=True) if t)


def _reasons(skipped: Iterable[Skipped], word: str) -> str:
    reasons = Counter(s.reason for s in skipped)
    return f"{word}s left out: {some([f'{n} ({reason})' for reason, n in reasons.most_common()])}"


def _on_labels(table: Table, labels: Labels, rows: list[int], multiclass: bool, classes: tuple[str, ...]) -> list[str]:
    notes = []
    if labels.columns and multiclass:
        notes.append(f"each {table.word} has exactly one 1: one class per image")
    elif labels.columns:
        odd = [i for i in rows if labels.targets[i].sum() != 1]
        first = f"{table.word} {table.rows[odd[0]]}"  # without an odd one the task would be multi-class
        notes.append(f"multi-label: {len(odd)} of {len(rows)} images have no 1, several or unknown ones, first {first}")
    if set(classes) < set(labels.classes):
        gone = [c for c in labels.classes if c not in classes]
        notes.append(f"classes without a usable {table.word}, left out: {some(gone)}")
    return notes


# ---------------------------------------------------------------- further columns


def _groups(table: Table, roles: Roles, kept: Mapping[str, Cell], cells: Cells) -> dict[str, np.ndarray]:
    groups = {name: _text([table.columns[name][i] for i, _ in kept.values()]) for name in roles.groups}
    if len(roles.images) > 1:
        joined = _joined_rows(cells)
        groups[_free("row", table)] = np.array([str(table.rows[joined[i]]) for i, _ in kept.values()])
    return groups


def _joined_rows(cells: Cells) -> dict[int, int]:
    """The first of the rows that each row hangs together with, by images that several rows name."""
    root: dict[int, int] = {}

    def find(i: int) -> int:
        while root.setdefault(i, i) != i:
            i = root[i]
        return i

    for same in cells.values():
        for i, _ in same:
            a, b = sorted((find(same[0][0]), find(i)))
            root[b] = a
    return {i: find(i) for i in list(root)}


def _metadata(table: Table, roles: Roles, kept: Mapping[str, Cell]) -> dict[str, np.ndarray]:
    """The other columns: float64 with NaN for gaps where every cell is a number, else text."""
    images = {image.name for image in roles.images}
    used = {*images, *roles.labels, *roles.groups, roles.split, roles.mask}
    columns = {}
    for name in table.columns:
        if name not in used:
            columns[name] = _numbers_or_text([table.columns[name][i] for i, _ in kept.values()])
    if len(roles.images) > 1:
        names = [image.name for image in roles.images]
        columns[_free("image column", table)] = np.array([names[k] for _, k in kept.values()])
    return columns


def _free(name: str, table: Table) -> str:
    return name if name not in table.columns else f"{name} of the table"


def _numbers_or_text(cells: list[str]) -> np.ndarray:
    try:
        return np.array([float("nan") if is_missing(cell) else float(cell) for cell in cells], np.float64)
    except ValueError:
        return _text(cells)


def _text(cells: list[str]) -> np.ndarray:
    return np.array(["" if is_missing(cell) else cell for cell in cells], dtype=str)
