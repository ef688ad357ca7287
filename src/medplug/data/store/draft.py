"""Writing an entry of the cache: row by row, from several threads, so that a kill at any moment loses only open rows."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from medplug.data.facts import ImageFacts
from medplug.data.store import cache
from medplug.data.store.cache import ABOUT, LOCK, Hold
from medplug.data.store.entry import (
    FACT_FILE,
    FACTS,
    FORMAT,
    IDS,
    JOURNAL,
    ROWS,
    SUMS,
    Stored,
    checksums,
    read_entry,
    read_remains,
)
from medplug.data.store.factfile import journal_line, write_facts
from medplug.errors import DataError
from medplug.files import write_json

_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS, errno.ENODEV)
_COPIED_AT_ONCE = 64  # rows


def begin(home: Path, waiting: Callable[[], None]) -> tuple[Path, Hold]:
    """The folder to write an entry in, and the hold on it; ``waiting`` is called where another process writes it now."""
    folder = home.with_name(f".{home.name}.work")
    held = cache.hold(folder, alone=True, create=True, waiting=waiting)
    if held is not None and not held.sure:  # without locks, a folder of one's own
        held.close()
        with suppress(OSError):
            (folder / LOCK).unlink()
            folder.rmdir()
        folder = home.with_name(f".{home.name}.{os.getpid()}.work")
        held = cache.hold(folder, alone=True, create=True, waiting=waiting)
    assert held is not None  # it waits
    return folder, held


class Draft:
    """An entry that this process writes. Several threads may put rows at once.

    Attributes:
        home: its folder once it is finished.
        folder: where it is written.
        done: ``[N]`` bool: rows that need nothing any more.
    """

    def __init__(self, home: Path, folder: Path, held: Hold, ids: np.ndarray, shape: tuple[int, ...]) -> None:
        self.home, self.folder = home, folder
        self.done = np.zeros(len(ids), bool)
        self._held, self._ids, self._lock = held, ids, threading.Lock()
        self._found: dict[int, ImageFacts] = {}
        before = read_remains(self.folder, held)
        if before is not None and np.array_equal(before.ids, ids) and before.rows.shape[1:] == shape:
            self._go_on(before)
        else:
            self._start(shape)
        self._rows, self._sums = _Rows(self.folder / ROWS), _Rows(self.folder / SUMS)
        self._journal = (self.folder / JOURNAL).open("w", encoding="utf-8")  # anew: the last line may have been cut
        self.note(self._found)

    @property
    def is_facts(self) -> bool:
        """Whether it holds facts and thumbnails, or decoded images."""
        return self.home.name.startswith(FACTS)

    def _start(self, shape: tuple[int, ...]) -> None:
        for path in self.folder.iterdir():
            if path.name != LOCK:
                path.unlink()
        _allocate(self.folder / ROWS, (len(self._ids), *shape), "|u1")
        _allocate(self.folder / SUMS, (len(self._ids),), "<u8")
        np.save(self.folder / IDS, self._ids)

    def _go_on(self, before: Stored) -> None:
        """Keep what is sound of an entry that a killed process left here."""
        for start in range(0, len(self.done), _COPIED_AT_ONCE):
            part = slice(start, start + _COPIED_AT_ONCE)
            self.done[part] = (before.sums[part] != 0) & (checksums(before.rows[part]) == before.sums[part])
        if self.is_facts:
            self.done &= [fact is not None for fact in before.facts]
            self._found = {row: fact for row, fact in enumerate(before.facts) if fact is not None and self.done[row]}

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one row."""
        return self._rows.shape[1:]

    def put(self, row: int, pixels: np.ndarray) -> None:
        """Write one row.

        Raises:
            CacheError: the disk is full.
        """
        with _told():
            self._rows.write(row, pixels)
            self._sums.write(row, checksums(pixels[None]))

    def note(self, found: Mapping[int, ImageFacts]) -> None:
        """Facts of rows that have been put; on disk at once, so that a kill does not lose them."""
        with self._lock, _told():
            self._found.update(found)
            self._journal.write(journal_line(found))
            self._journal.flush()

    def adopt(self, other: Stored) -> int:
        """Copy what another entry has of the rows that are still missing; returns how many."""
        if other.rows.shape[1:] != self._rows.shape[1:]:
            return 0
        at = {name.tobytes(): row for row, name in enumerate(other.ids)}
        missing = [(row, at.get(self._ids[row].tobytes())) for row in np.flatnonzero(~self.done).tolist()]
        pairs = [
            (row, old)
            for row, old in missing
            if old is not None and other.sums[old] and (not self.is_facts or other.facts[old] is not None)
        ]
        for start in range(0, len(pairs), _COPIED_AT_ONCE):
            rows, old = (list(column) for column in zip(*pairs[start : start + _COPIED_AT_ONCE], strict=True))
            values = np.asarray(other.rows[old])
            sound = np.flatnonzero(checksums(values) == other.sums[old]).tolist()
            for i in sound:
                self.put(rows[i], values[i])
                self.done[rows[i]] = True
            if self.is_facts:
                self.note({rows[i]: other.facts[old[i]] for i in sound})  # type: ignore[misc]
        return int(sum(self.done[row] for row, _ in pairs))

    def finish(self, about: Mapping[str, Any], unreadable: Mapping[int, ImageFacts]) -> Stored:
        """Give it its name, in the place of one that is there already; returns it, open.

        Args:
            about: for ``entry.json``.
            unreadable: facts of rows of which nothing was noted.
        """
        self.close()
        count = len(self._ids)
        with _told():
            if self.is_facts:
                found = {**unreadable, **self._found}
                write_facts(self.folder / FACT_FILE, [found[row] for row in range(count)])
            write_json(self.folder / ABOUT, {**about, "format": FORMAT, "count": count, "shape": list(self.shape)})
            (self.folder / JOURNAL).unlink(missing_ok=True)
            held = self._held.renew(self.folder)
        if self.home.exists():
            cache.discard(self.home)
        try:
            self.folder.rename(self.home)
        except OSError:  # without locks another process may have been first; its entry is as good
            shutil.rmtree(self.folder, ignore_errors=True)
        self._held.close()
        stored = read_entry(self.home, held)
        if stored is None:
            raise DataError(f"the image cache at {self.home} cannot be read back; remove the folder and try again")
        return stored

    def close(self) -> None:
        """Close all files."""
        for file in (self._rows, self._sums, self._journal):
            file.close()

    def leave(self) -> None:
        """Close it and let go; what was put stays for the next process."""
        self.close()
        self._held.close()

    def discard(self) -> None:
        """Close it and remove what was written."""
        self.close()
        cache.discard(self.folder)
        self._held.close()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cache.unwritable(error) from None


class _Rows:
    """A ``.npy`` file that is written row by row: a full disk is an error here, not the signal that a memory map gets."""

    def __init__(self, path: Path) -> None:
        mapped = np.lib.format.open_memmap(path, mode="r")
        self.shape, self._offset = mapped.shape, mapped.offset
        self._size = mapped[0].nbytes if len(mapped) else 0
        self._handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()

    def write(self, row: int, values: np.ndarray) -> None:
        data = memoryview(np.ascontiguousarray(values).data).cast("B")
        if len(data) != self._size:
            raise ValueError(f"a row has {self._size} bytes, not {len(data)}")
        at = self._offset + row * self._size
        while data:
            written = self._write_at(data, at)
            data, at = data[written:], at + written

    def _write_at(self, data: memoryview, at: int) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._handle, data, at)
        with self._lock:  # Windows
            os.lseek(self._handle, at, os.SEEK_SET)
            return os.write(self._handle, data)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _allocate(path: Path, shape: tuple[int, ...], dtype: str) -> None:
    """A ``.npy`` file of zeros whose space is reserved.

    Raises:
        OSError: there is no room for it.
    """
    with path.open("wb") as stream:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(stream, header)
        stream.flush()
        size = stream.tell() + int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        try:
            os.posix_fallocate(stream.fileno(), 0, size)
        except (AttributeError, OSError) as error:  # a system, or a file system, that cannot reserve
            if isinstance(error, OSError) and error.errno not in _CANNOT_RESERVE:
                raise
            if shutil.disk_usage(path.parent).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None
            stream.truncate(size)
