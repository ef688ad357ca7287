"""The cache as a whole: its limit, what goes first, what is cleared."""

import os
import time

import numpy as np
import pytest
from store_reader import OPTIONS, Numbers, write_numbers

from medplug.data.decode import DecodeOptions
from medplug.data.store import cache, open_store
from medplug.data.store.cache import make_room, parse_size
from medplug.data.store.entry import checksums
from medplug.errors import UsageError

DAY = 86400


@pytest.fixture
def entries(quiet, tmp_path):
    """Facts and pixels of 20 images, and pixels of another size, used three, two and one day ago."""
    uris = write_numbers(tmp_path / "data", range(20))
    open_store(Numbers(), "r", uris, OPTIONS, 1, quiet)
    open_store(Numbers(), "r", uris, DecodeOptions(64, 1), 1, quiet)
    found = {e.kind if e.kind == "facts" else e.about["shape"][0]: e.path for e in cache.entries()}
    for days, key in ((3, 8), (2, 64), (1, "facts")):
        os.utime(found[key] / "lock", (time.time() - days * DAY,) * 2)
    return found


def test_entries_tell_what_they_hold(entries, tmp_path):
    found = cache.entries()
    assert [e.path for e in found] == [entries["facts"], entries[64], entries[8]]
    assert [e.kind for e in found] == ["facts", "pixels", "pixels"]
    assert found[1].about["count"] == 20
    assert found[1].about["shape"] == [64, 64, 1]
    assert found[1].size == sum(p.stat().st_size for p in entries[64].iterdir()) > 20 * 64 * 64
    assert found[1].used == pytest.approx(time.time() - 2 * DAY, abs=60)


def test_what_was_used_longest_ago_goes_first_and_no_more_than_needed(entries):
    total = sum(e.size for e in cache.entries())
    assert make_room(0, allowed=total) == []
    [gone] = make_room(1, allowed=total)
    assert gone.path == entries[8]
    assert [e.path for e in cache.entries()] == [entries["facts"], entries[64]]


def test_nothing_goes_for_what_will_not_fit_anyway(entries):
    total = sum(e.size for e in cache.entries())
    assert make_room(total + 1, allowed=total) == []
    assert len(cache.entries()) == 3


def test_opening_counts_as_a_use(entries, quiet, tmp_path):
    open_store(Numbers(), "r", tuple(sorted(map(str, (tmp_path / "data").iterdir()))), OPTIONS, 1, quiet)
    [gone] = make_room(1, allowed=sum(e.size for e in cache.entries()))
    assert gone.path == entries[64]


def test_what_is_kept_counts_but_stays(entries):
    gone = make_room(0, allowed=1, keep=[entries[8]])
    assert [e.path for e in gone] == [entries[64], entries["facts"]]


def test_a_new_entry_keeps_the_cache_within_its_limit(entries, quiet, tmp_path, monkeypatch):
    total = sum(e.size for e in cache.entries())
    monkeypatch.setenv("MEDPLUG_CACHE_LIMIT", str(total + 1000))
    store = open_store(Numbers(), "r", write_numbers(tmp_path / "more", range(5)), OPTIONS, 1, quiet)
    assert len(store) == 5
    assert sum(e.size for e in cache.entries()) <= total + 1000
    assert not entries[8].exists()


def test_an_entry_larger_than_the_limit_is_made_all_the_same(quiet, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDPLUG_CACHE_LIMIT", "1KiB")
    store = open_store(Numbers(), "r", write_numbers(tmp_path / "data", range(5)), OPTIONS, 1, quiet)
    assert store.images[4].any()
    assert [e.in_use for e in cache.entries()] == [True, True]
    del store
    assert len(make_room(0)) == 2


def test_clear_by_age(entries):
    removed, left = cache.clear(older_than=1.5)
    assert {e.path for e in removed} == {entries[8], entries[64]}
    assert left == []
    assert [e.path for e in cache.entries()] == [entries["facts"]]


def test_clear_all_leaves_nothing(entries, tmp_path):
    assert len(cache.clear()[0]) == 3
    assert [p for p in (tmp_path / "cache").rglob("*") if p.is_file()] == []


def test_entries_of_former_versions_are_known(tmp_path):
    old = cache.root() / ("0" * 32)
    old.mkdir(parents=True)
    (old / "images.npy").write_bytes(b"x" * 10)
    (cache.root() / "something of the user").mkdir()
    assert [(e.kind, e.size) for e in cache.entries()] == [("other version", 10)]
    cache.clear()
    assert [p.name for p in cache.root().iterdir()] == ["something of the user"]


def test_what_a_killed_process_left_is_not_kept_for_ever(entries):
    left = cache.root() / f".{entries[8].name}.work"
    left.mkdir()
    (left / "rows.npy").write_bytes(b"x" * 10)
    assert make_room(0, allowed=2**30) == []
    os.utime(left, (time.time() - 8 * DAY,) * 2)
    assert [e.path for e in make_room(0, allowed=2**30)] == [left]


def test_a_removal_that_was_cut_short_is_finished(entries):
    half = cache.root() / f".{entries[8].name}.123.removed"
    entries[8].rename(half)
    assert "unfinished" in [e.kind for e in cache.entries()]
    cache.clear()
    assert not half.exists()


def test_entries_of_patients_are_private(entries):
    if os.name == "posix":
        assert {path.stat().st_mode & 0o77 for path in entries.values()} == {0}


@pytest.mark.parametrize(
    ("text", "bytes_"),
    [("0", 0), ("1000", 1000), ("2k", 2048), ("1.5 MiB", 1.5 * 2**20), ("20GB", 20 * 2**30), ("1T", 2**40), ("7 b", 7)],
)
def test_sizes(text, bytes_):
    assert parse_size(text) == bytes_


@pytest.mark.parametrize("text", ["", "much", "-1", "1 PiB", "1e9"])
def test_no_size(text):
    with pytest.raises(UsageError, match="write a size such as 20GiB"):
        parse_size(text)


@pytest.mark.parametrize("shape", [(5, 7), (5, 8), (5, 3, 3, 1), (5, 1)])
def test_checksums_notice_any_byte(rng, shape):
    rows = rng.integers(0, 256, shape, dtype=np.uint8)
    sums = checksums(rows)
    for place in np.ndindex(*shape[1:]):
        other = rows.copy()
        other[(2, *place)] ^= 1 << int(rng.integers(8))
        assert (checksums(other) != sums).tolist() == [False, False, True, False, False]
    assert checksums(np.zeros(shape, np.uint8)).all()
