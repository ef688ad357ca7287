"""A table as columns of text: separator, encoding and header found out, rows numbered as a spreadsheet does."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from medplug.plugins import DataError
from medplug_standard.readers.files import count, is_image_name, some
from medplug_standard.readers.sheetfile import SHEETS, read_sheet

SEPARATORS = (",", ";", "\t", "|")
_SPELLED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}
_TOLD = {"\t": "tab", " ": "space"}
MISSING = frozenset({"", ".", "nan", "-nan", "na", "n/a", "<na>", "null", "#n/a", "#na", "#null!"})
"""Cells, in lower case, that hold nothing."""

_FORMULA = re.compile(r'="(.*)"')  # how spreadsheets are made to keep leading zeros
_COMMA_NUMBER = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_GLANCE = 20  # rows that are looked at to find separator and header


@dataclass(frozen=True)
class Format:
    """How a table is written; None and ``auto`` are found out.

    Attributes:
        separator: one character, or a word (``tab``).
        encoding: a name that Python knows.
        header_row: number of the row that names the columns; 0 where none does.
        decimal: of numbers: ``point`` or ``comma``.
        sheet: name of the sheet of an Excel file.
    """

    separator: str | None = None
    encoding: str | None = None
    header_row: int | None = None
    decimal: Literal["auto", "point", "comma"] = "auto"
    sheet: str | None = None


@dataclass(frozen=True)
class Table:
    """Columns by name, stripped text each.

    Attributes:
        columns: one text per row.
        rows: the number of each row in the file, the first row being 1.
        notes: how the file was read, for the user.
        classes: names of the classes in their order, where the file declares them.
        labels: the columns of labels, where the file declares them.
        word: what a row is called.
    """

    columns: dict[str, list[str]]
    rows: list[int]
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    word: Literal["row", "record"] = "row"

    def __len__(self) -> int:
        return len(self.rows)


def is_missing(cell: str) -> bool:
    """Whether a cell holds nothing, as an empty one or ``NaN``."""
    return cell.lower() in MISSING


def read_table(path: Path, form: Format = Format()) -> Table:
    """Read a separated text file, or a sheet of an Excel file.

    What is not given in ``form`` is found out. The encoding is that of the mark at the beginning, else UTF-8, else
    UTF-16 where every other byte is zero, else Windows-1252 or Latin-1. The separator is that of a first line
    ``sep=;``, else what fits of comma, semicolon, tab and bar. The header is the first row of which more than one cell
    is filled (where rows have several); if that row names an image file or holds only numbers, there is none, and
    columns are called by their places. Commas are decimal in columns of numbers, unless commas separate.

    Raises:
        DataError: unreadable, no rows, or a row with more cells than the header.
    """
    if path.suffix.lower() in SHEETS:
        if form.separator or form.encoding:
            raise DataError(f"{path}: reader.separator and reader.encoding belong to text files; this is an Excel file")
        records, told = read_sheet(path, form.sheet)
        commas = False  # Excel stores numbers as such
    else:
        if form.sheet:
            raise DataError(f"{path}: reader.sheet belongs to Excel files; this is a text file")
        records, separator, told = _records(path, form)
        commas = separator != ","
    numbered = [(i, [_clean(c) for c in cells]) for i, cells in enumerate(records, 1)]
    filled = [(i, cells) for i, cells in numbered if any(cells)]
    if not filled:
        raise DataError(f"{path}: the table is empty")
    names, body, notes = _headed(path, filled, form.header_row)
    if not body:
        raise DataError(f"{path}: the table has a header and no rows")
    table = Table(_columns(path, names, body), [number for number, _ in body], (f"{told}, {notes[0]}", *notes[1:]))
    return _with_points(table) if form.decimal == "comma" or (form.decimal == "auto" and commas) else table


def _clean(cell: str) -> str:
    cell = cell.strip()
    formula = _FORMULA.fullmatch(cell)
    return formula[1].strip() if formula else cell


# ---------------------------------------------------------------- text


def _records(path: Path, form: Format) -> tuple[list[list[str]], str, str]:
    text, encoding = _decoded(path, form.encoding)
    head, _, rest = text.partition("\n")
    declared = head.strip().strip('"').lower()
    separator = form.separator
    if declared.startswith("sep=") and len(declared) == 5:  # Excel's own first line, which it does not show
        text, separator = rest, separator or declared[4]
    used = _separator(path, text, separator)
    try:
        records = list(csv.reader(io.StringIO(text, newline=""), delimiter=used))
    except csv.Error as error:
        raise DataError(f"{path}: not a table that can be read: {error}") from None
    return records, used, f"the table: {encoding}, separator {_TOLD.get(used, repr(used))}"


def _decoded(path: Path, encoding: str | None) -> tuple[str, str]:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}") from None
    told = encoding or next((name for mark, name in _MARKS.items() if raw.startswith(mark)), None) or _unmarked(raw)
    for name in (told,) if told else ("utf-8", "cp1252", "latin-1"):
        try:
            return raw.decode(name), name.removesuffix("-sig")
        except LookupError:
            raise DataError(f"{path}: unknown encoding {name!r}; common are utf-8, cp1252, utf-16, gb18030") from None
        except UnicodeError as error:
            if told:
                raise DataError(f"{path}: not {name} text: {error}; set reader.encoding") from None
    raise AssertionError("latin-1 decodes anything")


def _unmarked(raw: bytes) -> str | None:
    """UTF-16 without its mark: of Latin letters every other byte is zero."""
    head = raw[:2000]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 4 > len(head):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _separator(path: Path, text: str, separator: str | None) -> str:
    if separator is not None:
        used = _SPELLED.get(separator.lower(), separator)
        if len(used) != 1 or used in '\r\n"':
            raise DataError(f"{path}: the separator must be one character or the word tab, got {separator!r}")
        return used
    return max(SEPARATORS, key=lambda s: _columns_with(text, s))


def _columns_with(text: str, separator: str) -> int:
    """How many columns a separator gives to most of the first rows; 1 where they disagree."""
    widths: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for cells in reader:
            if cells:
                widths.append(len(cells))
            if len(widths) == _GLANCE:
                break
    except csv.Error:
        return 0
    usual = max(set(widths), key=lambda w: (widths.count(w), w), default=1)
    return usual if widths.count(usual) * 2 > len(widths) else 1


# ---------------------------------------------------------------- header and columns

_Row = tuple[int, list[str]]


def _headed(path: Path, filled: list[_Row], header_row: int | None) -> tuple[list[str], list[_Row], list[str]]:
    """Names of the columns, the rows below, and notes of which the first tells where the header is."""
    start = next((k for k, (number, _) in enumerate(filled) if number == header_row), None)
    if header_row and start is None:
        raise DataError(f"{path}: reader.header_row={header_row}, but that row is empty or not there")
    guess = " (guessed)" if header_row is None else ""
    if start is None:
        start = 0 if header_row == 0 else _first_full(filled)
    number, header = filled[start]
    notes = []
    above = [n for n, _ in filled[:start]]
    if header_row == 0 or (header_row is None and _is_data(header)):
        width = max(len(cells) for _, cells in filled[start:])
        names = [f"column {place}" for place in range(1, width + 1)]
        notes.append(f"no row names the columns{guess}, which are called column 1 to column {width}")
        body = filled[start:]
    else:
        names, renamed = _column_names(header)
        notes += [f"columns named in row {number}{guess}", *renamed]
        body = filled[start + 1 :]
    if above:
        notes.append(f"{count(len(above), 'row')} above them left out (row {some([str(n) for n in above])})")
    return names, body, notes


def _first_full(filled: list[_Row]) -> int:
    """The first row with more than one filled cell, if most rows have that many: above it stand titles."""
    widths = [sum(map(bool, cells)) for _, cells in filled[:_GLANCE]]
    wide = [k for k, width in enumerate(widths) if width > 1]
    return wide[0] if len(wide) * 2 > len(widths) else 0


def _is_data(cells: list[str]) -> bool:
    """Whether a row holds data: the name of an image file, or numbers only."""
    given = [cell for cell in cells if cell]
    return any(is_image_name(cell) for cell in given) or all(_is_number(cell) for cell in given)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


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


def _columns(path: Path, names: list[str], body: list[_Row]) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {name: [] for name in names}
    for number, cells in body:
        if any(cells[len(names) :]):
            raise DataError(
                f"{path}, row {number}: {len(cells)} cells, but the header has {len(names)}; is the separator right "
                "(reader.separator), is a text with it in quotes, and does the header stand where it should "
                "(reader.header_row)?"
            )
        for i, name in enumerate(names):
            columns[name].append(cells[i] if i < len(cells) else "")
    return columns


def _with_points(table: Table) -> Table:
    """The table with decimal points in columns that hold only numbers, some of them with a comma."""
    changed = {}
    for name, cells in table.columns.items():
        given = [cell for cell in cells if not is_missing(cell)]
        commas = [cell for cell in given if _COMMA_NUMBER.fullmatch(cell)]
        if commas and all(_is_number(cell) and "." not in cell for cell in given):
            changed[name] = [cell.replace(",", ".") for cell in cells]
    if not changed:
        return table
    told = f"commas are decimal in {some([repr(name) for name in changed])} (reader.decimal=point leaves them)"
    return replace(table, columns={**table.columns, **changed}, notes=(*table.notes, told))
