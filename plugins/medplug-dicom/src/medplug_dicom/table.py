"""Labels from a table beside the files: its rows name files, images, series, studies or patients."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medplug.plugins import DataError
from medplug_dicom.layout import SPLITS
from medplug_dicom.values import Case, File, Labelled, Left

_SEPARATORS = ",;\t|"
_MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "null"})
_LABELS = ("label", "labels", "class", "diagnosis", "dx", "target", "finding", "category", "outcome", "y")
_SPLIT_COLUMNS = ("split", "set", "subset", "partition", "part")
_TRUTH = {"0": "0", "0.0": "0", "no": "0", "false": "0", "1": "1", "1.0": "1", "yes": "1", "true": "1", "-1": "nan"}
_BY_ATTRIBUTE = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "AccessionNumber")


@dataclass(frozen=True)
class Table:
    """Rows of a text table: columns of stripped texts, and the number of each row in the file, the header being row 1."""

    name: str
    columns: dict[str, list[str]]
    rows: list[int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Columns:
    """Which columns the user named; empty ones are guessed, and a group is never guessed."""

    image: str = ""
    label: str = ""
    split: str = ""
    group: str = ""


def read_table(path: Path) -> Table:
    """A table with a header; separator and encoding (UTF-8, UTF-16 with its mark, else Latin-1) are found out.

    Raises:
        DataError: it cannot be read, or has no rows.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}") from None
    notes: tuple[str, ...] = ()
    try:
        text = raw.decode("utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeError:
        text, notes = raw.decode("latin-1"), ("the table is not UTF-8; it was read as latin-1",)
    first = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise DataError(f"{path}: not a table that can be read: {error}") from None
    filled = [(n, [c.strip() for c in cells]) for n, cells in enumerate(records, 1) if any(c.strip() for c in cells)]
    if len(filled) < 2:
        raise DataError(f"{path}: a table with a header and at least one row is wanted")
    (_, header), *body = filled
    if len(set(header)) < len(header):
        raise DataError(f"{path}: two columns have the same name")
    columns = {name: [cells[i] if i < len(cells) else "" for _, cells in body] for i, name in enumerate(header) if name}
    return Table(path.name, columns, [n for n, _ in body], notes)


def by_table(table: Table, files: Sequence[File], asked: Columns, labelled: bool = True) -> Labelled:
    """Cases labelled by the rows that name them; files without a row, or with rows that disagree, are left.

    Args:
        table: beside the files.
        files: with readable headers.
        asked: the columns that the user named.
        labelled: false for prediction, where labels and splits are not looked at.

    Raises:
        DataError: no column leads to files, none looks like a label, or a cell is no label.
    """
    for word, name in (("image", asked.image), ("split", asked.split), ("group", asked.group)):
        if name and name not in table.columns:
            raise DataError(f"reader.{word}_column: {table.name} has no column {name!r} ({_list(table.columns)})")
    column, key, of = _find_images(table, files, asked.image)
    notes = [
        *table.notes,
        f"column {column!r} of {table.name} is matched with {key}" + ("" if asked.image else " (guessed)"),
    ]
    rows_of, left = _rows_of(table, column, of)
    if not labelled:
        return Labelled([Case(files[number]) for number in sorted(rows_of)], left, notes, labelled=False)
    labels, guessed = _label_columns(table, asked.label, column)
    notes.append(f"labels from {', '.join(map(repr, labels))}" + (" (guessed by its name)" if guessed else ""))
    split = asked.split or _guess_split(table, {column, *labels})
    if split:
        notes.append(f"given splits from column {split!r}" + ("" if asked.split else " (guessed)"))
    unused = [name for name in table.columns if name not in {column, *labels, split, asked.group}]
    if unused:
        notes.append(f"columns of {table.name} that are not used: {', '.join(unused)}")
    cases, more = _cases(table, files, rows_of, labels, split, asked.group)
    return Labelled(cases, [*left, *more], notes, labels if len(labels) > 1 else ())


# ---------------------------------------------------------------- which rows are which files


def _find_images(table: Table, files: Sequence[File], asked: str) -> tuple[str, str, Mapping[str, list[int]]]:
    """The column and what it names: the pair whose cells lead to files in most different ways; among equals the finest.

    Ages or grades may each be the name of some file, but few of them differ. A column called like a label is never guessed.

    Raises:
        DataError: no column leads to files, or two lead to different ones equally well.
    """
    best: tuple[int, str, str, Mapping[str, list[int]]] = (0, "", "", {})
    rivals: list[str] = []
    for key, of in _keys(files):
        for name in [asked] if asked else [name for name in table.columns if _plain(name) not in _LABELS]:
            score = len({cell for cell in map(_cell, table.columns[name]) if cell in of})
            if score > best[0]:
                best, rivals = (score, name, key, of), []
            elif score and score == best[0] and _files_of(table, name, of) != _files_of(table, best[1], best[3]):
                rivals.append(name)
    if rivals:
        raise DataError(
            f"{table.name}: columns {best[1]!r} and {rivals[0]!r} name different files; say which one counts: "
            f"--set reader.image_column={best[1]}"
        )
    if not best[0]:
        what = f"column {asked!r} leads to no" if asked else "no column leads to a"
        raise DataError(
            f"{table.name}: {what} DICOM file beside or below it; tried were path, file name, SOPInstanceUID, "
            "SeriesInstanceUID, StudyInstanceUID, PatientID and AccessionNumber"
        )
    return best[1:]


def _files_of(table: Table, column: str, of: Mapping[str, list[int]]) -> list[list[int]]:
    return [of.get(cell, []) for cell in map(_cell, table.columns[column])]


def _cell(text: str) -> str:
    """What a cell may name; empty, which names nothing, where it is missing."""
    return "" if text.lower() in _MISSING else text.replace("\\", "/")


def _keys(files: Sequence[File]) -> list[tuple[str, Mapping[str, list[int]]]]:
    ways = {
        "the path of the file": lambda file: file.name,
        "the path without extension": lambda file: os.path.splitext(file.name)[0],
        "the name of the file": lambda file: file.name.rpartition("/")[2],
        "the name without extension": lambda file: os.path.splitext(file.name.rpartition("/")[2])[0],
        **{keyword: (lambda file, k=keyword: file.header[k]) for keyword in _BY_ATTRIBUTE},
    }
    found = []
    for key, way in ways.items():
        of: defaultdict[str, list[int]] = defaultdict(list)
        for number, file in enumerate(files):
            if value := way(file):
                of[value].append(number)
        found.append((key, of))
    return found


def _rows_of(table: Table, column: str, of: Mapping[str, list[int]]) -> tuple[Mapping[int, list[int]], list[Left]]:
    rows: defaultdict[int, list[int]] = defaultdict(list)
    left = []
    for number, cell in enumerate(map(_cell, table.columns[column])):
        found = of.get(cell, ())
        for file in found:
            rows[file].append(number)
        if not found:
            left.append(Left(f"{table.name}, row {table.rows[number]}", "no DICOM file fits this row", lost=True))
    return rows, left


# ---------------------------------------------------------------- labels


def _label_columns(table: Table, asked: str, image: str) -> tuple[tuple[str, ...], bool]:
    if asked:
        names = (asked,) if asked in table.columns else tuple(part.strip() for part in asked.split(",") if part.strip())
        wrong = [name for name in names if name not in table.columns]
        if wrong:
            raise DataError(f"reader.label_column: {table.name} has no column {wrong[0]!r} ({_list(table.columns)})")
        return names, False
    by_name = {_plain(name): name for name in reversed(list(table.columns)) if name != image}
    for word in _LABELS:
        if word in by_name:
            return (by_name[word],), True
    raise DataError(
        f"{table.name}: no column is named like a label; name one, or several of 0 and 1 with commas between: "
        f"--set reader.label_column=… ({_list(table.columns)})"
    )


def _guess_split(table: Table, taken: set[str]) -> str:
    for name, cells in table.columns.items():
        known = {cell.lower() for cell in cells} - _MISSING
        if name not in taken and _plain(name) in _SPLIT_COLUMNS and known and known <= set(SPLITS):
            return name
    return ""


def _cases(
    table: Table,
    files: Sequence[File],
    rows_of: Mapping[int, list[int]],
    labels: tuple[str, ...],
    split: str,
    group: str,
) -> tuple[list[Case], list[Left]]:
    cases, left = [], []
    for number, file in enumerate(files):
        rows = rows_of.get(number, [])
        found = {
            (_label(table, row, labels), _split(table, row, split), table.columns[group][row] if group else "")
            for row in rows
        }
        known = {one for one in found if one[0]}
        if not rows:
            left.append(Left(file.name, f"no row of {table.name} names it", lost=True))
        elif len(known) > 1:
            left.append(Left(file.name, f"rows of {table.name} disagree about it", lost=True))
        elif not known:
            left.append(Left(file.name, f"its row of {table.name} has no label", lost=True))
        else:
            [(label, part, of)] = known
            cases.append(Case(file, label, part, group=of))
    return cases, left


def _label(table: Table, row: int, labels: tuple[str, ...]) -> str:
    cells = [table.columns[name][row] for name in labels]
    if len(cells) == 1:
        return "" if cells[0].lower() in _MISSING else cells[0]
    for name, cell in zip(labels, cells, strict=True):
        if cell.lower() not in _TRUTH and cell.lower() not in _MISSING:
            raise DataError(
                f"{table.name}, row {table.rows[row]}, column {name!r}: neither 0 nor 1 nor empty, as a cell of one of "
                "several label columns has to be"
            )
    return " ".join(_TRUTH.get(cell.lower(), "nan") for cell in cells)


def _split(table: Table, row: int, split: str) -> str:
    cell = table.columns[split][row].lower() if split else ""
    if cell in _MISSING:
        return ""
    if cell not in SPLITS:
        raise DataError(
            f"{table.name}, row {table.rows[row]}, column {split!r}: names no split; known are {', '.join(SPLITS)}"
        )
    return SPLITS[cell]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _list(columns: Mapping[str, object]) -> str:
    return f"columns: {', '.join(columns)}"
