"""Masks: found beside images and by tables, and brought the way of the image to the network's input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.data.decode import to_input
from medplug.data.preprocess import Preprocessors
from medplug.errors import UsageError
from medplug.plugins import DataError, ImageError, Preprocessing, find_mask, load_mask
from medplug_standard.preprocessors.channels import Channels
from medplug_standard.preprocessors.crop import Crop, RandomCrop
from medplug_standard.preprocessors.padding import Padding
from medplug_standard.preprocessors.resize import Resize
from medplug_standard.readers.folder import Folder
from medplug_standard.readers.phantoms import Phantoms
from medplug_standard.readers.table import Csv

TARGET = Preprocessing(64, 1, (0.5,), (0.25,))
CHAINS = {
    "stretch": [Resize()],
    "pad": [Resize(mode="pad")],
    "crop": [Resize(mode="crop")],
    "padding": [Padding(border="edge"), Resize()],
    "crop of the middle": [Crop(share=0.7), Resize()],
    "batch": [Resize(mode="pad"), RandomCrop(margin=0.25)],
}


def chain(steps: list[Any]) -> Preprocessors:
    return Preprocessors((("channels", Channels()), *((type(s).__name__, s) for s in steps)), TARGET)


def disc(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (y - 0.6 * height) ** 2 + (x - 0.4 * width) ** 2 < (0.2 * min(height, width)) ** 2


@pytest.mark.parametrize("shape", [(150, 100), (90, 200), (64, 64)])
@pytest.mark.parametrize("name", CHAINS)
def test_a_mask_lands_where_the_network_sees_what_it_marks(name: str, shape: tuple[int, int]) -> None:
    """The image is the mask itself, white on black: brought to the input as pixels and as a mask, both agree but for the edge."""
    mask, preprocessors = disc(*shape), chain(CHAINS[name])
    pixels = (255 * mask[..., None]).astype(np.uint8)
    kept = to_input(pixels, preprocessors.decode)
    found = preprocessors.mask_to_input(mask, pixels, kept)
    seen = kept.astype(np.float32)
    for one in preprocessors.batch:
        seen = np.asarray(one.step(seen[None], one.target))[0]
    assert found.shape == (64, 64)
    assert found.dtype == bool
    assert found.sum() > 50
    edge = sum(np.abs(np.diff(found.astype(int), axis=axis)).sum() for axis in (0, 1))
    assert (found != (seen[..., 0] > 127)).sum() <= 0.35 * edge


def test_nearest_neighbours_by_hand() -> None:
    mask = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], bool)
    preprocessors = Preprocessors((("resize", Resize()),), replace(TARGET, size=2))
    pixels = np.zeros((4, 4, 1), np.uint8)
    found = preprocessors.mask_to_input(mask, pixels, np.zeros((2, 2, 1), np.uint8))
    assert found.tolist() == [[True, False], [False, True]]


class Mover:
    """Changes the size without saying where things go."""

    stage = "image"

    def __call__(self, pixels: np.ndarray, target: Preprocessing) -> np.ndarray:
        return np.ascontiguousarray(np.rot90(np.resize(pixels, (target.size, target.size, 1))))


def test_a_step_that_does_not_say_where_it_moves_things_is_refused() -> None:
    preprocessors = Preprocessors((("mover", Mover()),), TARGET)
    pixels = np.zeros((90, 80, 1), np.uint8)
    with pytest.raises(UsageError, match=r"sample 3: the mask cannot follow"):
        preprocessors.mask_to_input(
            np.zeros((90, 80), bool), pixels, to_input(pixels, preprocessors.decode), "sample 3"
        )


# ---------------------------------------------------------------- files


def save(path: Path, mask: np.ndarray, high: int = 255) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((high * mask).astype(np.uint8)).save(path)


def test_a_mask_file_is_what_is_not_black(tmp_path: Path) -> None:
    mask = disc(40, 50)
    for high in (1, 255):
        save(tmp_path / f"{high}.png", mask, high)
        np.testing.assert_array_equal(load_mask(tmp_path / f"{high}.png"), mask)
    save(tmp_path / "lossy.jpg", mask)
    assert (load_mask(tmp_path / "lossy.jpg") != mask).mean() < 0.01  # a JPEG has grey rings around edges
    (tmp_path / "no.png").write_text("no image")
    with pytest.raises(ImageError):
        load_mask(tmp_path / "no.png")


@pytest.mark.parametrize("name", ["a/1.png", "a/1_mask.png", "a/1.bmp", "a/1_mask.tif"])
def test_masks_are_found_by_the_name_of_the_image(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, disc(9, 9))
    assert find_mask(tmp_path, "a/1.jpg") == tmp_path / name
    for other in ("a/2.jpg", "b/1.jpg", "1.jpg", "a"):
        assert find_mask(tmp_path, other) is None


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("cyst/1", "cyst/2", "solid/1"):
        save(tmp_path / "data" / f"{name}.png", np.ones((12, 10), bool), 90)
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("folder", "stem"),
    [("masks", "masks/cyst/1"), (".", "cyst/1_mask"), ("../truth", "../truth/cyst/1_mask"), ("masks", "cyst/masks/1")],
)
def test_the_reader_of_folders_knows_a_folder_of_masks(data: Path, folder: str, stem: str) -> None:
    mask = disc(12, 10)
    save(data / f"{stem}.png", mask)
    reader = Folder(mask_folder=folder)
    index = reader.index(str(data))
    assert index.samples == ("cyst/1.png", "cyst/2.png", "solid/1.png")
    found = [reader.mask(uri) for uri in index.uris]
    np.testing.assert_array_equal(found[0], mask)
    assert found[1] is None
    assert found[2] is None  # called alike, of another class
    assert Folder().mask(index.uris[0]) is None


def test_a_folder_of_masks_elsewhere(data: Path, tmp_path: Path) -> None:
    save(tmp_path / "truth" / "cyst" / "1.png", disc(12, 10))
    save(tmp_path / "truth" / "2.png", disc(12, 10))
    reader = Folder(mask_folder=str(tmp_path / "truth"))
    index = reader.index(str(data))
    found = {sample: reader.mask(uri) for sample, uri in zip(index.samples, index.uris, strict=True)}
    np.testing.assert_array_equal(found["cyst/1.png"], disc(12, 10))
    assert found["cyst/2.png"] is None  # not below its class


def table(data: Path, column: list[str]) -> str:
    rows = ["cyst/1.png", "cyst/2.png", "solid/1.png"]
    cells = [f"{image},{image.partition('/')[0]},{mask}" for image, mask in zip(rows, column, strict=True)]
    (data / "labels.csv").write_text("\n".join(["image,label,lesion", *cells]) + "\n")
    return str(data / "labels.csv")


def test_the_reader_of_tables_knows_a_column_of_masks(data: Path) -> None:
    mask = disc(12, 10)
    save(data / "truth" / "one.png", mask)
    reader = Csv(mask_column="lesion", label_column="label", image_column="image")
    index = reader.index(table(data, ["truth/one.png", "", "truth/gone.png"]))
    found = [reader.mask(uri) for uri in index.uris]
    np.testing.assert_array_equal(found[0], mask)
    assert found[1:] == [None, None]
    assert "lesion" not in index.metadata
    assert "masks from column 'lesion'" in index.notes


def test_a_column_of_masks_that_leads_nowhere_is_refused(data: Path) -> None:
    source = table(data, ["a.png", "b.png", ""])
    with pytest.raises(DataError, match=r"no cell of 'lesion' leads to a file"):
        Csv(mask_column="lesion", label_column="label", image_column="image").index(source)
    with pytest.raises(DataError, match=r"reader.mask_column: no column 'lesions'; did you mean 'lesion'"):
        Csv(mask_column="lesions", label_column="label", image_column="image").index(source)


def test_the_masks_of_phantoms_have_the_size_of_the_images() -> None:
    reader = Phantoms(size=48)
    for uri in reader.index("3").uris:
        mask = reader.mask(uri)
        assert mask.shape == reader.load(uri).shape[:-1]
        assert mask.any() == ("normal" not in uri)
