"""Decoding in threads: images are read once, measured and brought to the network's form, and go to the disk row by row."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from medplug.data.decode import DecodeOptions, check_pixels, to_input
from medplug.data.facts import ImageFacts, measure
from medplug.data.pause import old_objects_spared
from medplug.data.store.content import Contents
from medplug.data.store.draft import Draft
from medplug.errors import DataError
from medplug.images import ImageError
from medplug.progress import Reporter
from medplug.reading import one_image

_CHUNK = 4  # images per task of a thread: few, so that progress moves with large ones


class Found(NamedTuple):
    """Of one image: its facts, None where they are known already, and why it cannot be used, empty if it can."""

    facts: ImageFacts | None
    problem: str


@dataclass(frozen=True)
class Filling:
    """What is to be decoded, and where to.

    Attributes:
        reader: loads images.
        uris: of all rows.
        contents: of all rows.
        facts: gets facts and thumbnails; None where they are there already.
        pixels: gets the images; None where they are not wanted.
        options: how images are brought to one form.
        shape: ``(*S, C)`` of ``pixels``.
    """

    reader: Any
    uris: Sequence[str]
    contents: Contents
    facts: Draft | None
    pixels: Draft | None
    options: DecodeOptions | None
    shape: tuple[int, ...]

    def fill(self, threads: int, reporter: Reporter) -> dict[int, str]:
        """Decode all rows that a draft lacks; returns why those that cannot be read cannot.

        Raises:
            DataError: a file changed while it was read.
        """
        drafts = [draft for draft in (self.facts, self.pixels) if draft is not None]
        rows = np.flatnonzero(~np.all([draft.done for draft in drafts], axis=0)).tolist()
        unreadable: dict[int, str] = {}
        with old_objects_spared(), reporter.task("reading images", len(rows), "images") as task:
            for found in _in_threads(self._decode, rows, threads):
                if self.facts is not None:
                    self.facts.note({row: one.facts for row, one in found.items() if one.facts is not None})
                unreadable |= {row: one.problem for row, one in found.items() if one.problem}
                task.advance(len(found))
        return unreadable

    def _decode(self, rows: Sequence[int]) -> dict[int, Found]:
        found = {}
        for row in rows:
            with one_image():
                found[row] = self._decode_one(row)
        return found

    def _decode_one(self, row: int) -> Found:
        uri, facts, problem = self.uris[row], None, ""
        try:
            pixels = check_pixels(self.reader.load(uri), uri)
            if self.facts is not None and not self.facts.done[row]:
                facts, thumb = measure(self.reader, uri, pixels, self.contents.hash_of(row, uri))
                self.facts.put(row, thumb)
            if self.pixels is not None and not self.pixels.done[row] and pixels.ndim == len(self.shape):
                assert self.options is not None
                self.pixels.put(row, to_input(pixels, self.options, uri))
        except ImageError as error:
            problem = str(error)
        except Exception as error:
            error.add_note(f"while reading {uri}")
            raise
        changed = self.contents.changed(row)
        if changed:
            raise DataError(f"{changed} was changed while it was read; start again when nothing writes to the data")
        return Found(facts, problem)


def _in_threads(work: Any, rows: list[int], threads: int) -> Iterator[Any]:
    """``work`` of a few rows each, in order; no more is begun than the threads need."""
    chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
    begun: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for chunk in chunks:
                begun.append(pool.submit(work, chunk))
                if len(begun) > 3 * threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for future in begun:
                future.cancel()
