"""What the readers of published sets share: their parameters, the comparison with published counts, the index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from medplug.plugins import About, DataError, Index, Skipped, component, file_facts, load_image, param
from medplug_datasets.files import count, is_image, some
from medplug_datasets.layout import Home, Layout, Row, find_home, is_whole, root_of, what_is_there

SURE = 0.97
"""What ``can_read`` says of a folder that cannot be anything else; readers of any folder say 0.9."""


@dataclass(frozen=True)
class Card:
    """What the publisher says of a data set.

    Attributes:
        about: title, licence, citation, page.
        classes: published names in their order, and what they mean in plain words.
        expected: the files that should be there, in words.
    """

    about: About
    classes: Mapping[str, str]
    expected: str

    def missing(self, source: str) -> DataError:
        """The error for a folder in which the data set is not found."""
        found = what_is_there(root_of(source))
        return DataError(
            f"{source}: this is not {self.about.title} as it is published. Expected: {self.expected}. Found: {found}. "
            f"Get it from {self.about.url} ({self.about.licence}); another layout may be read by a general reader "
            "(class folders, or a table of labels)"
        )


@component
class Published(ABC):
    """A set of image files, as its publisher hands it out. Base of the readers."""

    loads_files = True
    card: ClassVar[Card]

    expected: Literal["published", "none"] = param(
        "counts that the images are compared with; a difference is told, not refused", default="published"
    )
    names: Literal["plain", "published"] = param(
        "names of the classes: in plain words, or the publisher's short ones", default="plain"
    )
    pixels: Literal["faithful", "pillow"] = param(
        "with pillow, images are read as convert('RGB') does: EXIF and alpha are ignored, 16 bits saturate",
        default="faithful",
    )

    def can_read(self, source: str) -> float:
        """0.97 for a folder that cannot be anything else, by names and counts; else 0."""
        try:
            root = Path(source)
            return SURE if source and root.is_dir() and self.recognises(root) else 0.0
        except (OSError, ValueError):
            return 0.0

    @abstractmethod
    def recognises(self, root: Path) -> bool:
        """Whether a folder is this data set beyond doubt."""

    def load(self, uri: str) -> np.ndarray:
        """The pixels of one file, as :func:`medplug.plugins.load_image` reads them."""
        return load_image(uri, convert=self.pixels == "pillow")

    def facts(self, uri: str) -> dict[str, Any]:
        """What the file tells beside its pixels, as :func:`medplug.plugins.file_facts` reads it."""
        return file_facts(uri)

    def word(self, published: str) -> str:
        """The name of a class as the parameter ``names`` wants it."""
        return self.card.classes[published] if self.names == "plain" else published

    def compare(self, found: Mapping[str, int], wanted: Mapping[str, int]) -> list[str]:
        """A note on the counts, unless ``expected`` is none."""
        if self.expected == "none":
            return []
        rows = [f"{name or 'images'} {found.get(name, 0):,} (published {n:,})" for name, n in wanted.items()]
        wrong = [row for row, (name, n) in zip(rows, wanted.items(), strict=True) if found.get(name, 0) != n]
        if not wrong:
            return [f"the counts are the published ones ({count(sum(wanted.values()), 'image')})"]
        return [f"counts differ from the published ones (reader.expected=none does not compare): {some(wrong)}"]

    def to_index(
        self,
        root: Path,
        rows: Sequence[Row],
        skipped: Sequence[Skipped],
        notes: Sequence[str],
        groups: Mapping[str, Sequence[str]] | None = None,
        metadata: Mapping[str, Any] | None = None,
        classes: Sequence[str] = (),
    ) -> Index:
        """The index of images with one class each, in the order of ``rows``. Classes without an image are left out.

        Args:
            root: what the user named.
            rows: the images.
            skipped: what is left out.
            notes: sentences for the user.
            groups, metadata: columns; a metadata column ``source`` is the site.
            classes: published names of those that may occur; none given means all of the card.

        Raises:
            DataError: fewer than two classes have images.
        """
        counts = Counter(row.label for row in rows)
        possible = classes or tuple(self.card.classes)
        there = [name for name in possible if counts[name]]
        absent = [self.word(name) for name in possible if not counts[name]]
        if len(there) < 2:
            raise DataError(f"{root}: images of one class only ({some(there)}); {_left_out(skipped)}")
        place = {name: i for i, name in enumerate(there)}
        return Index(
            samples=tuple(row.name for row in rows),
            uris=tuple(str(root / row.name) for row in rows),
            targets=np.eye(len(there), dtype=np.float32)[[place[row.label] for row in rows]],
            classes=tuple(self.word(name) for name in there),
            groups={name: np.array(column, dtype=str) for name, column in (groups or {}).items()},
            metadata={name: np.asarray(column) for name, column in (metadata or {}).items()},
            splits=np.array([row.split for row in rows]) if any(row.split for row in rows) else None,
            skipped=tuple(skipped),
            notes=(*notes, *([f"classes without an image, left out: {some(absent)}"] if absent else [])),
            site="source" if "source" in (metadata or {}) else "",
            about=self.card.about,
        )


@component
class ClassFolders(Published):
    """A published set of class folders. Base of the readers of such sets."""

    layouts: ClassVar[tuple[Layout, ...]]
    through: ClassVar[tuple[str, ...]] = ()

    def recognises(self, root: Path) -> bool:
        """Names and counts of all class folders are those of a published layout."""
        home = find_home(root, self.layouts, self.through)
        return home is not None and is_whole(home)

    def home(self, source: str) -> Home:
        """Where the class folders are.

        Raises:
            DataError: they are not there.
        """
        home = find_home(root_of(source), self.layouts, self.through)
        if home is None:
            raise self.card.missing(source)
        return home

    def ordered(self, home: Home, rows: list[Row], skipped: Sequence[Skipped]) -> list[Row]:
        """The rows by class, then by their path within the class folder, as Python sorts strings.

        Raises:
            DataError: there is no image.
        """
        if not rows:
            raise DataError(f"{home.path}: the class folders {some(home.folders)} hold no image; {_left_out(skipped)}")
        place = {name: i for i, name in enumerate(self.card.classes)}
        return sorted(rows, key=lambda row: (place[row.label], row.rest, row.name))

    def compare_folders(self, home: Home, rows: Sequence[Row], wanted: Mapping[str, int] | None = None) -> list[str]:
        """The note on the counts of each class folder."""
        return self.compare(Counter(row.folder for row in rows), wanted or home.layout.folders)


def _left_out(skipped: Sequence[Skipped]) -> str:
    reasons = Counter(s.reason for s in skipped)
    return (
        f"left out were {some(f'{n} ({reason})' for reason, n in reasons.most_common())}" if reasons else "nothing else"
    )


def images_by_name(names: Sequence[str]) -> dict[str, str]:
    """The path of each image by its file name without extension; the first of several wins."""
    found: dict[str, str] = {}
    for name in names:
        if is_image(name):
            found.setdefault(name.rpartition("/")[2].rpartition(".")[0], name)
    return found
