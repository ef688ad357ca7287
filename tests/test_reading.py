"""What is remembered of an image while it is read: nothing else than what would be found out again."""

import threading

import numpy as np
import pytest
from PIL import Image

from medplug import reading
from medplug.data.facts import measure
from medplug.images import file_facts, load_image
from medplug.pixels import resize


class Files:
    def facts(self, uri):
        return file_facts(uri)


MODES = ["L", "RGB", "RGBA", "P", "LA", "1", "CMYK", "I;16"]


def save(path, mode, rng, **options):
    pixels = rng.integers(0, 256, (40, 56, 3), dtype=np.uint8)
    if mode == "I;16":
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 200).save(path)
    else:
        Image.fromarray(pixels).convert(mode).save(path, **options)
    return str(path)


def everything(path):
    pixels = load_image(path)
    return pixels, *measure(Files(), path, pixels), resize(pixels, 24), file_facts(path)


@pytest.mark.parametrize("mode", MODES)
def test_within_and_outside_all_is_the_same(tmp_path, rng, mode):
    path = save(tmp_path / ("a.jpg" if mode == "CMYK" else "a.png"), mode, rng)
    outside = everything(path)
    with reading.one_image():
        within = everything(path)
    for a, b in zip(outside, within, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_lies_on_its_side_is_the_upright_one(tmp_path, rng, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.jpg", "RGB", rng, exif=exif)
    outside = everything(path)
    with reading.one_image():
        within = everything(path)
        np.testing.assert_array_equal(np.asarray(reading.as_picture(within[0])), within[0])
    for a, b in zip(outside, within, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_file_is_opened_once(tmp_path, rng, monkeypatch):
    path = save(tmp_path / "a.png", "RGB", rng)
    opened, really = [], Image.open
    monkeypatch.setattr(Image, "open", lambda *a, **k: opened.append(a) or really(*a, **k))
    with reading.one_image():
        load_image(path)
        assert file_facts(path)["width"] == 56
    assert len(opened) == 1
    file_facts(path)
    assert len(opened) == 2


def test_nothing_is_remembered_afterwards_or_by_other_threads(tmp_path, rng):
    path, other = save(tmp_path / "a.png", "RGB", rng), []
    with reading.one_image():
        pixels = load_image(path)
        picture = reading.as_picture(pixels)
        assert reading.as_picture(pixels) is picture
        thread = threading.Thread(target=lambda: other.extend([reading.header(path), reading.as_picture(pixels)]))
        thread.start()
        thread.join()
    assert other[0] is None
    assert other[1] is not picture
    assert reading.header(path) is None
    assert reading.as_picture(pixels) is not picture


def test_of_an_array_that_may_change_nothing_is_remembered(rng):
    pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    with reading.one_image():
        reading.as_picture(pixels)
        pixels[:] = 7
        assert np.asarray(reading.as_picture(pixels)).max() == 7


def test_other_pixels_of_the_same_file_get_their_own_picture(tmp_path, rng):
    path = save(tmp_path / "a.png", "RGB", rng)
    with reading.one_image():
        pixels = load_image(path)
        np.testing.assert_array_equal(resize(pixels[:20], 20), resize(pixels[:20].copy(), 20))
