"""JSON in the forms of AUCMEDI, and as records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reader_helpers import labels, put

from medplug.plugins import DataError, Index
from medplug_standard.readers.jsonlabels import Json


def read(folder: Path, content: Any, images: str = "abc", **parameters: Any) -> Index:
    put(folder, *(f"images/{name}.png" for name in images))
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return Json(**parameters).index(str(path))


def test_names_with_classes(tmp_path: Path) -> None:
    index = read(tmp_path, {"a": "cyst", "b": "none", "c": "cyst"})
    assert index.classes == ("cyst", "none")
    assert labels(index) == {"a.png": "cyst", "b.png": "none", "c.png": "cyst"}
    assert index.notes[0] == "the file: names with a class"


def test_a_legend_gives_the_order_of_the_classes(tmp_path: Path) -> None:
    """AUCMEDI names the columns by the legend and fills them in sorted order."""
    index = read(tmp_path, {"legend": ["none", "cyst"], "a": "cyst", "b": "none", "c": "cyst"})
    assert index.classes == ("none", "cyst")
    assert index.targets.tolist() == [[0, 1], [1, 0], [0, 1]]


def test_numbers_count_the_legend(tmp_path: Path) -> None:
    index = read(tmp_path, {"a": 2, "b": 0, "c": None, "legend": ["normal", "benign", "malignant"]})
    assert labels(index) == {"a.png": "malignant", "b.png": "normal"}
    assert [(s.name, s.reason) for s in index.skipped] == [("record 3: c.png", "no label")]
    assert index.classes == ("normal", "malignant")
    assert any("classes without a usable record, left out: benign" in note for note in index.notes)


def test_numbers_that_are_names_in_the_legend(tmp_path: Path) -> None:
    index = read(tmp_path, {"legend": ["3", "2", "1"], "a": 1, "b": 3, "c": 2})
    assert labels(index) == {"a.png": "1", "b.png": "3", "c.png": "2"}


def test_numbers_without_a_legend(tmp_path: Path) -> None:
    assert read(tmp_path, {"a": 10, "b": 9, "c": 10}).classes == ("9", "10")


def test_lists_of_0_and_1(tmp_path: Path) -> None:
    """AUCMEDI leaves the number of classes undefined where there is no legend."""
    one_hot = read(tmp_path, {"a": [0, 1], "b": [1, 0], "c": [1, 0]})
    assert (one_hot.classes, one_hot.task) == (("0", "1"), "multiclass")
    several = read(tmp_path, {"legend": ["mass", "edema"], "a": [1, 1], "b": [0, 1], "c": [0, None]})
    assert (several.classes, several.task) == (("mass", "edema"), "multilabel")
    np.testing.assert_array_equal(several.targets, [[1, 1], [0, 1], [0, np.nan]])


def test_a_class_that_all_have_stays(tmp_path: Path) -> None:
    index = read(tmp_path, {"legend": ["x", "y"], "a": [1, 1], "b": [1, 0], "c": [1, 1]})
    assert index.classes == ("x", "y")


def test_lists_of_names(tmp_path: Path) -> None:
    index = read(tmp_path, {"a": ["mass", "edema"], "b": ["edema"], "c": ["mass"]})
    assert (index.classes, index.task) == (("edema", "mass"), "multilabel")
    ordered = read(tmp_path, {"legend": ["mass", "edema"], "a": ["mass", "edema"], "b": ["edema"], "c": ["mass"]})
    assert ordered.classes == ("mass", "edema")


def test_records(tmp_path: Path) -> None:
    rows = [
        {"file": "a.png", "diagnosis": "x", "patient": 7, "age": 3.5, "hospital": "Ulm", "split": "train"},
        {"file": "b.png", "diagnosis": "y", "patient": 7, "hospital": "Bern", "split": "test"},
        {"file": "c.png", "diagnosis": "x", "patient": 8, "age": None, "hospital": "Ulm", "split": "train"},
        {"file": "d.png", "diagnosis": "y", "patient": 9, "age": 5, "hospital": "Bern", "split": "val"},
    ]
    index = read(tmp_path, rows, images="abcd", group_column="patient")
    assert index.groups["patient"].tolist() == ["7", "7", "8", "9"]
    np.testing.assert_array_equal(index.metadata["age"], [3.5, np.nan, np.nan, 5])
    assert index.splits is not None
    assert index.splits.tolist() == ["train", "test", "train", "validation"]
    assert index.site == "hospital"
    keyed = read(tmp_path, {row["file"]: {"diagnosis": row["diagnosis"]} for row in rows}, images="abcd")
    assert labels(keyed) == {"a.png": "x", "b.png": "y", "c.png": "x", "d.png": "y"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON that can be read"),
        ("3", "expected is an object of names and classes, or a list of records"),
        ("{}", "names no image"),
        ('["a", "b"]', "expected is an object"),
        ('{"a": "x", "b": "y", "a": "z"}', "'a' is named twice"),
        ('{"a": "x", "b": [0, 1]}', "values of different kinds: 'a' has a class, 'b' has a list of 0 and 1"),
        ('{"a": [0, 1], "b": [0, 1, 0]}', "'a' has 2 values, expected are 3"),
        ('{"legend": ["x", "y", "z"], "a": [0, 1], "b": [1, 0]}', "'a' has 2 values, expected are 3"),
        ('{"legend": ["x", "x"], "a": "x"}', "the legend must be a list of different class names"),
        ('{"legend": ["x", "y"], "a": "x", "b": "z"}', "the label 'z' is not among the classes x, y"),
        ('{"legend": ["x", "y"], "a": 0, "b": 2}', "the label '0' is not among the classes"),
        ('[{"image": "a", "label": {"x": 1}}]', "a record within a record"),
        ('{"a": ["x|y"], "b": ["z"]}', "set reader.label_separator"),
    ],
)
def test_what_is_no_table_of_labels_is_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)


def test_how_sure_the_reader_is(tmp_path: Path) -> None:
    put(tmp_path, "a.json", "b.txt")
    assert Json().can_read(str(tmp_path / "a.json")) == 0.8
    assert Json().can_read(str(tmp_path / "b.txt")) == Json().can_read(str(tmp_path / "no.json")) == 0


def test_images_without_labels(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png")
    (tmp_path / "list.json").write_text('{"a": null, "b": null}')
    assert Json().unlabelled(str(tmp_path / "list.json")).samples == ("a.png", "b.png")
