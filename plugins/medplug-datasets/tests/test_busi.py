"""BUSI: masks beside images, as they lie in the publisher's folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medplug.plugins import DataError, load_image
from medplug_datasets.busi import Busi
from medplug_datasets.tiny import make, picture


def test_masks_are_skipped_in_each_of_their_spellings(tmp_path: Path) -> None:
    index = Busi().index(make("busi", tmp_path))
    assert index.samples == (
        "benign/benign (1).png", "benign/benign (100).png", "benign/benign (2).png", "malignant/malignant (1).png",
        "malignant/malignant (53).png", "normal/normal (1).png", "normal/normal (105).png",
    )  # fmt: skip
    assert sorted(s.name for s in index.skipped) == [
        "benign/benign (1)_mask.png", "benign/benign (100)_mask.png", "benign/benign (100)_mask_1.png",
        "benign/benign (2)_mask.png", "malignant/malignant (1)_mask.png", "malignant/malignant (53)_mask.png",
        "malignant/malignant (53)_mask_1.png", "normal/normal (1)_mask.png", "normal/normal (105)_mask.png",
    ]  # fmt: skip
    assert {s.reason for s in index.skipped} == {"a mask"}
    assert not any(s.lost for s in index.skipped)
    assert index.class_counts()[:, 0].tolist() == [3, 2, 2]
    assert index.splits is None
    assert not index.groups


def test_the_published_experiment_took_masks_for_images(tmp_path: Path) -> None:
    source = make("busi", tmp_path)
    index = Busi(masks="keep").index(source)
    every_file = [
        f"{c}/{n}" for c in ("benign", "malignant", "normal") for n in sorted(p.name for p in (tmp_path / c).iterdir())
    ]
    assert list(index.samples) == every_file
    assert "9 of 16 files are masks, taken for images as the published experiment did" in index.notes


def test_a_word_with_mask_in_it_is_no_mask(tmp_path: Path) -> None:
    make("busi", tmp_path)
    picture(tmp_path / "benign" / "unmasked.png", 7)
    index = Busi().index(str(tmp_path))
    assert "benign/unmasked.png" in index.samples
    assert "1 file not named like those of the set, 'benign (1).png'" in index.notes


def test_counts_that_differ_are_told_and_no_more(tmp_path: Path) -> None:
    source = make("busi", tmp_path)
    [told] = [note for note in Busi().index(source).notes if "counts" in note]
    assert told == (
        "counts differ from the published ones (reader.expected=none does not compare): benign 3 (published 437), "
        "malignant 2 (published 210), normal 2 (published 133)"
    )
    [kept] = [note for note in Busi(masks="keep").index(source).notes if "counts" in note]
    assert "benign 7 (published 891)" in kept
    assert not any("counts" in note for note in Busi(expected="none").index(source).notes)


def test_the_folder_around_it_will_do(tmp_path: Path) -> None:
    make("busi", tmp_path / "Dataset_BUSI_with_GT")
    (tmp_path / "readme.txt").write_text("unpacked")
    (tmp_path / "other").mkdir()
    index = Busi().index(str(tmp_path))
    assert index.samples[0] == "Dataset_BUSI_with_GT/benign/benign (1).png"
    assert {(s.name, s.reason) for s in index.skipped if s.reason != "a mask"} == {
        ("other/", "no part of this data set, not read"),
        ("readme.txt", "not an image by its extension (.txt)"),
    }


def test_a_class_that_is_not_there_is_told(tmp_path: Path) -> None:
    for name in ("benign", "malignant"):
        picture(tmp_path / name / f"{name} (1).png", 1)
    index = Busi().index(str(tmp_path))
    assert index.classes == ("benign", "malignant")
    assert "classes without an image, left out: normal" in index.notes
    (tmp_path / "malignant" / "malignant (1).png").unlink()
    with pytest.raises(DataError, match="images of one class only \\(benign\\)"):
        Busi().index(str(tmp_path))
    (tmp_path / "benign" / "benign (1).png").rename(tmp_path / "benign" / "benign (1)_mask.png")
    with pytest.raises(DataError, match="hold no image; left out were 1 \\(a mask\\)"):
        Busi().index(str(tmp_path))


def touched(folder: Path) -> Path:
    """All published names, without content: can_read opens no file."""
    counts = {"benign": (437, 16), "malignant": (210, 1), "normal": (133, 0)}
    for name, (images, more) in counts.items():
        (folder / name).mkdir(parents=True)
        for number in range(1, images + 1):
            (folder / name / f"{name} ({number}).png").touch()
            (folder / name / f"{name} ({number})_mask.png").touch()
        for number in range(1, more + 1):
            (folder / name / f"{name} ({number})_mask_1.png").touch()
    (folder / "benign" / "benign (1)_mask_2.png").touch()
    return folder


def test_the_whole_set_is_recognised_and_nothing_less(tmp_path: Path) -> None:
    folder = touched(tmp_path / "whole")
    files = Counter(path.parent.name for path in folder.rglob("*.png"))
    assert files == {"benign": 891, "malignant": 421, "normal": 266}
    assert Busi().can_read(str(folder)) == 0.97
    notes = Busi().index(str(folder)).notes
    assert "the counts are the published ones (780 images)" in notes
    assert "798 masks skipped by their names; reader.masks=keep takes them in" in notes
    assert "the counts are the published ones (1,578 images)" in Busi(masks="keep").index(str(folder)).notes
    (folder / "normal" / "normal (7)_mask.png").unlink()
    assert Busi().can_read(str(folder)) == 0


def test_a_folder_of_the_same_classes_is_not_taken_for_it(tmp_path: Path) -> None:
    assert Busi().can_read(make("busi", tmp_path)) == 0


def test_all_masks_beside_an_image_are_one(tmp_path: Path) -> None:
    folder = Path(make("busi", tmp_path))
    reader = Busi()
    index = reader.index(str(folder))
    uri = next(u for u in index.uris if u.endswith("benign (1).png"))
    size = load_image(uri).shape[:2]
    expected = np.zeros(size, bool)
    for ending, rows in (("_mask", slice(0, 2)), ("_mask_1", slice(5, 6)), ("_mask_2", slice(7, 8))):
        one = np.zeros(size, bool)
        one[rows] = True
        expected |= one
        Image.fromarray(np.uint8(255) * one).save(uri.replace(".png", f"{ending}.png"))
    np.testing.assert_array_equal(reader.mask(uri), expected)
    for other in folder.rglob("* (1)_mask*.png"):
        other.unlink()
    assert reader.mask(uri) is None
