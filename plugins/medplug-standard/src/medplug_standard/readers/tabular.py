"""What the readers of tables share: their parameters, which columns mean what, and the sentences about it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medplug.plugins import DataError, Index, component, load_mask, param
from medplug_standard.readers import columns as col
from medplug_standard.readers.about import about_beside
from medplug_standard.readers.columns import Roles
from medplug_standard.readers.filematch import Finder, finders
from medplug_standard.readers.files import some, walk
from medplug_standard.readers.imagecolumns import ImageColumn, find_images, find_masks
from medplug_standard.readers.imagefiles import ImageFiles
from medplug_standard.readers.tablefile import Table
from medplug_standard.readers.tableindex import build, build_unlabelled
from medplug_standard.readers.tablelabels import LabelRules, read_labels

_ROLES = ("image_column", "label_column", "group_column", "split_column", "site_column")


@component
class Tabular(ImageFiles):
    """Rows of a table that name image files. Base of the readers of tables."""

    image_column: str | None = param(
        "column of image paths, names or ids, or several with commas between; left out, guessed", default=None
    )
    label_column: str | None = param(
        "label column, or several with commas between (one-hot, multi-label); left out, guessed", default=None
    )
    group_column: str | None = param(
        "columns (commas between) of patient, lesion …; left out, guessed; '' for none", default=None
    )
    split_column: str | None = param("column of train, validation, test; left out, guessed; '' for none", default=None)
    site_column: str | None = param(
        "column of the hospital or scanner that images come from; left out, guessed; '' for none", default=None
    )
    mask_column: str | None = param(
        "column of mask files, which mark in each image what its label names: paths from the folder of the table or of "
        "the images",
        default=None,
    )
    image_root: str | None = param(
        "folder of the images, relative to that of the table; left out, it is guessed", default=None
    )
    classes: tuple[str, ...] = param("classes to read, in this order; none given means all, sorted", default=())
    label_separator: str = param("between several labels in one cell; '' for none", default="|")
    empty: Literal["unknown", "no"] = param("what an empty cell says in label columns of 0 and 1", default="unknown")
    unsure: Literal["unknown", "no", "yes"] = param(
        "what -1 says in label columns of 0 and 1 (CheXpert's uncertain)", default="unknown"
    )

    def table(self, path: Path) -> Table:
        """The table in a file."""
        raise NotImplementedError

    def index(self, source: str) -> Index:
        """The rows whose image is there.

        Raises:
            DataError: an unreadable table, a column that is not there, images that are not there, labels that
                are none, or one class only.
        """
        path = self._file(source)
        table = self.table(path)
        try:
            roles = self._roles(table, path)
            labels = read_labels(
                table, roles.labels, LabelRules(self.classes, self.label_separator, self.empty, self.unsure)
            )
            index = build(table, roles, labels, path.parent, about_beside(path.parent))
            masks = find_masks(table, roles.mask, roles.images[0], path.parent) if roles.mask else {}
        except DataError as error:
            raise DataError(f"{source}: {error}") from None
        object.__setattr__(self, "_masks", masks)  # parameters are frozen; what a table says of its files is none
        return index

    def mask(self, uri: str) -> np.ndarray | None:
        """The mask that the last table names beside an image, ``[H, W]`` bool; None where it names none.

        Raises:
            ImageError: the mask cannot be read.
        """
        found = getattr(self, "_masks", {}).get(uri)
        return None if found is None else load_mask(found)

    def unlabelled(self, source: str) -> Index:
        """The images that the table names, for prediction: no label is needed, and none is read.

        Raises:
            DataError: an unreadable table, a column or images that are not there.
        """
        path = self._file(source)
        table = self.table(path)
        try:
            return build_unlabelled(table, self._roles(table, path, labels=False), path.parent)
        except DataError as error:
            raise DataError(f"{source}: {error}") from None

    def _file(self, source: str) -> Path:
        path = Path(os.path.abspath(source))
        if os.path.isdir(path):  # unlike Path.is_dir it does not raise where a folder above is closed
            raise DataError(f"{source}: a folder; the reader takes the table itself")
        return path

    def _roles(self, table: Table, path: Path, labels: bool = True) -> Roles:
        asked = {name: col.named(table, getattr(self, name) or "", f"reader.{name}") for name in _ROLES}
        for name in ("split_column", "site_column"):
            if len(asked[name]) > 1:
                raise DataError(f"reader.{name}: one column is wanted, got {', '.join(asked[name])}")
        images = find_images(table, _places(path.parent, self.image_root), asked["image_column"])
        named = {name for names in asked.values() for name in names}
        mask = self.mask_column or ""
        if mask and mask not in table.columns:
            col.named(table, mask, "reader.mask_column")
        if mask and len(images) > 1:
            raise DataError("reader.mask_column: with several columns of images nobody knows whose masks these are")
        taken = {*(image.name for image in images), *table.labels, *named, *([mask] if mask else ())}
        split, site = "".join(asked["split_column"]), "".join(asked["site_column"])
        remarks: list[str] = []
        if self.split_column is None:
            split = col.guess_split(table, taken)
        groups = asked["group_column"]
        if self.group_column is None:
            groups, remarks = col.guess_groups(table, taken | {split})
        chosen, why = asked["label_column"] or table.labels, ""
        if labels and not chosen:
            chosen, why = col.guess_labels(table, taken | {split, *groups})
        if self.site_column is None:
            site, more = col.guess_site(table, taken | {split, *groups, *chosen})
            remarks = [*remarks, *more]
        roles = Roles(images, chosen, groups, split, site, mask)
        notes = [*table.notes, *self._told(path, roles, why), *remarks]
        return Roles(images, chosen, groups, split, site, mask, notes)

    def _told(self, path: Path, roles: Roles, why: str) -> list[str]:
        def mark(value: Any) -> str:
            return " (guessed)" if value is None else ""

        notes = [
            f"images from column {image.name!r}{mark(self.image_column)}, "
            f"{_where(image, path.parent)}{mark(self.image_root)}" + (f": {image.how}" if image.how else "")
            for image in roles.images
        ]
        if len(roles.images) > 1:
            notes.append(
                f"each row names up to {len(roles.images)} images, which stay in one split and share the labels of the "
                "row: where these are those of a patient, single images may not show them"
            )
        if roles.labels:
            word = "label from column" if len(roles.labels) == 1 else "labels from columns"
            notes.append(f"{word} {some([repr(n) for n in roles.labels], 20)}" + (f" ({why})" if why else ""))
        if roles.groups:
            notes.append(f"groups from {', '.join(map(repr, roles.groups))}{mark(self.group_column)}")
        if roles.mask:
            notes.append(f"masks from column {roles.mask!r}")
        if roles.split:
            notes.append(f"given splits from column {roles.split!r}{mark(self.split_column)}")
        if roles.site:
            notes.append(f"column {roles.site!r} tells where images come from{mark(self.site_column)}")
        return notes


def _where(image: ImageColumn, base: Path) -> str:
    folder = os.path.relpath(image.finder.root, base).replace(os.sep, "/")
    return "beside the table" if folder == "." else f"in folder {folder}/"


def _places(base: Path, image_root: str | None) -> Sequence[Finder]:
    if image_root is None:
        return finders(base)
    root = Path(os.path.abspath(base / image_root))
    if not root.is_dir():
        raise DataError(f"reader.image_root: no such folder: {root} (a relative one starts at the folder of the table)")
    return [Finder(root, [found.name for found in walk(root) if not found.problem])]
