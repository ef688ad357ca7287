"""Which columns of a table name the images, and where these lie."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medplug.plugins import DataError
from medplug_standard.readers.filematch import Finder, Match, looks_like_mask
from medplug_standard.readers.files import some
from medplug_standard.readers.names import normalised
from medplug_standard.readers.tablefile import Table, is_missing

_PROBES = 300  # rows looked at to find the columns of images
_DERIVED = re.compile(r"mask|segm|thumb|overlay|annot|heat_?map|preview|contour|bbox|ground_truth")
"""Columns never taken for further images of a row by guess: what they name is made from the image."""


@dataclass(frozen=True)
class ImageColumn:
    """One column of images: its name, where its files lie, and by which rules they were matched, in words."""

    name: str
    finder: Finder
    how: str = ""


@dataclass(frozen=True)
class _Candidate:
    column: str
    finder: Finder
    matches: tuple[Match, ...]

    @property
    def score(self) -> tuple[float, float]:
        """Different files found per row looked at; among equals, how little the rules had to stretch."""
        trust = {m.name: m.trust for m in self.matches if m.name}
        return len(trust) / max(len(self.matches), 1), sum(trust.values()) / max(len(trust), 1)

    def found(self) -> ImageColumn:
        """The column, as it is used from here on."""
        return ImageColumn(self.column, self.finder, ", ".join(Counter(m.how for m in self.matches if m.how)))


def find_images(table: Table, places: Sequence[Finder], named: Sequence[str] = ()) -> tuple[ImageColumn, ...]:
    """The columns of images, in the order of the table: those that are named, or the one that fits best and its like.

    A column scores by the share of its rows that lead to different files, so that a column of grades 1 to 5 does not
    pass for the files 001 to 005. Further columns are taken if half as many files again are only in them, and if their
    names do not speak of masks, thumbnails or other derived images.

    Raises:
        DataError: no column leads to files, or one that is named does not.
    """
    best = {name: _best_place(table, name, places) for name in named or table.columns}
    for name in named:
        if best[name].score[0] == 0:
            raise DataError(_nothing_matches(table, [name], places))
    if named:
        return tuple(best[name].found() for name in named)
    chosen = max(best.values(), key=lambda candidate: candidate.score)
    if chosen.score[0] == 0:
        raise DataError(_nothing_matches(table, list(table.columns), places))
    taken = {chosen.column, *_others(table, chosen, best.values())}
    return tuple(best[name].found() for name in table.columns if name in taken)


def find_masks(table: Table, column: str, image: ImageColumn, base: Path) -> dict[str, str]:
    """The path of the mask of each image, by the path of the image; cells without a file name none.

    The paths in the column start at the folder of the table or at that of the images.

    Raises:
        DataError: no cell leads to a file.
    """
    found: dict[str, str] = {}
    for value, name in zip(table.columns[column], table.columns[image.name], strict=True):
        places = [] if is_missing(value) else [base / value.strip(), image.finder.root / value.strip()]
        mask = next((place for place in places if place.is_file()), None)
        match = image.finder.find(name)
        if mask is not None and match.name:
            found[os.path.normpath(image.finder.root / match.name)] = os.path.normpath(mask)
    if not found:
        raise DataError(
            f"reader.mask_column: no cell of {column!r} leads to a file; tried were paths from {base} and from "
            f"{image.finder.root}, such as {table.columns[column][0]!r}"
        )
    return found


def _best_place(table: Table, column: str, places: Sequence[Finder]) -> _Candidate:
    cells = table.columns[column]
    probes = cells[:: max(1, len(cells) // _PROBES)]
    return max((_Candidate(column, p, tuple(map(p.find, probes))) for p in places), key=lambda one: one.score)


def _others(table: Table, chosen: _Candidate, candidates: Iterable[_Candidate]) -> list[str]:
    """Columns that name further images of the rows. What few rows suggest is confirmed by all of them."""
    names = []
    mine = _files(chosen.finder, table.columns[chosen.column])
    for rival in candidates:
        if rival is chosen or rival.score[0] == 0 or _DERIVED.search(normalised(rival.column)):
            continue
        more = _files(rival.finder, table.columns[rival.column]) - mine
        if len(more) * 2 > len(mine):
            names.append(rival.column)
            mine |= more
    return names


def _files(finder: Finder, cells: Sequence[str]) -> set[str]:
    found = {finder.find(cell).name for cell in set(cells)} - {""}
    return {str(finder.root / name) for name in found if not looks_like_mask(name)}


def _nothing_matches(table: Table, columns: Sequence[str], places: Sequence[Finder]) -> str:
    where = some([f"{place.root} ({place.images} images)" for place in places], 4)
    if len(columns) == 1:
        tried = [repr(cell) for cell in table.columns[columns[0]][:3]]
        what = f"no cell of column {columns[0]!r} leads to a file; tried were {', '.join(tried)}"
    else:
        examples = [f"{name}: {table.columns[name][0]!r}" for name in columns]
        what = f"no column leads to image files; tried were {some(examples, 5)}"
    return f"{what}, as paths and as names without extension, in {where}; set reader.image_root or reader.image_column"
