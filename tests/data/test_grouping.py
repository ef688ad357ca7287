"""Groups guessed from file names: those of known sets are found, and numbered files stay single."""

import os
import uuid
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from split_helpers import index_of

from medplug.config.settings import SplitSettings
from medplug.data.grouping import guess_groups, with_guessed_groups

CLASSES = ("benign", "malignant", "normal")


def numbered(pattern, n=60):
    return [pattern.format(i, j) for i in range(n) for j in (1, 2)]


# Names as their publishers write them, of sixty patients with two images each, and what the group of (7, 1) is.
KNOWN = {
    "x-ray, pneumonia": ("train/PNEUMONIA/person{}_bacteria_{}.jpeg", "person7"),
    "x-ray, normal": ("train/NORMAL/IM-{:04d}-{:04d}.jpeg", "IM-0007"),
    "x-ray, normal, the second kind": ("test/NORMAL/NORMAL2-IM-{:04d}-{:04d}.jpeg", "NORMAL2-IM-0007"),
    "histology patches in folders": ("8{0:04d}/0/8{0:04d}_idx5_x{1}01_y1_class0.png", "80007"),
    "histology patches": ("1{:04d}_idx5_x{}01_y51_class1.png", "10007"),
    "slides of a hospital": ("SOB_M_DC-14-{}AB-40-00{}.png", "SOB_M_DC-14-7AB"),
    "eyes": ("{}_{}left.jpg", "7"),
    "patients of a hospital": ("P{:03d}_{}.png", "P007"),
    "slices": ("patient_{}_slice_{}.png", "patient_7"),
    "folders of patients and studies": ("train/patient{:05d}/study{}/view1_frontal.jpg", "patient00007"),
    "folders by the beginning of the id": ("p10/p1{:07d}/s504{}/a1.jpg", "p10000007"),
    "chest x-rays": ("{:08d}_{:03d}.png", "00000007"),
    "optical coherence tomography": ("CNV/CNV-{:07d}-{}.jpeg", "CNV-0000007"),
    "genome atlas": ("TCGA-AA-{:04d}-01Z-00-DX{}.png", "TCGA-AA-0007"),
    "subjects and sessions": ("sub-{:02d}/ses-{}_T1w.png", "sub-07"),
    "cases": ("Case {} image {}.png", "Case 7"),
    "views of one breast": ("Mass-Training_P_{:05d}_LEFT_CC_{}.png", "Mass-Training_P_00007"),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_patterns(name):
    pattern, expected = KNOWN[name]
    groups = guess_groups(numbered(pattern), CLASSES)
    assert groups[2 * 7] == groups[2 * 7 + 1] == expected
    assert set(Counter(groups).values()) == {2}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([f"{i}_{side}.jpg" for i in range(30) for side in ("left", "right")], 30),
        ([f"P{i:03d}_{side}.png" for i in range(5) for side in "LR"], 5),  # a letter that says patient: five are enough
        ([f"Image_{i:02d}{side}.jpg" for i in range(14) for side in "LR"], 14),
        ([f"bus_{i:04d}-{side}.png" for i in range(50) for side in "ls"], 50),
    ],
)
def test_two_sides_of_one_patient(names, expected):
    groups = guess_groups(names, CLASSES)
    assert len(set(groups)) == expected
    assert all(a == b for a, b in zip(groups[::2], groups[1::2], strict=True))


ALONE = {
    "numbers in brackets": [f"{c}/{c} ({i}).png" for c in CLASSES for i in range(100)],
    "the archive of skin images": [f"ISIC_{i:07d}.jpg" for i in range(300)],
    "the same, some made smaller": [f"ISIC_{i:07d}{'_downsampled' * (i % 3 == 0)}.jpg" for i in range(300)],
    "slices of unknown patients": [f"Training/glioma/Tr-gl_{i:04d}.jpg" for i in range(300)],
    "numbered images": [f"image_{i:04d}.png" for i in range(300)],
    "plain numbers": [f"{i:03d}.png" for i in range(300)],
    "numbers of arrays": [str(i) for i in range(300)],
    "numbers within parts": [f"train/{i}" for i in range(300)],
    "folds in the name": [f"fold{f}_{i:04d}.png" for f in range(5) for i in range(60)],
    "folds as folders": [f"fold{f}/{i:04d}.png" for f in range(5) for i in range(60)],
    "grades in the name": [f"grade3_{g}_{i:03d}.png" for g in range(4) for i in range(60)],
    "classes as numbered folders": [f"{c}/{i:04d}_x.png" for c in range(12) for i in range(30)],
    "numbered anew in each class": [f"{i:04d}_{c}.png" for i in range(60) for c in CLASSES],
    "random names": [f"cecum/{uuid.UUID(int=i * 2**97 + 7)}.jpg" for i in range(300)],
    "letters and a number": [f"lung_aca/lungaca{i}.jpeg" for i in range(300)],
    "one image of each patient": [f"patient_{i}.png" for i in range(300)],
    "one image of each patient, with more behind": [f"PAT_{i}_{i + 9}_{7 * i}.png" for i in range(300)],
    "two patients": [f"patient_{p}_slice_{i}.png" for p in (1, 2) for i in range(60)],
    "one patient with nearly all": [f"patient_1_{i}.png" for i in range(60)] + numbered("patient_9{}_{}.png", 20),
}  # fmt: skip


@pytest.mark.parametrize("what", ALONE)
def test_numbers_of_files_are_no_groups(what):
    classes = (*CLASSES, *map(str, range(12)), "glioma", "cecum", "lung_aca")
    assert set(guess_groups(ALONE[what], classes)) == {""}


def test_one_patient_in_two_classes_is_one_group():
    names = [f"{c}/{c}-{i:05d}-{j}.jpeg" for c in ("CNV", "DME") for i in range(20) for j in (1, 2)]
    groups = guess_groups(names, ("CNV", "DME"))
    assert set(Counter(groups).values()) == {4}


def test_mixed_names_are_grouped_kind_by_kind_and_rare_kinds_follow_their_like():
    names = [
        *numbered("train/PNEUMONIA/person{}_virus_{}.jpeg"), *numbered("train/NORMAL/IM-{:04d}-{:04d}.jpeg"),
        "train/NORMAL/IM-0007-0001-0002.jpeg", "train/NORMAL/IM-0007.jpeg", "train/NORMAL/scan.jpeg",
    ]  # fmt: skip
    groups = guess_groups(names, ("NORMAL", "PNEUMONIA"))
    assert groups[-3:] == ["IM-0007", "IM-0007", ""]
    assert len(set(groups)) == 121


def test_the_order_of_listing_changes_nothing(rng):
    names = numbered("{:08d}_{:03d}.png") + numbered("person{}_virus_{}.jpeg") + numbered("IM-{:04d}-{:04d}.jpeg")
    order = rng.permutation(len(names))
    groups = guess_groups(names)
    assert guess_groups([names[i] for i in order]) == [groups[i] for i in order]


# ---------------------------------------------------------------- in an index


def patients(**more):
    index = index_of([0, 1] * 30, **more)
    return index.__class__(**{**vars(index), "samples": tuple(numbered("{:08d}_{:03d}.png", 30))})


def test_the_guess_is_used_and_told_with_an_example():
    index = with_guessed_groups(patients(), SplitSettings())
    assert index.guessed == ("file name",)
    assert len(set(index.groups["file name"].tolist())) == 30
    assert index.notes == (
        "guessed 30 groups from 60 names, e.g. 00000000_001.png → 00000000 (split.groups=given switches this off)",
    )


@pytest.mark.parametrize("options", [{"groups": "given"}, {"groups": "none"}, {"method": "aucmedi"}])
def test_the_guess_can_be_switched_off(options):
    assert with_guessed_groups(patients(), SplitSettings(**options)).groups == {}


def test_groups_of_the_data_are_left_alone():
    index = patients(groups=np.arange(60))
    assert with_guessed_groups(index, SplitSettings()) is index


def test_long_names_are_shown_short():
    index = patients()
    names = tuple(numbered("a/very/long/path/of/folders/that/never/ends/patient_{}_{}.png", 30))
    note = with_guessed_groups(index.__class__(**{**vars(index), "samples": names}), SplitSettings()).notes[0]
    assert "e.g. a/very/long/path/of/folders/that/never/… → patient_0 (" in note


# ---------------------------------------------------------------- real sets

real = pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")


def real_names(name):
    root = Path(os.environ["MEDPLUG_DATA"], name)
    files = (
        p.relative_to(root) for p in sorted(root.rglob("*")) if p.suffix.lower() in (".png", ".jpg", ".jpeg", ".dcm")
    )
    return [path.as_posix() for path in files if "mask" not in path.as_posix()]


@real
@pytest.mark.parametrize("name", ["dermatoscopy", "dicom", "endoscopy", "microscopy", "mri", "ultrasound"])
def test_real_sets_without_groups_in_their_names(name):
    names = real_names(name)
    assert set(guess_groups(names, {Path(n).parent.name for n in names})) == {""}


@real
@pytest.mark.parametrize(
    ("name", "image", "column"), [("xray", "image", "patient"), ("retina", "filename", "patient_id")]
)
def test_real_patients_are_guessed_to_the_image(name, image, column):
    import csv

    with Path(os.environ["MEDPLUG_DATA"], name, "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert guess_groups([row[image] for row in rows], ("NORMAL", "PNEUMONIA")) == [row[column] for row in rows]


@real
def test_real_slices_of_one_source_are_never_told_apart():
    """COVID-CT: names before the page number; the guess is coarser for some, and knows nothing of others."""
    import csv

    with Path(os.environ["MEDPLUG_DATA"], "ct", "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    groups = guess_groups([row["image"] for row in rows], ("CT_COVID", "CT_NonCOVID"))
    found = {}
    for row, group in zip(rows, groups, strict=True):
        found.setdefault(row["source"], set()).add(group)
    assert sum(bool(group) for group in groups) == 495
    assert all(len(of) == 1 for of in found.values())
