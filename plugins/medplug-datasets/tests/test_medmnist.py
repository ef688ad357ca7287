"""MedMNIST: by name from a server on this machine, from files, and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medplug.plugins import DataError, ImageError
from medplug_datasets import medmnist, npz
from medplug_datasets.medmnist import PUBLISHER, MedMnist, sets
from medplug_datasets.tiny import medmnist_arrays, write_npz


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "datasets" / "medmnist"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A folder that a server on this machine hands out, and its address."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "shelf"
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield folder, f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()
        thread.join()


def publish(monkeypatch: pytest.MonkeyPatch, folder: Path, file: str, arrays: dict[str, np.ndarray]) -> None:
    """Put a made-up file on the shelf, with its own MD5 in the place of the published one."""
    write_npz(folder / file, arrays)
    name, _, size = file.removesuffix(".npz").partition("_")
    md5 = hashlib.md5((folder / file).read_bytes()).hexdigest()
    known = sets()
    other = replace(known[name], md5={**known[name].md5, size or "28": md5})
    monkeypatch.setattr(medmnist, "sets", lambda: {**known, name: other})


@pytest.mark.parametrize(("name", "file", "size"), [("pathmnist", "pathmnist.npz", 28), ("PathMNIST_64", "pathmnist_64.npz", 64)])  # fmt: skip
def test_by_name_it_is_downloaded_once(
    name: str, file: str, size: int, shelf: tuple[Path, str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = shelf
    arrays = medmnist_arrays(9, (18, 9, 9), size, channels=3)
    publish(monkeypatch, folder, file, arrays)
    index = MedMnist(address=address).index(name)
    assert (cache / file).is_file()
    assert index.splits.tolist() == ["train"] * 18 + ["validation"] * 9 + ["test"] * 9
    assert index.samples[18] == "validation/000000"
    assert index.classes[1:3] == ("background", "debris")
    assert index.about.title == "PathMNIST"
    assert "train 18 (published 89,996)" in next(note for note in index.notes if "counts" in note)
    for row, uri in enumerate(index.uris[:18]):
        np.testing.assert_array_equal(MedMnist().load(uri), arrays["train_images"][row])
    np.testing.assert_array_equal(index.targets[:18].argmax(1), arrays["train_labels"][:, 0])
    (folder / file).unlink()
    assert MedMnist(address=address, download=False).index(name).samples == index.samples


def test_a_file_that_is_not_the_published_one_is_refused(shelf: tuple[Path, str], cache: Path) -> None:
    folder, address = shelf
    write_npz(folder / "breastmnist.npz", medmnist_arrays(2))
    with pytest.raises(DataError, match=r"MD5 [0-9a-f]{32}, expected 750601b1f35ba3300ea97c75c52ff8f6"):
        MedMnist(address=address).index("breastmnist")
    assert not list(cache.glob("*.npz"))


def test_without_a_network_it_says_what_to_do(cache: Path) -> None:
    with pytest.raises(DataError) as told:
        MedMnist(download=False).index("chestmnist_224")
    message = str(told.value)
    assert f"{PUBLISHER}/chestmnist_224.npz?download=1" in message
    assert sets()["chestmnist"].md5["224"] in message
    assert str(cache / "chestmnist_224.npz") in message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("pathmist", "no such set; did you mean 'pathmnist'"),
        ("cifar10", "no such set"),
        ("pathmnist_96", "no such set"),
        ("organmnist3d_224", "organmnist3d comes in 28, 64 pixels, not in 224"),
        ("", "no such set"),
        ("nowhere/pathmnist_128.npz", "no such file; medmnist:pathmnist_128 downloads it"),
        ("nowhere/mine.npz", "there is no such file$"),
    ],
)
def test_what_is_not_there(source: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        MedMnist(download=False).index(source)


def test_the_publishers_table() -> None:
    """Checked against the package medmnist 3.0.2 when it was written; here: that it is whole."""
    flat = {name: known for name, known in sets().items() if not known.volumes}
    assert len(flat) == 12
    assert len(sets()) == 18
    assert all(set(known.md5) == {"28", "64", "128", "224"} for known in flat.values())
    digests = [digest for known in sets().values() for digest in known.md5.values()]
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in digests)
    assert len(set(digests)) == len(digests) == 12 * 4 + 6 * 2
    assert {name for name, known in sets().items() if known.task == "multilabel"} == {"chestmnist"}
    assert {name for name, known in sets().items() if known.task == "ordinal"} == {"retinamnist"}
    assert sum(sets()["breastmnist"].parts) == 780  # BUSI
    assert sum(sets()["pneumoniamnist"].parts) == 5856  # Kermany's X-rays
    assert sum(sets()["dermamnist"].parts) == 10015  # HAM10000
    assert sets()["breastmnist"].classes[0] == "malignant"


def test_several_labels(tmp_path: Path) -> None:
    arrays = medmnist_arrays(14, (20, 14, 14), multilabel=True)
    arrays["train_labels"][0, :3] = 1
    write_npz(tmp_path / "chestmnist.npz", arrays)
    index = MedMnist().index(str(tmp_path / "chestmnist.npz"))
    assert index.task == "multilabel"
    assert index.label_text(0) == "atelectasis+cardiomegaly+effusion"
    np.testing.assert_array_equal(index.targets[:20], arrays["train_labels"])


def test_grades_and_pairs(tmp_path: Path) -> None:
    write_npz(tmp_path / "retinamnist.npz", medmnist_arrays(5, (10, 5, 5), channels=3))
    index = MedMnist().index(str(tmp_path / "retinamnist.npz"))
    assert index.classes == ("0", "1", "2", "3", "4")
    assert any("grades in their order" in note for note in index.notes)
    write_npz(tmp_path / "pneumoniamnist.npz", medmnist_arrays(2))
    index = MedMnist(split="none").index(str(tmp_path / "pneumoniamnist.npz"))
    assert (index.task, index.classes) == ("multiclass", ("normal", "pneumonia"))
    assert index.splits is None
    assert MedMnist().load(index.uris[0]).shape == (28, 28, 1)


def test_volumes(tmp_path: Path) -> None:
    arrays = medmnist_arrays(2)
    for part in ("train", "val", "test"):
        arrays[f"{part}_images"] = np.random.default_rng(0).integers(
            0, 9, (len(arrays[f"{part}_labels"]), 5, 6, 7), np.uint8
        )
    write_npz(tmp_path / "nodulemnist3d.npz", arrays)
    index = MedMnist().index(str(tmp_path / "nodulemnist3d.npz"))
    assert index.classes == ("benign", "malignant")
    np.testing.assert_array_equal(MedMnist().load(index.uris[1])[..., 0], arrays["train_images"][1])


def test_files_of_ones_own(tmp_path: Path) -> None:
    arrays = medmnist_arrays(3)
    del arrays["val_images"], arrays["val_labels"]
    write_npz(tmp_path / "mine.npz", arrays)
    index = MedMnist().index(str(tmp_path / "mine.npz"))
    assert index.classes == ("0", "1", "2")
    assert sorted(set(index.splits.tolist())) == ["test", "train"]
    assert "not a published name: classes are called by their numbers" in index.notes
    assert index.about.title == "mine"


@pytest.mark.parametrize("compressed", [True, False])
def test_pixels_are_mapped_and_never_read_whole(compressed: bool, tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "bloodmnist.npz"
    arrays = medmnist_arrays(8, (16, 8, 8), channels=3)
    write_npz(path, arrays, compressed=compressed)
    index = MedMnist().index(str(path))
    assert not cache.exists()  # the index opens no pixels
    images = [MedMnist().load(uri) for uri in index.uris]
    np.testing.assert_array_equal(
        np.stack(images), np.concatenate([arrays[f"{p}_images"] for p in ("train", "val", "test")])
    )
    unpacked = sorted(p.name.rsplit("-", 1)[0] for p in cache.glob("*")) if cache.exists() else []
    names = ["bloodmnist-test_images", "bloodmnist-train_images", "bloodmnist-val_images"]
    assert unpacked == (names if compressed else [])
    crc = npz.members(path)["train_images"].crc
    assert isinstance(npz.mapped(path, "train_images", crc, cache), np.memmap)
    copy = pickle.loads(pickle.dumps(MedMnist()))
    np.testing.assert_array_equal(copy.load(index.uris[3]), images[3])


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "bloodmnist.npz"
    write_npz(path, medmnist_arrays(8, channels=3), compressed=False)
    before = MedMnist().index(str(path))
    arrays = medmnist_arrays(8, channels=3)
    arrays["train_images"] = 255 - arrays["train_images"]
    path.unlink()
    write_npz(path, arrays, compressed=False)
    with pytest.raises(ImageError, match="has changed since its labels were read"):
        MedMnist().load(before.uris[0])
    after = MedMnist().index(str(path))
    assert after.uris[0] != before.uris[0]
    np.testing.assert_array_equal(MedMnist().load(after.uris[0]), arrays["train_images"][0])


def test_a_damaged_archive_is_noticed(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "bloodmnist.npz"
    write_npz(path, medmnist_arrays(8, (50, 8, 8), channels=3))
    index = MedMnist().index(str(path))
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("train_images.npy").header_offset + 5000
    data = bytearray(path.read_bytes())
    data[start : start + 20] = bytes(20)
    path.write_bytes(bytes(data))
    with pytest.raises(ImageError, match="train_images is damaged"):
        MedMnist().load(index.uris[0])
    assert not list(cache.glob("*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_images": np.zeros((6, 28, 28), np.int64)}, "must be uint8"),
        ({"train_images": np.zeros((6, 28, 28, 28, 3), np.uint8)}, "must be uint8"),
        ({"val_images": np.zeros((3, 64, 64), np.uint8)}, r"images of \[64, 64\] in val"),
        ({"train_labels": np.zeros((5, 1), np.uint8)}, r"must be whole numbers \[6, labels\]"),
        ({"train_labels": np.zeros((6, 1), np.float64)}, "must be whole numbers"),
        ({"train_labels": np.full((6, 1), 2, np.uint8)}, r"train_labels, row 0: \[2\], expected 0 to 1"),
        ({"train_labels": np.zeros((6, 3), np.uint8)}, "train_labels has 3 columns, expected 1"),
    ],
)
def test_arrays_of_another_kind_are_refused(change: dict[str, np.ndarray], message: str, tmp_path: Path) -> None:
    write_npz(tmp_path / "breastmnist.npz", {**medmnist_arrays(2), **change})
    with pytest.raises(DataError, match=message):
        MedMnist().index(str(tmp_path / "breastmnist.npz"))


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "breastmnist.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"not an \.npz file"):
        MedMnist().index(str(tmp_path / "breastmnist.npz"))
    np.savez(tmp_path / "pickled.npz", train_images=np.array([{"a": 1}], object), train_labels=np.zeros((1, 1), int))
    with pytest.raises(DataError, match="train_images holds Python objects, which are not read"):
        MedMnist().index(str(tmp_path / "pickled.npz"))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="no train_images, val_images or test_images; there are x"):
        MedMnist().index(str(tmp_path / "other.npz"))
    np.savez(tmp_path / "unlabelled.npz", train_images=np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(DataError, match="train_images, but no train_labels"):
        MedMnist().index(str(tmp_path / "unlabelled.npz"))


@pytest.mark.parametrize("uri", ["x.png", "x.npz#train/0@0000000", "x.npz#train/0@00000000", "x.npz#dev/0@00000000"])
def test_uris_that_lead_nowhere(uri: str) -> None:
    with pytest.raises(ImageError):
        MedMnist().load(uri)


def test_rows_beyond_the_end(tmp_path: Path) -> None:
    write_npz(tmp_path / "breastmnist.npz", medmnist_arrays(2))
    uri = MedMnist().index(str(tmp_path / "breastmnist.npz")).uris[0]
    with pytest.raises(ImageError, match="there are 6 images in this part"):
        MedMnist().load(uri.replace("train/0", "train/6"))


def test_a_published_file_is_recognised(tmp_path: Path) -> None:
    write_npz(tmp_path / "pathmnist_128.npz", medmnist_arrays(9, channels=3))
    assert MedMnist().can_read(str(tmp_path / "pathmnist_128.npz")) == 0.97
    write_npz(tmp_path / "mine.npz", medmnist_arrays(9))
    np.savez(tmp_path / "octmnist.npz", x=np.zeros(3))
    (tmp_path / "bloodmnist.npz").write_bytes(b"no archive")
    for other in ("mine.npz", "octmnist.npz", "bloodmnist.npz", "nowhere.npz", "."):
        assert MedMnist().can_read(str(tmp_path / other)) == 0


def test_no_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_npz(tmp_path / "breastmnist.npz", medmnist_arrays(2))
    uri = MedMnist().index(str(tmp_path / "breastmnist.npz")).uris[0]
    monkeypatch.setattr(npz.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(ImageError, match=r"has room for 0 MiB; choose another folder with MEDPLUG_CACHE"):
        MedMnist().load(uri)


def test_the_leak_of_the_skin_lesions_is_told(tmp_path: Path) -> None:
    write_npz(tmp_path / "dermamnist.npz", medmnist_arrays(7, (14, 7, 7), channels=3))
    notes = MedMnist().index(str(tmp_path / "dermamnist.npz")).notes
    assert any(note.startswith("images of one lesion lie in several of the given parts") for note in notes)
