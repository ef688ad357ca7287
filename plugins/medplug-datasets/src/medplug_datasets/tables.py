"""The publishers' small tables: comma- or semicolon-separated text with a header."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from medplug.plugins import DataError


def read_table(path: Path, needed: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """The rows of a table by column; cells and column names without blanks around them, gaps as empty texts.

    Raises:
        DataError: it cannot be read, has no such columns, or a row that is too long or too short.
    """
    header, rows = _lines(path)
    absent = [name for name in needed if name not in header]
    if absent:
        raise DataError(f"{path}: no column {absent[0]!r} (columns: {', '.join(header[:12])})")
    for number, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}, row {number}: {len(cells)} cells, but the header has {len(header)}")
    return [dict(zip(header, (cell.strip() for cell in cells), strict=True)) for _, cells in rows]


def columns_of(path: Path) -> list[str]:
    """The columns of a table; none if it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            return _split(stream.readline(100_000))
    except (OSError, ValueError):
        return []


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the rows with the number of the line at which each begins: those without any text are left out."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    first, _, rest = text.replace("\r\n", "\n").partition("\n")
    rows, begin = [], 2
    reader = csv.reader(io.StringIO(rest, newline=""), delimiter=_separator(first))
    for cells in reader:
        if any(cell.strip() for cell in cells):
            rows.append((begin, cells))
        begin = reader.line_num + 2
    return _split(first), rows


def _separator(line: str) -> str:
    return ";" if line.count(";") > line.count(",") else ","


def _split(line: str) -> list[str]:
    cells = next(csv.reader([line.strip()], delimiter=_separator(line)), [])
    return [cell.strip() for cell in cells]
