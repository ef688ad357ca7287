"""Text tables of other tools: separator, encoding and decimal comma are found out by explicit rules."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medplug.errors import DataError
from medplug.evaluation.tables import PredictionTable

SAMPLE = "sample"
_SEPARATORS = (",", ";", "\t")
_NAMED = 5  # samples or columns that an error names
_MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "null", "none"})


@dataclass(frozen=True)
class Sheet:
    """A table with a column of samples.

    Attributes:
        path: the file.
        samples: N names.
        columns: the other columns by name, N stripped texts each.
        lines: the number of the line on which each row begins.
        decimal_comma: whether ``0,5`` is a number: where the separator is no comma.
        notes: guesses, as sentences for the user.
    """

    path: Path
    samples: tuple[str, ...]
    columns: dict[str, list[str]]
    lines: tuple[int, ...]
    decimal_comma: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelTable:
    """What is known of samples: labels, groups and metadata, as it stands in a file.

    Attributes:
        samples: N names.
        columns: all other columns by name, N cells each. Labels are a column ``label`` (or ``class``), or one column
            per class with 1, 0, or nothing for unknown.
        source: what errors call the table; the path of a file.
        lines: N line numbers in that file; empty where the table comes from no file.
        decimal_comma: whether numbers may be written as ``0,5``.
        notes: guesses that were made while reading, as sentences for the user.
    """

    samples: tuple[str, ...]
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    source: str = "labels"
    lines: tuple[int, ...] = ()
    decimal_comma: bool = False
    notes: tuple[str, ...] = ()


Table = PredictionTable | LabelTable


def is_missing(cell: str) -> bool:
    """Whether a cell holds nothing, as an empty one or ``NaN``."""
    return cell.casefold() in _MISSING


def number(cell: str, decimal_comma: bool) -> float | None:
    """The number in a cell, NaN where it holds nothing, None where it holds something else.

    >>> number("0,25", True), number("0,25", False), number("x", True)
    (0.25, None, None)
    """
    if is_missing(cell):
        return float("nan")
    if decimal_comma and "." not in cell:
        cell = cell.replace(",", ".")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def read_sheet(path: Path) -> Sheet:
    """Read a table whose first line names the columns, ``sample`` (or ``SAMPLE``) among them.

    Raises:
        DataError: unreadable, no such column, a name twice, no rows, or a row of another length than the header.
    """
    text, notes = _decoded(path)
    separator = _separator(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    records, begins = [], 1
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                records.append((begins, cells))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not a table that can be read: {error}") from None
    (_, header), *body = records
    while not header[-1]:  # spreadsheets leave empty columns at the end
        header.pop()
    _check_header(path, header)
    if not body:
        raise DataError(f"{path}: the table has a header and no rows")
    for line, cells in body:
        if len(cells) < len(header) or any(cells[len(header) :]):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}; a text that contains "
                f"{separator!r} must be in quotes"
            )
    first = [name.casefold() for name in header].index(SAMPLE)
    empty = [line for line, cells in body if not cells[first]]
    if empty:
        raise DataError(f"{path}, line {empty[0]}, column {header[first]!r}: the name of the sample is empty")
    columns = {name: [cells[i] for _, cells in body] for i, name in enumerate(header) if i != first}
    samples = tuple(cells[first] for _, cells in body)
    return Sheet(path, samples, columns, tuple(line for line, _ in body), separator != ",", notes)


def read_groups(path: str | Path) -> dict[str, str]:
    """The group of each sample from a table with the columns ``sample`` and ``group``; an empty cell is no group.

    Raises:
        DataError: not such a table.
    """
    sheet = read_sheet(Path(path))
    if "group" not in sheet.columns:
        raise DataError(f"{path}: there is no column 'group' beside 'sample'")
    cells = ("" if is_missing(cell) else cell for cell in sheet.columns["group"])
    return dict(zip(sheet.samples, cells, strict=True))


def _decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    marked = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return raw.decode("utf-16" if marked else "utf-8-sig"), ()
    except UnicodeError as error:
        if marked:
            raise DataError(f"{path}: not the UTF-16 text that it says it is: {error}; save it as UTF-8") from None
        return raw.decode("latin-1"), (f"{path} is not UTF-8; it was read as Latin-1",)


def _separator(path: Path, text: str) -> str:
    """The separator that makes ``sample`` a column of the first line; of several the one that makes most columns."""
    found = {s: _first(text, s) for s in _SEPARATORS}
    if not any(found.values()):
        raise DataError(f"{path}: the file is empty")
    fitting = [s for s in _SEPARATORS if SAMPLE in (cell.casefold() for cell in found[s])]
    if not fitting:
        shown = ", ".join(repr(cell) for cell in max(found.values(), key=len)[:10])
        raise DataError(
            f"{path}: no column is called 'sample' in the first line, which has {shown}; name the column of the images so, "
            "and separate columns by commas, semicolons or tabs"
        )
    return max(fitting, key=lambda s: len(found[s]))


def _first(text: str, separator: str) -> list[str]:
    """The cells of the first line that has any."""
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if any(cell.strip() for cell in cells):
                return [cell.strip() for cell in cells]
    except csv.Error:
        pass  # the reading itself will tell
    return []


def _check_header(path: Path, header: list[str]) -> None:
    for position, name in enumerate(header, 1):
        if not name:
            raise DataError(f"{path}: column {position} has no name in the first line; name it, or remove it")
    folded = [SAMPLE if name.casefold() == SAMPLE else name for name in header]
    twice = [name for name in folded if folded.count(name) > 1]
    if twice:
        raise DataError(f"{path}: two columns are called {twice[0]!r}; rename or remove one")


def place(table: Table, row: int, short: bool = False) -> str:
    """Where a row stands, for errors: table and line, or the line alone."""
    where = f"line {table.lines[row]}" if table.lines else f"row {row + 1}"
    return where if short else f"{table.source}, {where}"


def listed(names: Sequence[str] | Mapping[str, Any]) -> str:
    """Up to five names in quotes, and how many more there are."""
    shown = ", ".join(repr(name) for name in list(names)[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown
