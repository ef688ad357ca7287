"""ISIC 2019: the table, lesions with several images, sources, and images in two sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medplug.plugins import DataError
from medplug_datasets.isic2019 import Isic2019, source_of
from medplug_datasets.tables import read_table
from medplug_datasets.tiny import make, picture

TRUTH, METADATA = "ISIC_2019_Training_GroundTruth.csv", "ISIC_2019_Training_Metadata.csv"
INPUT = "ISIC_2019_Training_Input"


def values(index: Any, name: str) -> dict[str, Any]:
    column = {**index.groups, **index.metadata}[name]
    return {s.rpartition("/")[2].removesuffix(".jpg"): v for s, v in zip(index.samples, column.tolist(), strict=True)}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_samples_come_in_the_order_of_the_table_without_unk(tmp_path: Path) -> None:
    index = Isic2019(names="published").index(make("isic2019", tmp_path))
    names = [line.partition(",")[0] for line in (tmp_path / TRUTH).read_text().splitlines()[1:]]
    assert list(index.samples) == [f"{INPUT}/{name}.jpg" for name in names]
    assert index.samples[0].endswith("ISIC_0000000_downsampled.jpg")
    assert index.classes == ("MEL", "NV", "BKL", "SCC")
    assert [index.label_text(i) for i in range(4)] == ["NV", "MEL", "NV", "NV"]
    assert not index.skipped


def test_lesions_group_their_images_and_gaps_group_nothing(tmp_path: Path) -> None:
    source = make("isic2019", tmp_path)
    index = Isic2019().index(source)
    assert values(index, "lesion_id") == {
        "ISIC_0000000_downsampled": "", "ISIC_0000002": "MSK4_0010967", "ISIC_0024306": "HAM_0000550",
        "ISIC_0024307": "HAM_0000550", "ISIC_0024310": "HAM_0003521", "ISIC_0053453": "BCN_0003884",
        "ISIC_0053454": "BCN_0003884", "ISIC_0073254": "BCN_0001728",
    }  # fmt: skip
    assert "5 lesions from the metadata; 1 image tell none" in index.notes
    assert not Isic2019(lesions="none").index(source).groups


def test_patients_where_the_metadata_tell_them(tmp_path: Path) -> None:
    source = make("isic2019", tmp_path)
    lines = (tmp_path / METADATA).read_text().splitlines()
    added = [lines[0] + ",patient_id", *(f"{line},{'IP_1' if i < 3 else ''}" for i, line in enumerate(lines[1:]))]
    (tmp_path / METADATA).write_text("\n".join(added) + "\n")
    index = Isic2019().index(source)
    assert [name for name, patient in values(index, "patient_id").items() if patient == "IP_1"] == [
        "ISIC_0000000_downsampled", "ISIC_0000002", "ISIC_0024306",
    ]  # fmt: skip
    assert "1 patient from the metadata" in index.notes


def test_metadata_and_their_gaps(tmp_path: Path) -> None:
    index = Isic2019().index(make("isic2019", tmp_path))
    np.testing.assert_array_equal(index.metadata["age_approx"], [55, 30, 45, 50, 60, 85, np.nan, 50])
    assert values(index, "sex")["ISIC_0053454"] == ""
    assert values(index, "anatom_site_general")["ISIC_0053453"] == "head/neck"
    assert index.site == "source"
    assert list(values(index, "source").values()) == ["MSK"] * 2 + ["HAM10000"] * 3 + ["BCN20000"] * 3


@pytest.mark.parametrize(
    ("image", "lesion", "source"),
    [
        ("ISIC_0000000_downsampled", "", "MSK"),
        ("ISIC_0016072", "", "MSK"),
        ("ISIC_0024306", "", "HAM10000"),
        ("ISIC_0034320", "", "HAM10000"),
        ("ISIC_0053453", "", "BCN20000"),
        ("ISIC_0073254", "", "BCN20000"),
        ("ISIC_0040000", "", ""),
        ("IMG_1", "", ""),
        ("ISIC_0024306", "BCN_0000001", "BCN20000"),
    ],
)
def test_the_source_by_lesion_or_number(image: str, lesion: str, source: str) -> None:
    assert source_of(image, lesion) == source


def test_one_photograph_in_two_sizes_stays_together(tmp_path: Path) -> None:
    source = make("isic2019", tmp_path)
    assert "photograph" not in Isic2019().index(source).groups
    picture(tmp_path / INPUT / "ISIC_0000000.jpg", 50)
    with (tmp_path / TRUTH).open("a") as stream:
        stream.write("ISIC_0000000,0.0,1.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n")
    index = Isic2019().index(source)
    same = values(index, "photograph")
    assert same["ISIC_0000000"] == same["ISIC_0000000_downsampled"] != ""
    assert {text for name, text in same.items() if not name.startswith("ISIC_0000000")} == {""}
    assert "1 photograph in full and in reduced size (_downsampled), kept together" in index.notes


def test_without_metadata_it_says_what_is_unknown(tmp_path: Path) -> None:
    source = make("isic2019", tmp_path)
    (tmp_path / METADATA).unlink()
    index = Isic2019().index(source)
    assert not index.groups
    assert set(index.metadata) == {"source"}
    assert any(note.startswith(f"no {METADATA} here: lesions") for note in index.notes)


def test_kaggles_nested_folder_and_the_test_set_beside(tmp_path: Path) -> None:
    source = Path(make("isic2019", tmp_path))
    images = source / INPUT
    (source / "hold").mkdir()
    images.rename(source / "hold" / INPUT)
    (source / "hold").rename(images)
    picture(source / "ISIC_2019_Test_Input" / "ISIC_0034321.jpg", 60)
    (images / INPUT / "ATTRIBUTION.txt").write_text("…")
    picture(images / INPUT / "ISIC_9999999.jpg", 61)
    index = Isic2019().index(str(source))
    assert len(index) == 8
    assert index.samples[1] == f"{INPUT}/{INPUT}/ISIC_0000002.jpg"
    assert {(s.name, s.reason) for s in index.skipped} == {
        ("ISIC_2019_Test_Input/", "no part of this data set, not read"),
        (f"{INPUT}/{INPUT}/ATTRIBUTION.txt", "not an image by its extension (.txt)"),
        (f"{INPUT}/{INPUT}/ISIC_9999999.jpg", f"not in {TRUTH}"),
    }


def test_rows_without_an_image_are_lost_and_unk_is_not(tmp_path: Path) -> None:
    source = make("isic2019", tmp_path)
    (tmp_path / INPUT / "ISIC_0024310.jpg").unlink()
    edit(
        tmp_path / TRUTH,
        "ISIC_0073254,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0,0.0",
        "ISIC_0073254,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,1.0",
    )
    index = Isic2019().index(source)
    assert {(s.name, s.reason, s.lost) for s in index.skipped if not s.reason.startswith("not in")} == {
        ("ISIC_0024310", f"in {TRUTH}, but its image is not there", True),
        (f"{INPUT}/ISIC_0073254.jpg", "none of the eight classes (UNK)", False),
    }
    assert len(index) == 6


def test_a_row_of_two_classes_is_an_error_with_its_place(tmp_path: Path) -> None:
    source = make("isic2019", tmp_path)
    edit(tmp_path / TRUTH, "ISIC_0000002,1.0,0.0", "ISIC_0000002,1.0,1.0")
    with pytest.raises(DataError, match=r"GroundTruth\.csv, row 3 \(ISIC_0000002\): 2 classes are 1, expected is one"):
        Isic2019().index(source)
    edit(tmp_path / TRUTH, "ISIC_0000002,1.0,1.0", "ISIC_0000002,1.0")
    with pytest.raises(DataError, match=r"row 3: 9 cells, but the header has 10"):
        Isic2019().index(source)


def test_rows_are_counted_as_an_editor_counts_lines(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text('a,b\n1,"two\nlines"\n\n3,4\n5\n')
    with pytest.raises(DataError, match=r"t\.csv, row 6: 1 cells, but the header has 2"):
        read_table(table)
    table.write_text('a,b\r\n1,"two\r\nlines"\r\n\r\n3,4\r\n')
    assert read_table(table) == [{"a": "1", "b": "two\nlines"}, {"a": "3", "b": "4"}]


def test_images_beside_the_table_will_do(tmp_path: Path) -> None:
    source = make("isic2019", tmp_path)
    (tmp_path / INPUT).rename(tmp_path / "photos")
    index = Isic2019().index(source)
    assert len(index) == 8
    assert any(note.startswith("no folder ISIC_2019_Training_Input; images are looked for") for note in index.notes)
    for path in (tmp_path / "photos").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="8 rows in .*, but none of its images is there"):
        Isic2019().index(source)


def test_it_is_recognised_by_its_table_and_folder(tmp_path: Path) -> None:
    source = make("isic2019", tmp_path)
    assert Isic2019().can_read(source) == 0.97
    assert Isic2019().can_read(str(tmp_path / TRUTH)) == 0  # the table alone is for readers of tables
    edit(tmp_path / TRUTH, "image,MEL,NV", "image,melanoma,nevus")
    assert Isic2019().can_read(source) == 0
