"""A text table as columns of text: separator and encoding found out, rows numbered as a spreadsheet does."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from medplug.plugins import DataError

SEPARATORS = (",", ";", "\t", "|")
_SPELLED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";"}
MISSING = frozenset({"", "nan", "na", "n/a", "<na>", "null"})
"""Cells, in lower case, that hold nothing."""


@dataclass(frozen=True)
class Table:
    """Columns by name, stripped text each; ``rows[i]`` is the number of row i in the file, the header being row 1."""

    columns: dict[str, list[str]]
    rows: list[int]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


def is_missing(cell: str) -> bool:
    """Whether a cell holds nothing, as an empty one or ``NaN``."""
    return cell.lower() in MISSING


def read_table(path: Path, separator: str | None = None, encoding: str | None = None) -> Table:
    """Read a separated text file whose first row names the columns.

    Args:
        path: the file.
        separator: one character, or a word (``tab``); None takes what fits of comma, semicolon, tab and bar.
        encoding: a name that Python knows; None means UTF-8 or UTF-16 with their marks, else Latin-1.

    Raises:
        DataError: unreadable, no header, no rows, or a row with more cells than the header.
    """
    text, notes = _decoded(path, encoding)
    used = _separator(path, text, separator)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=used))
    except csv.Error as error:
        raise DataError(f"{path}: not a table that can be read: {error}") from None
    numbered = [(i, [c.strip() for c in cells]) for i, cells in enumerate(records, 1)]
    filled = [(i, cells) for i, cells in numbered if any(cells)]
    if not filled:
        raise DataError(f"{path}: the table is empty")
    (_, header), *body = filled
    if not body:
        raise DataError(f"{path}: the table has a header and no rows")
    names, renamed = _column_names(header)
    columns: dict[str, list[str]] = {name: [] for name in names}
    for number, cells in body:
        if any(cells[len(names) :]):
            raise DataError(
                f"{path}, row {number}: {len(cells)} cells, but the header has {len(names)}; "
                f"is {used!r} the separator (reader.separator), and is a text with it in quotes?"
            )
        for i, name in enumerate(names):
            columns[name].append(cells[i] if i < len(cells) else "")
    return Table(columns, [number for number, _ in body], (*notes, *renamed))


def _decoded(path: Path, encoding: str | None) -> tuple[str, list[str]]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}") from None
    marks = raw.startswith((b"\xff\xfe", b"\xfe\xff"))
    guess = "utf-16" if marks else "utf-8-sig"
    try:
        return raw.decode(encoding or guess), []
    except LookupError:
        raise DataError(f"{path}: unknown encoding {encoding!r}; common are utf-8, latin-1, utf-16, gb18030") from None
    except UnicodeError as error:
        if encoding or marks:
            raise DataError(f"{path}: not {encoding or guess} text: {error}; set reader.encoding") from None
        return raw.decode("latin-1"), ["the table is not UTF-8; read as latin-1 (reader.encoding sets another)"]


def _separator(path: Path, text: str, separator: str | None) -> str:
    if separator is not None:
        used = _SPELLED.get(separator.lower(), separator)
        if len(used) != 1 or used in '\r\n"':
            raise DataError(f"{path}: the separator must be one character or the word tab, got {separator!r}")
        return used
    return max(SEPARATORS, key=lambda s: _columns_with(text, s))


def _columns_with(text: str, separator: str) -> int:
    """How many columns a separator gives, 1 where the first rows disagree with the header."""
    widths = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for cells in reader:
            if cells:
                widths.append(len(cells))
            if len(widths) == 20:
                break
    except csv.Error:
        return 0
    agree = sum(width == widths[0] for width in widths) if widths else 0
    return widths[0] if agree * 2 > len(widths) else 1


def _column_names(header: list[str]) -> tuple[list[str], list[str]]:
    """Unique names; an empty or repeated one gets its position. Empty columns at the end are dropped."""
    while header and not header[-1]:
        header = header[:-1]
    names: list[str] = []
    notes = []
    for position, name in enumerate(header, 1):
        unique = name if name and name not in names else f"{name or 'column'} ({position})"
        if name and unique != name:
            notes.append(f"column {name!r} occurs twice; the one in place {position} is called {unique!r}")
        names.append(unique)
    return names, notes
