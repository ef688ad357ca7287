"""Which column of a table means what: named by the user, or guessed from names and cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from medplug.plugins import DataError
from medplug_standard.readers.files import SPLIT_NAMES, nearest_hint, some
from medplug_standard.readers.imagecolumns import ImageColumn
from medplug_standard.readers.names import (
    ANATOMY,
    GROUP_NAMES,
    LABEL_NAMES,
    NEVER_LABELS,
    SITE_NAMES,
    SPLIT_COLUMNS,
    normalised,
)
from medplug_standard.readers.tablefile import Table, is_missing

_POSITIVE = frozenset({"1", "1.0", "true", "yes"})
_NEGATIVE = frozenset({"0", "0.0", "false", "no"})
_UNSURE = frozenset({"-1", "-1.0"})  # CheXpert's "uncertain"


@dataclass(frozen=True)
class Roles:
    """The columns in use. ``notes`` says in words which and whether they were guessed."""

    images: tuple[ImageColumn, ...]
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    split: str = ""
    site: str = ""
    mask: str = ""
    notes: list[str] = field(default_factory=list)


def named(table: Table, text: str, parameter: str) -> tuple[str, ...]:
    """The columns that a parameter names: one name, or several with commas between.

    Raises:
        DataError: a column that is not there, with the nearest one and those that are.
    """
    if text in table.columns:
        return (text,)
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in table.columns:
            hint = nearest_hint(name, table.columns)
            raise DataError(f"{parameter}: no column {name!r}{hint} (columns: {some(list(table.columns), 40)})")
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise DataError(f"{parameter}: column {repeated[0]!r} is named twice")
    return names


# ---------------------------------------------------------------- labels


def guess_labels(table: Table, taken: Collection[str]) -> tuple[tuple[str, ...], str]:
    """The label columns and why: by name, else the 0/1 columns, else the column with the fewest values.

    Raises:
        DataError: nothing looks like a label.
    """
    free = [name for name in table.columns if name not in taken]
    by_name = {normalised(name): name for name in reversed(free)}
    for name in LABEL_NAMES:
        if name in by_name and _distinct(table, by_name[name]) > 1:
            return (by_name[name],), "guessed by its name"
    allowed = [name for name in free if not NEVER_LABELS.search(normalised(name))]
    binary = [name for name in allowed if is_binary(table.columns[name])]
    if len(binary) > 1:
        return tuple(binary), "guessed, being the columns of 0 and 1"
    sizes = {name: _distinct(table, name) for name in allowed}
    usable = [name for name in allowed if 1 < sizes[name] <= max(2, min(50, len(table) // 4))]
    if not usable:
        raise DataError(
            "no column looks like a label; name it: --set reader.label_column=… (one name, or several with commas "
            f"between; columns: {some(list(table.columns), 40)})"
        )
    chosen = min(usable, key=lambda name: sizes[name])
    others = [name for name in usable if name != chosen]
    return (chosen,), "guessed by its few values" + (f"; others would be {some(others)}" if others else "")


def is_binary(cells: list[str]) -> bool:
    """Whether a column holds only 0 and 1 (or no and yes), -1 and gaps, and some 0: a constant 1 is no label."""
    values = {cell.lower() for cell in cells}
    return bool(values & _NEGATIVE) and all(truth(value) is not None for value in values)


def truth(cell: str, empty: float = float("nan"), unsure: float = float("nan")) -> float | None:
    """1 or 0; ``empty`` for an empty cell, ``unsure`` for -1; None for anything else."""
    low = cell.lower()
    if low in _POSITIVE:
        return 1.0
    if low in _NEGATIVE:
        return 0.0
    if low in _UNSURE:
        return unsure
    return empty if is_missing(low) else None


def _distinct(table: Table, column: str) -> int:
    return len({cell for cell in table.columns[column] if not is_missing(cell)})


# ---------------------------------------------------------------- groups and splits


def guess_groups(table: Table, taken: Collection[str]) -> tuple[tuple[str, ...], list[str]]:
    """Columns named like groups. One value that holds over a third of the rows would leave nothing to split."""
    groups, notes = [], []
    for name in table.columns:
        if name in taken or normalised(name) not in GROUP_NAMES:
            continue
        counts = Counter(cell for cell in table.columns[name] if not is_missing(cell))
        if len(counts) < 3 or max(counts.values()) * 3 > len(table):
            notes.append(
                f"column {name!r} is not taken for a group: it has {len(counts)} values, the commonest in "
                f"{max(counts.values(), default=0)} of {len(table)} rows (reader.group_column={name} takes it)"
            )
        else:
            groups.append(name)
    return tuple(groups), notes


def guess_split(table: Table, taken: Collection[str]) -> str:
    """The column of a given split; empty if there is none."""
    by_name = {normalised(name): name for name in reversed(list(table.columns)) if name not in taken}
    for name in SPLIT_COLUMNS:
        if name in by_name:
            values = {cell.lower() for cell in table.columns[by_name[name]] if not is_missing(cell)}
            if values and values <= set(SPLIT_NAMES):
                return by_name[name]
    return ""


def splits_of(table: Table, column: str) -> list[str]:
    """The given split of each row.

    Raises:
        DataError: a cell that names no split.
    """
    parts = []
    for number, cell in zip(table.rows, table.columns[column], strict=True):
        if not is_missing(cell) and cell.lower() not in SPLIT_NAMES:
            raise DataError(
                f"column {column!r}, row {number}: {cell!r} names no split; known are {', '.join(SPLIT_NAMES)}"
            )
        parts.append("" if is_missing(cell) else SPLIT_NAMES[cell.lower()])
    return parts


# ---------------------------------------------------------------- sites


def guess_site(table: Table, taken: Collection[str]) -> tuple[str, list[str]]:
    """The column named like a hospital or a scanner, and remarks on one that is not taken after all."""
    by_name = {normalised(name): name for name in reversed(list(table.columns)) if name not in taken}
    for name in SITE_NAMES:
        if name not in by_name:
            continue
        column = by_name[name]
        values = {cell for cell in table.columns[column] if not is_missing(cell)}
        places = [value for value in sorted(values) if ANATOMY.search(value)]
        if len(values) < 2 or len(values) * 2 > len(table):
            continue
        if places:
            why = f"{places[0]!r} is a place of the body (reader.site_column={column} takes it)"
            return "", [f"column {column!r} is not taken for where images come from: {why}"]
        return column, []
    return "", []
