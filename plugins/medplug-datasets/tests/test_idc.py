"""IDC patches: patients in folders and names, everything twice, or merged as the published experiment did."""

from __future__ import annotations

from pathlib import Path

import pytest

from medplug.plugins import DataError
from medplug_datasets.idc import Idc
from medplug_datasets.tiny import make, pictures


def test_patients_from_the_names(tmp_path: Path) -> None:
    index = Idc().index(make("idc", tmp_path))
    told = dict(zip(index.samples, index.groups["patient"].tolist(), strict=True))
    assert told["IDC_regular_ps50_idx5/8863/1/8863_idx5_x51_y1751_class1.png"] == "8863"
    assert sorted(set(told.values())) == ["10253", "8863", "9135"]
    assert index.class_counts()[:, 0].tolist() == [4, 4]
    assert "3 patients from the file names (published 279)" in index.notes
    assert not Idc(patients="none").index(str(tmp_path)).groups


def test_the_second_copy_of_the_archive_is_one_line(tmp_path: Path) -> None:
    """Kaggle's archive holds the patients at its top and again in IDC_regular_ps50_idx5."""
    make("idc", tmp_path)
    inner = tmp_path / "IDC_regular_ps50_idx5"
    for patient in inner.iterdir():
        for path in patient.rglob("*.png"):
            target = tmp_path / path.relative_to(inner)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    index = Idc().index(str(tmp_path))
    assert len(index) == 8
    assert all("IDC_regular" not in name for name in index.samples)
    [copy] = index.skipped
    assert (copy.name, copy.reason) == ("IDC_regular_ps50_idx5/", "a second copy of the data set, not read")


def test_merged_as_the_published_experiment_did(tmp_path: Path) -> None:
    source = Path(make("idc", tmp_path / "original"))
    merged = tmp_path / "histopathology_idc"
    for path in sorted(source.rglob("*.png")):
        target = merged / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    index = Idc(names="published").index(str(merged))
    assert index.classes == ("0", "1")
    assert list(index.samples) == [f"{c}/{n}" for c in "01" for n in sorted(p.name for p in (merged / c).iterdir())]
    assert index.samples[0] == "0/10253_idx5_x1001_y1001_class0.png"
    assert sorted(set(index.groups["patient"].tolist())) == ["10253", "8863", "9135"]
    apart = Idc().index(str(source))
    assert [n.rpartition("/")[2] for n in apart.samples] == [n.rpartition("/")[2] for n in index.samples]


def test_a_patch_in_the_wrong_folder_is_told(tmp_path: Path) -> None:
    make("idc", tmp_path)
    pictures(tmp_path / "IDC_regular_ps50_idx5" / "9135" / "0", ["9135_idx5_x1_y1_class1.png", "odd.png"])
    index = Idc().index(str(tmp_path))
    assert ("IDC_regular_ps50_idx5/9135/0/9135_idx5_x1_y1_class1.png", "the folder names one class, the file name the other") in {
        (s.name, s.reason) for s in index.skipped
    }  # fmt: skip
    told = dict(zip(index.samples, index.groups["patient"].tolist(), strict=True))
    assert told["IDC_regular_ps50_idx5/9135/0/odd.png"] == "9135"  # from its folder


def test_empty_folders_of_patients_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "10253" / "0").mkdir(parents=True)
    with pytest.raises(DataError, match="hold no image"):
        Idc().index(str(tmp_path))


def test_the_set_is_recognised_by_its_279_folders(tmp_path: Path) -> None:
    for patient in range(8000, 8279):
        for label in "01":
            folder = tmp_path / "IDC_regular_ps50_idx5" / str(patient) / label
            folder.mkdir(parents=True)
            (folder / f"{patient}_idx5_x1_y1_class{label}.png").touch()
    assert Idc().can_read(str(tmp_path)) == 0.97
    assert Idc().can_read(str(tmp_path / "IDC_regular_ps50_idx5")) == 0.97
    folder = tmp_path / "IDC_regular_ps50_idx5" / "8000"
    (folder / "0" / "8000_idx5_x1_y1_class0.png").rename(folder / "0" / "scan.png")
    assert Idc().can_read(str(tmp_path)) == 0
    (folder / "0" / "scan.png").rename(folder / "0" / "8000_idx5_x1_y1_class0.png")
    folder.rename(tmp_path / "8000")
    assert Idc().can_read(str(tmp_path / "IDC_regular_ps50_idx5")) == 0


def test_two_folders_called_0_and_1_are_anybodys(tmp_path: Path) -> None:
    pictures(tmp_path / "0", ["a.png"])
    pictures(tmp_path / "1", ["10253_idx5_x1001_y1001_class1.png"])
    assert Idc().can_read(str(tmp_path)) == 0
