"""Class folders: folders of sites, what the publisher says, images without labels, how pixels are read."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from reader_helpers import labels, put

from medplug.plugins import About, DataError, ParameterError
from medplug_standard.readers.folder import Folder
from medplug_standard.readers.jsonlabels import Json
from medplug_standard.readers.table import Csv


def test_sites_above_the_class_folders(tmp_path: Path) -> None:
    put(tmp_path, *(f"{site}/{label}/{i}.png" for site in ("bern", "ulm") for label in ("a", "b") for i in range(2)))
    index = Folder(sites="above").index(str(tmp_path))
    assert index.site == "site"
    assert set(zip(index.samples, index.metadata["site"].tolist(), strict=True)) == {
        (f"{site}/{label}/{i}.png", site) for site in ("bern", "ulm") for label in ("a", "b") for i in range(2)
    }
    assert index.classes == ("a", "b")
    assert all(name.split("/")[1] == label for name, label in labels(index).items())
    assert "2 sites, from the folders above the class folders: bern, ulm" in index.notes


def test_sites_with_given_splits(tmp_path: Path) -> None:
    put(tmp_path, *(f"{s}/{p}/{c}/1.png" for s in ("bern", "ulm") for p in ("train", "test") for c in ("a", "b")))
    index = Folder(sites="above").index(str(tmp_path))
    assert index.splits is not None
    assert index.splits.tolist() == [name.split("/")[1] for name in index.samples]


def test_sites_below_the_class_folders(tmp_path: Path) -> None:
    put(tmp_path, "a/bern/1.png", "a/ulm/1.png", "b/bern/x/1.png", "b/2.png")
    index = Folder(sites="below").index(str(tmp_path))
    assert dict(zip(index.samples, index.metadata["site"].tolist(), strict=True)) == {
        "a/bern/1.png": "bern",
        "a/ulm/1.png": "ulm",
        "b/bern/x/1.png": "bern",
        "b/2.png": "",
    }
    assert "1 image in no folder of a site" in index.notes


def test_sites_that_are_not_there_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    with pytest.raises(DataError, match="no image is in a folder within its class folder"):
        Folder(sites="below").index(str(tmp_path))
    with pytest.raises(DataError, match="no class folders"):
        Folder(sites="above").index(str(tmp_path))
    assert Folder().index(str(tmp_path)).site == ""


def test_what_the_publisher_says_is_no_skipped_file(tmp_path: Path) -> None:
    put(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "about.toml").write_text('title = "Two"\nlicence = "CC BY 4.0"\n')
    index = Folder().index(str(tmp_path))
    assert index.about == About("Two", "CC BY 4.0")
    assert index.skipped == ()


def test_images_without_labels(tmp_path: Path) -> None:
    put(tmp_path, "2.png", "sub/1.jpg", "1_mask.png", "masks/1.png", ".hidden/3.png", "notes.txt")
    index = Folder().unlabelled(str(tmp_path))
    assert index.samples == ("2.png", "sub/1.jpg")
    assert (index.classes, index.targets.shape) == ((), (2, 0))
    assert [(s.name, s.reason) for s in index.skipped] == [
        ("1_mask.png", "a mask by its name"),
        ("masks/", "folder of masks"),
    ]
    assert len(Folder(masks="keep").unlabelled(str(tmp_path))) == 4
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="the folder is empty"):
        Folder().unlabelled(str(tmp_path / "empty"))


# ---------------------------------------------------------------- what all readers of files share


@pytest.mark.parametrize("reader", [Folder, Csv, Json])
def test_pixels_bits_and_facts(tmp_path: Path, reader: type[Folder] | type[Csv] | type[Json]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[0, 500, 1000]], np.uint16)).save(path)
    np.testing.assert_allclose(reader().load(str(path))[0, :, 0] / 65535, np.array([0, 500, 1000]) / 1023, atol=1e-4)
    np.testing.assert_allclose(
        reader(bits=12).load(str(path))[0, :, 0] / 65535, np.array([0, 500, 1000]) / 4095, atol=1e-4
    )
    assert reader(pixels="pillow").load(str(path)).shape == (1, 3, 3)
    facts = reader().facts(str(path))
    assert (facts["format"], facts["bits"], facts["width"]) == ("PNG", 16, 3)
    assert reader().facts(str(tmp_path / "none.png")) == {}
    with pytest.raises(ParameterError, match="bits has no effect with pixels='pillow'"):
        reader(pixels="pillow", bits=12)
    with pytest.raises(ParameterError, match="bits must be at most 16"):
        reader(bits=17)


@pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")
def test_real_folders_without_labels() -> None:
    root = Path(os.environ["MEDPLUG_DATA"])
    found = {name: len(Folder().unlabelled(str(root / name))) for name in ("ultrasound", "mri", "microscopy", "ct")}
    assert found == {"ultrasound": 780, "mri": 930, "microscopy": 300, "ct": 746}  # no masks, nothing hidden
