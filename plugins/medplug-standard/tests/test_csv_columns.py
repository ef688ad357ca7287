"""Tables beyond one image and one label a row: several images, sites, unknown labels, metadata, what a publisher says."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from reader_helpers import labels, put, table

from medplug.plugins import About, DataError
from medplug_standard.readers.table import Csv

# ---------------------------------------------------------------- several images in a row


def eyes(root: Path, *gone: str) -> str:
    names = [f"images/{i}_{side}.jpg" for i in range(5) for side in ("left", "right")]
    put(root, *(name for name in names if name not in gone))
    rows = [f"{i},{i}_left.jpg,{i}_right.jpg,{50 + i},{i % 2}" for i in range(5)]
    return table(root, "ID,Left-Fundus,Right-Fundus,Patient Age,label", *rows)


def test_each_column_of_images_gives_samples_that_stay_together(tmp_path: Path) -> None:
    index = Csv().index(eyes(tmp_path))
    assert index.samples[:4] == ("0_left.jpg", "0_right.jpg", "1_left.jpg", "1_right.jpg")
    assert len(index) == 10
    assert index.groups["row"].tolist() == [str(row) for row in range(2, 7) for _ in range(2)]
    assert index.guessed == ()
    assert index.metadata["image column"].tolist() == ["Left-Fundus", "Right-Fundus"] * 5
    assert index.metadata["Patient Age"].tolist() == [50 + i for i in range(5) for _ in range(2)]
    assert labels(index)["3_right.jpg"] == "1"
    assert any("share the labels of the row" in note for note in index.notes)


def test_an_image_that_is_missing_is_named_with_its_column(tmp_path: Path) -> None:
    index = Csv().index(eyes(tmp_path, "images/2_right.jpg"))
    assert [(s.name, s.reason, s.lost) for s in index.skipped] == [
        ("row 4, Right-Fundus: 2_right.jpg", "no such file", True)
    ]
    assert len(index) == 9


def test_an_empty_cell_among_several_images_is_no_loss(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png", "4.png", "5.png")
    index = Csv().index(table(tmp_path, "a,b,label", "1.png,2.png,x", "3.png,4.png,y", "5.png,,x"))
    assert len(index) == 5
    assert [s.lost for s in index.skipped] == [False]


def test_one_of_several_columns_can_be_named(tmp_path: Path) -> None:
    source = eyes(tmp_path)
    one = Csv(image_column="Right-Fundus").index(source)
    assert one.samples[0] == "0_right.jpg"
    assert one.groups == {}
    both = Csv(image_column="Left-Fundus,Right-Fundus").index(source)
    assert len(both) == 10
    assert "(guessed)," not in "".join(both.notes)


def test_columns_of_images_in_folders_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, *(f"{side}/{i}.png" for i in range(4) for side in ("mlo", "cc")))
    index = Csv(image_column="view_a,view_b").index(
        table(tmp_path, "view_a,view_b,label", *(f"mlo/{i}.png,cc/{i}.png,{i % 2}" for i in range(4)))
    )
    assert index.samples[:2] == ("mlo/0.png", "cc/0.png")
    assert all(Path(uri).is_file() for uri in index.uris)


def test_rows_that_share_an_image_hang_together(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png", "3.png", "4.png", "5.png")
    index = Csv(label_column="label").index(
        table(tmp_path, "a,b,label", "1.png,2.png,x", "2.png,3.png,x", "4.png,5.png,y")
    )
    groups = dict(zip(index.samples, index.groups["row"].tolist(), strict=True))
    assert groups == {"1.png": "2", "2.png": "2", "3.png": "2", "4.png": "4", "5.png": "4"}


@pytest.mark.parametrize("column", ["mask", "Segmentation", "thumbnail", "overlay_path", "heatmap"])
def test_derived_images_are_no_further_images(tmp_path: Path, column: str) -> None:
    put(tmp_path, *(f"{folder}/{i}.png" for i in range(4) for folder in ("full", "other")))
    lines = [f"full/{i}.png,other/{i}.png,{i % 2}" for i in range(4)]
    assert len(Csv().index(table(tmp_path, f"scan,{column},label", *lines))) == 4


def test_numbers_that_happen_to_name_files_are_no_further_images(tmp_path: Path) -> None:
    """Rows are only sampled to find the column of images; what that suggests is confirmed by all rows."""
    put(tmp_path, *(f"{i:04d}.png" for i in range(1, 901)))
    lines = [f"{i},{'ab'[i % 2]},{(i * 7) % 899 + 1}" for i in range(1, 901)]
    index = Csv().index(table(tmp_path, "id,label,volume", *lines))
    assert len(index) == 900
    assert "volume" in index.metadata


# ---------------------------------------------------------------- where images come from


def visits(root: Path, column: str, values: list[str], more: str = "") -> str:
    put(root, *(f"{i}.png" for i in range(len(values))))
    return table(root, f"file,label,{column}{more}", *(f"{i}.png,{'ab'[i % 2]},{v}" for i, v in enumerate(values)))


@pytest.mark.parametrize("column", ["site", "Hospital", "Scanner Model", "center_id"])
def test_the_site_is_guessed_by_name(tmp_path: Path, column: str) -> None:
    index = Csv().index(visits(tmp_path, column, ["Ulm", "Ulm", "Bern", "Bern", "", "Bern"]))
    assert index.site == column
    assert index.metadata[column].tolist() == ["Ulm", "Ulm", "Bern", "Bern", "", "Bern"]
    assert f"column {column!r} tells where images come from (guessed)" in index.notes


def test_a_place_of_the_body_is_no_site(tmp_path: Path) -> None:
    index = Csv().index(visits(tmp_path, "site", ["upper arm", "back", "back", "upper arm"]))
    assert index.site == ""
    assert any("'back' is a place of the body" in note for note in index.notes)


def test_the_site_can_be_named_or_switched_off(tmp_path: Path) -> None:
    source = visits(tmp_path, "hospital", ["Ulm", "Ulm", "Bern", "Bern"])
    assert Csv(site_column="").index(source).site == ""
    assert Csv(site_column="label", label_column="hospital").index(source).site == "label"
    grouped = Csv(group_column="hospital", site_column="hospital").index(source)
    assert (grouped.site, list(grouped.groups)) == ("hospital", ["hospital"])


def test_one_site_or_one_for_each_image_tells_nothing(tmp_path: Path) -> None:
    assert Csv().index(visits(tmp_path, "hospital", ["Ulm"] * 4)).site == ""
    assert Csv().index(visits(tmp_path, "hospital", ["A", "B", "C", "D"])).site == ""


# ---------------------------------------------------------------- labels


def findings(root: Path, *cells: str) -> str:
    put(root, *(f"{i}.png" for i in range(len(cells))))
    return table(root, "image,mass,edema", *(f"{i}.png,{c}" for i, c in enumerate(cells)))


def test_what_an_empty_cell_and_minus_one_say(tmp_path: Path) -> None:
    source = findings(tmp_path, "1,0", "0,1", ",1", "-1,0")
    nan = np.nan
    plain = Csv().index(source)
    np.testing.assert_array_equal(plain.targets[:, 0], [1, 0, nan, nan])
    assert plain.task == "multilabel"
    assert "1 empty label cell read as unknown (reader.empty)" in plain.notes
    assert "1 label cell of -1 read as unknown (reader.unsure)" in plain.notes
    np.testing.assert_array_equal(Csv(empty="no", unsure="yes").index(source).targets[:, 0], [1, 0, 0, 1])
    np.testing.assert_array_equal(Csv(unsure="no").index(source).targets[:, 0], [1, 0, nan, 0])


def test_ones_with_gaps_are_one_hot_where_a_gap_says_no(tmp_path: Path) -> None:
    source = findings(tmp_path, "1,", ",1", "1,")
    index = Csv(label_column="mass,edema", empty="no").index(source)
    assert index.task == "multiclass"
    assert labels(index) == {"0.png": "mass", "1.png": "edema", "2.png": "mass"}


def test_why_a_table_is_multi_label_is_told(tmp_path: Path) -> None:
    index = Csv().index(findings(tmp_path, "1,0", "0,1", "0,0", "1,1"))
    assert any("2 of 4 images have no 1, several or unknown ones, first row 4" in note for note in index.notes)


def test_classes_can_be_chosen_and_ordered(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(4)))
    source = table(tmp_path, "image,grade", "0.png,mild", "1.png,severe", "2.png,none", "3.png,unclear")
    index = Csv(classes=("none", "mild", "severe")).index(source)
    assert index.classes == ("none", "mild", "severe")
    assert [(s.name, s.reason, s.lost) for s in index.skipped] == [
        ("row 5: 3.png", "its class is not named in classes", False)
    ]
    with pytest.raises(DataError, match=r"no class 'sever'; did you mean 'severe'\?"):
        Csv(classes=("none", "sever")).index(source)


def test_several_labels_in_a_cell_with_another_separator(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(3)))
    source = table(tmp_path, "image,findings", "0.png,mass; edema", "1.png,edema", "2.png,mass")
    assert Csv(label_separator=";", separator=",").index(source).classes == ("edema", "mass")
    assert Csv(separator=",").index(source).task == "multiclass"
    chosen = Csv(label_separator=";", separator=",", classes=("mass",)).index(source)
    assert chosen.targets.tolist() == [[1], [0], [1]] or chosen.task == "multilabel"


# ---------------------------------------------------------------- metadata


def test_metadata_numeric_categorical_and_missing(tmp_path: Path) -> None:
    put(tmp_path, *(f"{i}.png" for i in range(4)))
    lines = ["0.png;a;12,5;f;3", "1.png;b;;m;3", "2.png;a;.;NA;unknown", "3.png;b;7;;4"]
    index = Csv().index(table(tmp_path, "image;label;age;sex;stage", *lines))
    np.testing.assert_array_equal(index.metadata["age"], [12.5, np.nan, np.nan, 7])
    assert index.metadata["sex"].tolist() == ["f", "m", "", ""]
    assert index.metadata["stage"].tolist() == ["3", "3", "unknown", "4"]


# ---------------------------------------------------------------- names of files


@pytest.mark.parametrize(
    ("cells", "names"),
    [
        (("7", "08"), ("007.png", "008.png")),
        (("a b (1)", "50%"), ("a b (1).png", "50%.png")),
        (("a%20b.png", "50%25.png"), ("a b.png", "50%.png")),
        (("50%25.png", "x.png"), ("50%25.png", "x.png")),  # as it is, where there is such a file
        (("Mu\u0308ller.png", "x.png"), ("M\u00fcller.png", "x.png")),  # as macOS writes it
        (('="007"', "x"), ("007.png", "x.png")),
        (("x/y/1.PNG", "x\\y\\2.PNG"), ("y/1.png", "y/2.png")),
    ],
)
def test_names_as_spreadsheets_and_other_machines_write_them(
    tmp_path: Path, cells: tuple[str, str], names: tuple[str, str]
) -> None:
    put(tmp_path, *names)
    index = Csv().index(table(tmp_path, "file,label", *(f"{c},{k}" for c, k in zip(cells, "ab", strict=True))))
    assert index.samples == names


# ---------------------------------------------------------------- beside the table


def test_what_the_publisher_says(tmp_path: Path) -> None:
    source = visits(tmp_path, "age", ["1", "2", "3", "4"])
    assert Csv().index(source).about == About()
    (tmp_path / "about.toml").write_text(
        'title = "Cysts"\nlicense = "CC0"\ncitation = """\nA. Author,\n2020\n"""\nurl = "https://example.org"\n'
    )
    assert Csv().index(source).about == About("Cysts", "CC0", "A. Author,\n2020", "https://example.org")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titel = 'x'", r"unknown key 'titel'; did you mean 'title'\?"),
        ("title = 3", "title must be a text in quotes, got 3"),
        ("title", "about.toml: cannot be read"),
    ],
)
def test_a_file_about_the_data_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    source = visits(tmp_path, "age", ["1", "2", "3", "4"])
    (tmp_path / "about.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        Csv().index(source)


# ---------------------------------------------------------------- without labels


def test_a_list_of_images_needs_no_labels(tmp_path: Path) -> None:
    put(tmp_path, "images/1.png", "images/2.png")
    index = Csv().unlabelled(table(tmp_path, "file", "1", "2", "3"))
    assert index.samples == ("1.png", "2.png")
    assert (index.classes, index.targets.shape) == ((), (2, 0))
    assert [s.name for s in index.skipped] == ["row 4: 3"]
    with pytest.raises(DataError, match="no cell of column 'file' leads to a file"):
        Csv().unlabelled(table(tmp_path, "file", "8", "9"))


# ---------------------------------------------------------------- real sets, where they are


@pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")
def test_the_published_table_of_patients_with_two_eyes() -> None:
    index = Csv().index(str(Path(os.environ["MEDPLUG_DATA"]) / "retina" / "patients_original.csv"))
    assert (len(index), index.task, len(index.classes)) == (809, "multilabel", 8)
    assert len(index.skipped) == 35  # the second eyes of patients with one
    assert all(s.lost and s.reason == "no such file" for s in index.skipped)
    assert len(set(index.groups["row"].tolist())) == 422
    patients = np.array([name.partition("_")[0] for name in index.samples])
    together = {patient: set(index.groups["row"][patients == patient].tolist()) for patient in set(patients.tolist())}
    assert all(len(rows) == 1 for rows in together.values())
    eyes = Csv().index(str(Path(os.environ["MEDPLUG_DATA"]) / "retina" / "labels.csv"))
    own = dict(zip(eyes.samples, map(tuple, eyes.targets.tolist()), strict=True))
    differing = {
        patient
        for name, target, patient in zip(index.samples, index.targets.tolist(), patients.tolist(), strict=True)
        if own[name] != tuple(target)
    }
    both = [patient for patient in differing if (patients == patient).sum() == 2]
    assert len(both) == 128  # patients whose eyes have labels of their own: why the note warns
    assert any("share the labels of the row" in note for note in index.notes)


@pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")
@pytest.mark.parametrize("name", ["ultrasound", "xray", "mri", "ct", "dermatoscopy", "microscopy", "retina"])
def test_pixels_and_facts_of_the_real_sets(name: str) -> None:
    reader = Csv()
    index = reader.index(str(Path(os.environ["MEDPLUG_DATA"]) / name / "labels.csv"))
    for uri in index.uris[:: max(1, len(index) // 25)]:
        pixels, facts = reader.load(uri), reader.facts(uri)
        assert pixels.dtype == np.uint8
        assert (facts["height"], facts["width"]) == pixels.shape[:2]
        assert (facts["bits"], facts["frames"]) == (8, 1)
    assert index.site == ""  # HAM10000's `localization` is a place of the body
