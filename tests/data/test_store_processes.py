"""The cache under several processes, real ones: together, killed, out of disk."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from store_reader import OPTIONS, Numbers, decoded, write_numbers

from medplug.data.store import cache, open_store
from medplug.progress import Reporter

SCRIPT = Path(__file__).with_name("store_process.py")
COUNT = 60
pytestmark = pytest.mark.skipif(cache.fcntl is None, reason="file locks are those of POSIX")


@pytest.fixture
def folder(tmp_path):
    write_numbers(tmp_path / "data", range(COUNT))
    return tmp_path / "data"


def start(folder, log, *options):
    command = [sys.executable, str(SCRIPT), str(folder), str(log), *map(str, options)]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen(command, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **pipes)


def read(log):
    return [line.split()[1] for line in log.read_text().splitlines()] if log.exists() else []


def wait_for_lines(log, count):
    while len(read(log)) < count:
        time.sleep(0.01)


def test_two_at_once_decode_each_image_once(folder, tmp_path):
    log = tmp_path / "log"
    both = [start(folder, log, 0.01) for _ in range(2)]
    told = [process.communicate(timeout=100) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert told[0][0] == told[1][0] == f"open {int(decoded(range(COUNT)).sum(dtype=np.int64))}\n"
    counts = Counter(read(log))
    first = min(counts)
    assert counts.pop(first) <= 3  # read for the shape too, by whoever came first
    assert set(counts.values()) == {1}
    assert "another process is reading the same images" in told[0][1] + told[1][1]


def test_what_a_killed_process_had_decoded_is_kept(folder, tmp_path, quiet):
    log = tmp_path / "log"
    process = start(folder, log, 0.02)
    wait_for_lines(log, COUNT // 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert [e.kind for e in cache.entries()] == ["unfinished", "unfinished"]
    reader = Numbers()
    store = open_store(reader, "r", tuple(sorted(map(str, folder.iterdir()))), OPTIONS, 2, quiet)
    np.testing.assert_array_equal(store.images, decoded(range(COUNT)))
    assert len(reader.loads) <= COUNT // 2 + 12  # the open ones of each thread, and the first for its shape
    assert sorted(e.kind for e in cache.entries()) == ["facts", "pixels"]


def test_what_was_decoded_of_a_folder_that_has_grown_since_is_kept_too(folder, tmp_path, quiet):
    log = tmp_path / "log"
    process = start(folder, log, 0.02)
    wait_for_lines(log, COUNT // 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    uris = write_numbers(folder, range(COUNT + 3))
    reader = Numbers()
    store = open_store(reader, "r", uris, OPTIONS, 2, quiet)
    np.testing.assert_array_equal(store.images, decoded(range(COUNT + 3)))
    assert len(reader.loads) <= COUNT // 2 + 15
    assert sorted(e.kind for e in cache.entries()) == ["facts", "pixels"]  # what was left is used up


def test_a_process_that_is_interrupted_keeps_what_it_has(folder, tmp_path):
    log = tmp_path / "log"
    process = start(folder, log, 0.02)
    wait_for_lines(log, COUNT // 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=100)
    again = start(folder, tmp_path / "log2", 0)
    told = again.communicate(timeout=100)
    assert told[0].startswith("open ")
    assert f"of {COUNT} images are known from before" in told[1]


def test_an_entry_in_use_is_never_pruned(folder, tmp_path, monkeypatch):
    process = start(folder, tmp_path / "log", 0, "hold")
    assert process.stdout.readline().startswith("open ")
    assert all(entry.in_use for entry in cache.entries())
    assert cache.make_room(10**9, allowed=1) == []
    assert cache.clear() == ([], cache.entries())
    process.communicate()
    assert not any(entry.in_use for entry in cache.entries())
    assert len(cache.clear()[0]) == 2
    assert cache.entries() == []


def test_a_full_disk_is_told_before_anything_is_decoded(folder, tmp_path):
    """The limit on the size of files gives the same error as a disk without room, on any machine."""
    log = tmp_path / "log"
    process = start(folder, log, 0, "limit", 2000)
    told = process.communicate(timeout=100)[0]
    assert process.returncode == 2
    assert told.startswith("CacheError ")
    assert "no room for" in told
    assert "MEDPLUG_CACHE" in told
    assert set(read(log)) <= {str(folder / "000.txt")}
    assert cache.entries() == []
    assert start(folder, log, 0).communicate(timeout=100)[0].startswith("open ")


def test_another_process_reads_what_this_one_wrote(folder, tmp_path):
    store = open_store(Numbers(), "r", tuple(sorted(map(str, folder.iterdir()))), OPTIONS, 1, Reporter(quiet=True))
    log = tmp_path / "log"
    told = start(folder, log, 0).communicate(timeout=100)[0]
    assert told == f"open {int(store.images[:].sum())}\n"
    assert read(log) == []
