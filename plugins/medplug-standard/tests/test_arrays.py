"""Arrays in files: what is found by its name, which values are black and white, what is refused."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medplug.plugins import About, DataError, Index
from medplug.testing import check_component
from medplug_standard.readers.arrays import Arrays

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 7, 9), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def saved(folder: Path, compressed: bool = False, **arrays: Any) -> str:
    path = folder / "set.npz"
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return str(path)


def read(folder: Path, **arrays: Any) -> Index:
    return Arrays().index(saved(folder, **arrays))


def pixels(index: Index, reader: Arrays | None = None) -> np.ndarray:
    return np.stack([(reader or Arrays()).load(uri) for uri in index.uris])


def refused(folder: Path, message: str, reader: Arrays | None = None, **arrays: Any) -> None:
    with pytest.raises(DataError, match=message):
        (reader or Arrays()).index(saved(folder, **arrays))


def test_it_keeps_the_contract_with_plain_files(tmp_path: Path) -> None:
    def make(folder: Path) -> str:
        np.save(folder / "images.npy", IMAGES.astype(np.uint16) * 257)
        np.save(folder / "labels.npy", LABELS)
        return str(folder / "images.npy")

    assert check_component(Arrays, source=make).passed


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("order", ["C", "F"])
def test_the_pixels_are_those_that_were_saved(tmp_path: Path, compressed: bool, order: Any) -> None:
    images = np.asarray(IMAGES, order=order)
    index = Arrays().index(saved(tmp_path, compressed, images=images, labels=LABELS))
    np.testing.assert_array_equal(pixels(index)[..., 0], IMAGES)
    assert index.samples == ("0", "1", "2", "3", "4", "5")
    assert index.targets.argmax(1).tolist() == LABELS.tolist()
    assert index.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("images", "labels"), [("images", "labels"), ("X", "y"), ("data", "targets"), ("arr_0", "arr_1"), ("IMG", "Label")]
)
def test_names_of_arrays_are_guessed(tmp_path: Path, images: str, labels: str) -> None:
    index = read(tmp_path, **{images: IMAGES, labels: LABELS, "scale": np.array([1.5])})
    assert len(index) == 6
    assert index.notes[0] == f"images from '{images}'"


@pytest.mark.parametrize("form", ["{part}_{what}", "{what}_{part}"])
def test_names_of_splits_give_splits(tmp_path: Path, form: str) -> None:
    arrays = {}
    for part, rows in (("train", slice(0, 3)), ("val", slice(3, 4)), ("test", slice(4, 6))):
        arrays[form.format(part=part, what="images")] = IMAGES[rows]
        arrays[form.format(part=part, what="labels")] = LABELS[rows, None]
    index = read(tmp_path, **arrays)
    assert index.splits is not None
    assert index.splits.tolist() == ["train"] * 3 + ["validation"] + ["test"] * 2
    assert index.samples == ("train/0", "train/1", "train/2", "validation/0", "test/0", "test/1")
    np.testing.assert_array_equal(pixels(index)[..., 0], IMAGES)
    assert index.targets.argmax(1).tolist() == LABELS.tolist()


def test_further_arrays_become_columns(tmp_path: Path) -> None:
    index = read(
        tmp_path,
        images=IMAGES,
        labels=LABELS,
        patient_id=np.array([7, 7, 8, 8, 9, 9]),
        hospital=np.array([b"Ulm", b"Ulm", b"Bern", b"Bern", b"Ulm", b"Bern"]),
        age=np.array([1.5, np.nan, 3, 4, 5, 6]),
        names=np.array(["a/1", "a/2", "b/1", "b/2", "c/1", "c/2"]),
        class_names=np.array(["normal", "benign", "malignant"]),
        mean=np.zeros(3),
    )
    assert index.samples == ("a/1", "a/2", "b/1", "b/2", "c/1", "c/2")
    assert index.classes == ("normal", "benign", "malignant")
    assert index.groups["patient_id"].tolist() == ["7", "7", "8", "8", "9", "9"]
    assert index.site == "hospital"
    assert index.metadata["hospital"].tolist() == ["Ulm", "Ulm", "Bern", "Bern", "Ulm", "Bern"]
    np.testing.assert_array_equal(index.metadata["age"], [1.5, np.nan, 3, 4, 5, 6])
    assert set(index.metadata) == {"hospital", "age"}


def test_what_means_what_can_be_said(tmp_path: Path) -> None:
    source = saved(tmp_path, images=IMAGES, second=255 - IMAGES, labels=LABELS, other=LABELS[::-1], who=LABELS // 2)
    reader = Arrays(images="second", labels="other", groups="who", site="", classes=("x", "y", "z"))
    index = reader.index(source)
    np.testing.assert_array_equal(pixels(index)[..., 0], 255 - IMAGES)
    assert [index.label_text(row) for row in range(3)] == ["z", "y", "x"]
    assert list(index.groups) == ["who"]
    assert Arrays(groups="").index(source).groups == {}
    with pytest.raises(DataError, match=r"no array 'whom' with one value for each image; did you mean 'who'\?"):
        Arrays(groups="whom").index(source)
    with pytest.raises(DataError, match="no array of images: 'third'"):
        Arrays(images="third").index(source)


def test_a_file_with_its_labels_beside_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x_train.npy", IMAGES)
    np.save(tmp_path / "y_train.npy", LABELS)
    np.save(tmp_path / "x_test.npy", IMAGES[:2])
    np.save(tmp_path / "y_test.npy", LABELS[:2])
    assert len(Arrays().index(str(tmp_path / "x_train.npy"))) == 6
    both = Arrays().index(str(tmp_path))
    assert both.splits is not None
    assert both.splits.tolist() == ["train"] * 6 + ["test"] * 2
    assert Arrays().can_read(str(tmp_path)) == Arrays().can_read(str(tmp_path / "x_test.npy")) == 0.6


def test_it_is_sure_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no archive")
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    for name in ("a.npz", "folder", "other.npz", "no.npz", ""):
        assert Arrays().can_read(str(tmp_path / name)) == 0


# ---------------------------------------------------------------- labels


def test_multi_label_with_unknown_ones(tmp_path: Path) -> None:
    targets = np.array([[1, 0], [1, 1], [np.nan, 1], [0, 0], [np.nan, np.nan], [0, 1]], np.float32)
    index = read(tmp_path, images=IMAGES, labels=targets)
    assert index.task == "multilabel"
    np.testing.assert_array_equal(index.targets, targets[[0, 1, 2, 3, 5]])
    assert [(s.name, s.reason) for s in index.skipped] == [("4", "no label")]


def test_names_as_labels_and_missing_ones(tmp_path: Path) -> None:
    index = read(tmp_path, images=IMAGES, labels=np.array(["b", "a", "", "b", "a", "b"]))
    assert index.classes == ("a", "b")
    assert index.samples == ("0", "1", "3", "4", "5")
    assert [s.name for s in index.skipped] == ["2"]


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, r"'labels' has the shape \[5\], but there are 6 images", images=IMAGES, labels=LABELS[:5])
    refused(tmp_path, "no array of labels: none of labels, label", images=IMAGES)
    refused(tmp_path, "the part 'test' have no labels", train_x=IMAGES, train_y=LABELS, test_x=IMAGES)
    refused(tmp_path, "the label 2 is not among the classes", Arrays(classes=("a", "b")), images=IMAGES, labels=LABELS)
    refused(tmp_path, "the label 0.5 is no class", images=IMAGES, labels=LABELS / 2)


# ---------------------------------------------------------------- axes and values


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ((4, 8, 9), "auto", (8, 9, 1)),
        ((4, 8, 9, 3), "auto", (8, 9, 3)),
        ((4, 3, 8, 9), "auto", (8, 9, 3)),
        ((4, 5, 8, 9), "auto", (5, 8, 9, 1)),
        ((4, 5, 8, 9, 1), "auto", (5, 8, 9, 1)),
        ((4, 3, 5, 8, 9), "auto", (5, 8, 9, 3)),
        ((4, 3, 8, 9), "none", (3, 8, 9, 1)),  # a volume of three slices
        ((4, 3, 8, 3), "first", (8, 3, 3)),
    ],
)
def test_the_axis_of_channels(tmp_path: Path, shape: tuple[int, ...], channels: Any, expected: tuple[int, ...]) -> None:
    reader = Arrays(channels=channels)
    images = RNG.integers(0, 256, shape, np.uint8)
    index = reader.index(saved(tmp_path, images=images, labels=[0, 1, 0, 1]))
    loaded = reader.load(index.uris[2])
    assert loaded.shape == expected
    assert loaded.flat[0] == images[2].flat[0]
    if len(expected) == 3 and expected[-1] == 3 and shape[1] == 3:
        np.testing.assert_array_equal(loaded, np.moveaxis(images[2], 0, -1))


def test_a_wrong_axis_of_channels_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "reader.channels=last, but images are", Arrays(channels="last"), images=IMAGES, labels=LABELS)
    refused(tmp_path, "images must be", images=IMAGES[:, 0], labels=LABELS)


@pytest.mark.parametrize(
    ("images", "white"),
    [
        (np.array([0, 1, 700, 1000], np.uint16), 1023),
        (np.array([0, 1, 700, 3000], np.uint16), 4095),
        (np.array([0, 1, 700, 9000], np.int32), 16383),
        (np.array([0, 1, 700, 30000], np.uint16), 65535),
        (np.array([0, 0.25, 0.5, 0.75]), 1),
        (np.array([0, 1.5, 99, 254.5], np.float32), 255),
        (np.array([False, True, False, True]), 1),
    ],
)
def test_values_are_scaled_by_their_true_range(tmp_path: Path, images: np.ndarray, white: float) -> None:
    index = read(tmp_path, images=np.broadcast_to(images[:, None, None], (4, 3, 3)), labels=[0, 1, 0, 1])
    loaded = pixels(index)
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded[:, 0, 0, 0], images / white, rtol=1e-6)


def test_whole_numbers_of_8_bits_are_bytes(tmp_path: Path) -> None:
    index = read(tmp_path, images=IMAGES.astype(np.int64), labels=LABELS)
    np.testing.assert_array_equal(pixels(index)[..., 0], IMAGES)
    assert pixels(index).dtype == np.uint8


def test_a_range_that_nobody_can_guess_must_be_said(tmp_path: Path) -> None:
    units = np.array([-1000.0, 0, 400, 3000])[:, None, None] * np.ones((4, 3, 3))
    refused(tmp_path, r"values from -1000 to 3000; say what is black and white: reader.value_range", images=units,
            labels=[0, 1, 0, 1])  # fmt: skip
    reader = Arrays(value_range=(-1000, 1000))
    index = reader.index(saved(tmp_path, images=units, labels=[0, 1, 0, 1]))
    np.testing.assert_allclose(pixels(index, reader)[:, 0, 0, 0], [0, 0.5, 0.7, 1])
    with pytest.raises(Exception, match="value_range must rise"):
        Arrays(value_range=(5, 5))


def test_not_a_number_is_black(tmp_path: Path) -> None:
    images = np.full((4, 3, 3), 0.5, np.float32)
    images[0, 0, 0] = np.nan
    index = read(tmp_path, images=images, labels=[0, 1, 0, 1])
    assert pixels(index)[0, :, :, 0].tolist() == [[0, 0.5, 0.5], [0.5] * 3, [0.5] * 3]
    refused(tmp_path, "no finite number", images=np.full((4, 3, 3), np.nan), labels=[0, 1, 0, 1])


# ---------------------------------------------------------------- files that are none, or change


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = np.array([print, print], dtype=object)
    np.savez(tmp_path / "a.npz", images=IMAGES[:2], labels=trap)
    with pytest.raises(DataError, match="Python objects, which are not loaded"):
        Arrays().index(str(tmp_path / "a.npz"))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, True, images=IMAGES, labels=LABELS))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="not a NumPy file that can be read"):
        Arrays().index(str(path))
    with pytest.raises(DataError, match="no such file"):
        Arrays().index(str(tmp_path / "none.npz"))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (6, 9")
    with pytest.raises(DataError, match="not a NumPy file"):
        Arrays().index(str(path))


def test_an_array_that_is_shorter_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "images.npy"
    np.save(path, IMAGES)
    np.save(tmp_path / "labels.npy", LABELS)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"^[^:]*images.npy: the array cannot be read: mmap length"):
        Arrays().index(str(path))


def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    index = read(tmp_path, images=IMAGES, labels=LABELS)
    assert Arrays().load(index.uris[0])[0, 0, 0] == IMAGES[0, 0, 0]
    source = saved(tmp_path, images=255 - IMAGES, labels=LABELS)
    os.utime(source, (1, 1))  # a clock may be too coarse to tell two savings in a row
    assert Arrays().load(index.uris[0])[0, 0, 0] == 255 - IMAGES[0, 0, 0]


def test_the_file_behind_an_image_is_known(tmp_path: Path) -> None:
    """So that the cache of decoded images goes with its bytes."""
    folder = tmp_path / "a#b"
    folder.mkdir()
    source = saved(folder, images=IMAGES, labels=LABELS)
    assert {Arrays().files(uri) for uri in Arrays().index(source).uris} == {(source,)}


def test_images_without_labels(tmp_path: Path) -> None:
    index = Arrays().unlabelled(saved(tmp_path, images=IMAGES))
    assert (len(index), index.classes, index.targets.shape) == (6, (), (6, 0))


def test_what_the_publisher_says(tmp_path: Path) -> None:
    (tmp_path / "about.toml").write_text('title = "Six"\n')
    assert read(tmp_path, images=IMAGES, labels=LABELS).about == About("Six")
