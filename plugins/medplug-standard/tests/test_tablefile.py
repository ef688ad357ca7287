"""The text of a table: separators, encodings, headers, row numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from medplug.plugins import DataError
from medplug_standard.readers.tablefile import Table, read_table


def read(
    folder: Path, text: str, separator: str | None = None, encoding: str | None = None, raw: str = "utf-8"
) -> Table:
    path = folder / "t.csv"
    path.write_bytes(text.encode(raw))
    return read_table(path, separator, encoding)


@pytest.mark.parametrize(
    ("text", "raw"),
    [
        ("image;label;note\n1.png;a;1,5\n2.png;b;2,5\n", "utf-8"),
        ("image\tlabel\tnote\n1.png\ta\tx, y\n2.png\tb\tz\n", "utf-8"),
        ("image,label,note\n1.png,a,\n2.png,b,\n", "utf-8-sig"),
        ("image,label,note\n1.png,a,x\n2.png,b,y\n", "utf-16"),
        ('image,label,note\n"1.png","a","two\nlines, one cell"\n"2.png","b",""\n', "utf-8"),
        ("image , label\r\n 1.png , a\r\n\r\n2.png,b\r\n", "utf-8"),
        ("image,label\r1.png,a\r2.png,b\r", "utf-8"),
        ("image,label,note\n1.png,a\n2.png,b\n", "utf-8"),
    ],
)
def test_separators_and_encodings_are_found_out(tmp_path: Path, text: str, raw: str) -> None:
    table = read(tmp_path, text, raw=raw)
    assert table.columns["image"] == ["1.png", "2.png"]
    assert table.columns["label"] == ["a", "b"]


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\n1,2\n\n3,4\n,\n5,6\n").rows == [2, 4, 6]


def test_latin_1_is_read_and_told(tmp_path: Path) -> None:
    table = read(tmp_path, "a,b\nschön,1\n", raw="latin-1")
    assert table.columns["a"] == ["schön"]
    assert any("latin-1" in note for note in table.notes)
    with pytest.raises(DataError, match="not utf-8 text"):
        read(tmp_path, "a,b\nschön,1\n", raw="latin-1", encoding="utf-8")
    assert read(tmp_path, "a,b\n病,1\n", raw="gb18030", encoding="gb18030").columns["a"] == ["病"]


def test_the_separator_can_be_named(tmp_path: Path) -> None:
    assert list(read(tmp_path, "a:b,c\n1:2\n", separator=":").columns) == ["a", "b,c"]
    assert list(read(tmp_path, "a\tb,c,d\n1\t2\n", separator="tab").columns) == ["a", "b,c,d"]


def test_odd_headers_get_unique_names(tmp_path: Path) -> None:
    table = read(tmp_path, ",label,label,\n0,a,x\n")
    assert table.columns == {"column (1)": ["0"], "label": ["a"], "label (3)": ["x"]}
    assert any("'label' occurs twice" in note for note in table.notes)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, "the table is empty"),
        ("\n\n,\n", {}, "the table is empty"),
        ("image,label\n", {}, "a header and no rows"),
        ("a,b\n1,x\n2,y,z\n1,x\n1,x\n", {}, "row 3: 3 cells, but the header has 2"),
        ("a,b\n1,2\n", {"separator": "::"}, "one character"),
        ("a,b\n1,2\n", {"encoding": "klingon"}, "unknown encoding 'klingon'"),
        ("a,b\n" + "x" * 200_000 + ",1\n", {}, "not a table that can be read"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, text: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, **options)
