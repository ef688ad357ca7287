"""Tables: what is guessed, what is matched to which file, and what is refused or skipped with which words."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medplug.plugins import DataError, Index
from medplug.testing import check_component
from medplug_standard.readers.names import NEVER_LABELS, normalised
from medplug_standard.readers.table import Csv
from medplug_standard.readers.tablelabels import sorted_classes


def put(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def table(root: Path, text: str, name: str = "labels.csv", encoding: str = "utf-8") -> str:
    path = root / name
    path.write_text(text, encoding=encoding)
    return str(path)


def rows(header: str, *lines: str) -> str:
    return "\n".join([header, *lines]) + "\n"


def labels(index: Index) -> dict[str, str]:
    return {sample: index.label_text(i) for i, sample in enumerate(index.samples)}


def refused(source: str, message: str, **parameters: str) -> None:
    with pytest.raises(DataError, match=message):
        Csv(**parameters).index(source)


def drawn_table(folder: Path) -> str:
    (folder / "images").mkdir()
    for number in range(4):
        Image.fromarray(np.full((8, 9, 3), 20 * number, np.uint8)).save(folder / "images" / f"{number:03d}.png")
    return table(folder, rows("id,label,patient,age", "0,a,P1,3", "1,b,P2,", "2,a,P3,5", "3,b,P3,6"))


def test_it_keeps_the_contract() -> None:
    assert check_component(Csv, source=drawn_table).passed


# ---------------------------------------------------------------- guesses


def test_paths_and_labels(tmp_path: Path) -> None:
    put(tmp_path, "x/1.png", "y/2.png", "y/3.png")
    index = Csv().index(table(tmp_path, rows("image,label,age,site", "x/1.png,b,7,l", "y/2.png,a,,r", "y/3.png,a,9,r")))
    assert labels(index) == {"x/1.png": "b", "y/2.png": "a", "y/3.png": "a"}
    assert index.classes == ("a", "b")
    assert index.task == "multiclass"
    np.testing.assert_array_equal(index.metadata["age"], [7, np.nan, 9])
    assert index.metadata["site"].tolist() == ["l", "r", "r"]
    assert index.notes == (
        "the table: utf-8, separator ',', columns named in row 1 (guessed)",
        "images from column 'image' (guessed), beside the table (guessed)",
        "label from column 'label' (guessed by its name)",
    )


def test_ids_in_a_subfolder_like_dermatoscopy(tmp_path: Path) -> None:
    ids = [f"ISIC_{i:07d}" for i in range(12)]
    put(tmp_path, *(f"images/{i}.jpg" for i in ids))
    header = "image_id,lesion_id,dx,dx_type,age"
    lines = [
        f"{i},L{k // 2},{'nv' if k % 3 else 'mel'},{'histo' if k % 2 else 'follow_up'},{k}" for k, i in enumerate(ids)
    ]
    index = Csv().index(table(tmp_path, rows(header, *lines)))
    assert index.samples[0] == "ISIC_0000000.jpg"  # relative to the image root
    assert index.classes == ("mel", "nv")
    assert list(index.groups) == ["lesion_id"]
    assert index.groups["lesion_id"].tolist() == [f"L{k // 2}" for k in range(12)]
    assert (
        index.notes[1] == "images from column 'image_id' (guessed), in folder images/ (guessed): ids without extension"
    )


def test_ids_spread_over_several_folders(tmp_path: Path) -> None:
    names = [*(f"part_1/{i:02d}.jpg" for i in range(19)), "part_2/19.jpg"]
    put(tmp_path, *names)
    index = Csv().index(table(tmp_path, rows("image_id,dx", *(f"{i:02d},{'xy'[i % 2]}" for i in range(20)))))
    assert index.samples == tuple(names)


def test_whole_numbers_and_numeric_labels_like_microscopy(tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{i:03d}.png" for i in range(1, 13)), *(f"masks/{i:03d}_mask.png" for i in range(1, 13)))
    lines = [f"{i},{(i % 3) * 5}" for i in range(1, 13)]
    index = Csv().index(table(tmp_path, rows("image ID,class label", *lines)))
    assert index.classes == ("0", "5", "10")  # as numbers
    assert index.samples[0] == "001.png"
    assert index.label_text(0) == "5"
    assert "'image ID'" in index.notes[1]  # and not the labels, which are names of files as well


def test_one_hot_columns(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png")
    index = Csv().index(table(tmp_path, rows("image,MEL,NV,BCC", "1,0.0,1.0,0.0", "2,1.0,0.0,0.0", "3,0.0,0.0,1.0")))
    assert index.task == "multiclass"
    assert index.classes == ("MEL", "NV", "BCC")  # in the order of the table
    assert labels(index) == {"1.png": "NV", "2.png": "MEL", "3.png": "BCC"}


def test_multi_label_columns_with_unknowns(tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{i}_left.jpg" for i in range(1, 6)))
    lines = [
        "1_left.jpg,1,M,1,0,0",
        "2_left.jpg,2,F,0,1,1",
        "3_left.jpg,3,F,,0,0",
        "4_left.jpg,4,M,-1,1,0",
        "5_left.jpg,5,M,,,",
    ]
    index = Csv().index(table(tmp_path, rows("filename,patient_id,sex,N,D,G", *lines)))
    assert index.task == "multilabel"
    assert index.classes == ("N", "D", "G")
    nan = np.nan
    np.testing.assert_array_equal(index.targets, np.array([[1, 0, 0], [0, 1, 1], [nan, 0, 0], [nan, 1, 0]], np.float32))
    assert [(s.name, s.reason) for s in index.skipped] == [("row 6: 5_left.jpg", "no label")]
    assert list(index.groups) == ["patient_id"]


def test_several_labels_in_one_cell(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png")
    index = Csv().index(
        table(tmp_path, rows("Image Index,Finding Labels", "1.png,Mass|Edema", "2.png,Edema", "3.png,None"))
    )
    assert index.task == "multilabel"
    assert index.classes == ("Edema", "Mass", "None")
    assert index.targets.tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1]]


def test_groups_and_splits(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(6)))
    parts = ["Train", "TRAINING", "val", "dev", "Test", ""]
    lines = [f"{i}.png,{'ab'[i % 2]},{part},P{i // 2},{'' if i else 'L1'}" for i, part in enumerate(parts)]
    index = Csv(group_column="PatientID,lesion").index(
        table(tmp_path, rows("file,target,partition,PatientID,lesion", *lines))
    )
    assert index.splits is not None
    assert index.splits.tolist() == ["train", "train", "validation", "validation", "test", ""]
    assert index.groups["PatientID"].tolist() == ["P0", "P0", "P1", "P1", "P2", "P2"]
    assert index.groups["lesion"].tolist() == ["L1", "", "", "", "", ""]
    text = " ".join(index.notes)
    assert "groups from 'PatientID', 'lesion'" in text
    assert "given splits from column 'partition' (guessed)" in text


def test_guesses_of_groups_and_splits_can_be_switched_off(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(6)))
    lines = [f"{i}.png,{'ab'[i % 2]},train,P{i // 2}" for i in range(6)]
    source = table(tmp_path, rows("file,label,split,patient", *lines))
    assert Csv().index(source).groups
    plain = Csv(group_column="", split_column="").index(source)
    assert plain.groups == {}
    assert plain.splits is None
    assert set(plain.metadata) == {"split", "patient"}


def test_a_group_that_holds_nearly_all_is_not_guessed(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(9)))
    lines = [f"{i}.png,{'ab'[i % 2]},{'x' if i < 6 else i}" for i in range(9)]
    source = table(tmp_path, rows("file,label,source", *lines))
    index = Csv().index(source)
    assert index.groups == {}
    assert any("'source' is not taken for a group" in note and "6 of 9 rows" in note for note in index.notes)
    assert list(Csv(group_column="source").index(source).groups) == ["source"]


def test_folds_by_number_are_no_split(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(4)))
    index = Csv().index(table(tmp_path, rows("file,label,fold", *(f"{i}.png,{'ab'[i % 2]},{i}" for i in range(4)))))
    assert index.splits is None


def test_a_label_is_guessed_by_few_values_where_no_name_helps(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(12)))
    lines = [f"{i}.png,{i % 2},{'rs'[i % 2]},{i % 3},{i * 7}" for i in range(12)]
    index = Csv().index(table(tmp_path, rows("file,sex,dx_type,birads,score", *lines)))
    assert index.classes == ("0", "1", "2")
    assert index.notes[2] == "label from column 'birads' (guessed by its few values)"


@pytest.mark.parametrize(
    "name", ["dx_type", "file_format", "original_format", "mode", "encoding", "Patient Sex", "eye"]
)
def test_columns_that_are_never_guessed_as_label(name: str) -> None:
    assert NEVER_LABELS.search(normalised(name))


@pytest.mark.parametrize("name", ["birads", "histology", "tumour", "stage", "melanoma"])
def test_columns_that_may_be_guessed_as_label(name: str) -> None:
    assert not NEVER_LABELS.search(normalised(name))


def test_a_column_of_masks_is_no_rival(tmp_path: Path) -> None:
    put(tmp_path, *(f"images/{i}.png" for i in range(4)), *(f"masks/{i}.png" for i in range(4)))
    lines = [f"images/{i}.png,masks/{i}.png,{'ab'[i % 2]}" for i in range(4)]
    index = Csv().index(table(tmp_path, rows("scan,segmentation,label", *lines)))
    assert index.samples[0] == "images/0.png"


def test_classes_sort_as_numbers_only_if_all_are() -> None:
    assert sorted_classes({"10", "9", "-1", "1.5"}) == ("-1", "1.5", "9", "10")
    assert sorted_classes({"10", "9", "x"}) == ("10", "9", "x")


# ---------------------------------------------------------------- refused or skipped


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    source = table(tmp_path, rows("image,label,age", "1.png,a,1", "2.png,b,2"))
    refused(
        source,
        r"reader.label_column: no column 'Lable'; did you mean 'label'\? \(columns: image, label, age\)",
        label_column="Lable",
    )
    refused(source, "reader.image_column: no column 'file'", image_column="file")
    refused(source, "reader.split_column: one column is wanted", split_column="image,label")
    refused(source, "reader.site_column: one column is wanted", site_column="image,label")
    refused(source, "no cell of column 'label' leads to a file", image_column="image,label")
    refused(source, "named twice", label_column="age,age")


def test_a_column_whose_name_has_a_comma(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    source = table(tmp_path, rows('image,"grade, final"', "1.png,a", "2.png,b"))
    assert Csv(label_column="grade, final").index(source).classes == ("a", "b")


def test_rows_without_a_file_are_skipped_by_number(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    index = Csv().index(table(tmp_path, rows("image,label", "1.png,a", "gone.png,a", "", "2.png,b", ",b")))
    assert [(s.name, s.reason) for s in index.skipped] == [
        ("row 3: gone.png", "no such file"),
        ("row 6: ", "no image named"),
    ]
    assert any("1 (no such file)" in note for note in index.notes)


def test_a_class_that_only_missing_files_have_is_dropped(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    index = Csv().index(table(tmp_path, rows("image,label", "1.png,a", "2.png,b", "3.png,c")))
    assert index.classes == ("a", "b")
    assert index.targets.shape == (2, 2)
    assert any("left out: c" in note for note in index.notes)


def test_labels_that_match_no_file_are_refused_with_examples(tmp_path: Path) -> None:
    put(tmp_path, "images/other.png")
    source = table(tmp_path, rows("image,label", "one,a", "two,b"))
    refused(source, r"no column leads to image files; tried were image: 'one', label: 'a'.*images \(1 images\)")
    refused(source, r"no cell of column 'image' leads to a file; tried were 'one', 'two'", image_column="image")
    refused(source, "reader.image_root: no such folder", image_root="pictures")


def test_the_image_root_can_be_named(tmp_path: Path) -> None:
    put(tmp_path, "low/1.png", "low/2.png", "high/1.png", "high/2.png")
    source = table(tmp_path, rows("image,label", "1,a", "2,b"))
    index = Csv(image_root="low").index(source)
    assert index.samples == ("1.png", "2.png")
    assert Path(index.uris[0]).samefile(tmp_path / "low" / "1.png")
    absolute = Csv(image_root=str(tmp_path / "high")).index(source)
    assert Path(absolute.uris[0]).samefile(tmp_path / "high" / "1.png")


def test_repeated_rows_count_once_and_contradictions_not_at_all(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(1, 6)))
    lines = [
        "1.png,a,train",
        "1,a,train",
        "2.png,b,train",
        "3.png,a,train",
        "3.png,b,train",
        "4.png,b,train",
        "4.png,b,test",
    ]
    index = Csv().index(table(tmp_path, rows("image,label,split", *lines)))
    assert index.samples == ("1.png", "2.png")
    assert [(s.name, s.reason) for s in index.skipped] == [
        ("rows 5, 6: 3.png", "the rows give one image different labels"),
        ("rows 7, 8: 4.png", "the rows put one image into different splits"),
    ]
    assert any("1 row repeat" in note for note in index.notes)


def test_empty_labels_are_skipped(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png", "4.png")
    index = Csv().index(table(tmp_path, rows("image,label", "1.png,a", "2.png,b", "3.png,", "4.png,NaN")))
    assert [s.name for s in index.skipped] == ["row 4: 3.png", "row 5: 4.png"]
    assert index.classes == ("a", "b")


@pytest.mark.parametrize(
    ("lines", "parameters", "message"),
    [
        (("1.png,a,0,train", "2.png,a,1,test"), {"label_column": "label"}, r"only one class, 'a' \(2 images\)"),
        (("1.png,a,0,train", "2.png,,1,test"), {"label_column": "label"}, r"only one class.*1 \(no label\)"),
        (("1.png,,0,train", "2.png,,1,test"), {"label_column": "label"}, r"no usable row.*2 \(no label\)"),
        (
            ("1.png,2,0,train", "2.png,1,1,test"),
            {"label_column": "label,flag"},
            "'label', row 2: '2', but several label",
        ),
        (("1.png,a,0,train", "2.png,b,1,later"), {"split_column": "split"}, "'split', row 3: 'later' names no split"),
    ],
)
def test_labels_and_splits_that_are_none_are_refused(
    tmp_path: Path, lines: tuple[str, ...], parameters: dict[str, str], message: str
) -> None:
    put(tmp_path, "1.png", "2.png")
    refused(table(tmp_path, rows("image,label,flag,split", *lines)), message, **parameters)


def test_a_column_of_measurements_is_no_label(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(150)))
    lines = [f"{i}.png,{i * 0.37:.3f}" for i in range(150)]
    refused(table(tmp_path, rows("image,volume", *lines)), "150 different values in 150 rows", label_column="volume")


def test_nothing_like_a_label_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    refused(table(tmp_path, rows("image,age", "1.png,1", "2.png,2")), "no column looks like a label")


def test_how_sure_the_reader_is(tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "a.TSV", "a.txt", "a.png", "d.csv/x")
    sure = {
        name: Csv().can_read(str(tmp_path / name)) for name in ("a.csv", "a.TSV", "a.txt", "a.png", "d.csv", "no.csv")
    }
    assert sure == {"a.csv": 0.9, "a.TSV": 0.9, "a.txt": 0.3, "a.png": 0, "d.csv": 0, "no.csv": 0}
    refused(str(tmp_path / "no.csv"), "no such file")
    refused(str(tmp_path / "d.csv"), "a folder")


def test_pixels_are_loaded(tmp_path: Path) -> None:
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    Image.fromarray(pixels).save(tmp_path / "50%25 a.png")
    put(tmp_path, "2.png")
    index = Csv().index(table(tmp_path, rows("image,label", "50%25 a.png,a", "2.png,b")))
    np.testing.assert_array_equal(Csv().load(index.uris[0]), pixels)


# ---------------------------------------------------------------- real sets, where they are


@pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")
@pytest.mark.parametrize(
    ("name", "n", "classes", "task", "groups"),
    [
        ("ultrasound", 780, 3, "multiclass", {}),
        ("xray", 988, 2, "multiclass", {"patient": 569}),
        ("mri", 930, 4, "multiclass", {}),
        ("ct", 746, 2, "multiclass", {"source": 332}),
        ("dermatoscopy", 520, 7, "multiclass", {"lesion_id": 520}),
        ("microscopy", 300, 5, "multiclass", {}),
        ("retina", 809, 8, "multilabel", {"patient_id": 422}),
    ],
)
def test_real_sets(name: str, n: int, classes: int, task: str, groups: dict[str, int]) -> None:
    index = Csv().index(str(Path(os.environ["MEDPLUG_DATA"]) / name / "labels.csv"))
    assert (len(index), len(index.classes), index.task) == (n, classes, task)
    assert {column: len(set(cells.tolist())) for column, cells in index.groups.items()} == groups
    assert (index.splits is not None) == (name in ("xray", "mri"))
    assert index.skipped == ()
    assert all(Path(uri).is_file() for uri in index.uris)
