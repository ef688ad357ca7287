"""Labels from a table beside the files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from medplug.plugins import DataError, Index
from medplug_dicom.reader import Dicom

Write = Callable[..., Path]


def labels(index: Index) -> dict[str, str]:
    return {name: index.label_text(row) for row, name in enumerate(index.samples)}


def _four(write: Write) -> list[dict[str, str]]:
    """Four files of two patients, their attributes."""
    found = []
    for number in range(4):
        path = write(
            f"images/s{number // 2}/im{number}.dcm", PatientID=f"P{number // 2}00", AccessionNumber=f"A-{number}"
        )
        dataset = dcmread(path)
        values = {
            k: str(dataset[k].value) for k in ("SOPInstanceUID", "SeriesInstanceUID", "PatientID", "AccessionNumber")
        }
        found.append(
            {
                **values,
                "path": f"images/s{number // 2}/im{number}.dcm",
                "name": f"im{number}.dcm",
                "stem": f"im{number}",
            }
        )
    return found


@pytest.mark.parametrize("key", ["path", "name", "stem", "SOPInstanceUID", "SeriesInstanceUID", "AccessionNumber"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_of_images(key: str, separator: str, write: Write, tmp_path: Path) -> None:
    rows = _four(write)
    lines = [separator.join(("which", "age", "Diagnosis"))]
    lines += [separator.join((row[key], "40", "ab"[n % 2])) for n, row in enumerate(rows)]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    index = Dicom().index(str(tmp_path / "t.csv"))
    assert labels(index) == {f"images/s{n // 2}/im{n}.dcm": "ab"[n % 2] for n in range(4)}
    told = " | ".join(index.notes)
    assert "column 'which' of t.csv is matched with" in told
    assert "labels from 'Diagnosis' (guessed by its name)" in told
    assert "columns of t.csv that are not used: age" in told


@pytest.mark.parametrize("header", ["age,which,label", "label,which,age", "which,label,age"])
def test_ages_and_labels_that_are_names_of_files_too_are_not_taken_for_them(
    header: str, write: Write, tmp_path: Path
) -> None:
    for number in range(1, 21):
        write(f"{number}.dcm")
    values = {str(n): {"age": str(n % 7 + 1), "which": str(n), "label": str(n % 2)} for n in range(1, 21)}
    lines = [header, *(",".join(row[name] for name in header.split(",")) for row in values.values())]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    index = Dicom().index(str(tmp_path / "t.csv"))
    assert labels(index) == {f"{n}.dcm": row["label"] for n, row in values.items()}


def test_two_columns_that_name_different_files_are_an_error(write: Write, tmp_path: Path) -> None:
    for number in range(4):
        write(f"{number}.dcm")
    (tmp_path / "t.csv").write_text("left,right,label\n0,3,a\n1,2,b\n2,1,a\n3,0,b\n")
    with pytest.raises(DataError, match=r"'left' and 'right' name different files.*reader\.image_column=left"):
        Dicom().index(str(tmp_path / "t.csv"))
    index = Dicom(image_column="right").index(str(tmp_path / "t.csv"))
    assert labels(index) == {"0.dcm": "b", "1.dcm": "a", "2.dcm": "b", "3.dcm": "a"}


def test_a_table_of_patients_with_splits_and_groups(write: Write, tmp_path: Path) -> None:
    _four(write)
    (tmp_path / "t.csv").write_text(
        "pid,label,set,ward,x\nP000,ill,train,W1,3\nP100,well,test,W2,4\nP000,ill,train,W1,5\n"
    )
    index = Dicom(group_column="ward").index(str(tmp_path / "t.csv"))
    assert list(labels(index).values()) == ["ill", "ill", "well", "well"]
    assert index.splits is not None
    assert index.splits.tolist() == ["train", "train", "test", "test"]
    ward = index.groups["group"]
    assert ward[0] == ward[1] != ward[2] == ward[3]
    assert "W1" not in ward


def test_rows_that_disagree_about_the_group_are_not_settled_by_the_first(write: Write, tmp_path: Path) -> None:
    _four(write)
    (tmp_path / "t.csv").write_text("file,label,ward\nim0,a,W1\nim0,a,W2\nim1,a,W1\nim2,b,W2\nim3,b,W2\n")
    index = Dicom(group_column="ward").index(str(tmp_path / "t.csv"))
    assert len(index) == 3
    assert [s.reason for s in index.skipped if s.lost] == ["rows of t.csv disagree about it"]


def test_rows_that_disagree_or_fit_nothing(write: Write, tmp_path: Path) -> None:
    _four(write)
    (tmp_path / "t.csv").write_text("file,label\nim0,a\nim0,b\nim1,a\nim2,b\nim9-SMITH,a\nim3,\n")
    index = Dicom().index(str(tmp_path / "t.csv"))
    assert labels(index) == {"images/s0/im1.dcm": "a", "images/s1/im2.dcm": "b"}
    assert {s.name: s.reason for s in index.skipped} == {
        "t.csv, row 6": "no DICOM file fits this row",
        "images/s0/im0.dcm": "rows of t.csv disagree about it",
        "images/s1/im3.dcm": "its row of t.csv has no label",
    }
    assert all(s.lost for s in index.skipped)


def test_several_label_columns(write: Write, tmp_path: Path) -> None:
    _four(write)
    (tmp_path / "t.csv").write_text("file,mass,fluid\nim0,1,0\nim1,1,1\nim2,,0\nim3,-1,yes\n")
    index = Dicom(label_column="mass,fluid").index(str(tmp_path / "t.csv"))
    assert (index.task, index.classes) == ("multilabel", ("mass", "fluid"))
    np.testing.assert_array_equal(index.targets, [[1, 0], [1, 1], [np.nan, 0], [np.nan, 1]])
    (tmp_path / "t.csv").write_text("file,mass,fluid\nim0,1,0\nim1,0,1\nim2,1,0\nim3,0,1\n")
    assert Dicom(label_column="mass,fluid").index(str(tmp_path / "t.csv")).task == "multiclass"


@pytest.mark.parametrize(
    ("text", "parameters", "words"),
    [
        ("file,label\nnowhere,a\n", {}, "no column leads to a DICOM file"),
        ("file,label\nnowhere,a\n", {"image_column": "file"}, "column 'file' leads to no DICOM file"),
        ("file,grade\nim0,a\n", {}, "no column is named like a label"),
        ("file,label\nim0,a\n", {"label_column": "lable"}, "has no column 'lable'"),
        ("file,label\nim0,a\n", {"split_column": "fold"}, "has no column 'fold'"),
        ("file,label,part\nim0,a,SECRET\n", {"split_column": "part"}, "row 2, column 'part': names no split"),
        ("file,x,y\nim0,SECRET,1\n", {"label_column": "x,y"}, "row 2, column 'x': neither 0 nor 1"),
        ("file,label\n", {}, "a table with a header and at least one row"),
        ("file,label\nim0,a\nim1,a\n", {}, "all 2 files have the same label"),
        ("file,label\nim0,\n", {}, "no file has a label"),
        ("file,file\nim0,a\n", {}, "two columns have the same name"),
    ],
)
def test_tables_that_cannot_be_used(
    text: str, parameters: dict[str, Any], words: str, write: Write, tmp_path: Path
) -> None:
    _four(write)
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=words) as error:
        Dicom(**parameters).index(str(tmp_path / "t.csv"))
    assert "SECRET" not in str(error.value)


def test_a_table_for_prediction_needs_no_labels(write: Write, tmp_path: Path) -> None:
    _four(write)
    (tmp_path / "t.csv").write_text("file\nim3\nim0\n")
    index = Dicom().unlabelled(str(tmp_path / "t.csv"))
    assert index.samples == ("images/s0/im0.dcm", "images/s1/im3.dcm")
