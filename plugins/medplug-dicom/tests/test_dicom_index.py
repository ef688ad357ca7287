"""Labels from folders and attributes; slices and frames; what is left out and why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from medplug.plugins import DataError, Index
from medplug_dicom.example import write_example
from medplug_dicom.reader import Dicom

Write = Callable[..., Path]


def labels(index: Index) -> dict[str, str]:
    return {name: index.label_text(row) for row, name in enumerate(index.samples)}


def packaged(name: str) -> str:
    return str(get_testdata_file(name, download=False))


# ---------------------------------------------------------------- recognising


def test_folders_files_and_tables_are_recognised_by_content(write: Write, tmp_path: Path) -> None:
    write("data/a/scan", Modality="MR")
    table = tmp_path / "data" / "labels.csv"
    table.write_text("file,label\nscan,a\n")
    for source in (tmp_path / "data", tmp_path / "data" / "a" / "scan", table):
        assert Dicom().can_read(str(source)) == 0.95


def test_other_data_are_left_to_other_readers(write: Write, tmp_path: Path) -> None:
    for number in range(30):
        path = tmp_path / "images" / "a" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    (tmp_path / "images" / "labels.csv").write_text("file,label\n1.png,a\n")
    (tmp_path / "empty").mkdir()
    for name in ("images", "images/a/1.png", "images/labels.csv", "empty", "nothing"):
        assert Dicom().can_read(str(tmp_path / name)) == 0
    write("images/a/stray.dcm")
    assert Dicom().can_read(str(tmp_path / "images")) == 0


# ---------------------------------------------------------------- folders


def test_class_folders(write: Write, tmp_path: Path) -> None:
    for name in ("lesion/2.dcm", "clear/deep/1", "clear/x.ima", "lesion/10.dcm"):
        write(name)
    index = Dicom().index(str(tmp_path))
    assert index.samples == ("clear/deep/1", "clear/x.ima", "lesion/10.dcm", "lesion/2.dcm")
    assert index.classes == ("clear", "lesion")
    assert index.targets.argmax(1).tolist() == [0, 0, 1, 1]
    assert index.uris[0] == str(tmp_path / "clear" / "deep" / "1")
    assert index.splits is None


@pytest.mark.parametrize(
    "form", ["{split}/{label}/{n}.dcm", "{label}/{split}/{n}.dcm", "shell/{split}/{label}/{n}.dcm"]
)
def test_given_splits(form: str, write: Write, tmp_path: Path) -> None:
    for split in ("Train", "val", "test"):
        for label in ("a", "b"):
            write(form.format(split=split, label=label, n=split[0]))
    index = Dicom().index(str(tmp_path))
    assert index.classes == ("a", "b")
    assert index.splits is not None
    found = {(label, split) for label, split in zip(labels(index).values(), index.splits.tolist(), strict=True)}
    assert found == {(label, split) for label in "ab" for split in ("train", "validation", "test")}
    assert any("given splits" in note for note in index.notes)


def test_unlabelled_split_folders_are_no_classes(write: Write, tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm", "test/1.dcm", "0.dcm"):
        write(name)
    index = Dicom().index(str(tmp_path))
    assert index.classes == ("a", "b")
    assert {s.name: s.reason for s in index.skipped} == {
        "0.dcm": "not in a class folder",
        "test/1.dcm": "in a folder named like a split, without class folders",
    }


def test_splits_beside_classes_are_refused(write: Write, tmp_path: Path) -> None:
    for name in ("train/a/1.dcm", "train/b/1.dcm", "c/1.dcm"):
        write(name)
    with pytest.raises(DataError, match="not clear which are the classes"):
        Dicom().index(str(tmp_path))


def test_folders_of_patients_are_no_classes(write: Write, tmp_path: Path) -> None:
    for number in range(3):
        for image in range(2):
            write(f"P-77{number}/{image}.dcm", PatientID=f"p77{number}")
    (tmp_path / "labels.csv").write_text("id,label\n")
    with pytest.raises(DataError, match=r"3 of 3 folders are named by the patient.*pass the file as DATA") as error:
        Dicom().index(str(tmp_path))
    assert "77" not in str(error.value).replace(str(tmp_path), "")


def test_a_family_name_alone_tells_of_patients_only_where_all_folders_bear_one(write: Write, tmp_path: Path) -> None:
    for family in ("Smith", "Jones"):
        write(f"people/{family}/1.dcm", PatientName=f"{family}^Alex", PatientID=f"{family[0]}-0001")
    with pytest.raises(DataError, match="2 of 2 folders are named by the patient"):
        Dicom().index(str(tmp_path / "people"))
    write("study/normal/1.dcm", PatientName="Normal^Volunteer", PatientID="V-0001")
    write("study/ill/1.dcm", PatientName="Miller^Jo", PatientID="V-0002")
    assert Dicom().index(str(tmp_path / "study")).classes == ("ill", "normal")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1.dcm", "2.dcm"], "no class folders"),
        (["a/1.dcm", "a/2.dcm"], "only one class folder"),
        ([], "the folder is empty"),
    ],
)
def test_folders_without_labels(names: list[str], words: str, write: Write, tmp_path: Path) -> None:
    for name in names:
        write(name)
    with pytest.raises(DataError, match=words):
        Dicom().index(str(tmp_path))


def test_a_single_file_has_no_labels_but_can_be_predicted(write: Write) -> None:
    path = write("one.dcm", np.zeros((3, 4, 4), np.uint16))
    with pytest.raises(DataError, match="a single DICOM file, without labels"):
        Dicom().index(str(path))
    index = Dicom().unlabelled(str(path))
    assert index.samples == ("one.dcm#1", "one.dcm#2", "one.dcm#3")
    assert (index.classes, index.targets.shape, index.skipped) == ((), (3, 0), ())


def test_what_is_no_image_is_left_out_with_its_reason(write: Write, tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm"):
        write(name)
    for name in (
        "reportsi.dcm",
        "no_meta.dcm",
        "dicomdirtests/DICOMDIR",
        "liver_1frame.dcm",
        "meta_missing_tsyntax.dcm",
    ):
        shutil.copy(packaged(name), tmp_path / "a" / Path(name).name)
    (tmp_path / "a" / "notes.txt").write_text("text")
    (tmp_path / "a" / "empty.dcm").touch()
    (tmp_path / "a" / "cut.dcm").write_bytes((tmp_path / "a" / "1.dcm").read_bytes()[:150])
    (tmp_path / "a" / "cut2.dcm").write_bytes((tmp_path / "a" / "1.dcm").read_bytes()[:500])
    (tmp_path / ".hidden").mkdir()
    index = Dicom().index(str(tmp_path))
    assert index.samples == ("a/1.dcm", "b/1.dcm")
    missing = "no DICOM file (DICM is missing at byte 128)"
    assert {s.name: (s.reason, s.lost) for s in index.skipped} == {
        ".hidden": ("hidden folder", False),
        "a/DICOMDIR": ("a DICOMDIR, which lists files and holds no image", False),
        "a/cut.dcm": ("its header names no transfer syntax, so that its bytes cannot be understood", True),
        "a/cut2.dcm": ("its header tells of no rows and columns of pixels; it may be cut short", True),
        "a/empty.dcm": (f"{missing}, though named like one", True),
        "a/liver_1frame.dcm": ("a segmentation (SEG), which marks an image and is none", False),
        "a/meta_missing_tsyntax.dcm": (
            "its header names no transfer syntax, so that its bytes cannot be understood", True,
        ),
        "a/no_meta.dcm": (f"{missing}, though named like one", True),
        "a/notes.txt": (missing, False),
        "a/reportsi.dcm": ("holds no image (SR)", False),
    }  # fmt: skip


def test_what_nothing_decodes_is_left_out_before_anything_is_read(write: Write, tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm", "b/film.dcm"):
        write(name)
    dataset = dcmread(tmp_path / "b" / "film.dcm")
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.103"
    dataset.PixelData = b"\xfe\xff\x00\xe0" + bytes(4)
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(tmp_path / "b" / "film.dcm")
    [skipped] = Dicom().index(str(tmp_path)).skipped
    assert skipped.name == "b/film.dcm"
    assert skipped.lost
    assert "is a video" in skipped.reason


def test_loops_of_links_end(write: Write, tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm"):
        write(name)
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    index = Dicom().index(str(tmp_path))
    assert index.samples == ("a/1.dcm", "b/1.dcm")
    assert [s.reason for s in index.skipped] == ["a link to a folder that is read already"]


# ---------------------------------------------------------------- attributes


def test_labels_from_an_attribute(write: Write, tmp_path: Path) -> None:
    for number, part in enumerate(("HEAD", "CHEST", "", "HEAD")):
        write(f"{number}.dcm", BodyPartExamined=part)
    index = Dicom(label_attribute="BodyPartExamined").index(str(tmp_path))
    assert labels(index) == {"1.dcm": "CHEST", "0.dcm": "HEAD", "3.dcm": "HEAD"}
    assert [(s.name, s.reason) for s in index.skipped] == [("2.dcm", "its header has no BodyPartExamined")]


@pytest.mark.parametrize(
    "keyword",
    [
        "PatientID",
        "PatientAddress",
        "PatientMotherBirthName",
        "ReferringPhysicianName",
        "InstitutionName",
        "StudyTime",
        "PatientName",
        "StudyDate",
        "StudyInstanceUID",
    ],
)
def test_what_identifies_cannot_be_a_label(keyword: str, write: Write, tmp_path: Path) -> None:
    write("1.dcm")
    with pytest.raises(DataError, match=f"{keyword} may tell who the patient is"):
        Dicom(label_attribute=keyword).index(str(tmp_path))
    with pytest.raises(DataError, match="DICOM has no attribute 'Nonsense'"):
        Dicom(label_attribute="Nonsense").index(str(tmp_path))


# ---------------------------------------------------------------- slices and frames


@pytest.mark.parametrize(
    ("frames", "names"),
    [
        ("each", [f"a/film.dcm#{n:02d}" for n in range(1, 11)] + ["b/1.dcm"]),
        ("middle", ["a/film.dcm#05", "b/1.dcm"]),
        ("first", ["a/film.dcm#01", "b/1.dcm"]),
    ],
)
def test_frames(frames: str, names: list[str], write: Write, tmp_path: Path) -> None:
    film = np.random.default_rng(0).integers(0, 256, (10, 4, 5), np.uint8)
    path = write("a/film.dcm", film)
    write("b/1.dcm")
    reader = Dicom(frames=frames)
    index = reader.index(str(tmp_path))
    assert list(index.samples) == names
    assert any("1 file with several frames, 10 in all" in note for note in index.notes)
    for sample, uri in zip(names[:-1], index.uris[:-1], strict=True):
        number = int(sample[-2:])
        assert uri == f"{path}#{number}"
        assert np.array_equal(reader.load(uri)[..., 0], film[number - 1])
    assert np.array_equal(reader.load(str(path))[..., 0], film[0 if frames == "first" else 4])


def test_a_name_with_a_hash_sign_is_no_frame(write: Write, tmp_path: Path) -> None:
    path = write("a/scan#2", np.full((4, 4), 9, np.uint8))
    write("b/1.dcm")
    index = Dicom().index(str(tmp_path))
    assert index.uris[0] == str(path)
    assert (Dicom().load(index.uris[0]) == 9).all()


def test_the_middle_slice_of_each_series(write: Write, tmp_path: Path) -> None:
    """By place along the normal, whatever numbers and names say; where no place is known by number, of files without a
    series by itself."""
    axial = ["1", "0", "0", "0", "1", "0"]
    for number, z in enumerate((30, 10, 50, 20, 40)):
        write(
            f"a/{number}.dcm", SeriesInstanceUID="1.2.1", ImagePositionPatient=["0", "0", str(z)],
            ImageOrientationPatient=axial, InstanceNumber=str(z % 7),
        )  # fmt: skip
    for number, name in enumerate("zyx"):
        write(f"b/{name}.dcm", SeriesInstanceUID="1.2.2", InstanceNumber=str(number))
    write("b/single.dcm", SeriesInstanceUID=None)
    index = Dicom(series="middle").index(str(tmp_path))
    assert index.samples == ("a/0.dcm", "b/single.dcm", "b/y.dcm")
    assert "of 3 series the middle slice is taken; 6 other slices are left out" in index.notes


# ---------------------------------------------------------------- columns


def test_metadata(write: Write, tmp_path: Path) -> None:
    write(
        "a/1.dcm", Modality="MG", BodyPartExamined="BREAST", ViewPosition="MLO", ImageLaterality="L", PatientAge="061Y",
        PatientSex="F", Manufacturer="Maker", ManufacturerModelName="One", PixelSpacing=["0.07", "0.07"],
        SliceThickness="2.50",
    )  # fmt: skip
    write("b/1.dcm", Modality="MG", PatientAge="093Y", Laterality="R")
    index = Dicom(site="scanner").index(str(tmp_path))
    assert {name: column.tolist() for name, column in index.metadata.items()} == {
        "modality": ["MG", "MG"], "body_part": ["BREAST", ""], "view": ["MLO", ""], "laterality": ["L", "R"],
        "manufacturer": ["Maker", ""], "model": ["One", ""], "sex": ["F", ""], "age": ["61", "90"],
        "slice_thickness_mm": ["2.5", ""], "pixel_spacing_mm": ["0.07", ""], "site": ["Maker One", ""],
    }  # fmt: skip
    assert index.site == "site"


def test_sites(write: Write, tmp_path: Path) -> None:
    for number, name in enumerate(("St. Mary", "ST MARY", "Other", "")):
        write(f"{'ab'[number % 2]}/{number}.dcm", InstitutionName=name)
    index = Dicom().index(str(tmp_path))
    sites = dict(zip(index.samples, index.metadata["site"].tolist(), strict=True))
    assert index.site == "site"
    assert sites["a/0.dcm"] == sites["b/1.dcm"] != sites["a/2.dcm"]
    assert sites["b/3.dcm"] == ""
    assert "mary" not in "".join(sites.values()).lower()
    assert Dicom(site="none").index(str(tmp_path)).site == ""
    scanner = Dicom(site="scanner").index(str(tmp_path))
    assert scanner.site == ""
    assert "no file has the attribute Manufacturer, so that no site is known" in scanner.notes


def test_odd_values_in_a_header_do_no_harm(write: Write, tmp_path: Path) -> None:
    values = {"PatientAge": "061Y", "SliceThickness": "2.50", "WindowWidth": "777", "InstanceNumber": "4321"}
    path = write("a/1.dcm", WindowCenter="5", **values)
    raw = path.read_bytes()
    for value, nonsense in ((b"061Y", b"old "), (b"2.50", b"thin"), (b"777", b"w w"), (b"4321", b"four")):
        assert raw.count(value) == 1
        raw = raw.replace(value, nonsense)
    path.write_bytes(raw)
    write("b/1.dcm", BodyPartExamined="CHEST", PatientAge="030Y")
    index = Dicom(series="middle").index(str(tmp_path))
    assert index.metadata["age"].tolist() == ["", "30"]
    assert "slice_thickness_mm" not in index.metadata
    for uri in index.uris:
        assert Dicom().load(uri).shape == (4, 4, 1)


def test_headers_longer_than_what_is_read_at_once(write: Write, tmp_path: Path) -> None:
    for name in ("a/1.dcm", "b/1.dcm"):
        path = write(name, PatientID=f"LONG-{name[0]}", PatientSex="F")
        dataset = dcmread(path)
        dataset.private_block(0x0009, "TEST", create=True).add_new(1, "OB", bytes(100_000))
        dataset.save_as(path)
    index = Dicom().index(str(tmp_path))
    assert index.metadata["sex"].tolist() == ["F", "F"]
    assert len(set(index.groups["patient"].tolist())) == 2
    assert Dicom().load(index.uris[0]).shape == (4, 4, 1)


def test_facts(write: Write, tmp_path: Path) -> None:
    path = write(
        "scan.dcm", np.zeros((2, 4, 6), np.int16), BitsStored=12, PatientID="SECRET-1", PatientName="Secret^Name"
    )
    assert Dicom().facts(f"{path}#2") == {
        "format": "DICOM", "extension": ".dcm", "bytes": path.stat().st_size, "transfer_syntax": "Explicit VR Little Endian",
        "photometric": "MONOCHROME2", "modality": "CT", "width": 6, "height": 4, "frames": 2, "bits": 12, "signed": 1,
    }  # fmt: skip
    assert Dicom().facts(str(tmp_path / "nothing")) == {}
    (tmp_path / "1.2.826.0.1.44").write_bytes(path.read_bytes())
    assert Dicom().facts(str(tmp_path / "1.2.826.0.1.44"))["extension"] == ""


def test_images_of_other_kinds_can_be_predicted(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (4, 3), 7).save(tmp_path / "export.png")
    assert Dicom().load(str(tmp_path / "export.png")).tolist() == np.full((3, 4, 1), 7).tolist()


def test_the_order_of_listing_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = write_example(tmp_path, 5)
    first = Dicom().index(source)
    scandir = __import__("os").scandir
    monkeypatch.setattr("medplug_dicom.files.os.scandir", lambda folder: reversed(list(scandir(folder))))
    again = Dicom().index(source)
    assert (first.samples, first.uris) == (again.samples, again.uris)
    assert np.array_equal(first.groups["patient"], again.groups["patient"])
