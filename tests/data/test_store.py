"""The decode-once cache: same pixels, once, and again only where something has become another."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from store_reader import OPTIONS, Numbers, decoded, image_of, write_numbers

from medplug.contracts.architecture import Preprocessing
from medplug.data.decode import DecodeOptions, to_input
from medplug.data.facts import ImageFacts, measure
from medplug.data.store import open_facts, open_store
from medplug.data.store.pixelstore import PixelStore
from medplug.errors import DataError
from medplug.images import ImageError
from medplug.params import component, param
from medplug.progress import Reporter

NUMBERS = (3, 1, 4, 1, 5, 9, 2)


@pytest.fixture
def reader():
    return Numbers()


@pytest.fixture
def uris(tmp_path):
    return write_numbers(tmp_path / "data", NUMBERS)


def open_again(reader, uris, quiet, options=OPTIONS, name="r"):
    """The store, and how many images were loaded for it."""
    before = len(reader.loads)
    return open_store(reader, name, uris, options, 2, quiet), len(reader.loads) - before


def test_images_facts_and_thumbnails_are_those_of_the_files(quiet, reader, uris):
    store, loads = open_again(reader, uris, quiet)
    np.testing.assert_array_equal(store.images, decoded(NUMBERS))
    assert store.images.shape == (7, 8, 8, 1)
    assert store.images.dtype == np.uint8
    for row, number in enumerate(NUMBERS):
        fact, thumb = measure(reader, uris[row], image_of(number))
        assert store.facts[row] == fact
        np.testing.assert_array_equal(store.thumbs[row], thumb)
    assert loads == len(uris) + 1  # the first one more than once, for the shape


def test_the_second_time_nothing_is_read(quiet, reader, uris):
    first, _ = open_again(reader, uris, quiet)
    again, loads = open_again(reader, uris, quiet)
    assert loads == 0
    np.testing.assert_array_equal(again.images, first.images)
    assert again.facts == first.facts


@pytest.mark.parametrize("what", ["size", "channels", "reader", "parameters", "code"])
def test_what_decides_about_pixels_is_part_of_the_key(quiet, reader, uris, what, monkeypatch):
    open_again(reader, uris, quiet)

    @component
    class Shifted:
        shift: int = param("added", default=0)
        loads = []  # noqa: RUF012

        def load(self, uri):
            self.loads.append(uri)
            return image_of(int(Path(uri).read_text()) + self.shift)

    if what == "parameters":
        _, one = open_again(Shifted(shift=1), uris, quiet)
        store, two = open_again(Shifted(shift=2), uris, quiet)
        np.testing.assert_array_equal(store.images, decoded([n + 2 for n in NUMBERS]))
        assert min(one, two) >= len(uris)
        return
    if what == "code":
        monkeypatch.setattr("medplug.data.store.opening._source", lambda what: b"another")
    options = {"size": DecodeOptions(16, 1), "channels": DecodeOptions(8, 3)}.get(what, OPTIONS)
    _, loads = open_again(reader, uris, quiet, options, "other" if what == "reader" else "r")
    assert loads >= len(uris)


def test_another_size_measures_nothing_again(quiet, reader, uris, monkeypatch):
    open_again(reader, uris, quiet)
    monkeypatch.setattr("medplug.data.store.filling.measure", None)
    store, _ = open_again(reader, uris, quiet, DecodeOptions(16, 1))
    assert store.images.shape == (7, 16, 16, 1)
    assert store.facts[0].pixels


# ---------------------------------------------------------------- content, not names and times


def test_a_touched_file_is_not_decoded_again(quiet, reader, uris):
    open_again(reader, uris, quiet)
    os.utime(uris[2])
    assert open_again(reader, uris, quiet)[1] == 0


def test_a_moved_folder_is_known_again(quiet, reader, uris, tmp_path):
    open_again(reader, uris, quiet)
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    moved = tuple(uri.replace("/data/", "/elsewhere/") for uri in uris)
    store, loads = open_again(reader, moved, quiet)
    assert loads == 0
    np.testing.assert_array_equal(store.images, decoded(NUMBERS))


@pytest.mark.parametrize("times", ["new", "kept"])
def test_a_changed_file_is_read_again_and_no_other(quiet, reader, uris, times):
    open_again(reader, uris, quiet)
    before = os.stat(uris[2])
    Path(uris[2]).write_text("8")  # as long as what was there
    if times == "kept":
        os.utime(uris[2], ns=(before.st_atime_ns, before.st_mtime_ns))
    store, _ = open_again(reader, uris, quiet)
    np.testing.assert_array_equal(store.images, decoded((3, 1, 8, 1, 5, 9, 2)))
    assert set(reader.loads[len(uris) + 1 :]) <= {uris[0], uris[2]}  # the first one for the shape


def test_a_grown_folder_reads_what_is_new(quiet, reader, uris, tmp_path):
    open_again(reader, uris, quiet)
    reader.loads.clear()
    more = write_numbers(tmp_path / "data", (*NUMBERS, 6, 5))
    store, _ = open_again(reader, more, quiet)
    np.testing.assert_array_equal(store.images, decoded((*NUMBERS, 6, 5)))
    assert set(reader.loads) == {more[0], more[7], more[8]}


def test_a_part_in_another_order_reads_nothing_but_the_first_for_its_shape(quiet, reader, uris):
    open_again(reader, uris, quiet)
    reader.loads.clear()
    rows = [5, 0, 3]
    store, _ = open_again(reader, tuple(uris[r] for r in rows), quiet)
    np.testing.assert_array_equal(store.images, decoded([NUMBERS[r] for r in rows]))
    assert reader.loads == [uris[5]]


# ---------------------------------------------------------------- facts alone


def test_facts_alone_need_no_size_and_are_used_later(quiet, reader, uris, monkeypatch):
    found = open_facts(reader, "r", uris, 2, quiet)
    assert len(reader.loads) == len(uris)
    assert found.images.shape == (7, 0, 0, 1)
    assert found.thumbs.shape == (7, 32, 32)
    monkeypatch.setattr("medplug.data.store.filling.measure", None)
    store, _ = open_again(reader, uris, quiet)
    assert store.facts == found.facts
    np.testing.assert_array_equal(store.thumbs, found.thumbs)
    reader.loads.clear()
    assert open_facts(reader, "r", uris, 2, quiet).facts == found.facts
    assert reader.loads == []


# ---------------------------------------------------------------- unreadable images


def test_an_unreadable_image_is_black_and_says_why(quiet, reader, uris):
    Path(uris[1]).write_text("no number")
    store, _ = open_again(reader, uris, quiet)
    assert [f.error for f in store.facts] == ["", "truncated", *[""] * 5]
    assert not store.images[1].any()


def test_an_image_that_can_be_read_later_is_read_then(quiet, reader, uris):
    """As after the installation of the decoder that the message named."""
    load = reader.load

    def without_decoder(uri):
        if uri == uris[4]:
            reader.loads.append(uri)
            raise ImageError("needs a decoder: pip install it")
        return load(uri)

    reader.load = without_decoder
    store, _ = open_again(reader, uris, quiet)
    assert "pip install" in store.facts[4].error
    reader.loads.clear()
    again, _ = open_again(reader, uris, quiet)
    assert again.facts == store.facts
    assert reader.loads == [uris[4]]
    reader.load = load
    store, _ = open_again(reader, uris, quiet)
    np.testing.assert_array_equal(store.images, decoded(NUMBERS))
    assert not any(f.error for f in store.facts)
    assert uris[3] not in reader.loads


def test_an_image_that_the_preprocessing_refuses_keeps_its_facts(quiet, reader, uris, monkeypatch):
    def refuses(pixels, options, where=""):
        if where == uris[4]:
            raise ImageError("too small to crop")
        return to_input(pixels, options, where)

    for module in ("opening", "filling"):
        monkeypatch.setattr(f"medplug.data.store.{module}.to_input", refuses)
    store, _ = open_again(reader, uris, quiet)
    assert (store.facts[4].error, bool(store.facts[4].pixels)) == ("too small to crop", True)
    again, loads = open_again(reader, uris, quiet)
    assert (loads, again.facts) == (1, store.facts)
    assert not open_facts(reader, "r", uris, 1, quiet).facts[4].error


def test_a_volume_among_pictures_is_left_out_by_name(quiet):
    class Mixed:
        def load(self, uri):
            return np.zeros((4, 4, 4, 1) if uri == "b" else (4, 4, 1), np.uint8)

    store = open_store(Mixed(), "r", ("a", "b", "c"), OPTIONS, 1, quiet)
    assert [f.error for f in store.facts] == [
        "", "is a volume; the first image that can be read is a flat image", ""
    ]  # fmt: skip


def test_all_unreadable(quiet, reader, tmp_path):
    store = open_store(reader, "r", write_numbers(tmp_path / "bad", "xyz"), OPTIONS, 1, quiet)
    assert {f.error for f in store.facts} == {"truncated"}


def test_an_error_of_the_reader_is_passed_on_with_the_image(quiet, reader, uris, monkeypatch):
    monkeypatch.setattr(reader, "load", lambda uri: {}[uri])
    with pytest.raises(KeyError) as caught:
        open_facts(reader, "r", uris, 2, quiet)
    assert caught.value.__notes__ == [f"while reading {uris[0]}"]


# ---------------------------------------------------------------- between reading the index and training


def test_a_file_that_changes_while_it_is_read_is_an_error(quiet, reader, uris, monkeypatch):
    load = reader.load

    def changing(uri):
        found = load(uri)
        if uri == uris[3]:
            Path(uri).write_text("77")
        return found

    monkeypatch.setattr(reader, "load", changing)
    with pytest.raises(DataError, match=r"003\.txt was changed while it was read"):
        open_facts(reader, "r", uris, 1, quiet)


def test_a_file_that_is_deleted_after_it_was_listed_is_left_out_by_name(quiet, reader, uris, monkeypatch):
    open_facts(reader, "r", uris, 1, quiet)  # medplug check
    Path(uris[3]).unlink()
    store, _ = open_again(reader, uris, quiet)
    assert [f.error for f in store.facts] == [*[""] * 3, "the file does not exist", *[""] * 3]
    np.testing.assert_array_equal(store.images[4:], decoded(NUMBERS[4:]))


def test_training_goes_on_without_the_files(quiet, reader, uris):
    store, _ = open_again(reader, uris, quiet)
    for uri in uris:
        Path(uri).unlink()
    np.testing.assert_array_equal(store.take(np.array([6, 0])), decoded((2, 3)))


# ---------------------------------------------------------------- views


def test_the_key_tells_the_images(quiet, reader, uris, tmp_path):
    key = open_facts(reader, "r", uris, 1, quiet).key
    assert key == open_again(reader, uris, quiet)[0].key != ""
    Path(uris[0]).write_text("77")
    assert open_facts(reader, "r", uris, 1, quiet).key != key
    assert PixelStore(np.zeros((1, 1, 1, 1), np.uint8)).key == ""


def test_select_takes_rows_of_everything_without_copying_images(quiet, reader, uris):
    store, _ = open_again(reader, uris, quiet)
    view = store.select(np.array([5, 1, 2])).select(np.array([True, False, True]))
    np.testing.assert_array_equal(view.take(np.arange(2)), decoded((9, 4)))
    np.testing.assert_array_equal(view.images[1], decoded((4,))[0])
    np.testing.assert_array_equal(view.thumbs, store.thumbs[[5, 2]])
    assert view.facts == (store.facts[5], store.facts[2])
    assert (len(view), view.images.shape) == (2, (2, 8, 8, 1))


def test_select_on_an_array_in_memory(rng):
    images = rng.integers(0, 256, (5, 2, 2, 1), dtype=np.uint8)
    view = PixelStore(images, tuple(ImageFacts(str(i)) for i in range(5))).select(np.array([4, 0]))
    images[4] = 7  # not a copy
    np.testing.assert_array_equal(view.images, images[[4, 0]])
    assert [f.pixels for f in view.facts] == ["4", "0"]


def test_news_are_told_once(uris, reader, capsys):
    open_store(reader, "r", uris, OPTIONS, 1, Reporter())
    open_store(reader, "r", uris, OPTIONS, 1, Reporter())
    assert capsys.readouterr().err == ""


class _Mixed:
    """The first image is flat and refused by the step, the second is a volume, the others are flat."""

    def load(self, uri):
        shape = {"0": (4, 4, 1), "1": (8, 8, 8, 1)}.get(uri, (9, 9, 1))
        return np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)


class _Refuses:
    stage = "image"

    def __call__(self, pixels, target):
        if pixels.shape[0] < 8:
            raise ImageError("too small")
        return pixels[(slice(0, 8),) * (pixels.ndim - 1)]


def test_flat_images_and_volumes_together_end_with_an_error_and_not_in_a_loop(quiet):
    options = DecodeOptions(8, 1, (("mine", _Refuses()),), Preprocessing(8, 1, (0.0,), (1.0,)))
    with pytest.raises(DataError, match="flat images and volumes"):
        open_store(_Mixed(), "r", ("0", "1", "2", "3"), options, 2, quiet, "somewhere")
