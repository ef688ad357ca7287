"""Where the class folders of a data set are, and which images lie in them: decided by names alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from medplug.plugins import DataError, Skipped
from medplug_datasets.files import files_below, folders_in, is_folder, is_image, refusal, some

_SHELLS = 3  # folders that hold nothing but one folder, as archives unpack to, one within the other
_GLANCE = 5_000  # entries of a folder that are looked at where it may be anything
_FOLDERS = 300  # folders that are opened in search of a table: someone may pass a whole disk


@dataclass(frozen=True)
class Layout:
    """One way in which a data set comes.

    Attributes:
        folders: the class folders, relative to the folder that holds them all, with their published counts.
        files: what the names of their files look like.
        least: so many of the folders tell the layout; a data set may come in parts.
    """

    folders: Mapping[str, int]
    files: re.Pattern[str]
    least: int = 2

    @property
    def tops(self) -> set[str]:
        """The first parts of the folders' paths."""
        return {name.partition("/")[0] for name in self.folders}

    def there(self, home: Path) -> list[str]:
        """The class folders that exist below ``home``, spelled exactly, in the order of ``folders``."""
        parents = {parent: folders_in(home / parent, _GLANCE) for parent in {os.path.dirname(n) for n in self.folders}}
        return [name for name in self.folders if os.path.basename(name) in parents[os.path.dirname(name)]]


@dataclass(frozen=True)
class Home:
    """The folder that holds the class folders.

    Attributes:
        root: what the user named, absolute.
        prefix: the home relative to it, ending in a slash, or empty.
        layout: the one that was found.
        folders: the class folders that are there.
    """

    root: Path
    prefix: str
    layout: Layout
    folders: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The folder itself."""
        return self.root / self.prefix


@dataclass(frozen=True, slots=True)
class Row:
    """One image.

    Attributes:
        name: relative to what the user named.
        folder: the class folder, relative to the home.
        rest: the path within the class folder.
        label: the class, as published.
        split: the given part, or empty.
    """

    name: str
    folder: str
    rest: str
    label: str = ""
    split: str = ""

    @property
    def file(self) -> str:
        """The name of the file without its folders."""
        return self.rest.rpartition("/")[2]


def root_of(source: str) -> Path:
    """The folder that the user named, absolute.

    Raises:
        DataError: it is not there, or it is no folder.
    """
    root = Path(source).expanduser()
    try:
        there, folder = root.exists(), root.is_dir()
    except (OSError, ValueError) as error:
        raise DataError(f"{source}: cannot be opened: {error}") from None
    if not source or not folder:
        raise DataError(f"{source}: {'a file, not a folder' if there and source else 'no such folder'}")
    return Path(os.path.abspath(root))


def find_home(root: Path, layouts: Sequence[Layout], through: Sequence[str] = ()) -> Home | None:
    """Look for the layouts in a folder, in the folders ``through`` below it, and in single folders within.

    Where several fit, one that is there with all its folders is preferred, then the one with more folders.
    """
    for place in places_in(root, through):
        fits = [(layout, layout.there(place)) for layout in layouts]
        fits = [(layout, there) for layout, there in fits if len(there) >= layout.least]
        if fits:
            layout, there = max(fits, key=lambda fit: (len(fit[1]) == len(fit[0].folders), len(fit[1])))
            prefix = place.relative_to(root).as_posix()
            return Home(root, "" if prefix == "." else f"{prefix}/", layout, tuple(there))
    return None


def places_in(root: Path, through: Sequence[str]) -> Iterator[Path]:
    """Where class folders may be: a folder, those ``through`` below it, and the same in a folder that is alone in it."""
    for _ in range(_SHELLS + 1):
        yield root
        for below in through:
            if (root / below).is_dir():
                yield root / below
        inside = folders_in(root, _GLANCE)
        if len(inside) != 1:
            return
        root = root / inside.pop()


def is_whole(home: Home) -> bool:
    """Whether all class folders hold exactly as many images as were published, all with names like the published ones."""
    if len(home.folders) < len(home.layout.folders):
        return False
    for folder, wanted in home.layout.folders.items():
        with os.scandir(home.path / folder) as entries:
            found = 0
            for entry in entries:
                right = home.layout.files.fullmatch(entry.name) is not None
                if not right and is_image(entry.name):
                    return False
                found += right
        if found != wanted:
            return False
    return True


Places = Iterable[tuple[str, str, str]]
"""Class folders with the class and the given part that they stand for."""


def collect(
    home: Home, places: Places, problem: Callable[[Row], str] = lambda row: ""
) -> tuple[list[Row], list[Skipped]]:
    """The images in the class folders, and everything that is left out.

    Args:
        home: where they are.
        places: (folder, class, part).
        problem: why an image is not used; empty where it is.
    """
    rows: list[Row] = []
    skipped: list[Skipped] = []
    used = []
    for folder, label, split in places:
        start = f"{home.prefix}{folder}/"
        used.append(start)
        for file in files_below(home.root / start, start):
            row = Row(file.name, folder, file.name[len(start) :], label, split)
            reason = file.problem or problem(row)
            if reason:
                skipped.append(Skipped(file.name, reason, file.lost))
            else:
                rows.append(row)
    return rows, [*beside(home.root, used, lambda path: _why_not(home, path)), *skipped]


def beside(root: Path, used: Iterable[str], why: Callable[[Path], str] | None = None) -> list[Skipped]:
    """What lies beside the files and folders that are used: one line for each, folders are not entered.

    Args:
        root: what the user named.
        used: names relative to it.
        why: the reason for a folder.
    """
    names = {name.rstrip("/") for name in used}
    levels = {parent.as_posix() for name in names for parent in PurePosixPath(name).parents}
    skipped = []
    for level in sorted(levels - names):
        try:
            entries = sorted(os.scandir(root / level), key=lambda entry: entry.name)
        except OSError:
            continue  # what is used in there is told as lost
        for entry in entries:
            name = entry.name if level == "." else f"{level}/{entry.name}"
            if name in names or name in levels:
                continue
            text = name.encode("utf-8", "replace").decode()
            if is_folder(entry):
                skipped.append(Skipped(f"{text}/", refusal(entry) or (why or _no_part)(Path(entry.path))))
            else:
                skipped.append(Skipped(text, refusal(entry) or "not in a folder of this data set"))
    return skipped


def _no_part(folder: Path) -> str:
    return "no part of this data set, not read"


def _why_not(home: Home, folder: Path) -> str:
    again = len(home.layout.there(folder)) >= home.layout.least
    return "a second copy of the data set, not read" if again else _no_part(folder)


def find_below(root: Path, name: re.Pattern[str], depth: int = 3) -> list[Path]:
    """The files and folders whose whole name fits, at most ``depth`` folders down, the nearest first, sorted by path."""
    found: list[Path] = []
    level, opened = [root], 0
    for _ in range(depth + 1):
        below = []
        for folder in level[: _FOLDERS - opened]:
            found += [folder / e for e in _names(folder) if name.fullmatch(e)]
            below += [folder / e for e in sorted(folders_in(folder, _GLANCE))]
        opened += len(level[: _FOLDERS - opened])
        level = below
    return found


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in islice(entries, _GLANCE) if not e.name.startswith("."))
    except OSError:
        return []


def what_is_there(root: Path) -> str:
    """The first names in a folder, in words."""
    try:
        names = sorted(e.name + ("/" if e.is_dir() else "") for e in os.scandir(root))
    except OSError as error:
        return f"nothing that can be listed ({error.strerror})"
    return some((n.encode("utf-8", "replace").decode() for n in names), 6) or "nothing: the folder is empty"
