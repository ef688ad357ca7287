"""From the label columns of a table to targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from medplug.plugins import DataError
from medplug_standard.readers import columns as col
from medplug_standard.readers.files import count, nearest_hint, some
from medplug_standard.readers.tablefile import Table, is_missing

_VALUES = {"unknown": float("nan"), "no": 0.0, "yes": 1.0}


@dataclass(frozen=True)
class LabelRules:
    """How cells of labels are meant.

    Attributes:
        classes: the classes to read, in their order; none means all that occur.
        separator: between several labels in one cell.
        empty: what an empty cell among columns of 0 and 1 says.
        unsure: what -1 there says.
    """

    classes: tuple[str, ...] = ()
    separator: str = "|"
    empty: Literal["unknown", "no"] = "unknown"
    unsure: Literal["unknown", "no", "yes"] = "unknown"


@dataclass(frozen=True)
class Labels:
    """Targets of every row of a table.

    Attributes:
        targets: ``[rows, K]`` float32, NaN for unknown.
        classes: K names.
        reasons: why a row has no label, empty where it has one.
        columns: whether there is one column for each class.
        notes: for the user.
    """

    targets: np.ndarray
    classes: tuple[str, ...]
    reasons: list[str]
    columns: bool = False
    notes: tuple[str, ...] = ()


NO_LABEL = "no label"
NOT_NAMED = "its class is not named in classes"


def read_labels(table: Table, names: Sequence[str], rules: LabelRules) -> Labels:
    """Targets from one column of classes, or from several of 0 and 1.

    Raises:
        DataError: cells that are no labels, with column and row, or a class that is nowhere.
    """
    if len(names) > 1:
        return _from_columns(table, tuple(names), rules)
    cells = table.columns[names[0]]
    several = any(rules.separator in cell for cell in cells) if rules.separator else False
    lists = [_parts(cell, rules.separator if several else "") for cell in cells]
    found = {part for parts in lists for part in parts}
    if len(found) > 100 and len(found) * 2 > len(cells):
        raise DataError(
            f"column {names[0]!r} has {len(found)} different values in {len(cells)} rows: "
            "not classes; set reader.label_column"
        )
    classes = rules.classes or table.classes or sorted_classes(found)
    for name in rules.classes:
        if name not in found:
            raise DataError(
                f"no class {name!r}{nearest_hint(name, found)} (classes: {some(sorted_classes(found), 30)})"
            )
    unknown = sorted(found - set(classes))
    if unknown and not rules.classes:
        raise DataError(
            f"the label {unknown[0]!r} is not among the classes {', '.join(classes)} that the file declares"
        )
    targets = np.full((len(cells), len(classes)), np.nan, np.float32)
    reasons = []
    for i, parts in enumerate(lists):
        named = [part for part in parts if part in classes]
        if parts and (named or several):
            targets[i] = [name in named for name in classes]
        reasons.append("" if named or (parts and several) else NOT_NAMED if parts else NO_LABEL)
    notes = []
    if several:
        notes.append(f"cells hold several labels with {rules.separator} between")
    if unknown:
        notes.append(f"left out, because not named in classes: {some(unknown)}")
    return Labels(targets, tuple(classes), reasons, False, tuple(notes))


def _parts(cell: str, separator: str) -> list[str]:
    parts = [part.strip() for part in cell.split(separator)] if separator else [cell]
    return [part for part in parts if not is_missing(part)]


def _from_columns(table: Table, names: tuple[str, ...], rules: LabelRules) -> Labels:
    if rules.classes:
        raise DataError("classes belongs to one column of labels; of several columns name those: reader.label_column")
    empty, unsure = _VALUES[rules.empty], _VALUES[rules.unsure]
    targets = np.empty((len(table), len(names)), np.float32)
    gaps = uncertain = 0
    for k, name in enumerate(names):
        for i, cell in enumerate(table.columns[name]):
            value = col.truth(cell, empty, unsure)
            if value is None:
                raise DataError(
                    f"column {name!r}, {table.word} {table.rows[i]}: {cell!r}, but several label columns must hold 0 and "
                    "1 (or nothing, for unknown)"
                )
            targets[i, k] = value
            gaps += is_missing(cell)
            uncertain += cell.startswith("-")
    notes = []
    if gaps:
        notes.append(f"{count(gaps, 'empty label cell')} read as {rules.empty} (reader.empty)")
    if uncertain:
        notes.append(f"{count(uncertain, 'label cell')} of -1 read as {rules.unsure} (reader.unsure)")
    reasons = [NO_LABEL if np.isnan(row).all() else "" for row in targets]
    return Labels(targets, names, reasons, True, tuple(notes))


def sorted_classes(names: set[str]) -> tuple[str, ...]:
    """Class names in order: as numbers if all of them are, else as strings."""
    try:
        return tuple(sorted(names, key=lambda name: (float(name), name)))
    except ValueError:
        return tuple(sorted(names))
