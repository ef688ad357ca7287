"""The text of a table: separators, encodings, headers, row numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from medplug.plugins import DataError
from medplug_standard.readers.tablefile import Format, Table, read_table


def read(folder: Path, text: str, raw: str = "utf-8", **form: Any) -> Table:
    path = folder / "t.csv"
    path.write_bytes(text.encode(raw))
    return read_table(path, Format(**form))


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
        ("sep=;\nimage;label\n1.png;a\n2.png;b\n", "utf-8-sig"),
        ('"sep=;"\r\nimage;label\r\n1.png;a\r\n2.png;b\r\n', "utf-8"),
        ("image\tlabel\r\n1.png\ta\r\n2.png\tb\r\n", "utf-16"),
        ("image,label\n1.png,a\n2.png,b\n", "utf-16-le"),
        ("image,label\n1.png,a\n2.png,b\n", "utf-16-be"),
        ("image|label\n1.png|a\n2.png|b\n", "utf-8"),
        ('image,label\n="1.png",a\n="2.png",b\n', "utf-8"),
        ("Export of 2026-01-02,,\n,,\nimage,label,note\n1.png,a,\n2.png,b,\n", "utf-8"),
    ],
)
def test_separators_and_encodings_are_found_out(tmp_path: Path, text: str, raw: str) -> None:
    table = read(tmp_path, text, raw=raw)
    assert table.columns["image"] == ["1.png", "2.png"]
    assert table.columns["label"] == ["a", "b"]


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\n1,2\n\n3,4\n,\n5,6\n").rows == [2, 4, 6]


def test_the_first_line_sep_counts_as_no_row(tmp_path: Path) -> None:
    assert read(tmp_path, "sep=;\na;b\n1;2\n").rows == [2]  # Excel does not show it
    assert list(read(tmp_path, "sep=;\na,b;c\n1,2;3\n", separator=",").columns) == ["a", "b;c"]  # what is said counts


@pytest.mark.parametrize(
    ("text", "raw", "told"),
    [
        ("schön", "cp1252", "cp1252"),
        ("“10 €”", "cp1252", "cp1252"),  # characters that Latin-1 does not have
        ("schön", "utf-8", "utf-8"),
        ("schön", "utf-8-sig", "utf-8"),
        ("schön", "utf-16", "utf-16"),
        ("sch\x81n", "latin-1", "latin-1"),  # Windows-1252 has no such character
    ],
)
def test_the_encoding_is_found_out_and_told(tmp_path: Path, text: str, raw: str, told: str) -> None:
    table = read(tmp_path, f"a,b\n{text},1\n", raw=raw)
    assert table.columns["a"] == [text]
    assert table.notes[0].startswith(f"the table: {told}, separator ','")


def test_the_encoding_can_be_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not utf-8 text"):
        read(tmp_path, "a,b\nschön,1\n", raw="latin-1", encoding="utf-8")
    assert read(tmp_path, "a,b\n病,1\n", raw="gb18030", encoding="gb18030").columns["a"] == ["病"]
    assert read(tmp_path, "a,b\nżółć,1\n", raw="cp1250", encoding="cp1250").columns["a"] == ["żółć"]


def test_the_separator_can_be_named(tmp_path: Path) -> None:
    assert list(read(tmp_path, "a:b,c\n1:2\n", separator=":").columns) == ["a", "b,c"]
    assert list(read(tmp_path, "a\tb,c,d\n1\t2\n", separator="tab").columns) == ["a", "b,c,d"]


# ---------------------------------------------------------------- header


def test_titles_above_the_header_are_left_out_and_told(tmp_path: Path) -> None:
    table = read(tmp_path, "Patients,,\n\nimage,label,age\n1.png,a,3\n2.png,b,\n")
    assert list(table.columns) == ["image", "label", "age"]
    assert table.rows == [4, 5]
    assert "columns named in row 3 (guessed)" in table.notes[0]
    assert table.notes[1] == "1 row above them left out (row 1)"


@pytest.mark.parametrize("text", ["1.png,a,3\n2.png,b,4\n", "7,0,1\n8,1,0\n"])
def test_a_table_without_a_header(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert list(table.columns) == ["column 1", "column 2", "column 3"]
    assert table.rows == [1, 2]
    assert "no row names the columns (guessed), which are called column 1 to column 3" in table.notes[0]


def test_the_header_can_be_said(tmp_path: Path) -> None:
    text = "1,2,3\na,b,c\nx,y,z\n"
    assert list(read(tmp_path, text).columns) == ["column 1", "column 2", "column 3"]
    assert list(read(tmp_path, text, header_row=1).columns) == ["1", "2", "3"]
    second = read(tmp_path, text, header_row=2)
    assert second.columns == {"a": ["x"], "b": ["y"], "c": ["z"]}
    assert "(guessed)" not in second.notes[0]
    assert len(read(tmp_path, "a,b\nc,d\n", header_row=0)) == 2
    with pytest.raises(DataError, match="header_row=9"):
        read(tmp_path, text, header_row=9)


def test_one_column_only(tmp_path: Path) -> None:
    assert read(tmp_path, "image\n1.png\n2.png\n").columns == {"image": ["1.png", "2.png"]}


# ---------------------------------------------------------------- decimal commas


def test_decimal_commas_become_points(tmp_path: Path) -> None:
    table = read(tmp_path, "image;age;dose;text\n1.png;12,5;1,0;a,b\n2.png;;0;1,5\n3.png;7;NaN;2\n")
    assert table.columns["age"] == ["12.5", "", "7"]
    assert table.columns["dose"] == ["1.0", "0", "NaN"]
    assert table.columns["text"] == ["a,b", "1,5", "2"]  # not only numbers
    assert table.notes[1] == "commas are decimal in 'age', 'dose' (reader.decimal=point leaves them)"


@pytest.mark.parametrize(
    ("text", "form", "expected"),
    [
        ('n,m\n"1,234",1\n', {}, "1,234"),  # could be thousands
        ('n,m\n"1,234",1\n', {"decimal": "comma"}, "1.234"),
        ("n;m\n1,5;1\n", {"decimal": "point"}, "1,5"),
        ("n;m\n1,5;1\n1.5;2\n", {}, "1,5"),  # both: text
        ("n;m\n1,2,3;1\n1,5;2\n", {}, "1,2,3"),  # a list
    ],
)
def test_commas_that_may_not_be_decimal(tmp_path: Path, text: str, form: dict[str, str], expected: str) -> None:
    assert read(tmp_path, text, **form).columns["n"][0] == expected


# ---------------------------------------------------------------- names of columns


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
        ("a,b\n1,2\n", {"sheet": "one"}, "reader.sheet belongs to Excel files"),
        ("a,b\n" + "x" * 200_000 + ",1\n", {}, "not a table that can be read"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, text: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, **options)
