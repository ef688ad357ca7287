"""The decode-once cache: same pixels, once, whatever happens to it."""

import numpy as np
import pytest

from medplug.data.decode import DecodeOptions, to_input
from medplug.data.store import open_store
from medplug.images import ImageError

OPTIONS = DecodeOptions(8, 1)


class Reader:
    def __init__(self, n=5):
        self.images = np.random.default_rng(0).integers(0, 256, (n, 12, 10, 1), dtype=np.uint8)
        self.loads = 0

    def load(self, uri):
        self.loads += 1
        if uri == "bad":
            raise ImageError("truncated")
        return self.images[int(uri)]


def test_each_image_is_decoded_once(quiet):
    reader, uris = Reader(), ("3", "1", "bad", "0")
    store = open_store(reader, "r", uris, OPTIONS, 2, quiet)
    for row, uri in enumerate(uris):
        if uri != "bad":
            np.testing.assert_array_equal(store.images[row], to_input(reader.images[int(uri)], OPTIONS))
    assert [bool(f.error) for f in store.facts] == [False, False, True, False]
    assert reader.loads == 4
    again = open_store(reader, "r", uris, OPTIONS, 2, quiet)
    assert reader.loads == 4
    np.testing.assert_array_equal(again.images, store.images)
    assert again.facts == store.facts


def test_other_options_files_or_readers_are_another_store(quiet, tmp_path):
    reader = Reader()
    open_store(reader, "r", ("0",), OPTIONS, 1, quiet)
    open_store(reader, "r", ("0",), DecodeOptions(16, 1), 1, quiet)
    open_store(reader, "other", ("0",), OPTIONS, 1, quiet)
    open_store(reader, "r", ("1",), OPTIONS, 1, quiet)
    assert reader.loads == 4


def test_a_changed_file_is_read_again(quiet, tmp_path):
    path = tmp_path / "0"
    path.write_text("one")
    reader = Reader()
    reader.load = lambda uri: np.full((4, 4, 1), len(path.read_text()), np.uint8)
    first = open_store(reader, "r", (str(path),), OPTIONS, 1, quiet)
    path.write_text("longer")
    second = open_store(reader, "r", (str(path),), OPTIONS, 1, quiet)
    assert (first.images.max(), second.images.max()) == (3, 6)


@pytest.mark.parametrize("damage", ["images.npy", "facts.json"])
def test_a_damaged_store_is_made_anew(quiet, tmp_path, damage):
    reader = Reader()
    open_store(reader, "r", ("0", "1"), OPTIONS, 1, quiet)
    [path] = (tmp_path / "cache").rglob(damage)
    path.write_bytes(path.read_bytes()[:40])
    store = open_store(reader, "r", ("0", "1"), OPTIONS, 1, quiet)
    assert reader.loads == 4
    np.testing.assert_array_equal(store.images[1], to_input(reader.images[1], OPTIONS))


def test_a_failure_leaves_nothing_behind(quiet, tmp_path):
    reader = Reader()
    with pytest.raises(ValueError, match="invalid literal"):
        open_store(reader, "r", ("0", "x"), OPTIONS, 1, quiet)
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []
