"""A sheet of an Excel file as rows of text, through openpyxl."""

from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

from medplug.plugins import DataError
from medplug_standard.readers.files import nearest_hint, some

SHEETS = frozenset({".xlsx", ".xlsm"})
_NEEDED = (
    "an Excel file needs the package openpyxl: pip install 'medplug-standard[excel]'; or save the sheet as CSV "
    "(File, Save As, CSV UTF-8) and pass that file"
)


def read_sheet(path: Path, sheet: str | None = None) -> tuple[list[list[str]], str]:
    """All rows of a sheet, from row 1, and a note on which one it is. Formulas count by the values that Excel saved.

    Args:
        path: the file.
        sheet: its name; None takes the first one that is not hidden.

    Raises:
        DataError: no openpyxl, no Excel file, or no such sheet.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        import openpyxl
    except ImportError:
        raise DataError(f"{path}: {_NEEDED}") from None
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # zip, XML and openpyxl's own errors alike
        raise DataError(f"{path}: not an Excel file that can be read ({error}); save the sheet as CSV") from None
    try:
        names = [one.title for one in book.worksheets]
        shown = [one.title for one in book.worksheets if one.sheet_state == "visible"] or names
        if sheet is not None and sheet not in names:
            hint = nearest_hint(sheet, names)
            raise DataError(f"{path}: no sheet {sheet!r}{hint} (sheets: {some(names, 20)}); set reader.sheet")
        if not names:
            raise DataError(f"{path}: holds no sheet of cells")
        chosen = sheet or shown[0]
        page = book[chosen]
        page.reset_dimensions()  # what the file says of its size is often wrong
        rows = [[_text(value) for value in row] for row in page.iter_rows(min_row=1, values_only=True)]
    finally:
        book.close()
    others = [name for name in names if name != chosen]
    left = f" (left out: {some(others)})" if others else ""
    return rows, f"the table: Excel sheet {chosen!r}{left}"


def _text(value: Any) -> str:
    """A cell as its owner would type it: whole numbers without a point, dates as ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)
