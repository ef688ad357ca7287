"""Class folders: layouts, what is skipped and why, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medplug.plugins import DataError, ImageError
from medplug.testing import check_component
from medplug_standard.readers.files import is_mask_name
from medplug_standard.readers.folder import Folder


def put(root: Path, *names: str) -> Path:
    """Empty files: an index opens no pixels."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def reasons(root: Path, reader: Folder | None = None) -> dict[str, str]:
    return {s.name: s.reason for s in (reader or Folder()).index(str(root)).skipped}


def drawn_folders(folder: Path) -> str:
    for number, name in enumerate(("a/1.png", "a/2.png", "b/1.jpg", "b/2.tif")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 9), 20 * number, np.uint8)).save(folder / name)
    return str(folder)


def test_it_keeps_the_contract() -> None:
    assert check_component(Folder, source=drawn_folders).passed


# ---------------------------------------------------------------- layouts


def test_class_folders(tmp_path: Path) -> None:
    put(tmp_path, "b/2.png", "b/10.png", "a/x y (1).jpg", "Z/1.TIF", "Z/patient 7/scan/1.bmp")
    index = Folder().index(str(tmp_path))
    assert index.classes == ("Z", "a", "b")  # as Python sorts strings
    assert index.samples == ("Z/1.TIF", "Z/patient 7/scan/1.bmp", "a/x y (1).jpg", "b/10.png", "b/2.png")
    assert index.targets.argmax(1).tolist() == [0, 0, 1, 2, 2]
    assert index.task == "multiclass"
    assert index.splits is None
    assert index.skipped == ()
    assert all(Path(uri).samefile(tmp_path / sample) for uri, sample in zip(index.uris, index.samples, strict=True))


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("train", "val", "test"), ("train", "validation", "test")),
        (("Training", "Testing"), ("train", "test")),
        (("TRAIN", "dev", "Test"), ("train", "validation", "test")),
        (("train", "valid"), ("train", "validation")),
        (("train",), ("train",)),
        (("val", "test"), ("validation", "test")),
    ],
)
def test_split_folders(tmp_path: Path, folders: tuple[str, ...], parts: tuple[str, ...]) -> None:
    for folder in folders:
        put(tmp_path, f"{folder}/sick/1.png", f"{folder}/well/2.png")
    index = Folder().index(str(tmp_path))
    assert index.classes == ("sick", "well")
    assert index.splits is not None
    given = dict(zip(index.samples, index.splits.tolist(), strict=True))
    assert given == {
        f"{folder}/{name}": part
        for folder, part in zip(folders, parts, strict=True)
        for name in ("sick/1.png", "well/2.png")
    }
    assert any("given splits" in note for note in index.notes)


def test_samples_of_a_class_are_in_the_order_of_the_pooled_folder(tmp_path: Path) -> None:
    put(tmp_path, "Training/a/Tr-1.png", "Training/b/x.png", "Testing/a/Te-1.png", "Testing/a/Ts-1.png")
    assert Folder().index(str(tmp_path)).samples == (
        "Testing/a/Te-1.png",
        "Training/a/Tr-1.png",
        "Testing/a/Ts-1.png",
        "Training/b/x.png",
    )


def test_splits_within_class_folders(tmp_path: Path) -> None:
    put(tmp_path, "sick/train/1.png", "sick/test/2.png", "well/train/3.png", "well/test/4.png")
    index = Folder().index(str(tmp_path))
    assert index.classes == ("sick", "well")
    assert index.splits is not None
    assert dict(zip(index.samples, index.splits.tolist(), strict=True))["well/test/4.png"] == "test"


def test_one_outer_folder_is_passed_through(tmp_path: Path) -> None:
    put(tmp_path, "chest_xray/train/a/1.png", "chest_xray/train/b/1.png", "chest_xray/test/a/2.png", "README.md")
    put(tmp_path, "__MACOSX/train/a/1.png")
    index = Folder().index(str(tmp_path))
    assert index.classes == ("a", "b")
    assert index.samples[0] == "chest_xray/train/a/1.png"
    assert index.splits is not None
    assert sorted(index.splits.tolist()) == ["test", "train", "train"]


def test_an_unlabelled_test_folder_is_left_out(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.png", "train/b/1.png", "test/1.png")
    assert "not in a class folder" in reasons(tmp_path)["test/1.png"]
    beside = put(tmp_path / "flat", "a/1.png", "b/1.png", "test/1.png")
    index = Folder().index(str(beside))
    assert index.classes == ("a", "b")
    assert [s.name for s in index.skipped] == ["test/1.png"]
    assert Folder(classes=("a", "test")).index(str(beside)).classes == ("a", "test")


def test_other_folders_beside_a_given_training_set_are_left_out(tmp_path: Path) -> None:
    put(tmp_path, "train/a/1.png", "train/b/1.png", "extra/1.png")
    assert reasons(tmp_path) == {"extra/1.png": "in a folder beside the split folders"}


def test_split_and_class_folders_side_by_side_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "benign/1.png", "malignant/1.png", "test/benign/2.png", "test/malignant/2.png")
    with pytest.raises(DataError, match=r"split folders \(test\).*benign, malignant"):
        Folder().index(str(tmp_path))


# ---------------------------------------------------------------- skipped


def test_what_is_skipped_is_named_with_its_reason(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png", "a/notes.txt", "a/.hidden.png", "a/.ipynb_checkpoints/1.png")
    put(tmp_path, "loose.png", "labels.csv", ".git/x/1.png", "a/no_extension", "c/readme.md")
    found = reasons(tmp_path)
    assert found == {
        "loose.png": "not in a class folder",
        "labels.csv": "not an image by its extension (.csv)",
        ".git/": "hidden folder",
        "a/.ipynb_checkpoints/": "hidden folder",
        "a/.hidden.png": "hidden file",
        "a/notes.txt": "not an image by its extension (.txt)",
        "a/no_extension": "not an image by its extension (none)",
        "c/readme.md": "not an image by its extension (.md)",
    }
    index = Folder().index(str(tmp_path))
    assert index.classes == ("a", "b")
    notes = " / ".join(index.notes)
    assert "hence no classes: c" in notes
    assert "not used: labels.csv" in notes


def test_all_extensions(tmp_path: Path) -> None:
    put(tmp_path, "a/1.dat", "b/1.png", "b/.x")
    assert Folder(extensions="all").index(str(tmp_path)).samples == ("a/1.dat", "b/1.png")


@pytest.mark.parametrize(
    "name",
    [
        "benign (1)_mask.png",
        "benign (100)_mask_1.png",
        "x_seg.png",
        "x-GT.tif",
        "x_mask (2).png",
        "mask.png",
        "7.seg.png",
        "x_segmentation.png",
        "x_ground_truth.png",
        "mask_007.png",
    ],
)
def test_masks_by_name(name: str) -> None:
    assert is_mask_name(name)


@pytest.mark.parametrize(
    "name",
    ["benign (1).png", "unmasked.png", "x_masked.png", "mask_of_zorro.png", "xseg.png", "gt500.png", "seg_a_1.png"],
)
def test_no_masks_by_name(name: str) -> None:
    assert not is_mask_name(name)


def test_masks_are_skipped_or_kept(tmp_path: Path) -> None:
    put(
        tmp_path, "a/a (1).png", "a/a (1)_mask.png", "b/b (1).png", "b/b (1)_mask_1.png", "b/Masks/1.png", "masks/2.png"
    )
    index = Folder().index(str(tmp_path))
    assert index.samples == ("a/a (1).png", "b/b (1).png")
    assert {s.name for s in index.skipped} == {"a/a (1)_mask.png", "b/b (1)_mask_1.png", "b/Masks/", "masks/"}
    assert any("reader.masks=keep" in note for note in index.notes)
    kept = Folder(masks="keep").index(str(tmp_path))
    assert kept.classes == ("a", "b", "masks")
    assert len(kept) == 6


def test_loops_of_links_end(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    os.symlink(tmp_path, tmp_path / "a" / "up")
    os.symlink(tmp_path / "b", tmp_path / "b" / "self")
    os.symlink("itself", tmp_path / "b" / "itself")
    index = Folder().index(str(tmp_path))
    assert index.samples == ("a/1.png", "b/1.png")
    assert {s.name for s in index.skipped} == {"a/up/", "b/self/", "b/itself"}


def test_linked_classes_are_followed(tmp_path: Path) -> None:
    put(tmp_path / "store", "one/1.png", "two/2.png")
    data = tmp_path / "data"
    data.mkdir()
    os.symlink(tmp_path / "store" / "one", data / "a")
    os.symlink(tmp_path / "store" / "two", data / "b")
    assert Folder().index(str(data)).samples == ("a/1.png", "b/2.png")


# ---------------------------------------------------------------- classes by choice


def test_classes_are_chosen_and_ordered(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png", "c/1.png")
    index = Folder(classes=("c", "a")).index(str(tmp_path))
    assert index.classes == ("c", "a")
    assert index.samples == ("c/1.png", "a/1.png")
    assert any("b (1)" in note for note in index.notes)


def test_an_unknown_class_is_refused_with_the_nearest(tmp_path: Path) -> None:
    put(tmp_path, "benign/1.png", "malignant/1.png")
    with pytest.raises(DataError, match=r"no class 'Bening'; did you mean 'benign'"):
        Folder(classes=("Bening", "malignant")).index(str(tmp_path))


def test_classes_that_differ_in_case_are_told(tmp_path: Path) -> None:
    if (put(tmp_path, "case") / "CASE").exists():
        pytest.skip("the file system does not tell cases apart")
    put(tmp_path, "train/Normal/1.png", "train/sick/1.png", "test/NORMAL/2.png")
    index = Folder().index(str(tmp_path))
    assert index.classes == ("NORMAL", "Normal", "sick")
    assert any("differ in case only" in note for note in index.notes)


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "the folder is empty"),
        (("a/1.txt", "b/2.dcm"), r"no images among 2 .*\.txt \(1\)"),
        (("only/1.png", "only/2.png"), r"only one class, 'only' \(2 images\); expected is a folder for each class"),
        (("only/1.png", "empty/x.txt"), "only one class, 'only'"),
        (("1.png", "2.png"), "2 images but no class folders"),
        (("1.png", "labels.csv"), r"no class folders; .*pass the file instead: .*labels\.csv"),
        (("images/1.png", "labels.csv"), r"only one class, 'images'.*pass the file instead: .*labels\.csv"),
        (("train/1.png", "test/2.png"), "test, train hold images but no class folders"),
        (("a/1_mask.png", "b/1_mask.png"), "only masks by their names"),
    ],
)
def test_unusable_folders_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    put(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        Folder().index(str(tmp_path))


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        Folder().index(str(tmp_path / "missing"))
    put(tmp_path, "labels.csv")
    with pytest.raises(DataError, match="a file, not a folder"):
        Folder().index(str(tmp_path / "labels.csv"))


def test_how_sure_the_reader_is(tmp_path: Path) -> None:
    put(tmp_path, "data/a/1.png", "flat/1.png", "labels.csv")
    sure = {name: Folder().can_read(str(tmp_path / name)) for name in ("data", "flat", "labels.csv", "missing")}
    assert sure == {"data": 0.9, "flat": 0.1, "labels.csv": 0, "missing": 0}
    assert Folder().can_read("") == Folder().can_read("a\0b") == 0


def test_pixels_are_loaded(tmp_path: Path) -> None:
    put(tmp_path, "a/broken.png")
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    (tmp_path / "b").mkdir()
    Image.fromarray(pixels).save(tmp_path / "b" / "100% real.png")
    index = Folder().index(str(tmp_path))
    np.testing.assert_array_equal(Folder().load(index.uris[1]), pixels)
    with pytest.raises(ImageError):
        Folder().load(index.uris[0])


# ---------------------------------------------------------------- real sets, where they are


@pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")
@pytest.mark.parametrize(
    ("name", "counts", "splits"),
    [
        ("ultrasound", {"benign": 437, "malignant": 210, "normal": 133}, None),
        ("xray", {"NORMAL": 301, "PNEUMONIA": 687}, {"train": 573, "validation": 162, "test": 253}),
        (
            "mri",
            {"glioma": 201, "meningioma": 232, "notumor": 285, "pituitary": 212},
            {"train": 755, "test": 175},
        ),
        ("ct", {"CT_COVID": 349, "CT_NonCOVID": 397}, None),
    ],
)
def test_real_sets(name: str, counts: dict[str, int], splits: dict[str, int] | None) -> None:
    index = Folder().index(str(Path(os.environ["MEDPLUG_DATA"]) / name))
    assert dict(zip(index.classes, index.class_counts()[:, 0], strict=True)) == counts
    if splits is None:
        assert index.splits is None
    else:
        assert index.splits is not None
        assert {part: index.splits.tolist().count(part) for part in splits} == splits
