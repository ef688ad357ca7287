"""What Python hands over: arrays, paths, pairs, with their columns; and tables in memory."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.data.arrays import ArrayReader, is_table, reader_of, write_table
from medplug.errors import ContractError, DataError
from medplug.images import ImageError
from medplug.testing import check_component

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (4, 6, 7), np.uint8)


def paths(folder: Path) -> list[Path]:
    found = []
    for number, image in enumerate(IMAGES):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(path)
        found.append(path)
    return found


def test_it_keeps_the_contract() -> None:
    reader = ArrayReader(IMAGES, ["x", "y", "x", "y"], groups={"patient": [1, 1, 2, 2]})
    expected = {"unusable_sources_are_refused": "the data are in the reader, whatever the source is called"}
    report = check_component(reader, kind="reader", source="arrays", named_only=True, expect_fail=expected)
    assert report.ok


def test_arrays_are_loaded_as_they_are() -> None:
    reader = ArrayReader(IMAGES, [0, 1, 0, 1])
    index = reader.index("")
    np.testing.assert_array_equal(np.stack([reader.load(uri) for uri in index.uris])[..., 0], IMAGES)
    assert index.samples == ("0", "1", "2", "3")
    assert reader.facts(index.uris[0]) == {}
    with pytest.raises(ImageError, match="no image of these arrays"):
        reader.load("9:abc")


def test_paths_are_opened_when_they_are_needed(tmp_path: Path) -> None:
    found = paths(tmp_path)
    reader = ArrayReader([*found[:3], str(tmp_path / "b" / "gone.png")], [0, 1, 0, 1])
    index = reader.index("")
    assert index.samples == ("a/0.png", "b/1.png", "a/2.png", "b/gone.png")
    np.testing.assert_array_equal(reader.load(index.uris[1])[..., 0], IMAGES[1])
    assert reader.facts(index.uris[1])["format"] == "PNG"
    with pytest.raises(ImageError, match="does not exist"):
        reader.load(index.uris[3])


def test_other_arrays_have_other_uris() -> None:
    """So that a cache of decoded images is never taken for that of other arrays."""
    first = ArrayReader(IMAGES, [0, 1, 0, 1]).index("").uris
    assert set(first).isdisjoint(ArrayReader(255 - IMAGES, [0, 1, 0, 1]).index("").uris)
    assert set(first).isdisjoint(ArrayReader(IMAGES.reshape(4, 7, 6), [0, 1, 0, 1]).index("").uris)
    assert first == ArrayReader(list(IMAGES), [0, 1, 0, 1]).index("").uris


def test_all_columns() -> None:
    index = ArrayReader(
        IMAGES,
        ["b", None, "a", "b"],
        classes=["b", "a"],
        groups={"patient": [1, 1, 2, None], "lesion": ["x", "y", np.nan, "z"]},
        splits=["train", "test", "val", ""],
        metadata={"age": [1.5, 2, np.nan, 4], "hospital": ["Ulm", "Bern", "Ulm", "Bern"]},
        names=["p", "q", "r", "s"],
        site="hospital",
    ).index("")
    assert index.samples == ("p", "r", "s")
    assert index.targets.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert index.groups["patient"].tolist() == ["1", "2", ""]
    assert index.groups["lesion"].tolist() == ["x", "", "z"]
    assert index.splits is not None
    assert index.splits.tolist() == ["train", "validation", ""]
    np.testing.assert_array_equal(index.metadata["age"], [1.5, np.nan, 4])
    assert index.site == "hospital"
    assert [(s.name, s.reason) for s in index.skipped] == [("q", "no label")]
    assert index.notes == ("samples without a label, left out: 1",)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"labels": [0, 1]}, "4 images and 2 labels"),
        ({"groups": [1, 2]}, "group: 2 values for 4 images"),
        ({"metadata": {"age": [1]}}, "age: 1 values for 4 images"),
        ({"splits": ["train"]}, "splits: 1 values for 4 images"),
        ({"splits": ["train", "test", "later", ""]}, "splits: 'later' names no part"),
        ({"names": ["a", "b", "a", "c"]}, "1 names of samples repeat, such as 'a'"),
        ({"names": ["a"]}, "names: 1 values for 4 images"),
    ],
)
def test_columns_that_do_not_fit(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        ArrayReader(IMAGES, **{"labels": [0, 1, 0, 1], **columns})


def test_a_site_that_is_no_column() -> None:
    with pytest.raises(ContractError, match="Index.site is 'hospital'"):
        ArrayReader(IMAGES, [0, 1, 0, 1], site="hospital")


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="0 images and 0 labels"):
        ArrayReader([], [])


# ---------------------------------------------------------------- anything that yields pairs


def test_pairs_from_a_generator(tmp_path: Path) -> None:
    def pairs() -> Iterator[tuple[Any, str]]:
        yield IMAGES[0], "x"
        yield IMAGES[1].astype(float) / 255, "y"
        yield np.moveaxis(np.repeat(IMAGES[2][..., None], 3, -1), -1, 0), "x"
        yield Image.fromarray(IMAGES[3]), "y"
        yield paths(tmp_path)[0], "x"

    reader = reader_of(pairs())
    index = reader.index("")
    assert [index.label_text(row) for row in range(5)] == ["x", "y", "x", "y", "x"]
    loaded = [reader.load(uri) for uri in index.uris]
    assert [image.shape for image in loaded] == [(6, 7, 1), (6, 7, 1), (6, 7, 3), (6, 7, 1), (6, 7, 1)]
    assert [str(image.dtype) for image in loaded] == ["uint8", "float32", "uint8", "uint8", "uint8"]
    np.testing.assert_array_equal(loaded[2][..., 0], IMAGES[2])


def test_images_and_labels_as_a_tuple() -> None:
    index = reader_of((IMAGES, np.array([0, 1, 1, 0])), groups=[1, 1, 2, 2]).index("")
    assert index.targets.argmax(1).tolist() == [0, 1, 1, 0]
    assert list(index.groups) == ["group"]


def test_multi_label_pairs() -> None:
    index = reader_of([(image, labels) for image, labels in zip(IMAGES, [["x"], ["x", "y"], [], ["y"]], strict=True)])
    assert index.index("").targets.tolist() == [[1, 0], [1, 1], [0, 0], [0, 1]]


@pytest.mark.parametrize("data", [IMAGES, list(IMAGES), ["a.png", "b.png"], [(1, 2, 3)]])
def test_images_without_labels_are_refused(data: Any) -> None:
    with pytest.raises(DataError, match="images in memory need labels"):
        reader_of(data)


# ---------------------------------------------------------------- tables


def written(data: Any, folder: Path) -> list[list[str]]:
    write_table(data, folder / "t.csv")
    with (folder / "t.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.reader(stream))


def test_columns_by_name(tmp_path: Path) -> None:
    table = {"image": ["a,b.png", 'c".png'], "age": [1.5, np.nan], "label": np.array(["x", "y"])}
    assert is_table(table)
    assert written(table, tmp_path) == [["image", "age", "label"], ["a,b.png", "1.5", "x"], ['c".png', "", "y"]]
    with pytest.raises(DataError, match=r"columns of one length, got \{'a': 1, 'b': 2\}"):
        write_table({"a": [1], "b": [1, 2]}, tmp_path / "t.csv")


def test_records(tmp_path: Path) -> None:
    rows = [{"image": "a", "label": "x"}, {"image": "b", "age": None, "label": "y"}]
    assert is_table(rows)
    assert written(rows, tmp_path) == [["image", "label", "age"], ["a", "x", ""], ["b", "y", ""]]


@pytest.mark.parametrize("data", [IMAGES, [], [IMAGES[0]], (IMAGES, [0, 1]), "folder", Path("folder")])
def test_what_is_no_table(data: Any) -> None:
    assert not is_table(data)
