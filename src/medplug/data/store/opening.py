"""The decode-once cache: each image is read, hashed and resized once, into memory-mapped uint8 arrays on disk.

There are two entries for a list of samples: their facts with thumbnails, which depend on the reader alone, and their
pixels, which also depend on the input's size and channels. Both are keyed by the content of the files, so that a touched
or moved folder is known again, and are shared by all processes (:mod:`medplug.data.store.cache`).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL

import medplug.data.decode
import medplug.data.facts
import medplug.images
import medplug.pixels
from medplug.data.decode import DecodeOptions, check_pixels, to_input
from medplug.data.facts import THUMB, ImageFacts
from medplug.data.store import cache
from medplug.data.store.cache import CacheError
from medplug.data.store.content import Contents, read_contents
from medplug.data.store.draft import Draft, begin
from medplug.data.store.entry import FACTS, FORMAT, PIXELS, Stored, open_entry, relatives, release
from medplug.data.store.filling import Filling
from medplug.data.store.pixelstore import Guard, Images, PixelStore
from medplug.errors import DataError
from medplug.images import ImageError
from medplug.params import parameters
from medplug.progress import Reporter
from medplug.version import __version__

_PASSES = 4  # one makes what is missing; others mend what was damaged or has become readable in between


def open_store(
    reader: Any,
    name: str,
    uris: Sequence[str],
    options: DecodeOptions,
    threads: int,
    reporter: Reporter,
    source: str = "",
) -> PixelStore:
    """The store of these images: from the cache, or decoded now.

    Args:
        reader: loads one image; its parameters are part of the key.
        name: the reader's reference.
        uris: what to load, in order.
        options: how images are brought to one form.
        threads: that decode.
        reporter: shows progress.
        source: what the reader was given; a file that holds all images is part of the key.

    Raises:
        DataError: the disk is full, the cache cannot be written, or a file changes while it is read.
    """
    return _Order.of(reader, name, uris, threads, reporter, source, options).open()


def open_facts(
    reader: Any, name: str, uris: Sequence[str], threads: int, reporter: Reporter, source: str = ""
) -> PixelStore:
    """Facts and thumbnails alone, for checks that need no input size; its ``images`` have no pixels.

    Arguments and errors are those of :func:`open_store`, which measures nothing again after this.
    """
    return _Order.of(reader, name, uris, threads, reporter, source, None).open()


def input_shape(reader: Any, uris: Sequence[str], options: DecodeOptions) -> tuple[int, ...]:
    """``(*S, C)`` of the network's input, from the first image that can be read; two axes where none can."""
    for uri in uris:
        pixels, _ = decode_one(reader, uri, options)
        if pixels is not None:
            return pixels.shape
    return (options.size, options.size, options.channels)


def decode_one(reader: Any, uri: str, options: DecodeOptions) -> tuple[np.ndarray | None, str]:
    """One image ready for the network, or None and the reason why it cannot be read."""
    try:
        return to_input(check_pixels(reader.load(uri), uri), options, uri), ""
    except ImageError as error:
        return None, str(error)


@dataclass(frozen=True)
class _Order:
    """What one call wants."""

    reader: Any
    name: str
    uris: Sequence[str]
    threads: int
    reporter: Reporter
    source: str
    options: DecodeOptions | None
    contents: Contents

    @classmethod
    def of(
        cls, reader: Any, name: str, uris: Sequence[str], threads: int, reporter: Reporter, source: str,
        options: DecodeOptions | None,
    ) -> _Order:  # fmt: skip
        contents = read_contents(reader, uris, source, threads, reporter)
        return cls(reader, name, uris, threads, reporter, source, options, contents)

    def open(self) -> PixelStore:
        homes = {FACTS: self._home(FACTS, None)}
        if self.options is not None:
            homes[PIXELS] = self._home(PIXELS, self.options)
        opened = {kind: open_entry(home) for kind, home in homes.items()}
        tried: dict[int, str] = {}
        for _ in range(_PASSES):
            renew = self._outdated(opened, tried)
            if not renew and None not in opened.values():
                return self._assemble(opened[FACTS], opened.get(PIXELS), tried)  # type: ignore[arg-type]
            tried |= self._make(homes, opened, renew)
        raise DataError(
            f"{self.source or self.name}: after {_PASSES} passes some images still do not come to one form, as where flat "
            "images and volumes are mixed; keep images of one kind together and try again"
        )

    # ------------------------------------------------------------ what is wanted, and whether it is there

    def _home(self, kind: str, options: DecodeOptions | None) -> Path:
        head = {
            "format": FORMAT,
            "medplug": __version__,
            "pillow": PIL.__version__,
            "reader": self.name,
            "code": _code(self.reader, self.name),
            "parameters": parameters(self.reader),
            "options": None if options is None else options.key(),
        }
        family = hashlib.sha256(json.dumps(head, sort_keys=True, default=str).encode()).hexdigest()
        samples = hashlib.sha256(self.contents.ids.tobytes()).hexdigest()
        return cache.root() / f"{kind}-{family[:16]}-{samples[:16]}"

    def _outdated(self, opened: Mapping[str, Stored | None], tried: dict[int, str]) -> set[str]:
        """Entries that are there but lack something: rows were damaged, or images have become readable."""
        there = {kind: stored for kind, stored in opened.items() if stored is not None}
        renew = {kind for kind, stored in there.items() if stored.damaged}
        if FACTS not in there:
            return renew
        # A decoder may have been installed since, as the message of a failure says: failures are tried again.
        failed = [row for row, fact in enumerate(there[FACTS].facts) if fact is None or fact.error]
        if self._now_good(failed, None, tried):
            return set(there)
        lacking = _lacking(_facts(there[FACTS]), there[PIXELS]) if PIXELS in there else []
        if self._now_good(lacking, self.options, tried):
            renew.add(PIXELS)
        return renew

    def _now_good(self, rows: Sequence[int], options: DecodeOptions | None, tried: dict[int, str]) -> bool:
        """Whether one of these images, which could not be decoded before, can be now; reasons go to ``tried``."""
        for row in rows:
            if row in tried:
                continue
            reason = _why_not(self.reader, self.uris[row], options)
            if not reason:
                return True
            tried[row] = reason
        return False

    # ------------------------------------------------------------ making entries

    def _make(self, homes: Mapping[str, Path], opened: dict[str, Stored | None], renew: set[str]) -> dict[int, str]:
        """Make what is missing and put it into ``opened``; returns why images cannot be read."""
        drafts: dict[str, Draft] = {}
        try:
            for kind, home in homes.items():
                if opened[kind] is None or kind in renew:
                    draft = self._begin(kind, home, opened, kind in renew)
                    if draft is not None:
                        drafts[kind] = draft
            known = min((int(draft.done.sum()) for draft in drafts.values()), default=0)
            if known:
                self.reporter.say(f"{known} of {len(self.uris)} images are known from before; the others are read now")
            pixels = drafts.get(PIXELS)
            filling = Filling(
                self.reader, self.uris, self.contents, drafts.get(FACTS), pixels, self.options,
                pixels.shape if pixels else (),
            )  # fmt: skip
            unreadable = filling.fill(self.threads, self.reporter) if drafts else {}
            for kind, draft in drafts.items():
                errors = {row: ImageFacts(error=text) for row, text in unreadable.items()}
                opened[kind] = draft.finish(self._about(kind), errors)
        except CacheError:
            for draft in drafts.values():
                draft.discard()
            raise
        except BaseException:
            for draft in drafts.values():
                draft.leave()  # what was decoded stays for the next time
            raise
        cache.make_room(0)
        return unreadable

    def _begin(self, kind: str, home: Path, opened: dict[str, Stored | None], renewed: bool) -> Draft | None:
        """A draft with all that is known from before; None where another process has just made the entry."""
        try:
            folder, held = begin(home, self._tell_waiting)
        except OSError as error:
            raise cache.unwritable(error) from None
        if not renewed:
            opened[kind] = open_entry(home)
            if opened[kind] is not None:
                cache.discard(folder)
                held.close()
                return None
        self._tell_of_other_versions(kind, home)
        before = relatives(home, self.contents.ids)  # held, so that making room spares them
        draft = self._draft(home, folder, held, self._shape(kind))
        for stored in before:
            draft.adopt(stored)
            release(stored)
        return draft

    def _shape(self, kind: str) -> tuple[int, ...]:
        if kind == FACTS or self.options is None:
            return (THUMB, THUMB)
        return input_shape(self.reader, self.uris, self.options)

    def _draft(self, home: Path, folder: Path, held: cache.Hold, shape: tuple[int, ...]) -> Draft:
        needed = len(self.uris) * int(np.prod(shape))
        cache.make_room(needed, keep=[folder])
        try:
            try:
                return Draft(home, folder, held, self.contents.ids, shape)
            except OSError as error:
                if not cache.free(error, needed):
                    raise
                return Draft(home, folder, held, self.contents.ids, shape)
        except OSError as error:
            cache.discard(folder)
            held.close()
            raise cache.unwritable(error, needed) from None

    def _tell_waiting(self) -> None:
        self.reporter.say("another process is reading the same images; waiting for it")

    def _about(self, kind: str) -> dict[str, Any]:
        return {
            "kind": kind,
            "medplug": __version__,
            "reader": self.name,
            "source": self.source,
            "options": None if kind == FACTS or self.options is None else self.options.key(),
            "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def _tell_of_other_versions(self, kind: str, home: Path) -> None:
        samples = home.name.rpartition("-")[2]
        for path in sorted(home.parent.glob(f"{kind}-*-{samples}")):
            version = cache.read_about(path).get("medplug")
            if version not in (None, __version__):
                self.reporter.say(
                    f"the cache holds these images as medplug {version} decoded them; this is {__version__}, which "
                    "decodes them again ('medplug cache clear' removes the old ones)"
                )
                return

    # ------------------------------------------------------------ what stages see

    def _assemble(self, stored: Stored, pixels: Stored | None, tried: Mapping[int, str]) -> PixelStore:
        facts = _facts(stored)
        if pixels is None or self.options is None:
            none = np.broadcast_to(np.uint8(0), (len(facts), 0, 0, 1))
            return PixelStore(none, tuple(facts), stored.rows, stored)
        for row in _lacking(facts, pixels):
            facts[row] = replace(facts[row], error=tried[row])
        decode = partial(_to_row, self.reader, tuple(self.uris), self.options)
        guard = Guard(pixels, decode, tuple(self.uris), self.reporter)
        return PixelStore(Images(pixels.rows, guard=guard), tuple(facts), stored.rows, stored)


def _to_row(reader: Any, uris: Sequence[str], options: DecodeOptions, row: int) -> np.ndarray:
    return to_input(check_pixels(reader.load(uris[row]), uris[row]), options, uris[row])


def _why_not(reader: Any, uri: str, options: DecodeOptions | None) -> str:
    """Why an image cannot be decoded (and brought to its form); empty if it can."""
    if options is not None:
        return decode_one(reader, uri, options)[1]
    try:
        check_pixels(reader.load(uri), uri)
    except ImageError as error:
        return str(error)
    return ""


def _facts(stored: Stored) -> list[ImageFacts]:
    """The facts of all rows; images with another number of axes than the first one count as unreadable."""
    facts = [fact or ImageFacts(error="nothing is known of it") for fact in stored.facts]
    first = next((fact for fact in facts if not fact.error), ImageFacts())
    axes = len(first.shape)
    for row, fact in enumerate(facts):
        if not fact.error and len(fact.shape) != axes:
            form, wanted = _form(fact), _form(first)
            facts[row] = replace(fact, error=f"is {form}; the first image that can be read is {wanted}")
    return facts


def _form(fact: ImageFacts) -> str:
    return {3: "a flat image", 4: "a volume"}.get(len(fact.shape), f"an image with {len(fact.shape) - 1} spatial axes")


def _lacking(facts: Sequence[ImageFacts], pixels: Stored) -> list[int]:
    """Rows that can be read but have no pixels."""
    return [row for row in np.flatnonzero(pixels.sums == 0).tolist() if not facts[row].error]


def _code(reader: Any, name: str) -> list[str]:
    """What tells that pixels may be others although the files are not: the code that reads them."""
    distribution = name.partition(":")[0]
    try:
        version = importlib.metadata.version(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        version = ""
    digest = hashlib.sha256()
    for what in (type(reader), medplug.images, medplug.pixels, medplug.data.decode, medplug.data.facts):
        digest.update(_source(what))
    return [version, digest.hexdigest()]


def _source(what: Any) -> bytes:
    try:
        return Path(inspect.getsourcefile(what) or "").read_bytes()
    except (OSError, TypeError):  # typed into a notebook
        pass
    try:
        return inspect.getsource(what.load).encode()
    except (OSError, TypeError, AttributeError):
        return b""
