from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medplug.errors import DataError
from medplug.evaluation.tables import read_predictions, write_predictions
from medplug.values import Predictions

NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=8)


@given(
    samples=st.lists(NAMES, max_size=5),
    classes=st.lists(NAMES, min_size=1, max_size=3),
    numbers=st.lists(st.floats(0, 1), min_size=15, max_size=15),
)
def test_what_is_written_is_read(
    tmp_path_factory: Any, samples: list[str], classes: list[str], numbers: list[float]
) -> None:
    path = tmp_path_factory.mktemp("table") / "predictions.csv"
    probabilities = np.array(numbers[: len(samples) * len(classes)]).reshape(len(samples), len(classes))
    write_predictions(path, Predictions(tuple(samples), probabilities, None, tuple(classes), "multilabel"))
    table = read_predictions(path)
    assert (table.samples, table.classes) == (tuple(samples), tuple(classes))
    np.testing.assert_array_equal(table.probabilities, probabilities)
    assert os.listdir(path.parent) == ["predictions.csv"]


def test_looks_as_documented(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    name = os.fsdecode(b"caf\xe9.png")  # a file name that is not UTF-8
    write_predictions(
        path,
        Predictions((name, 'a,"b".png'), np.array([[0.1 + 0.2, 0.7], [1.0, 0.0]]), None, ("x", "y, z"), "multiclass"),
    )
    assert path.read_bytes().startswith(b'"sample","x","y, z"\n"caf\xe9.png",0.30000000000000004,0.7\n')
    assert read_predictions(path).samples == (name, 'a,"b".png')
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        assert next(csv.DictReader(file))["y, z"] == "0.7"


def test_reserved_columns_are_written_behind_the_classes_and_left_alone_by_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    columns = {"medplug:decision": ["y", "x"], "medplug:energy": ["-1.5", "2"]}
    found = Predictions(("a", "b"), np.array([[0.25, 0.75], [1.0, 0.0]]), None, ("x", "y"), "multiclass", None, columns)
    write_predictions(path, found)
    assert path.read_text().splitlines() == [
        '"sample","x","y","medplug:decision","medplug:energy"', '"a",0.25,0.75,"y","-1.5"', '"b",1.0,0.0,"x","2"'
    ]  # fmt: skip
    table = read_predictions(path)
    assert (table.classes, table.source) == (("x", "y"), str(path))
    np.testing.assert_array_equal(table.probabilities, found.probabilities)
    with pytest.raises(ValueError, match="'decision' for a class"):
        write_predictions(path, replace(found, columns={"decision": ["y", "x"]}))
    with pytest.raises(ValueError, match="zip"):
        write_predictions(path, replace(found, columns={"medplug:decision": ["y"]}))
    assert read_predictions(path).samples == ("a", "b")


def test_a_failure_leaves_the_old_table(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="zip"):
        write_predictions(path, Predictions(("a",), np.zeros((2, 1)), None, ("x",), "multilabel"))
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["p.csv"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line"),
        ("name,x\n", "first line"),
        ("sample,medplug:decision\na,x\n", "first line"),
        ("sample,x,y\na,1\n", "row 1 has 2 cells, the header has 3"),
        ("sample,x\na,1\nb,high\n", r"row 2 \(b\): could not convert"),
    ],
)
def test_damaged_tables_are_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_predictions(path)


def test_missing_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_predictions(tmp_path / "none.csv")


@pytest.mark.parametrize(("call", "loaded"), [("import medplug.evaluation.tables", False), ("import sklearn", True)])
def test_tables_import_neither_scikit_learn_nor_jax(call: str, loaded: bool) -> None:
    """The second case shows that the check can fail."""
    code = f"{call}\nimport sys\nprint(bool({{'sklearn', 'jax'}} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(loaded)
