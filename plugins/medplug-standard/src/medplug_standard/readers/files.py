"""What the readers know about files: which are images, which are masks, which folders are given splits."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

IMAGE_EXTENSIONS = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".bmp",
        ".dib",
        ".gif",
        ".tif",
        ".tiff",
        ".webp",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".jp2",
        ".j2k",
        ".tga",
    ]
)

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
"""Names of folders and cells that stand for a part of a given split; case does not count."""

MASK_WORDS = ("mask", "masks", "seg", "segm", "segmentation", "gt", "groundtruth", "ground_truth")
"""A file is a mask if its stem ends in one of these words, alone or set off by a space, ``_``, ``-`` or ``.``,
and perhaps followed by a number that is set off likewise (``scan_mask``, ``benign (1)_mask_2``, ``7-seg``)."""

MASK_FOLDERS = frozenset(
    [
        "mask",
        "masks",
        "seg",
        "segs",
        "segmentation",
        "segmentations",
        "gt",
        "groundtruth",
        "ground_truth",
        "ground-truth",
    ]
)
"""Everything in a folder of one of these names is a mask; case does not count."""

SYSTEM_FOLDERS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
"""Folders that operating systems and archive programs leave behind; skipped as hidden ones are."""

_MASK = re.compile(rf"(?:^|[ ._-])(?:{'|'.join(MASK_WORDS)})(?:[ ._-]+\(?\d+\)?)?$", re.IGNORECASE)


def is_image_name(name: str) -> bool:
    """Whether the extension is one of an image."""
    return os.path.splitext(name)[1].lower() in IMAGE_EXTENSIONS


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden, or left behind by a system."""
    return name.startswith(".") or name in SYSTEM_FOLDERS


def is_mask_name(name: str) -> bool:
    """Whether a file name says that the file is a mask.

    >>> is_mask_name("benign (100)_mask_1.png"), is_mask_name("unmasked.png"), is_mask_name("mask.v2 scan.png")
    (True, False, False)
    """
    return _MASK.search(os.path.splitext(name)[0]) is not None


@dataclass(frozen=True, slots=True)
class Found:
    """A file below a folder, or something that was not entered.

    Attributes:
        name: relative, with forward slashes.
        problem: why it was not entered.
        lost: whether that is a mishap, and not what the rules want.
    """

    name: str
    problem: str = ""
    lost: bool = False


def walk(folder: Path, above: tuple[Path, ...] = (), masks: bool = True) -> Iterator[Found]:
    """All files below a folder, sorted by name within each folder, depth last.

    Links are followed, but each real folder is entered once, and none of ``above`` (the folders that lead
    here) is entered again, so that a loop of links ends. What is not entered comes with its ``problem``.

    Args:
        folder: where to start; its own name does not count.
        above: folders that must not be entered.
        masks: enter folders of masks too (:data:`MASK_FOLDERS`).
    """
    seen = {_identity(f) for f in (*above, folder)}
    waiting = [("", folder)]
    while waiting:
        prefix, current = waiting.pop(0)
        try:
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError as error:
            yield Found(prefix.rstrip("/"), f"cannot be opened: {error.strerror}", lost=True)
            continue
        for entry in entries:
            name = prefix + entry.name
            if not _is_text(entry.name):
                yield Found(name.encode("utf-8", "replace").decode(), "its name is not valid UTF-8", lost=True)
            elif _is_folder(entry):
                problem = _why_not_enter(entry, seen, masks)
                if problem:
                    yield Found(name + "/", problem)
                else:
                    waiting.append((name + "/", Path(entry.path)))
            elif is_hidden(entry.name):
                yield Found(name, "hidden file")
            else:
                yield Found(name)


def _why_not_enter(entry: os.DirEntry[str], seen: set[tuple[int, int]], masks: bool) -> str:
    if is_hidden(entry.name):
        return "hidden folder"
    if not masks and entry.name.lower() in MASK_FOLDERS:
        return "folder of masks"
    identity = _identity(Path(entry.path))
    if identity in seen:
        return "a link to a folder that is read already"
    seen.add(identity)
    return ""


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def nearest_hint(name: str, choices: Iterable[str]) -> str:
    """``"; did you mean 'label'?"``, or nothing where no choice looks like ``name``."""
    by_case = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(name.lower(), by_case, n=1)
    return f"; did you mean {by_case[close[0]]!r}?" if close else ""


def some(names: list[str] | tuple[str, ...], limit: int = 8) -> str:
    """A list in words, cut after ``limit`` entries.

    >>> some(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    if len(names) <= limit:
        return ", ".join(names)
    return f"{', '.join(names[:limit])} and {len(names) - limit} more"


def count(n: int, noun: str) -> str:
    """A number and its noun: ``1 file``, ``2 files``."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
