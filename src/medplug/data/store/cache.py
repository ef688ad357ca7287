"""The folder of decoded images as a whole: who uses which entry, how large it may become, what is in it.

An entry is a folder that is complete from the moment at which it has its name. Whoever reads it holds a shared lock on the
file ``lock`` in it, so that nobody prunes it; whoever writes one works under another name and holds that lock alone.
Locks belong to open files: the system releases those of a process that ends in whatever way.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medplug.errors import DataError, UsageError
from medplug.files import cache_folder, read_json

try:
    import fcntl
except ImportError:  # Windows: files that are open cannot be removed there, which is protection enough
    fcntl = None  # type: ignore[assignment]

LIMIT = "MEDPLUG_CACHE_LIMIT"
DEFAULT_LIMIT = 50 * 2**30
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ABOUT, LOCK, DAMAGED = "entry.json", "lock", "damaged"

_NAME = re.compile(r"(?P<work>\.?)(?P<kind>facts|pixels)-[0-9a-f]{16}-[0-9a-f]{16}(\.[0-9]+|\.work|\.removed)*")
_OLD = re.compile(r"\.?[0-9a-f]{32}(\..*)?")  # how entries were called before they had kinds
_ABANDONED = 7 * 86400.0  # seconds; what a killed process left is used by the next one, but not kept for ever
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([KMGT]?)(I?B)?\s*", re.IGNORECASE)


class CacheError(DataError):
    """The cache cannot be written; nothing is wrong with the data."""


class Hold:
    """An open lock file; closing it, or losing the last reference to it, lets the entry go.

    Attributes:
        sure: whether the file system really locks.
    """

    def __init__(self, handle: int, sure: bool) -> None:
        self.handle, self.sure = handle, sure

    def renew(self, folder: Path) -> Hold:
        """Hold the entry that is finished in ``folder`` together with its readers; who waits for the draft still waits."""
        if fcntl is None:  # a folder with an open file could not be renamed
            self.close()
            return Hold(-1, sure=False)
        fresh = folder / f"{LOCK}.new"
        handle = os.open(fresh, os.O_RDWR | os.O_CREAT)
        if self.sure:
            fcntl.flock(handle, fcntl.LOCK_SH)
        fresh.replace(folder / LOCK)
        return Hold(handle, self.sure)

    def close(self, _close: Callable[[int], None] = os.close) -> None:
        """Let go."""
        if self.handle >= 0:
            _close(self.handle)  # by its argument: when Python ends, modules are gone before objects
            self.handle = -1

    def __del__(self) -> None:
        self.close()


def hold(
    folder: Path, *, alone: bool = False, create: bool = False, waiting: Callable[[], None] | None = None
) -> Hold | None:
    """Lock an entry; None where it is not there (any more), or where another process forbids it.

    Args:
        folder: the entry.
        alone: nobody else may hold it.
        create: make the folder where it is not there.
        waiting: wait for others, after a call of this; without it there is no waiting.
    """
    while True:
        try:
            if create:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # images of patients
            handle = os.open(folder / LOCK, (os.O_RDWR | os.O_CREAT) if create else os.O_RDONLY)
        except FileNotFoundError:
            if create:
                continue  # renamed by its owner at this very moment
            return None
        except (NotADirectoryError, PermissionError):
            if create:
                raise
            return None
        found = _lock(handle, alone, waiting)
        if found is None or _is_still(handle, folder / LOCK):
            return found
        found.close()  # it was renamed or removed while this process waited
        if not create:
            return None


def _lock(handle: int, alone: bool, waiting: Callable[[], None] | None) -> Hold | None:
    if fcntl is None:
        return Hold(handle, sure=False)
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                os.close(handle)
                return None
            waiting()
            fcntl.flock(handle, kind)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(handle)
            raise
        return Hold(handle, sure=False)
    return Hold(handle, sure=True)


def _is_still(handle: int, path: Path) -> bool:
    try:
        there = path.stat()
    except OSError:
        return False
    return os.path.samestat(os.fstat(handle), there)


# ---------------------------------------------------------------- what is there


@dataclass(frozen=True)
class Entry:
    """One entry of the cache.

    Attributes:
        path: its folder.
        kind: ``pixels``, ``facts``, ``unfinished`` (of a process that was stopped) or ``other version``.
        size: bytes on disk.
        used: seconds since the epoch of its last use.
        about: what it holds: source, reader, number of images, size; empty where nothing tells.
    """

    path: Path
    kind: str
    size: int
    used: float
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def in_use(self) -> bool:
        """Whether a live process holds it."""
        found = hold(self.path, alone=True)
        if found is None:
            return (self.path / LOCK).exists()
        found.close()
        return False


def root() -> Path:
    """The folder of all entries."""
    return cache_folder("pixels")


def entries() -> list[Entry]:
    """All entries, the one that was used last first."""
    return sorted(_scan(), key=lambda entry: -entry.used)


def _scan() -> Iterator[Entry]:
    try:
        folders = [path for path in root().iterdir() if path.is_dir()]
    except OSError:
        return
    for path in folders:
        match = _NAME.fullmatch(path.name)
        if match is None and not _OLD.fullmatch(path.name):
            continue
        try:
            about = read_json(path / ABOUT)
        except (OSError, ValueError):
            about = {}
        kind = "other version" if match is None else "unfinished" if match["work"] else match["kind"]
        yield Entry(path, kind, size_of(path), _used(path), about if isinstance(about, dict) else {})


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # just removed by its owner
            continue
    return total


def _used(folder: Path) -> float:
    for path in (folder / LOCK, folder):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return 0.0


def touch(folder: Path) -> None:
    """Note that an entry is used now."""
    with contextlib.suppress(OSError):  # a cache of somebody else, which may be read
        os.utime(folder / LOCK)


def read_about(folder: Path) -> dict[str, Any]:
    """What an entry says of itself; empty where it is not there or damaged."""
    try:
        found = read_json(folder / ABOUT)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


# ---------------------------------------------------------------- making room


def limit() -> int:
    """How many bytes all entries together may have: ``MEDPLUG_CACHE_LIMIT``, by default 50 GiB.

    Raises:
        UsageError: the variable is no size.
    """
    return parse_size(os.environ.get(LIMIT) or str(DEFAULT_LIMIT))


def parse_size(text: str) -> int:
    """Bytes.

    >>> parse_size("20 GiB") == parse_size("20g") == 20 * 2**30
    True
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"{LIMIT}={text}: write a size such as 20GiB or 500MiB")
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))


def make_room(needed: int, allowed: int | None = None, keep: Iterable[Path] = ()) -> list[Entry]:
    """Remove what was used longest ago until ``needed`` more bytes are allowed; returns what was removed.

    Entries that a live process holds stay, so that the limit can be exceeded. So do all others where ``needed`` alone
    exceeds it: their removal would not help.

    Args:
        needed: bytes that are about to be written.
        allowed: bytes of all entries; the limit by default.
        keep: entries that must stay.
    """
    allowed = limit() if allowed is None else allowed
    kept, removed = set(keep), []
    found = [entry for entry in entries() if entry.path not in kept]
    total = sum(entry.size for entry in found) + sum(size_of(path) for path in kept)
    helps = needed <= allowed
    for entry in reversed(found):
        dead = entry.kind == "unfinished" and time.time() - entry.used > _ABANDONED
        if ((helps and total + needed > allowed) or dead) and remove(entry):
            removed.append(entry)
            total -= entry.size
    return removed


def free(error: OSError, needed: int) -> bool:
    """Remove what was used longest ago after a disk was found full; whether there is room for ``needed`` bytes now.

    Nothing is removed where that would not be enough, or where it is not the disk that is full.
    """
    if error.errno != errno.ENOSPC:
        return False
    place = next(path for path in (root(), *root().parents) if path.exists())
    missing = needed - shutil.disk_usage(place).free
    unused = [entry for entry in reversed(entries()) if not entry.in_use]
    if sum(entry.size for entry in unused) < missing:
        return False
    for entry in unused:
        if missing <= 0:
            break
        missing -= entry.size if remove(entry) else 0
    return missing <= 0


def unwritable(error: OSError, needed: int = 0) -> CacheError:
    """The error of a cache that cannot be written, for the user."""
    if error.errno in FULL:
        return CacheError(
            f"{root()}: no room for {f'{needed / 2**20:.0f} MiB of ' if needed else ''}decoded images ({error.strerror}); "
            "make room ('medplug cache info' tells what is there), or set MEDPLUG_CACHE to a folder on another disk"
        )
    return CacheError(
        f"the image cache {root()} cannot be written ({error.strerror or error}); set MEDPLUG_CACHE to another folder"
    )


def clear(older_than: float = 0.0) -> tuple[list[Entry], list[Entry]]:
    """Remove the entries that nobody has used for so many days; returns (removed, still in use)."""
    removed, left = [], []
    horizon = time.time() - 86400 * older_than
    for entry in entries():
        if entry.used <= horizon or not older_than:
            (removed if remove(entry) else left).append(entry)
    for table in (root() / "contents").glob("*.npz"):
        if not older_than or table.stat().st_mtime <= horizon:
            table.unlink(missing_ok=True)
    return removed, left


def remove(entry: Entry) -> bool:
    """Remove one entry unless a live process holds it."""
    found = hold(entry.path, alone=True)
    if found is None and (entry.path / LOCK).exists():
        return False
    if found is not None and not found.sure and fcntl is not None and time.time() - entry.used < 86400:
        return False  # nothing tells whether it is in use
    try:
        discard(entry.path)
    finally:
        if found is not None:
            found.close()
    return not entry.path.exists()


def discard(folder: Path) -> None:
    """Remove a folder at once: first its name, then what is in it."""
    aside = folder.with_name(f".{folder.name.strip('.')}.{os.getpid()}.removed")
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return
    except OSError:
        aside = folder  # open on a system that then forbids it
    shutil.rmtree(aside, ignore_errors=True)
