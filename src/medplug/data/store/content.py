"""Which content the pixels of each sample come from: what the cache is keyed by, so that a moved folder is known again.

Files are known by the SHA-256 of their bytes. Size and times of a file (its stamp) stand for its bytes as long as they do
not change: a table in the cache remembers the hash of each stamp, so that only new and touched files are read again.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medplug.data.pause import collector_paused
from medplug.files import atomic, cache_folder
from medplug.progress import Reporter

TABLES = "contents"
Stamp = tuple[int, int, int]
_CHUNK = 64  # files per task of a thread
_AT_ONCE = 8 << 20  # bytes; larger files are hashed piece by piece
_FRESH = 2_000_000_000  # nanoseconds: the clock of a file system may be so coarse
_REMEMBERED = 1_000_000  # files per table, at most
_SEPARATOR = re.compile(r"[#?|:]")  # between a path and what a reader adds to it, as in "scan.dcm#3"


@dataclass(frozen=True)
class Contents:
    """What the pixels of N samples come from.

    Attributes:
        ids: ``[N, 32]`` uint8, equal for two samples only if their pixels come from equal bytes.
        paths: the files of each sample.
        number: of each file.
        stamps: of each file, by its number: size, time of change and of status change in nanoseconds.
        digests: ``[M, 32]`` uint8: SHA-256 of each file; zeros where it cannot be read.
    """

    ids: np.ndarray
    paths: tuple[tuple[str, ...], ...]
    number: dict[str, int]
    stamps: list[Stamp]
    digests: np.ndarray

    def hash_of(self, row: int, uri: str) -> str:
        """SHA-256 of the sample's file where its uri is one, else an empty text."""
        return self.digests[self.number[uri]].tobytes().hex() if self.paths[row] == (uri,) else ""

    def changed(self, row: int) -> str:
        """A file of this sample that is there but no longer what it was when it was hashed; empty if there is none."""
        for path in self.paths[row]:
            now = _stamp(path)
            number = self.number[path]
            if now is not None and now != self.stamps[number] and _hash(path) != self.digests[number].tobytes():
                return path
        return ""


def read_contents(reader: Any, uris: Sequence[str], source: str, threads: int, reporter: Reporter) -> Contents:
    """Find the files behind each uri and hash those whose stamps are new.

    The pixels of a reader with ``loads_files`` depend on a file's bytes alone, so that these are all that counts.
    Otherwise names count too, and the source where it is a file, for it may tell what to do with the others.

    Args:
        reader: a reader whose uris are no paths may have ``files(uri)``, the paths of the files that pixels come from.
        uris: of the samples.
        source: what the reader was given; where a uri names no file, this file (of arrays, say) stands for it.
        threads: that hash.
        reporter: shows progress.
    """
    files = _Files(reader, source)
    with collector_paused():
        found = [files.of(uri) for uri in uris]
    paths = list(files.number)
    stamps = np.array(files.stamps, np.int64).reshape(-1, 3)
    digests = _digests(paths, stamps, threads, reporter)
    rows = tuple(row for _, row in found)
    whole = digests[files.number[source]].tobytes() if source in files.number else b""
    plain = bool(getattr(reader, "loads_files", False))
    ids = np.empty((len(uris), 32), np.uint8)
    for number, (rest, row) in enumerate(found):
        if plain and not rest and len(row) == 1:
            ids[number] = digests[files.number[row[0]]]
            continue
        digest = hashlib.sha256(whole + rest.encode("utf-8", "surrogatepass"))
        for path in row:
            digest.update(b"\0" + os.fsencode(os.path.basename(path)) + digests[files.number[path]].tobytes())
        ids[number] = np.frombuffer(digest.digest(), np.uint8)
    return Contents(ids, rows, files.number, files.stamps, digests)


# ---------------------------------------------------------------- the files behind a uri


class _Files:
    """Finds the files of uris, and looks at each once."""

    def __init__(self, reader: Any, source: str) -> None:
        self.number: dict[str, int] = {}
        self.stamps: list[Stamp] = []
        self._source = source
        self._ask = reader.files if callable(getattr(reader, "files", None)) else None
        if not getattr(reader, "loads_files", False) and source:
            self._known(source)

    def of(self, uri: str) -> tuple[str, tuple[str, ...]]:
        """What of the uri is no path, and its files."""
        if self._ask is not None:
            files = tuple(path for path in map(os.fspath, self._ask(uri)) if self._known(path))
            for path in files:
                uri = uri.replace(path, "")
            return uri, files
        if self._known(uri):
            return "", (uri,)
        for path, rest in _candidates(uri, self._source):
            if self._known(path):
                return rest, (path,)
        inside = tuple(path for path in _inside(uri) if self._known(path))
        return ("", inside) if inside else (uri, ())

    def _known(self, path: str) -> bool:
        if path in self.number:
            return True
        stamp = _stamp(path)
        if stamp is None:
            return False
        self.number[path] = len(self.stamps)
        self.stamps.append(stamp)
        return True


def _candidates(uri: str, source: str) -> Iterator[tuple[str, str]]:
    """(path, rest of the uri): where a uri that is no path itself may point to."""
    for cut in reversed(list(_SEPARATOR.finditer(uri))):
        if cut.start():
            yield uri[: cut.start()], uri[cut.start() :]
    if source:
        yield os.path.join(source, uri), ""
        yield source, uri


def _inside(folder: str) -> tuple[str, ...]:
    """All files in a folder, as of a series of slices, in the order of their names."""
    try:
        return tuple(sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names))
    except ValueError:  # a uri with a zero byte
        return ()


def _stamp(path: str) -> Stamp | None:
    """The stamp of a file; None where there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns, found.st_ctime_ns) if stat.S_ISREG(found.st_mode) else None


# ---------------------------------------------------------------- hashes, remembered by stamp


def _digests(paths: list[str], stamps: np.ndarray, threads: int, reporter: Reporter) -> np.ndarray:
    """SHA-256 ``[M, 32]`` of each file: remembered, or made now; zeros where it cannot be read."""
    if not paths:
        return np.zeros((0, 32), np.uint8)
    names = np.frombuffer(b"".join(map(_short, paths)), np.uint8).reshape(-1, 16)
    table = cache_folder("pixels", TABLES, f"{_short(_root(paths)).hex()}.npz")
    remembered = _load(table)
    digests, fresh = _look_up(names, stamps, *remembered)
    if len(fresh):
        began = time.time_ns()
        digests[fresh] = _hash_all([paths[row] for row in fresh], threads, reporter)
        # A file that changed just now may change again without another stamp: its hash is not remembered.
        lasting = (np.abs(began - stamps[:, 1:]) > _FRESH).all(1) & digests.any(1)
        _save(table, names[lasting], stamps[lasting], digests[lasting], remembered)
    return digests


def _root(paths: list[str]) -> str:
    """The folder that holds all files, so that a set that grows keeps its table."""
    try:
        return os.path.commonpath([min(paths), max(paths)])
    except ValueError:  # on several drives
        return ""


def _short(path: str) -> bytes:
    return hashlib.blake2b(os.fsencode(path), digest_size=16).digest()


def _look_up(
    names: np.ndarray, stamps: np.ndarray, old_names: np.ndarray, old_stamps: np.ndarray, old_digests: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Digests ``[M, 32]``, and the rows that have none yet."""
    if np.array_equal(names, old_names):
        at = np.arange(len(names))
    else:
        row_of = {name.tobytes(): row for row, name in enumerate(old_names)}
        at = np.array([row_of.get(name.tobytes(), -1) for name in names], np.int64)
    digests = np.zeros((len(names), 32), np.uint8)
    same = at >= 0
    same[same] = (old_stamps[at[same]] == stamps[same]).all(1)
    digests[same] = old_digests[at[same]]
    return digests, np.flatnonzero(~same)


def _hash_all(paths: list[str], threads: int, reporter: Reporter) -> np.ndarray:
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(threads) as pool, reporter.task("looking for known files", len(paths), "files") as task:
        found = []
        for part in pool.map(lambda chunk: [_hash(path) for path in chunk], chunks):
            found += part
            task.advance(len(part))
    return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32)


def _hash(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size <= _AT_ONCE:
                return hashlib.sha256(stream.read()).digest()
            return hashlib.file_digest(stream, "sha256").digest()
    except OSError:
        return bytes(32)  # unreadable; the reader says so in its own words


def _load(table: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        with np.load(table, allow_pickle=False) as found:
            names, stamps, digests = found["names"], found["stamps"], found["digests"]
        if names.shape[1:] == (16,) and stamps.shape == (len(names), 3) and digests.shape == (len(names), 32):
            return names, stamps, digests
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # absent or damaged: all files are hashed again
    return np.zeros((0, 16), np.uint8), np.zeros((0, 3), np.int64), np.zeros((0, 32), np.uint8)


def _save(
    table: Path, names: np.ndarray, stamps: np.ndarray, digests: np.ndarray, remembered: tuple[np.ndarray, ...]
) -> None:
    """Write the table with these files and, of those that it had before, the others."""
    new = {name.tobytes() for name in names}
    rest = np.array([name.tobytes() not in new for name in remembered[0]], bool)
    columns = [
        np.concatenate([a, b[rest]])[:_REMEMBERED] for a, b in zip((names, stamps, digests), remembered, strict=True)
    ]
    try:
        with atomic(table, "wb") as stream:
            np.savez(stream, **dict(zip(("names", "stamps", "digests"), columns, strict=True)))
    except OSError:
        pass  # it only saves time
