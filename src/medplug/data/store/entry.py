"""One entry of the cache: N rows of uint8 with a checksum each, and the facts of the images.

===============  ================================================================================
``ids.npy``      ``[N, 32]`` uint8: what each row was made from (:mod:`medplug.data.store.content`)
``rows.npy``     ``[N, …]`` uint8: decoded images, or thumbnails in an entry of facts
``sums.npy``     ``[N]`` uint64: checksum of each row; 0 where there is none, as of an unreadable image
``facts.npz``    the facts by column (entries of facts; ``facts.jsonl`` while they are being gathered)
``entry.json``   what the entry is; written last
``checks-*``     what the checks found, by what they depend on (:mod:`medplug.data.checks.kept`)
===============  ================================================================================

Rows are independent of each other. So an entry that a killed process left, one of a folder that has changed since, and one
with damaged rows all give what is sound in them to their successor.
"""

from __future__ import annotations

import contextlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medplug.data.facts import ImageFacts
from medplug.data.store import cache
from medplug.data.store.cache import ABOUT, DAMAGED, Hold
from medplug.data.store.factfile import read_facts, read_journal
from medplug.files import read_json

FORMAT = 3
FACTS, PIXELS = "facts", "pixels"
IDS, ROWS, SUMS, FACT_FILE, JOURNAL = "ids.npy", "rows.npy", "sums.npy", "facts.npz", "facts.jsonl"
BROKEN = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


def checksums(rows: np.ndarray) -> np.ndarray:
    """``[B]`` uint64 of uint8 rows ``[B, …]``: the sum of their 8-byte words and their length, modulo 2^64.

    It notices any single damaged byte and pages of zeros, and runs at the speed of memory (CRC-32 at a tenth of it).
    """
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    size = flat.shape[1]
    if size % 8:
        flat = np.pad(flat, ((0, 0), (0, -size % 8)))
    return flat.view("<u8").sum(1, dtype=np.uint64) + np.uint64(size)


@dataclass(frozen=True)
class Stored:
    """An entry that is open for reading.

    Attributes:
        path: its folder.
        ids, rows, sums: the arrays; rows are memory-mapped.
        facts: N facts, None for a row without; empty in an entry of pixels.
        held: keeps it from being pruned.
    """

    path: Path
    ids: np.ndarray
    rows: np.ndarray
    sums: np.ndarray
    facts: tuple[ImageFacts | None, ...]
    held: Hold

    @property
    def damaged(self) -> bool:
        """Whether a row was found damaged since it was written."""
        return (self.path / DAMAGED).exists()

    def note_damage(self) -> None:
        """Have the next process that opens it make the damaged rows anew."""
        with contextlib.suppress(OSError):  # a cache of somebody else
            (self.path / DAMAGED).touch()


def open_entry(path: Path) -> Stored | None:
    """Open a finished entry; None where it is not there, of another format, or damaged."""
    held = cache.hold(path)
    if held is None:
        return None
    stored = read_entry(path, held)
    if stored is None:
        held.close()
    else:
        cache.touch(path)
    return stored


def read_entry(path: Path, held: Hold) -> Stored | None:
    """An entry that is held already; None where it is incomplete or damaged."""
    try:
        about = read_json(path / ABOUT)
        ids, rows, sums = _arrays(path)
        if about["format"] != FORMAT or about["count"] != len(ids):
            return None
        facts: tuple[ImageFacts | None, ...] = ()
        if path.name.startswith(FACTS):
            facts = read_facts(path / FACT_FILE, len(ids))
            if not np.array_equal(np.where(sums != 0, checksums(rows), 0), sums):
                return None
    except BROKEN:
        return None
    return Stored(path, ids, rows, sums, facts, held)


def read_remains(path: Path, held: Hold) -> Stored | None:
    """What there is of an entry that was not finished, or is damaged; None where nothing can be made of it."""
    try:
        ids, rows, sums = _arrays(path)
        facts: tuple[ImageFacts | None, ...] = ()
        if path.name.lstrip(".").startswith(FACTS):
            whole = (path / FACT_FILE).exists()
            facts = read_facts(path / FACT_FILE, len(ids)) if whole else read_journal(path / JOURNAL, len(ids))
        return Stored(path, ids, rows, sums, facts, held)
    except BROKEN:
        return None


def relatives(home: Path, ids: np.ndarray) -> list[Stored]:
    """Entries by the same reader and options with some of the same images; ``release`` each.

    They may be finished, damaged, or left by killed processes.
    """
    family, found = home.name.rpartition("-")[0], []
    for path in sorted([*home.parent.glob(f"{family}-*"), *home.parent.glob(f".{family}-*.work")]):
        unfinished = path.name.startswith(".")
        if unfinished and path.name.startswith(f".{home.name}."):
            continue  # one's own
        held = cache.hold(path, alone=unfinished)
        if held is None:
            continue
        stored = (read_entry(path, held) or read_remains(path, held)) if _overlap(path, ids) else None
        if stored is None:
            held.close()
        else:
            found.append(stored)
    return found


def _overlap(path: Path, ids: np.ndarray) -> bool:
    try:
        there = np.load(path / IDS, allow_pickle=False)
        return bool(np.isin(_beginnings(there), _beginnings(ids)).any())
    except BROKEN:
        return False


def _beginnings(ids: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(ids[:, :8]).view(np.uint64).ravel()


def release(stored: Stored) -> None:
    """Let go of a relative; what a killed process left has now given what it had."""
    if stored.path.name.startswith("."):
        cache.discard(stored.path)
    stored.held.close()


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ids, sums = (np.load(path / name, allow_pickle=False) for name in (IDS, SUMS))
    rows = np.load(path / ROWS, mmap_mode="r", allow_pickle=False)
    count = len(ids)
    if ids.shape != (count, 32) or len(rows) != count or sums.shape != (count,):
        raise ValueError("the arrays do not belong together")
    if ids.dtype != np.uint8 or rows.dtype != np.uint8 or sums.dtype != np.uint64:
        raise ValueError("arrays of another type")
    return ids, rows, sums
