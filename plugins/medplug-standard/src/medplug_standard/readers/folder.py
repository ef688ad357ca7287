"""Reader ``folder``: one folder per class, perhaps within one folder per split."""

from __future__ import annotations

import os
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from medplug.plugins import About, DataError, Index, Skipped, component, find_mask, load_mask, param
from medplug_standard.readers import about
from medplug_standard.readers.files import (
    SPLIT_NAMES,
    Found,
    count,
    is_image_name,
    is_mask_name,
    nearest_hint,
    some,
    walk,
)
from medplug_standard.readers.folderlayout import Row, arrange
from medplug_standard.readers.imagefiles import ImageFiles

_SITE = "site"  # the column of sites in the metadata
_GLANCE = 50_000  # files looked at before a folder counts as one without images: someone may pass a whole disk


@component
class Folder(ImageFiles):
    """Class folders: the name of a folder is the class of every image below it.

    Understood are ``DATA/CLASS/…``, given splits as ``DATA/SPLIT/CLASS/…`` or ``DATA/CLASS/SPLIT/…``
    (:data:`~medplug_standard.readers.files.SPLIT_NAMES`), and either of them within one more folder. Classes are
    sorted as Python strings; samples by class, then by their path within the class folder.

    Skipped, each with its reason: hidden files and folders; masks (``masks``: a file whose stem ends in a word of
    :data:`~medplug_standard.readers.files.MASK_WORDS`, or anything in a folder of ``MASK_FOLDERS``); files whose
    extension is not that of an image (``extensions``); images outside any class folder; loops of links.
    Masks that only their pixels betray are not recognised.

    With ``sites``, one more level of folders says where images come from (hospital, scanner); it becomes the column
    ``site``. ``about.toml`` in the folder may tell title, licence, citation and url.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as data:
        ...     for name in ("cyst/1.png", "cyst/2.png", "cyst/2_mask.png", "normal/1.png"):
        ...         Path(data, name).parent.mkdir(exist_ok=True)
        ...         Image.new("L", (8, 8)).save(Path(data, name))
        ...     index = Folder().index(data)
        >>> index.samples, index.classes
        (('cyst/1.png', 'cyst/2.png', 'normal/1.png'), ('cyst', 'normal'))
        >>> [(skipped.name, skipped.reason) for skipped in index.skipped]
        [('cyst/2_mask.png', 'a mask by its name')]
    """

    masks: Literal["skip", "keep"] = param(
        "files that look like masks by their name: skip or keep them", default="skip"
    )
    extensions: Literal["images", "all"] = param(
        "files to take for images: those with an image's extension, or all", default="images"
    )
    classes: tuple[str, ...] = param("classes to read, in this order; none given means all, sorted", default=())
    sites: Literal["none", "above", "below"] = param(
        "folders that stand for hospitals or scanners: above (DATA/SITE/CLASS/…) or below (DATA/CLASS/SITE/…)",
        default="none",
    )
    mask_folder: str | None = param(
        "folder of masks with the relative names of the images (any extension, perhaps ending in _mask), itself relative "
        "to DATA; '.' for masks beside the images",
        default=None,
    )

    def __post_init__(self) -> None:
        self.check_pixels()

    def can_read(self, source: str) -> float:
        """0.9 for a folder with images below a subfolder, 0.1 for any other folder, else 0."""
        try:
            root = Path(source)
            if not source or not root.is_dir():
                return 0.0
            files = islice(walk(root), _GLANCE)
            found = any("/" in f.name and not f.problem and is_image_name(f.name) for f in files)
        except (OSError, ValueError):
            return 0.0
        return 0.9 if found else 0.1

    def index(self, source: str) -> Index:
        """The images of all class folders.

        Raises:
            DataError: no such folder, no images, no class folders, one class only, or a class that is not there.
        """
        root = _checked_root(source)
        found = [f for f in walk(root, masks=self.masks == "keep") if f.name != about.FILE]
        usable, skipped = self._usable(found)
        tables = [f.name for f in found if f.name.lower().endswith((".csv", ".tsv"))]
        if not usable:
            raise DataError(_no_images(source, found, skipped))
        rows, left, notes = arrange(source, usable, self.classes, self.sites)
        skipped += left
        rows, more = self._chosen(source, rows)
        notes += more
        classes = self.classes or tuple(sorted({row.label for row in rows}))
        _check_classes(source, rows, usable, tables)
        notes += _notes(found, skipped, rows, tables)
        return _build(root, rows, classes, skipped, notes, about.about_beside(root))

    def unlabelled(self, source: str) -> Index:
        """All images of a folder, for prediction, whatever its folders are called.

        Masks are listed as skipped; hidden files, and those that are no images by their extension, are passed over.

        Raises:
            DataError: no such folder, or no images.
        """
        root = _checked_root(source)
        found = list(walk(root, masks=self.masks == "keep"))
        usable, skipped = self._usable(found)
        if not usable:
            raise DataError(_no_images(source, found, skipped))
        names = sorted(usable)
        told = [s for s in skipped if s.lost or "mask" in s.reason]
        return Index(
            tuple(names),
            tuple(str(root / name) for name in names),
            np.zeros((len(names), 0), np.float32),
            (),
            "multilabel",
            skipped=tuple(told),
        )

    def mask(self, uri: str) -> np.ndarray | None:
        """The mask of an image in ``mask_folder``, ``[H, W]`` bool; None where there is none.

        Raises:
            ImageError: the mask cannot be read.
        """
        if self.mask_folder is None:
            return None
        image = Path(uri)
        parents = list(image.parents)  # DATA is one of them
        if os.path.isabs(self.mask_folder):
            parents = parents[1:]  # else images of two classes that are called alike would share a mask
        for above in reversed(parents):
            name = image.relative_to(above)
            found = find_mask(above / self.mask_folder, name.as_posix())
            if found is not None and found.resolve() == image.resolve():  # only its ending tells a mask beside an image
                found = find_mask(image.parent, f"{image.stem}_mask{image.suffix}")
            if found is not None:
                return load_mask(found)
        return None

    def _usable(self, found: list[Found]) -> tuple[list[str], list[Skipped]]:
        usable: list[str] = []
        skipped: list[Skipped] = []
        for file in found:
            problem = file.problem or self._problem(file.name)
            if problem:
                skipped.append(Skipped(file.name, problem, file.lost))
            else:
                usable.append(file.name)
        return usable, skipped

    def _problem(self, name: str) -> str:
        if self.extensions == "images" and not is_image_name(name):
            extension = os.path.splitext(name)[1]
            return f"not an image by its extension ({extension or 'none'})"
        if self.masks == "skip" and is_mask_name(name.rpartition("/")[2]):
            return "a mask by its name"
        return ""

    def _chosen(self, source: str, rows: list[Row]) -> tuple[list[Row], list[str]]:
        if not self.classes:
            return rows, []
        counts = Counter(row.label for row in rows)
        for name in self.classes:
            if name not in counts:
                hint = nearest_hint(name, counts)
                raise DataError(f"{source}: no class {name!r}{hint} (class folders: {some(sorted(counts), 30)})")
        if len(set(self.classes)) < len(self.classes):
            raise DataError(f"classes names one class twice: {', '.join(self.classes)}")
        left = [f"{name} ({n})" for name, n in sorted(counts.items()) if name not in self.classes]
        notes = [f"left out, because not named in classes: {some(left)}"] if left else []
        return [row for row in rows if row.label in self.classes], notes


def _checked_root(source: str) -> Path:
    root = Path(source)
    try:
        there, folder = root.exists(), root.is_dir()
    except OSError as error:
        raise DataError(f"{source}: cannot be opened: {error.strerror}") from None
    if not there:
        raise DataError(f"{source}: no such folder")
    if not folder:
        raise DataError(f"{source}: a file, not a folder of class folders (a table of labels is read by 'csv')")
    return Path(os.path.abspath(root))


# ---------------------------------------------------------------- messages


def _no_images(source: str, found: list[Found], skipped: list[Skipped]) -> str:
    if not found:
        return f"{source}: the folder is empty"
    masks = [s.name for s in skipped if "mask" in s.reason]
    if masks:
        return f"{source}: holds only masks by their names ({some(masks, 3)}); --set reader.masks=keep takes them in"
    kinds = Counter(os.path.splitext(s.name)[1].lower() or "no extension" for s in skipped)
    words = some([f"{kind} ({n})" for kind, n in kinds.most_common()])
    return f"{source}: no images among {len(found)} files or folders: {words}"


def _check_classes(source: str, rows: list[Row], usable: list[str], tables: list[str]) -> None:
    counts = Counter(row.label for row in rows)
    if len(counts) > 1:
        return
    advice = "expected is a folder for each class, at least two"
    if tables:
        advice = f"to read the labels from a table, pass the file instead: {Path(source) / tables[0]}"
    if not counts:
        raise DataError(f"{source}: {count(len(usable), 'image')} but no class folders; {advice}")
    [(name, n)] = counts.items()
    raise DataError(f"{source}: only one class, {name!r} ({count(n, 'image')}); {advice}")


def _notes(found: list[Found], skipped: list[Skipped], rows: list[Row], tables: list[str]) -> list[str]:
    notes = []
    masks = sum("mask" in s.reason for s in skipped)
    if masks:
        notes.append(f"{masks} files or folders skipped as masks by their names; reader.masks=keep takes them in")
    tops = {f.name.split("/")[0] for f in found if "/" in f.name and not f.problem and f.name.count("/") == 1}
    empty = sorted(tops - {part for row in rows for part in row.name.split("/")[:-1]} - set(SPLIT_NAMES))
    if empty:
        notes.append(f"folders without a usable image, hence no classes: {some(empty)}")
    if tables:
        notes.append(f"not used: {some(tables)} (pass the table itself as DATA to use its columns)")
    return notes + case_notes({row.label for row in rows})


def case_notes(classes: set[str]) -> list[str]:
    """A warning where two classes differ in case only."""
    folded = Counter(name.casefold() for name in classes)
    twins = sorted(name for name in classes if folded[name.casefold()] > 1)
    return [f"classes that differ in case only, kept apart: {', '.join(twins)}"] if twins else []


def _build(
    root: Path, rows: list[Row], classes: tuple[str, ...], skipped: list[Skipped], notes: list[str], known: About
) -> Index:
    order = {name: i for i, name in enumerate(classes)}
    rows = sorted(rows, key=lambda row: (order[row.label], row.rest, row.name))
    beginning = os.path.join(root, "")  # texts: 25,000 objects of pathlib take a third of a second
    return Index(
        samples=tuple(row.name for row in rows),
        uris=tuple(beginning + row.name.replace("/", os.sep) for row in rows),
        targets=np.eye(len(classes), dtype=np.float32)[[order[row.label] for row in rows]],
        classes=classes,
        splits=np.array([row.split for row in rows]) if any(row.split for row in rows) else None,
        metadata={_SITE: np.array([row.site for row in rows])} if any(row.site for row in rows) else {},
        skipped=tuple(skipped),
        notes=tuple(notes),
        site=_SITE if any(row.site for row in rows) else "",
        about=known,
    )
