"""Which files there are below a folder, and which of them are DICOM: told by content, not by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".dcm", ".dicom", ".ima")
"""Extensions that DICOM files usually have; a file needs none of them."""

TABLES = (".csv", ".tsv", ".txt")
_MAGIC = b"DICM"
_PREAMBLE = 128  # bytes before the magic word, PS3.10 section 7.1
_LEFT_BEHIND = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"})
_GLANCE = 48  # files opened to recognise a folder
_FOLDERS = 200  # and folders listed on the way to them


@dataclass(frozen=True, slots=True)
class Found:
    """A file below a folder, or a folder that was not entered.

    Attributes:
        name: relative, with forward slashes.
        problem: why it takes no part; empty for a file that may.
        lost: whether that is a mishap, and not what the rules want.
    """

    name: str
    problem: str = ""
    lost: bool = False


def walk(root: Path) -> Iterator[Found]:
    """Every file below a folder, sorted by name within each folder; links are followed, each folder entered once."""
    seen: set[tuple[int, int]] = set()
    waiting = [("", root)]
    while waiting:
        prefix, folder = waiting.pop(0)
        try:
            status = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            yield Found(prefix.rstrip("/"), f"cannot be opened: {error.strerror}", lost=True)
            continue
        if (status.st_dev, status.st_ino) in seen:
            yield Found(prefix.rstrip("/"), "a link to a folder that is read already")
            continue
        seen.add((status.st_dev, status.st_ino))
        for entry in entries:
            name = prefix + entry.name
            hidden = entry.name.startswith(".") or entry.name in _LEFT_BEHIND
            if _is_folder(entry):
                if hidden:
                    yield Found(name, "hidden folder")
                else:
                    waiting.append((f"{name}/", Path(entry.path)))
            elif hidden:
                yield Found(name, "hidden file")
            elif os.path.exists(entry.path) and not os.path.isfile(entry.path):
                yield Found(name, "a pipe or device, not a file")  # opening one might never return
            elif any("\ud800" <= letter <= "\udfff" for letter in entry.name):
                yield Found(name.encode("utf-8", "replace").decode(), "its name is not valid UTF-8", lost=True)
            else:
                yield Found(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_dicom(path: str | Path) -> bool:
    """Whether a file has ``DICM`` at byte 128.

    Raises:
        OSError: it cannot be opened.
    """
    with open(path, "rb") as stream:
        return has_magic(stream.read(_PREAMBLE + len(_MAGIC)))


def has_magic(start: bytes) -> bool:
    """Whether the first 132 bytes are those of a DICOM file."""
    return start[_PREAMBLE:] == _MAGIC


def share_of_dicom(folder: Path) -> float:
    """Share of DICOM among the first few dozens of files, tables and texts apart; opens 132 bytes of each."""
    looked = dicom = listed = 0
    waiting = [folder]
    while waiting and looked < _GLANCE and listed < _FOLDERS:
        listed += 1
        try:
            entries = sorted(os.scandir(waiting.pop(0)), key=lambda entry: entry.name)
        except OSError:
            continue
        files = 0  # a spread over several folders tells more than one folder in full
        for entry in entries:
            if entry.name.startswith(".") or entry.name in _LEFT_BEHIND:
                continue
            if _is_folder(entry):
                waiting.append(Path(entry.path))
            elif not entry.name.lower().endswith(TABLES) and files < _GLANCE // 4 and looked < _GLANCE:
                files += 1
                looked += 1
                dicom += _opens_as_dicom(entry.path)
    return dicom / looked if looked else 0.0


def _opens_as_dicom(path: str) -> bool:
    try:
        return os.path.isfile(path) and is_dicom(path)
    except (OSError, ValueError):
        return False
