"""Reader ``arrays``: images and labels as NumPy arrays in files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote

import numpy as np

from medplug.plugins import DataError, ImageError, Index, ParameterError, Skipped, component, param, targets_of
from medplug_standard.readers.about import about_beside
from medplug_standard.readers.arrayfiles import Stored, mapped, span_of, stored_in, within
from medplug_standard.readers.files import SPLIT_NAMES, nearest_hint, some
from medplug_standard.readers.names import GROUP_NAMES, SITE_NAMES, normalised

IMAGE_KEYS = ("images", "image", "imgs", "img", "x", "data", "pixels", "volumes", "arr_0")
LABEL_KEYS = ("labels", "label", "y", "targets", "target", "arr_1")
NAME_KEYS = ("names", "filenames", "file_names", "files", "ids", "name", "filename", "id")
CLASS_KEYS = ("classes", "class_names", "label_names", "categories")
"""Names of arrays, in lower case, that give away what they hold; the first that is there counts."""

_PARTS = "|".join(sorted(SPLIT_NAMES, key=len, reverse=True))
_KEY = re.compile(rf"(?:(?P<before>{_PARTS})[_ -])?(?P<stem>.+?)(?:[_ -](?P<after>{_PARTS}))?", re.IGNORECASE)
_CHANNELS = (1, 3, 4)
Task = Literal["multiclass", "multilabel"]
_SURE = 0.6


@dataclass(frozen=True)
class _Part:
    """The arrays of one part of a given split (empty: no split), by the rest of their names in lower case."""

    split: str
    arrays: dict[str, Stored]


@component
class Arrays:
    r"""NumPy arrays: an ``.npz`` file, an ``.npy`` file with its labels in one beside it, or a folder of ``.npy`` files.

    Images and labels are found by their names (``IMAGE_KEYS``, ``LABEL_KEYS``) or by parameters. Names that begin or end
    with that of a split (``train_images``, ``x_test``) give the splits. Further arrays with one value for each image
    become names, groups and metadata; ``classes`` may hold the names of the classes. Labels are ``[N]``, ``[N, 1]`` or
    ``[N, K]`` with NaN for unknown. Nothing is unpickled, and images are memory-mapped.

    Images are ``[N, *S]``, ``[N, *S, C]`` or ``[N, C, *S]``. uint8 is taken as it is; of other types the range from black
    to white is judged from all images together and told, or must be said (``value_range``).

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> with TemporaryDirectory() as data:
        ...     images = np.zeros((4, 8, 8), np.uint8)
        ...     np.savez(f"{data}/set.npz", x_train=images, y_train=[0, 1, 0, 1], x_test=images[:2], y_test=[1, 0])
        ...     index = Arrays(classes=("normal", "cyst")).index(f"{data}/set.npz")
        ...     Arrays().load(index.uris[0]).shape
        (8, 8, 1)
        >>> index.samples[-1], index.label_text(1), index.splits.tolist()
        ('test/1', 'cyst', ['train', 'train', 'train', 'train', 'test', 'test'])
    """

    images: str | None = param("name of the images' array, without that of a split; left out, guessed", default=None)
    labels: str | None = param("name of the labels' array, likewise; left out, guessed", default=None)
    groups: str | None = param(
        "names of arrays of patients, lesions … with commas between; left out, guessed; '' for none", default=None
    )
    site: str | None = param("name of the array of hospitals or scanners; left out, guessed; '' for none", default=None)
    classes: tuple[str, ...] = param("names of the classes in their order; whole numbers count them", default=())
    channels: Literal["auto", "last", "first", "none"] = param("which axis of an image is its channels", default="auto")
    value_range: tuple[float, float] | None = param(
        "the values of black and white; what lies beyond is cut off; left out, judged from all images", default=None
    )

    def __post_init__(self) -> None:
        if self.value_range is not None and self.value_range[0] >= self.value_range[1]:
            raise ParameterError("value_range must rise: black, then white")

    def can_read(self, source: str) -> float:
        """0.6 for an ``.npz`` or ``.npy`` file, or a folder of ``.npy`` files, with an array of images; else 0."""
        try:
            path = Path(source)
            if not source or not (path.is_dir() or path.suffix.lower() in (".npz", ".npy")):
                return 0.0
            return _SURE if self._image_key(_parts(path)) else 0.0
        except (OSError, ValueError, DataError):
            return 0.0

    def index(self, source: str) -> Index:
        """The images with their labels.

        Raises:
            DataError: no such file, damaged, no images or labels in it, or values that nobody can guess.
        """
        return self._index(source, labelled=True)

    def unlabelled(self, source: str) -> Index:
        """The images alone, for prediction."""
        return self._index(source, labelled=False)

    def load(self, uri: str) -> np.ndarray:
        """The pixels of one image, ``[*S, C]``: uint8, or float32 in 0..1."""
        try:
            path, key, row, form = uri.rsplit("#", 3)
            channels, span = form.split(";")
            array = mapped(path, unquote(key))
            low, colon, high = span.partition(":")
            image = within(array[int(row)], (float(low), float(high)) if colon else None)
        except (ValueError, IndexError, OSError, DataError) as error:
            raise ImageError(f"{uri!r} is no image in a NumPy file: {error}") from None
        if channels == "first":
            return np.ascontiguousarray(np.moveaxis(image, 0, -1))
        return image if channels == "last" else image[..., None]

    def files(self, uri: str) -> tuple[str, ...]:
        """The file that an image is in: a cache of decoded images holds as long as its bytes do."""
        return (uri.rsplit("#", 3)[0],)

    # ------------------------------------------------------------ what is what

    def _image_key(self, parts: Sequence[_Part]) -> str:
        return _first(parts, (self.images.lower(),) if self.images else IMAGE_KEYS)

    def _index(self, source: str, labelled: bool) -> Index:
        path = Path(os.path.abspath(source))
        parts = _parts(path)
        try:
            return self._read(path, parts, labelled)
        except DataError as error:
            told = str(error)
            raise DataError(told if told.startswith(str(path)) else f"{source}: {told}") from None

    def _read(self, path: Path, parts: Sequence[_Part], labelled: bool) -> Index:
        key = self._image_key(parts)
        if not key:
            raise DataError(_not_found("images", self.images, parts))
        left = [name for part in parts if key not in part.arrays for name in part.arrays]
        parts = [part for part in parts if key in part.arrays]
        uris, notes = self._images([part.arrays[key] for part in parts])
        counts = [part.arrays[key].shape[0] for part in parts]
        columns = _columns(parts, counts, key)
        names, more = _names(columns, parts, counts)
        notes += more
        targets, classes = np.zeros((len(uris), 0), np.float32), ()
        task: Task = "multilabel"
        if labelled:
            targets, classes, task, label_key = self._labels(parts, counts)
            columns.pop(label_key, None)
            notes.append(f"labels from {label_key!r}")
        groups, site, more = self._roles(columns)
        splits = np.array([part.split for part, n in zip(parts, counts, strict=True) for _ in range(n)])
        notes += [*more, *_further_notes(left, splits)]
        unknown = np.isnan(targets).all(1) & labelled
        rows = np.flatnonzero(~unknown)
        return Index(
            tuple(names[row] for row in rows),
            tuple(uris[row] for row in rows),
            targets[rows],
            classes,
            task,
            groups={name: columns[name][rows].astype(str) for name in groups},
            metadata={name: column[rows] for name, column in columns.items() if name not in groups},
            splits=splits[rows] if any(splits) else None,
            skipped=tuple(Skipped(names[row], "no label") for row in np.flatnonzero(unknown)),
            notes=tuple(notes),
            site=site,
            about=about_beside(path if path.is_dir() else path.parent),
        )

    def _images(self, images: Sequence[Stored]) -> tuple[list[str], list[str]]:
        """A uri for each image, which says all that ``load`` must know, and notes."""
        channels = self._channels(images)
        span, told = (self.value_range, "") if self.value_range else span_of([stored.read() for stored in images])
        form = f"{channels};{'' if span is None else f'{span[0]!r}:{span[1]!r}'}"
        uris = [f"{one.path}#{quote(one.key)}#{row}#{form}" for one in images for row in range(one.shape[0])]
        notes = [f"images from {some([_told(stored) for stored in images])}", *([told] if told else [])]
        if channels == "first":
            notes.append("the first axis of an image is taken for its channels (reader.channels)")
        return uris, notes

    def _channels(self, images: Sequence[Stored]) -> str:
        shapes = {stored.shape[1:] for stored in images}
        if len({len(shape) for shape in shapes}) > 1 or min(map(len, shapes)) < 2:
            raise DataError(
                f"images must be [N, height, width] or have more axes, got {some([str(s) for s in shapes])}"
            )
        shape = min(shapes)
        if self.channels == "auto":
            last, first = shape[-1] in _CHANNELS, shape[0] in _CHANNELS
            return "none" if len(shape) == 2 else "last" if last else "first" if first else "none"
        place = {"last": -1, "first": 0}.get(self.channels)
        if place is not None and (len(shape) < 3 or shape[place] not in _CHANNELS):
            raise DataError(f"reader.channels={self.channels}, but images are {list(shape)}")
        return self.channels

    def _labels(self, parts: Sequence[_Part], counts: Sequence[int]) -> tuple[np.ndarray, tuple[str, ...], Task, str]:
        key = _first(parts, (self.labels.lower(),) if self.labels else LABEL_KEYS)
        if not key:
            raise DataError(_not_found("labels", self.labels, parts))
        values = []
        for part, n in zip(parts, counts, strict=True):
            if key not in part.arrays:
                raise DataError(f"the images of the part {part.split!r} have no labels: no {key!r} beside them")
            stored = part.arrays[key]
            if not stored.shape or stored.shape[0] != n:
                raise DataError(f"{_told(stored)} has the shape {list(stored.shape)}, but there are {n} images")
            values.append(np.asarray(stored.read()))
        classes = self.classes or _class_names(parts)
        targets, names, task = targets_of(np.concatenate(values), classes or None)
        return targets, names, task, key

    def _roles(self, columns: dict[str, np.ndarray]) -> tuple[list[str], str, list[str]]:
        """The columns of groups, that of sites, and notes."""
        notes = []
        groups = [name.strip() for name in (self.groups or "").split(",") if name.strip()]
        for name in [*groups, *([self.site] if self.site else [])]:
            if name not in columns:
                hint = nearest_hint(name, columns)
                raise DataError(
                    f"no array {name!r} with one value for each image{hint} (there are: {some(list(columns))})"
                )
        if self.groups is None:
            groups = [name for name in columns if normalised(name) in GROUP_NAMES]
        site = self.site or ""
        if self.site is None:
            site = next((name for name in columns if normalised(name) in SITE_NAMES), "")
        if groups:
            notes.append(f"groups from {', '.join(map(repr, groups))}{' (guessed)' if self.groups is None else ''}")
        if site:
            notes.append(f"{site!r} tells where images come from{' (guessed)' if self.site is None else ''}")
        return groups, site, notes


def _parts(path: Path) -> list[_Part]:
    """The arrays of a source by the split that their names tell, in the order of the splits' names."""
    if path.is_dir():
        files = sorted(path.glob("*.npy"))
    elif path.suffix.lower() == ".npy":
        mine = _split_and_stem(path.stem)[0]
        beside = [p for p in sorted(path.parent.glob("*.npy")) if _split_and_stem(p.stem)[0] == mine and p != path]
        files = [path, *(p for p in beside if _split_and_stem(p.stem)[1] not in IMAGE_KEYS)]
    else:
        files = [path]
    if not files:
        raise DataError(f"{path}: holds no .npy files")
    parts: dict[str, dict[str, Stored]] = {}
    for file in files:
        for name, stored in stored_in(file).items():
            split, stem = _split_and_stem(name)
            if stem in parts.setdefault(split, {}):
                raise DataError(f"{path}: two arrays are called {stem!r} in the part {split or 'all'!r}")
            parts[split][stem] = stored
    order = ("train", "validation", "test", "")
    return [_Part(split, parts[split]) for split in order if split in parts]


def _split_and_stem(name: str) -> tuple[str, str]:
    match = _KEY.fullmatch(name)
    if not match or (match["before"] and match["after"]):
        return "", name.lower()
    word = match["before"] or match["after"] or ""
    return SPLIT_NAMES.get(word.lower(), ""), match["stem"].lower()


def _first(parts: Sequence[_Part], names: Sequence[str]) -> str:
    return next((name for name in names if any(name in part.arrays for part in parts)), "")


def _told(stored: Stored) -> str:
    return repr(stored.key or os.path.basename(stored.path))


def _further_notes(left: Sequence[str], splits: np.ndarray) -> list[str]:
    notes = [f"not used, because without images: {some(list(left))}"] if left else []
    if any(splits):
        notes.append(f"given splits from the names of the arrays: {some(list(dict.fromkeys(splits.tolist())))}")
    return notes


def _not_found(what: str, wanted: str | None, parts: Sequence[_Part]) -> str:
    there = [f"{_told(s)} {list(s.shape)}" for part in parts for s in part.arrays.values()]
    tried = repr(wanted) if wanted else f"none of {', '.join(IMAGE_KEYS if what == 'images' else LABEL_KEYS)}"
    return f"no array of {what}: {tried}; set reader.{what} (arrays: {some(there, 20)})"


def _columns(parts: Sequence[_Part], counts: Sequence[int], images: str) -> dict[str, np.ndarray]:
    """Arrays with one value for each image, in every part, other than the images."""
    shared = [name for name in parts[0].arrays if all(name in part.arrays for part in parts) and name != images]
    columns = {}
    for name in shared:
        stored = [part.arrays[name] for part in parts]
        if all(s.shape == (n,) for s, n in zip(stored, counts, strict=True)):
            column = np.concatenate([np.asarray(s.read()) for s in stored])
            columns[name] = np.char.decode(column, "utf-8") if column.dtype.kind == "S" else column
    return columns


def _names(
    columns: dict[str, np.ndarray], parts: Sequence[_Part], counts: Sequence[int]
) -> tuple[list[str], list[str]]:
    """Names of the samples: those that an array gives, if they differ, else numbers within each part."""
    notes = []
    for key in NAME_KEYS:
        if key in columns:
            names = [name.replace("\\", "/").lstrip("/") for name in columns[key].astype(str).tolist()]
            if len(set(names)) == len(names) and all(names):
                del columns[key]
                return names, [f"names of the images from {key!r}"]
            notes.append(f"{key!r} gives no names to the images, because some of its values repeat or are empty")
    width = len(str(max(max(counts) - 1, 0)))
    lead = [f"{part.split}/" if part.split else "" for part in parts]
    return [f"{lead[k]}{row:0{width}d}" for k, n in enumerate(counts) for row in range(n)], notes


def _class_names(parts: Sequence[_Part]) -> tuple[str, ...]:
    for part in parts:
        for key in CLASS_KEYS:
            stored = part.arrays.get(key)
            if stored is not None and len(stored.shape) == 1 and stored.dtype.kind in "US":
                array = np.asarray(stored.read())
                return tuple((np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array).tolist())
    return ()
