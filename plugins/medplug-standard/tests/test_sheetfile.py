"""Excel files: read where openpyxl is installed, and a way out where it is not."""

from __future__ import annotations

import datetime
import sys
from pathlib import Path
from typing import Any

import pytest
from reader_helpers import labels, put

from medplug.plugins import DataError
from medplug_standard.readers.sheetfile import read_sheet
from medplug_standard.readers.table import Csv


def test_without_openpyxl_a_way_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"pip install 'medplug-standard\[excel\]'; or save the sheet as CSV"):
        Csv().index(str(tmp_path / "labels.xlsx"))


def test_how_sure_the_reader_is_of_excel_files(tmp_path: Path) -> None:
    put(tmp_path, "a.xlsx", "a.XLSM", "a.xls")
    assert [Csv().can_read(str(tmp_path / name)) for name in ("a.xlsx", "a.XLSM", "a.xls")] == [0.9, 0.9, 0]


def workbook(path: Path, **sheets: list[list[Any]]) -> str:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        page = book.create_sheet(name)
        for row in rows:
            page.append(row)
    book.save(path)
    return str(path)


def test_a_sheet_of_labels(tmp_path: Path) -> None:
    put(tmp_path, "images/007.png", "images/008.png", "images/009.png")
    rows = [
        ["Study of 2026"],
        [],
        ["image", "label", "age", "seen", "smoker"],
        [7, "cyst", 41.5, datetime.datetime(2026, 1, 2), True],
        ["008", "none", None, datetime.datetime(2026, 1, 2, 3, 4), False],
        [9.0, "cyst", 3, None, None],
    ]
    index = Csv().index(workbook(tmp_path / "labels.xlsx", Labels=rows, Notes=[["nothing"]]))
    assert labels(index) == {"007.png": "cyst", "008.png": "none", "009.png": "cyst"}
    assert index.metadata["age"].tolist()[::2] == [41.5, 3]
    assert index.metadata["seen"].tolist() == ["2026-01-02", "2026-01-02 03:04:00", ""]
    assert index.metadata["smoker"].tolist()[:2] == [1, 0]
    assert index.notes[0] == "the table: Excel sheet 'Labels' (left out: Notes), columns named in row 3 (guessed)"


def test_the_sheet_can_be_named(tmp_path: Path) -> None:
    source = workbook(tmp_path / "a.xlsx", One=[["a"], [1]], Two=[["b"], [2]])
    assert read_sheet(Path(source), "Two")[0] == [["b"], ["2"]]
    with pytest.raises(DataError, match=r"no sheet 'Too'; did you mean 'Two'\? \(sheets: One, Two\)"):
        read_sheet(Path(source), "Too")


def test_hidden_sheets_come_last(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    source = workbook(tmp_path / "a.xlsx", One=[["a"]], Two=[["b"]])
    book = openpyxl.load_workbook(source)
    book["One"].sheet_state = "hidden"
    book.save(source)
    assert read_sheet(Path(source))[0] == [["b"]]


def test_what_is_no_excel_file_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(DataError, match="not an Excel file that can be read"):
        read_sheet(tmp_path / "a.xlsx")
    with pytest.raises(DataError, match="no such file"):
        read_sheet(tmp_path / "none.xlsx")
    put(tmp_path, "b.xlsx")
    with pytest.raises(DataError, match=r"reader.separator and reader.encoding belong to text files"):
        Csv(separator=";").index(str(tmp_path / "b.xlsx"))
