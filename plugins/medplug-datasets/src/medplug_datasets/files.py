"""Files and words: what lies below a folder, which of it are images, and lists that people can read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

IMAGE_EXTENSIONS = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp"})

SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
"""Folders that systems and archive programs leave behind."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, or something that was not entered.

    Attributes:
        name: relative to where the search began, with forward slashes.
        problem: why it cannot be used.
        lost: whether that is a mishap, and not what the rules want.
    """

    name: str
    problem: str = ""
    lost: bool = False


def files_below(folder: Path, prefix: str = "") -> Iterator[File]:
    """Everything below a folder, sorted by name in each folder, depth last; names begin with ``prefix``.

    Hidden files and folders, links to folders, and names that are no text come with their ``problem``. Files that are
    no image by their extension do, too.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield File(prefix.rstrip("/") or ".", f"cannot be opened: {error.strerror}", lost=True)
        return
    deeper = []
    for entry in entries:
        name = prefix + entry.name
        problem = refusal(entry)
        if not _is_text(entry.name):
            yield File(name.encode("utf-8", "replace").decode(), "its name is not valid UTF-8", lost=True)
        elif problem:
            yield File(f"{name}/" if is_folder(entry) else name, problem)
        elif is_folder(entry):
            deeper.append((Path(entry.path), f"{name}/"))
        else:
            yield File(name)
    for path, below in deeper:
        yield from files_below(path, below)


def refusal(entry: os.DirEntry[str]) -> str:
    """Why a reader does not use an entry of a folder; empty if nothing speaks against it."""
    if is_folder(entry):
        if entry.name in SYSTEM_FOLDERS:
            return "left behind by a system or an archive program"
        if entry.name.startswith("."):
            return "hidden folder"
        return "a link to a folder, not followed" if entry.is_symlink() else ""
    if entry.name.startswith("."):
        return "hidden file"
    return "" if is_image(entry.name) else not_an_image(entry.name)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_image(name: str) -> bool:
    """Whether the extension is one of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def not_an_image(name: str) -> str:
    """The reason to leave out a file that is no image."""
    return f"not an image by its extension ({os.path.splitext(name)[1] or 'none'})"


def folders_in(folder: Path, limit: int | None = None) -> set[str]:
    """The visible folders in a folder, exactly as they are spelled; ``limit`` entries are looked at."""
    try:
        with os.scandir(folder) as entries:
            found = [e for e in islice(entries, limit) if is_folder(e)]
    except OSError:
        return set()
    return {e.name for e in found if not e.name.startswith(".") and e.name not in SYSTEM_FOLDERS}


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def some(names: Iterable[str], limit: int = 8) -> str:
    """A list in words, cut after ``limit`` entries.

    >>> some(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    names = list(names)
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])} and {len(names) - limit} more"


def count(n: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "file"), count(2000, "image")
    ('1 file', '2,000 images')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
