"""Reader ``folder``: one folder per class, perhaps within one folder per split."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np

from medplug.plugins import DataError, Index, Skipped, component, load_image, param
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

_GLANCE = 50_000  # files looked at before a folder counts as one without images: someone may pass a whole disk


@dataclass(frozen=True, slots=True)
class _Row:
    """One image: its name, its class, the rest of its path within the class folder, its given split."""

    name: str
    label: str
    rest: str
    split: str = ""


@component
class Folder:
    """Class folders: the name of a folder is the class of every image below it.

    Understood are ``DATA/CLASS/…``, given splits as ``DATA/SPLIT/CLASS/…`` or ``DATA/CLASS/SPLIT/…``
    (:data:`~medplug_standard.readers.files.SPLIT_NAMES`), and either of them within one more folder. Classes are
    sorted as Python strings; samples by class, then by their path within the class folder.

    Skipped, each with its reason: hidden files and folders; masks (``masks``: a file whose stem ends in a word of
    :data:`~medplug_standard.readers.files.MASK_WORDS`, or anything in a folder of ``MASK_FOLDERS``); files whose
    extension is not that of an image (``extensions``); images outside any class folder; loops of links.
    Masks that only their pixels betray are not recognised.
    """

    loads_files = True

    masks: Literal["skip", "keep"] = param(
        "files that look like masks by their name: skip or keep them", default="skip"
    )
    extensions: Literal["images", "all"] = param(
        "files to take for images: those with an image's extension, or all", default="images"
    )
    classes: tuple[str, ...] = param("classes to read, in this order; none given means all, sorted", default=())
    pixels: Literal["faithful", "pillow"] = param(
        "with pillow, images are read as convert('RGB') does: 16 bits saturate, EXIF and alpha are ignored",
        default="faithful",
    )

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
        found = list(walk(root, masks=self.masks == "keep"))
        usable, skipped = self._usable(found)
        tables = [f.name for f in found if f.name.lower().endswith((".csv", ".tsv"))]
        if not usable:
            raise DataError(_no_images(source, found, skipped))
        rows, left, notes = _arrange(source, usable, self.classes)
        skipped += left
        rows, more = self._chosen(source, rows)
        notes += more
        classes = self.classes or tuple(sorted({row.label for row in rows}))
        _check_classes(source, rows, usable, tables)
        notes += _notes(found, skipped, rows, tables)
        return _build(root, rows, classes, skipped, notes)

    def load(self, uri: str) -> np.ndarray:
        """The pixels of one file, as :func:`medplug.plugins.load_image` reads them."""
        return load_image(uri, convert=self.pixels == "pillow")

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

    def _chosen(self, source: str, rows: list[_Row]) -> tuple[list[_Row], list[str]]:
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


# ---------------------------------------------------------------- the layout, from the paths alone


def _arrange(source: str, names: list[str], wanted: tuple[str, ...]) -> tuple[list[_Row], list[Skipped], list[str]]:
    """Which part of each path is the class and which the split; the images that are in no class folder."""
    shell = _shell(names, wanted)
    prefix = f"{shell}/" if shell else ""
    notes = [f"the class folders are those in {prefix}"] if shell else []
    skipped = [Skipped(n, "not in a class folder") for n in names if "/" not in n[len(prefix) :]]
    parts = [(n, n[len(prefix) :].split("/")) for n in names if "/" in n[len(prefix) :]]
    with_classes = {p[0] for _, p in parts if len(p) > 2}
    flat = {p[0] for _, p in parts if len(p) == 2}
    given = {top for top in with_classes | flat if _is_split(top) and top not in wanted}
    if given & (with_classes - flat):
        rows, left, more = _split_outside(source, prefix, parts, given, with_classes | flat)
    else:
        rows, left, more = _split_inside(source, prefix, parts, given)
    return rows, skipped + left, notes + more


def _shell(names: list[str], wanted: tuple[str, ...]) -> str:
    """The one folder that holds everything, as archives often unpack to; empty if there is none."""
    tops = {n.split("/")[0] for n in names}
    if len(tops) != 1:
        return ""
    top = tops.pop()
    if _is_split(top) or top in wanted or any(n.count("/") < 2 for n in names):
        return ""
    return top


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_NAMES


def _split_outside(
    source: str, prefix: str, parts: list[tuple[str, list[str]]], given: set[str], tops: set[str]
) -> tuple[list[_Row], list[Skipped], list[str]]:
    """``SPLIT/CLASS/…``. Images outside class folders, and folders beside the splits, are left out."""
    beside = sorted(tops - given)
    if beside and not any(SPLIT_NAMES[top.lower()] == "train" for top in given):
        raise DataError(
            f"{source}: both split folders ({some(sorted(given))}) and other folders with images ({some(beside)}), "
            "so it is not clear which are the classes; move the one kind elsewhere, or name the classes: "
            "--set reader.classes=…"
        )
    rows: list[_Row] = []
    skipped: list[Skipped] = []
    for name, p in parts:
        if p[0] not in given:
            skipped.append(Skipped(name, "in a folder beside the split folders"))
        elif len(p) < 3:
            skipped.append(Skipped(name, "not in a class folder of its split"))
        else:
            rows.append(_Row(name, p[1], "/".join(p[2:]), SPLIT_NAMES[p[0].lower()]))
    words = ", ".join(f"{prefix}{top} -> {SPLIT_NAMES[top.lower()]}" for top in sorted(given))
    notes = [f"given splits, from the folders: {words}"]
    if beside:
        notes.append(f"left out, because beside the split folders: {some(beside)}")
    return rows, skipped, notes


def _split_inside(
    source: str, prefix: str, parts: list[tuple[str, list[str]]], unlabelled: set[str]
) -> tuple[list[_Row], list[Skipped], list[str]]:
    """``CLASS/…``, or ``CLASS/SPLIT/…`` if that holds for every image. Split folders without classes are left out."""
    skipped = [Skipped(name, "in a split folder without class folders") for name, p in parts if p[0] in unlabelled]
    parts = [(name, p) for name, p in parts if p[0] not in unlabelled]
    if unlabelled and not parts:
        raise DataError(
            f"{source}: {some(sorted(unlabelled))} hold images but no class folders; expected is "
            f"{prefix}SPLIT/CLASS/IMAGE"
        )
    notes = []
    if unlabelled:
        notes.append(f"left out, being named like splits without class folders: {some(sorted(unlabelled))}")
    if parts and all(len(p) > 2 and _is_split(p[1]) for _, p in parts):
        words = ", ".join(f"{n} -> {SPLIT_NAMES[n.lower()]}" for n in sorted({p[1] for _, p in parts}))
        notes.append(f"given splits, from the folders within the class folders: {words}")
        return [_Row(n, p[0], "/".join(p[2:]), SPLIT_NAMES[p[1].lower()]) for n, p in parts], skipped, notes
    return [_Row(n, p[0], "/".join(p[1:])) for n, p in parts], skipped, notes


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


def _check_classes(source: str, rows: list[_Row], usable: list[str], tables: list[str]) -> None:
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


def _notes(found: list[Found], skipped: list[Skipped], rows: list[_Row], tables: list[str]) -> list[str]:
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


def _build(root: Path, rows: list[_Row], classes: tuple[str, ...], skipped: list[Skipped], notes: list[str]) -> Index:
    order = {name: i for i, name in enumerate(classes)}
    rows = sorted(rows, key=lambda row: (order[row.label], row.rest, row.name))
    return Index(
        samples=tuple(row.name for row in rows),
        uris=tuple(str(root / row.name) for row in rows),
        targets=np.eye(len(classes), dtype=np.float32)[[order[row.label] for row in rows]],
        classes=classes,
        splits=np.array([row.split for row in rows]) if any(row.split for row in rows) else None,
        skipped=tuple(skipped),
        notes=tuple(notes),
    )
