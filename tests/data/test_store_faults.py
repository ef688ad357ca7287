"""The cache after damage, on a full disk, of another version: nothing is lost, nothing wrong is used."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from store_reader import OPTIONS, Numbers, decoded, write_numbers

from medplug.data.decode import DecodeOptions
from medplug.data.store import cache, open_store
from medplug.errors import DataError
from medplug.progress import Reporter

NUMBERS = tuple(range(10, 40))


@pytest.fixture
def reader():
    return Numbers()


@pytest.fixture
def uris(tmp_path):
    return write_numbers(tmp_path / "data", NUMBERS)


@pytest.fixture
def entry(quiet, reader, uris):
    """The folders of the facts and of the pixels, made and let go."""
    open_store(reader, "r", uris, OPTIONS, 2, quiet)
    reader.loads.clear()
    return {found.kind: found.path for found in cache.entries()}


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


def truncate(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


@pytest.mark.parametrize(
    ("kind", "name", "damage", "loads"),
    [
        ("pixels", "rows.npy", lambda p: truncate(p, 0.5), 31),
        ("pixels", "rows.npy", lambda p: p.unlink(), 31),
        ("pixels", "rows.npy", lambda p: flip(p, 3), 31),  # in the header
        ("pixels", "sums.npy", lambda p: truncate(p, 0.5), 31),
        ("pixels", "entry.json", lambda p: truncate(p, 0.5), 1),
        ("pixels", "entry.json", lambda p: p.write_bytes(b"\xff\x00"), 1),
        ("pixels", "entry.json", lambda p: p.write_text("[]"), 1),
        ("facts", "entry.json", lambda p: p.unlink(), 0),
        ("facts", "rows.npy", lambda p: flip(p, -1), 1),  # one thumbnail
        ("facts", "facts.npz", lambda p: flip(p, 400), 30),
        ("facts", "facts.npz", lambda p: truncate(p, 0.9), 30),
        ("facts", "ids.npy", lambda p: truncate(p, 0.9), 30),
    ],
)
def test_a_damaged_entry_is_made_anew_from_what_is_sound(quiet, reader, uris, entry, kind, name, damage, loads):
    before = open_store(reader, "r", uris, OPTIONS, 2, quiet)
    facts, thumbs = before.facts, np.array(before.thumbs)
    del before
    damage(entry[kind] / name)
    store = open_store(reader, "r", uris, OPTIONS, 2, quiet)
    np.testing.assert_array_equal(store.images, decoded(NUMBERS))
    np.testing.assert_array_equal(store.thumbs, thumbs)
    assert store.facts == facts
    assert len(reader.loads) == loads
    reader.loads.clear()
    open_store(reader, "r", uris, OPTIONS, 2, quiet)
    assert reader.loads == []


def test_a_damaged_row_is_mended_when_it_is_read(reader, uris, entry, capsys):
    flip(entry["pixels"] / "rows.npy", -70)  # in the last but one row of 64 bytes
    store = open_store(reader, "r", uris, OPTIONS, 2, Reporter())
    np.testing.assert_array_equal(store.take(np.array([3, 4])), decoded(NUMBERS[3:5]))
    assert reader.loads == []
    np.testing.assert_array_equal(store.take(np.array([27, 28])), decoded(NUMBERS[27:29]))
    assert reader.loads == [uris[28]]
    told = capsys.readouterr().err
    assert f"is damaged at {uris[28]}; the image was decoded again" in told
    del store
    again = open_store(reader, "r", uris, OPTIONS, 2, Reporter())
    assert reader.loads == [uris[28], uris[0], uris[28]]  # for the entry, and the first for its shape
    np.testing.assert_array_equal(again.images, decoded(NUMBERS))
    assert len(reader.loads) == 3


@pytest.mark.parametrize(("then", "says"), [("7", "is another one now"), (None, "the file does not exist")])
def test_a_damaged_row_whose_file_has_gone_is_an_error(quiet, reader, uris, entry, then, says):
    flip(entry["pixels"] / "rows.npy", -1)
    store = open_store(reader, "r", uris, OPTIONS, 2, quiet)
    Path(uris[-1]).write_text(then) if then else Path(uris[-1]).unlink()
    with pytest.raises(DataError, match=says):
        store.take(np.array([29]))


def test_pages_of_zeros_as_after_a_crash_of_the_machine_are_noticed(quiet, reader, uris, entry):
    path = entry["pixels"] / "rows.npy"
    data = bytearray(path.read_bytes())
    data[-64 * 5 :] = bytes(64 * 5)
    path.write_bytes(data)
    store = open_store(reader, "r", uris, OPTIONS, 2, quiet)
    np.testing.assert_array_equal(store.images, decoded(NUMBERS))
    assert sorted(reader.loads) == sorted(uris[-5:])


@pytest.mark.parametrize("damage", [lambda p: truncate(p, 0.5), lambda p: p.write_bytes(b"PK"), lambda p: p.unlink()])
def test_a_damaged_table_of_hashes_costs_only_time(quiet, reader, uris, entry, damage):
    for uri in uris:
        os.utime(uri, (1e9, 1e9))
    open_store(reader, "r", uris, OPTIONS, 2, quiet)
    for path in (cache.root() / "contents").glob("*.npz"):
        damage(path)
    open_store(reader, "r", uris, OPTIONS, 2, quiet)
    assert reader.loads == []


# ---------------------------------------------------------------- no room


def no_room(monkeypatch, times):
    """The first calls that reserve space fail as on a full disk."""
    real, calls = os.posix_fallocate, []

    def reserve(handle, offset, size):
        calls.append(size)
        if len(calls) <= times:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(handle, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", reserve)


def test_on_a_full_disk_old_entries_make_room(quiet, reader, uris, entry, monkeypatch):
    no_room(monkeypatch, 1)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 0}))
    store = open_store(reader, "other", uris[:2], OPTIONS, 1, quiet)
    np.testing.assert_array_equal(store.images, decoded(NUMBERS[:2]))
    assert not all(path.exists() for path in entry.values())


def test_nothing_is_removed_where_it_would_not_be_enough(quiet, reader, uris, entry, monkeypatch):
    no_room(monkeypatch, 99)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 0}))
    with pytest.raises(DataError, match=r"no room for 3\d MiB of decoded images \(No space left"):
        open_store(reader, "r", uris, DecodeOptions(1024, 1), 1, quiet)
    assert entry["pixels"].exists()
    assert len(cache.entries()) == 2


def test_a_disk_that_fills_up_while_images_are_written(quiet, reader, uris, monkeypatch):
    real, calls = os.pwrite, []

    def write(*arguments):
        calls.append(arguments)
        if len(calls) > 20:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments)

    monkeypatch.setattr(os, "pwrite", write)
    with pytest.raises(DataError, match="no room for decoded images"):
        open_store(reader, "r", uris, OPTIONS, 1, quiet)
    assert cache.entries() == []


def test_a_file_system_that_cannot_reserve(quiet, reader, uris, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.EOPNOTSUPP, "")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    np.testing.assert_array_equal(open_store(reader, "r", uris, OPTIONS, 1, quiet).images, decoded(NUMBERS))
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(DataError, match="no room"):
        open_store(reader, "r", uris, DecodeOptions(64, 1), 1, quiet)


def test_a_cache_that_cannot_be_written(quiet, reader, uris, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot be written .*set MEDPLUG_CACHE to another folder"):
        open_store(reader, "r", uris, OPTIONS, 1, quiet)


def test_a_file_system_without_locks(quiet, reader, uris, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "")

    monkeypatch.setattr("fcntl.flock", refuse)
    folders, load = set(), reader.load

    def looking(uri):
        folders.update(path.parent.name for path in cache.root().glob(".*.work/rows.npy"))
        return load(uri)

    reader.load = looking
    np.testing.assert_array_equal(open_store(reader, "r", uris, OPTIONS, 1, quiet).images, decoded(NUMBERS))
    assert len(folders) == 2
    assert all(name.endswith(f".{os.getpid()}.work") for name in folders)
    assert list(cache.root().glob(".*")) == []
    reader.loads.clear()
    open_store(reader, "r", uris, OPTIONS, 1, quiet)
    assert reader.loads == []
    assert cache.clear()[0] == []  # nothing tells whether they are in use


# ---------------------------------------------------------------- another version


def test_a_cache_of_another_version_is_left_and_told(reader, uris, entry, monkeypatch, capsys):
    monkeypatch.setattr("medplug.data.store.opening.__version__", "99.0")
    store = open_store(reader, "r", uris, OPTIONS, 1, Reporter())
    np.testing.assert_array_equal(store.images, decoded(NUMBERS))
    told = capsys.readouterr().err
    assert "decoded them; this is 99.0, which decodes them again" in told
    assert entry["pixels"].exists()
    monkeypatch.undo()


def test_an_entry_of_another_format_under_the_same_name(quiet, reader, uris, entry):
    about = entry["pixels"] / "entry.json"
    about.write_text(about.read_text().replace('"format": 3', '"format": 4'))
    store = open_store(reader, "r", uris, OPTIONS, 1, quiet)
    np.testing.assert_array_equal(store.images, decoded(NUMBERS))
