"""What Python hands over instead of DATA: arrays, paths, anything that yields them with labels, and tables in memory."""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medplug.errors import DataError
from medplug.images import ImageError, file_facts, load_image
from medplug.memory import as_image, check_depth, targets_of
from medplug.values import Index, Skipped

_PARTS = {"train": "train", "val": "validation", "validation": "validation", "test": "test", "": ""}


class ArrayReader:
    """Reads images and labels that are in memory, or images by their paths; these are only opened when needed.

    Args:
        images: ``[N, *S, C]``, or N arrays (``[H, W]`` is taken for grey, ``[C, H, W]`` is turned), tensors, images of
            Pillow, or paths. Their values are those of :func:`medplug.memory.as_image`.
        labels: as :func:`medplug.memory.targets_of` takes them: ``[N]`` names or numbers, ``[N, K]``, or lists of
            names. Samples of which nothing is known are left out and listed.
        classes: names of the classes in their order.
        groups: a column ``[N]``, or several by name; samples that share a value of any of them stay in one split.
        splits: ``[N]`` of ``train``, ``validation`` (or ``val``), ``test`` or nothing.
        metadata: further columns by name.
        names: of the samples; by default their paths below the folder they share, or numbers.
        site: the column, of ``groups`` or ``metadata``, that tells where a sample comes from.

    Raises:
        DataError: columns of other lengths, names that repeat, values, labels or splits that are none.
    """

    def __init__(
        self,
        images: Iterable[Any],
        labels: Any,
        *,
        classes: Sequence[Any] | None = None,
        groups: Any = None,
        splits: Iterable[Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        names: Iterable[Any] | None = None,
        site: str = "",
    ) -> None:
        entries = [os.path.abspath(i) if isinstance(i, (str, Path)) else as_image(i) for i in images]
        targets, found, task = targets_of(labels, classes)
        if not entries or len(targets) != len(entries):
            raise DataError(
                f"{len(entries)} images and {len(targets)} labels: there must be as many labels as images, and some"
            )
        check_depth(i for i in entries if isinstance(i, np.ndarray))
        uris = [i if isinstance(i, str) else f"{row}:{_hash(i)}" for row, i in enumerate(entries)]
        self._entries = dict(zip(uris, entries, strict=True))
        samples = _names(entries, names)
        unknown = np.isnan(targets).all(1)
        rows = np.flatnonzero(~unknown)
        groups = {} if groups is None else groups if isinstance(groups, Mapping) else {"group": groups}

        def column(name: str, values: Iterable[Any]) -> np.ndarray:
            listed = list(values)
            if len(listed) != len(entries):
                raise DataError(f"{name}: {len(listed)} values for {len(entries)} images")
            return np.asarray([listed[row] for row in rows])

        self._index = Index(
            tuple(samples[row] for row in rows),
            tuple(uris[row] for row in rows),
            targets[rows],
            found,
            task,
            groups={str(k): column(k, map(_text, v)).astype(str) for k, v in groups.items()},
            metadata={str(k): column(k, v) for k, v in (metadata or {}).items()},
            splits=None if splits is None else column("splits", map(_part, splits)).astype(str),
            skipped=tuple(Skipped(samples[row], "no label") for row in np.flatnonzero(unknown)),
            notes=(f"samples without a label, left out: {unknown.sum()}",) if unknown.any() else (),
            site=site,
        )

    def can_read(self, source: str) -> float:
        """Only ever used as an instance."""
        return 0.0

    def index(self, source: str) -> Index:
        """The index of the arrays."""
        return self._index

    def load(self, uri: str) -> np.ndarray:
        """The pixels of one sample."""
        entry = self._entries.get(uri)
        if entry is None:
            raise ImageError(f"{uri!r} is no image of these arrays")
        return load_image(entry) if isinstance(entry, str) else entry

    def facts(self, uri: str) -> dict[str, str | int | float]:
        """What the file of a sample tells beside its pixels; nothing of one in memory."""
        entry = self._entries.get(uri)
        return file_facts(entry) if isinstance(entry, str) else {}


def reader_of(data: Any, labels: Any = None, **columns: Any) -> ArrayReader:
    """The reader of images with labels, or of a tuple of both, or of anything that yields (image, label) pairs.

    Raises:
        DataError: there are no labels, or as :class:`ArrayReader`.
    """
    if labels is None and isinstance(data, tuple) and len(data) == 2:
        data, labels = data
    if labels is not None:
        return ArrayReader(data, labels, **columns)
    images, labels = [], []
    for number, pair in enumerate(data):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise DataError(
                "images in memory need labels: fit(images, labels), or pairs of (image, label); "
                f"number {number} is a {type(pair).__name__}"
            )
        images.append(pair[0])
        labels.append(pair[1])
    return ArrayReader(images, labels, **columns)


def _hash(image: np.ndarray) -> str:
    """The content is part of a uri, so that a cache of other arrays is never taken for that of these."""
    digest = hashlib.sha256(f"{image.dtype}{image.shape}".encode())
    digest.update(np.ascontiguousarray(image).tobytes())
    return digest.hexdigest()[:16]


def _names(entries: Sequence[Any], names: Iterable[Any] | None) -> list[str]:
    if names is not None:
        chosen = [str(name) for name in names]
        if len(chosen) != len(entries):
            raise DataError(f"names: {len(chosen)} values for {len(entries)} images")
    elif all(isinstance(entry, str) for entry in entries):
        base = os.path.commonpath([os.path.dirname(entry) for entry in entries])
        chosen = [os.path.relpath(entry, base).replace(os.sep, "/") for entry in entries]
    else:
        chosen = [f"{row:0{len(str(len(entries) - 1))}d}" for row in range(len(entries))]
    twice = len(chosen) - len(set(chosen))
    if twice:
        first = next(name for name in chosen if chosen.count(name) > 1)
        raise DataError(f"{twice} names of samples repeat, such as {first!r}; each image must be there once")
    return chosen


def _text(value: Any) -> str:
    missing = value is None or (isinstance(value, (float, np.floating)) and np.isnan(value))
    return "" if missing else str(value)


def _part(value: Any) -> str:
    text = _text(value)
    if text.lower() not in _PARTS:
        raise DataError(f"splits: {text!r} names no part; known are train, validation (or val), test and ''")
    return _PARTS[text.lower()]


# ---------------------------------------------------------------- tables in memory


def is_table(data: Any) -> bool:
    """Whether something is a data frame, columns by name, or a list of records."""
    records = isinstance(data, (list, tuple)) and len(data) > 0 and all(isinstance(row, Mapping) for row in data)
    return hasattr(data, "columns") or isinstance(data, Mapping) or records


def write_table(data: Any, path: Path) -> None:
    """A table in memory as a CSV file; from there on it is data like any other.

    Raises:
        DataError: columns of different lengths, or an object that has columns and cannot be written.
    """
    if hasattr(data, "write_csv"):  # polars
        data.write_csv(path)
    elif hasattr(data, "to_csv"):  # pandas
        data.to_csv(path, index=False)
    elif isinstance(data, Mapping):
        columns = {str(name): list(values) for name, values in data.items()}
        lengths = {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"a table must have columns of one length, got {lengths}")
        _write_rows(path, list(columns), zip(*columns.values(), strict=True))
    elif isinstance(data, (list, tuple)):
        names = list(dict.fromkeys(str(name) for row in data for name in row))
        texts = ({str(k): v for k, v in row.items()} for row in data)
        _write_rows(path, names, ([row.get(name) for name in names] for row in texts))
    else:
        raise DataError(f"{type(data).__name__} has columns but can be written neither by write_csv nor by to_csv")


def _write_rows(path: Path, names: list[str], rows: Iterable[Iterable[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(names)
        writer.writerows([[_text(value) for value in row] for row in rows])
