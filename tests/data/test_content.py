"""What pixels come from: found behind every form of uri, hashed once, known again wherever it lies."""

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from medplug.data.store import content
from medplug.data.store.content import read_contents


class Reader:
    pass


class FileReader:
    loads_files = True


@pytest.fixture
def trusting(monkeypatch):
    """Files that a test has just written are taken for old ones."""
    monkeypatch.setattr(content, "_FRESH", -1)


@pytest.fixture
def hashed(monkeypatch):
    """The files that were read to hash them."""
    calls, real = [], content._hash
    monkeypatch.setattr(content, "_hash", lambda path: calls.append(path) or real(path))
    return calls


@pytest.fixture
def files(tmp_path):
    (tmp_path / "a").mkdir()
    for number in range(6):
        (tmp_path / "a" / f"{number}.bin").write_bytes(bytes([number]) * 100)
    return tuple(str(tmp_path / "a" / f"{n}.bin") for n in range(6))


def ids(reader, uris, source="", quiet=None):
    return [row.tobytes() for row in read_contents(reader, uris, source, 2, quiet).ids]


def test_of_a_reader_of_files_it_is_the_hash_of_the_bytes(files, quiet):
    found = read_contents(FileReader(), files, "", 2, quiet)
    for row, path in enumerate(files):
        digest = hashlib.sha256(Path(path).read_bytes())
        assert found.ids[row].tobytes() == digest.digest()
        assert found.hash_of(row, path) == digest.hexdigest()


def test_large_files_are_hashed_in_pieces(tmp_path, quiet, monkeypatch):
    monkeypatch.setattr(content, "_AT_ONCE", 10)
    (tmp_path / "large").write_bytes(b"abc" * 1000)
    found = read_contents(FileReader(), (str(tmp_path / "large"),), "", 1, quiet)
    assert found.ids[0].tobytes() == hashlib.sha256(b"abc" * 1000).digest()


def test_other_readers_may_look_at_names_and_at_the_source(files, quiet, tmp_path):
    shutil.copy(files[0], tmp_path / "b.bin")
    one, two = ids(Reader(), (files[0], str(tmp_path / "b.bin")), quiet=quiet)
    assert one != two
    table = tmp_path / "boxes.csv"
    table.write_text("where to crop")
    [with_table] = ids(Reader(), files[:1], str(table), quiet)
    table.write_text("where to cut")
    [with_another] = ids(Reader(), files[:1], str(table), quiet)
    assert len({one, with_table, with_another}) == 3
    assert ids(FileReader(), files[:1], str(table), quiet) == ids(FileReader(), files[:1], "", quiet)


@pytest.mark.parametrize("uri", ["{}#{}", "{}?frame={}", "{}|{}", "{}#key#{}#uint8;0-255", "{}:{}"])
def test_the_path_within_a_uri(files, quiet, uri, tmp_path):
    def id_of(path, number):
        return ids(Reader(), [uri.format(path, number)], quiet=quiet)[0]

    before = id_of(files[1], 3)
    assert id_of(files[1], 4) != before
    assert id_of(files[2], 3) != before
    (tmp_path / "c").mkdir()
    assert id_of(shutil.copy(files[1], tmp_path / "c" / "1.bin"), 3) == before
    Path(files[1]).write_bytes(b"other")
    assert id_of(files[1], 3) != before


def test_a_uri_within_the_source(files, quiet, tmp_path):
    [before] = ids(Reader(), ["2.bin"], str(tmp_path / "a"), quiet)
    shutil.move(tmp_path / "a", tmp_path / "moved")
    assert ids(Reader(), ["2.bin"], str(tmp_path / "moved"), quiet) == [before]


def test_a_uri_into_a_source_that_is_one_file(files, quiet):
    one, two = ids(Reader(), ["train/0", "train/1"], files[0], quiet)
    assert one != two
    Path(files[0]).write_bytes(b"other")
    assert ids(Reader(), ["train/0"], files[0], quiet) != [one]


def test_a_folder_is_all_its_files(files, quiet, tmp_path):
    folder = str(tmp_path / "a")
    [before] = ids(Reader(), [folder], quiet=quiet)
    shutil.copytree(folder, tmp_path / "copy")
    assert ids(Reader(), [str(tmp_path / "copy")], quiet=quiet) == [before]
    Path(files[3]).write_bytes(b"other")
    assert ids(Reader(), [folder], quiet=quiet) != [before]


def test_a_reader_may_name_its_files(files, quiet):
    class Pairs:
        loads_files = True

        def files(self, uri):
            return (uri, uri.replace("0.bin", "1.bin"))

    [before] = ids(Pairs(), files[:1], quiet=quiet)
    Path(files[1]).write_bytes(b"another mask")
    assert ids(Pairs(), files[:1], quiet=quiet) != [before]


def test_a_uri_without_a_file_stands_for_itself(quiet):
    one, two, again = ids(Reader(), ["drawn/1", "drawn/2", "drawn/1"], "drawn:2", quiet)
    assert one == again != two


@pytest.mark.parametrize("uri", ["", "a\0b", "x" * 5000, "\udcff.png", "#", "."])
def test_strange_uris(quiet, uri, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(ids(FileReader(), [uri], "", quiet)) == 1


# ---------------------------------------------------------------- hashed once


def test_known_files_are_not_read_again(files, quiet, trusting, hashed):
    first = ids(FileReader(), files, quiet=quiet)
    assert sorted(hashed) == sorted(files)
    assert ids(FileReader(), files, quiet=quiet) == first
    assert ids(FileReader(), files[2:4], quiet=quiet) == first[2:4]
    assert ids(FileReader(), files[::-1], quiet=quiet) == first[::-1]
    assert len(hashed) == len(files)


def test_only_changed_and_new_files_are_read(files, quiet, trusting, hashed, tmp_path):
    ids(FileReader(), files, quiet=quiet)
    hashed.clear()
    Path(files[4]).write_bytes(b"another")
    new = tmp_path / "a" / "new.bin"
    new.write_bytes(b"new")
    found = ids(FileReader(), (*files, str(new)), quiet=quiet)
    assert sorted(hashed) == sorted([files[4], str(new)])
    assert found[4] == hashlib.sha256(b"another").digest()
    hashed.clear()
    ids(FileReader(), files, quiet=quiet)
    assert hashed == []


def test_a_change_that_keeps_size_and_time_is_noticed(files, quiet, trusting):
    before = os.stat(files[2])
    ids(FileReader(), files, quiet=quiet)
    Path(files[2]).write_bytes(b"x" * 100)
    os.utime(files[2], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ids(FileReader(), files, quiet=quiet)[2] == hashlib.sha256(b"x" * 100).digest()


def test_what_was_just_written_is_not_trusted(files, quiet, hashed):
    """It could be written again within the same tick of the file system's clock."""
    ids(FileReader(), files, quiet=quiet)
    ids(FileReader(), files, quiet=quiet)
    assert len(hashed) == 2 * len(files)


def test_a_file_that_cannot_be_read_is_zeros(files, quiet, monkeypatch):
    def refuse(path, *mode):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("builtins.open", refuse)
    found = read_contents(FileReader(), files[:1], "", 1, quiet)
    assert not found.ids.any()


def test_changed_tells_the_file(files, quiet):
    found = read_contents(FileReader(), files, "", 1, quiet)
    assert found.changed(1) == ""
    Path(files[1]).write_bytes(b"changed")
    assert found.changed(1) == files[1]
    Path(files[1]).unlink()
    assert found.changed(1) == ""


def test_tables_hold_no_path(files, quiet, trusting, tmp_path):
    ids(FileReader(), files, quiet=quiet)
    [table] = (tmp_path / "cache" / "pixels" / "contents").glob("*.npz")
    with np.load(table) as found:
        assert len(found["names"]) == len(files)
    assert b".bin" not in table.read_bytes()
