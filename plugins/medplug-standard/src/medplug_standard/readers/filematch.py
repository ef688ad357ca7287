"""From what a table says about an image (a path, a name, an id, a number) to a file that is there."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from medplug_standard.readers.files import MASK_FOLDERS, is_image_name, is_mask_name, some, walk

ROOT_NAMES = ("images", "image", "imgs", "img", "data")
"""Subfolders of the table's folder where its images are looked for first."""

_MOST_ROOTS = 24  # subfolders beyond these are patients or classes rather than places to start from
_NUMBER = re.compile(r"(\d{1,18})(?:\.0+)?")  # a table program turns 7 into 7.0 where the column has a gap


@dataclass(frozen=True, slots=True)
class Match:
    """The file that a value names, or why there is none.

    Attributes:
        name: relative to the root, with forward slashes; empty if there is none.
        how: which rule found it, in words; empty for the plain path.
        trust: 1 for the plain path, less for rules that stretch further.
        reason: why there is none.
    """

    name: str = ""
    how: str = ""
    trust: float = 0.0
    reason: str = ""


class Finder:
    """The files below one folder, looked up by what tables say about them.

    The rules, from the most to the least trusted: the path itself; the path in other case, or with accents in another
    Unicode form; the path without its extension; a whole number equal to that of a file name (``7`` and ``007.png``);
    the file name alone, or without extension, in a subfolder; the path without leading folders (of another machine);
    the path with another image extension; the path with ``%20`` and its like decoded. Only the first takes masks and
    files that are not images. A rule that fits several files finds none.
    """

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = root
        self.names = frozenset(names)
        images = [name for name in self.names if is_image_name(name) and not looks_like_mask(name)]
        self.images = len(images)
        self._lower = _by(images, _folded)
        self._stems = _by(images, lambda name: _folded(_stem(name)))
        self._files = _by(images, lambda name: _folded(_base(name)))
        self._file_stems = _by(images, lambda name: _folded(_stem(_base(name))))
        self._numbers = _by(
            [n for n in images if _stem(_base(n)).isdecimal()], lambda name: str(int(_stem(_base(name))))
        )

    def find(self, value: str) -> Match:
        """The file that ``value`` names."""
        path = value.replace("\\", "/").strip()
        if not path:
            return Match(reason="no image named")
        if "\0" in path:
            return Match(reason="no such file")
        outside = self._outside(path)
        if outside:
            return outside
        path = path.lstrip("/").removeprefix("./")
        if path in self.names:
            return Match(path, "", 1.0)
        several: list[str] = []
        for found, how, trust in self._lenient(path):
            if len(found) == 1:
                return Match(found[0], how, trust)
            several = several or sorted(found)
        if several:
            return Match(reason=f"fits {len(several)} files ({some(several, 3)})")
        return Match(reason="no such file")

    def _outside(self, path: str) -> Match | None:
        """A file that an absolute path, or one with ``..``, leads to."""
        if not (os.path.isabs(path) or ".." in path.split("/")):
            return None
        file = self.root / path
        if not file.is_file():
            return None
        return Match(Path(os.path.relpath(file, self.root)).as_posix(), "", 1.0)

    def _lenient(self, path: str) -> Iterable[tuple[list[str], str, float]]:
        low = _folded(path)
        stem = _stem(low) if is_image_name(low) else low
        number = _NUMBER.fullmatch(low)
        yield self._lower.get(low, []), "in other case" if low.isascii() else "in other case or form of accents", 0.99
        yield self._stems.get(low, []), "ids without extension", 0.98
        if number:
            found = self._numbers.get(str(int(number[1])), [])
            yield found, "numbers matched to the file names", 0.9 if any("/" in name for name in found) else 0.95
        if "/" not in low:
            yield self._files.get(low, []), "file names in subfolders", 0.9
            yield self._file_stems.get(low, []), "ids without extension in subfolders", 0.88
        for start in range(1, low.count("/") + 1):
            yield self._lower.get("/".join(low.split("/")[start:]), []), "paths without their leading folders", 0.85
        if stem != low:
            yield self._stems.get(stem, []), "another image extension than in the table", 0.8
            if "/" not in low:
                yield self._file_stems.get(stem, []), "another image extension than in the table", 0.75
        if "%" in low:
            yield self._lower.get(_folded(unquote(path)), []), "percent signs decoded", 0.7


def finders(base: Path) -> list[Finder]:
    """The places to look for images of a table in folder ``base``: itself, then its subfolders, likely ones first."""
    names = [found.name for found in walk(base) if not found.problem]
    below: dict[str, list[str]] = defaultdict(list)
    for name in names:
        top, slash, rest = name.partition("/")
        if slash:
            below[top].append(rest)
    tops = sorted(below, key=lambda top: (_rank(top), top))
    places = [top for top in tops if top.lower() not in MASK_FOLDERS and any(map(is_image_name, below[top]))]
    return [Finder(base, names), *(Finder(base / top, below[top]) for top in places[:_MOST_ROOTS])]


def looks_like_mask(name: str) -> bool:
    """Whether a path is that of a mask, by its own name or by a folder on the way."""
    *folders, file = name.split("/")
    return is_mask_name(file) or any(folder.lower() in MASK_FOLDERS for folder in folders)


def _rank(top: str) -> int:
    return ROOT_NAMES.index(top.lower()) if top.lower() in ROOT_NAMES else len(ROOT_NAMES)


def _by(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = defaultdict(list)
    for name in names:
        table[key(name)].append(name)
    return table


def _folded(path: str) -> str:
    """In lower case, accents as one character: macOS stores them as two, tables mostly do not."""
    return unicodedata.normalize("NFC", path).lower()


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]


def _base(path: str) -> str:
    return path.rpartition("/")[2]
