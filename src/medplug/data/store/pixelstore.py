"""Decoded images as the stages see them: rows of a memory map, checked when they are first read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medplug.data.facts import THUMB, ImageFacts
from medplug.data.store.entry import Stored, checksums
from medplug.errors import DataError
from medplug.images import ImageError
from medplug.progress import Reporter


@dataclass(frozen=True)
class PixelStore:
    """Images ``[N, *S, C]`` uint8, memory-mapped, in the order of the index; unreadable ones are black.

    ``thumbs`` are their grey thumbnails, ``[N, 32, 32]`` uint8, made before anything was resized. ``images`` behaves
    like an array that can be read: it has ``shape`` and ``dtype``, and indexing by rows gives a copy.
    """

    images: Any
    facts: tuple[ImageFacts, ...] = ()
    thumbs: np.ndarray = field(default_factory=lambda: np.zeros((0, THUMB, THUMB), np.uint8))
    held: Stored | None = field(default=None, repr=False, compare=False)  # of the facts and thumbnails

    def __len__(self) -> int:
        return len(self.images)

    @property
    def key(self) -> str:
        """The same for the same images read by the same reader, in the same order; empty where they are not in the cache.

        What is computed from all facts and thumbnails can be kept under it. It does not tell selections apart.
        """
        return "" if self.held is None else self.held.path.name

    def take(self, rows: np.ndarray) -> np.ndarray:
        """A copy of some images."""
        return np.asarray(self.images[rows])

    def select(self, rows: np.ndarray) -> PixelStore:
        """The store of some rows, an integer array or a mask; images are not copied."""
        rows = np.arange(len(self.images))[np.asarray(rows)]
        facts = tuple(self.facts[row] for row in rows.tolist()) if self.facts else ()
        thumbs = self.thumbs[rows] if len(self.thumbs) else self.thumbs
        return PixelStore(Images.view(self.images, rows), facts, thumbs, self.held)


class Images:
    """Some rows of an array ``[N, …]``, without copying them.

    Args:
        array: of all rows, mostly a memory map.
        rows: which of them; None for all.
        guard: checks rows when they are first read.
    """

    def __init__(self, array: Any, rows: np.ndarray | None = None, guard: Guard | None = None) -> None:
        self._array, self._guard = np.asarray(array), guard
        self._rows = np.arange(len(array)) if rows is None else rows
        self.shape = (len(self._rows), *array.shape[1:])
        self.dtype, self.ndim = array.dtype, array.ndim

    @classmethod
    def view(cls, images: Any, rows: np.ndarray) -> Images:
        """Rows of an array, or of another view."""
        if isinstance(images, Images):
            return cls(images._array, images._rows[rows], images._guard)
        return cls(images, rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> np.ndarray:
        at = self._rows[rows]
        values = self._array[at] if np.ndim(at) else np.array(self._array[at])
        if self._guard is not None:
            self._guard.check(np.atleast_1d(at), values if np.ndim(at) else values[None])
        return values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class Guard:
    """Compares rows with their checksums when they are first read, and mends those that were damaged on disk.

    Args:
        stored: the entry.
        decode: gives a row anew from its file.
        names: of the rows, for messages.
        reporter: is told once.
    """

    def __init__(
        self, stored: Stored, decode: Callable[[int], np.ndarray], names: tuple[str, ...], reporter: Reporter
    ) -> None:
        self._stored, self._decode, self._names, self._reporter = stored, decode, names, reporter
        self._seen = stored.sums == 0  # there is no image
        self._told = False

    def check(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Check rows ``[B]`` with their values ``[B, …]``, which are mended in place.

        Raises:
            DataError: a row is damaged and its file no longer gives what it gave.
        """
        new = np.flatnonzero(~self._seen[rows])
        if not len(new):
            return
        sums = checksums(values if len(new) == len(rows) else values[new])
        for place in new[sums != self._stored.sums[rows[new]]].tolist():
            values[place] = self._mended(int(rows[place]))
        self._seen[rows] = True

    def _mended(self, row: int) -> np.ndarray:
        self._stored.note_damage()
        where = f"the cache at {self._stored.path} is damaged at {self._names[row]}"
        try:
            fresh = self._decode(row)
        except ImageError as error:
            raise DataError(
                f"{where}, and the image can no longer be read ({error}); put it back, or start anew"
            ) from None
        if fresh.shape != self._stored.rows.shape[1:] or checksums(fresh[None])[0] != self._stored.sums[row]:
            raise DataError(f"{where}, and the image is another one now; start anew")
        if not self._told:
            self._told = True
            self._reporter.warn(f"{where}; the image was decoded again, and the entry is mended when it is next opened")
        return fresh
