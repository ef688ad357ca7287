"""Splits as files: reading one that is given back or hand-made, and the hash that tells splits apart."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from medplug.data.split.proof import images
from medplug.errors import DataError
from medplug.values import SPLITS, Index

HASH_LENGTH = 16  # hexadecimal digits of a picture's hash: enough to tell the images of any data set apart
_SAMPLE = ("sample", "image", "file", "filename", "name", "path", "id")
_PART = ("split", "part", "set", "subset", "partition")
_PARTS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
    "": "", "none": "",
}  # fmt: skip
_NAMED = 5


def split_hash(keys: Sequence[str], parts: Iterable[str]) -> str:
    """A hash of who is in which part: 64 hexadecimal digits.

    It goes by the first 16 digits of each picture's hash, as ``split.csv`` holds them, so that the same split of the same
    pictures has the same hash under any names and in any order. Samples in no part do not count.

    Args:
        keys: N hashes of pixels.
        parts: N of ``train``, ``validation``, ``test`` or ``""``.
    """
    lines = sorted(f"{key[:HASH_LENGTH]} {part}" for key, part in zip(keys, parts, strict=True) if part)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def parts_from_file(path: str | Path, index: Index, keys: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """The part of each sample ``[N]`` as a file has it, empty where the file does not name the sample; and notes.

    The file is a ``split.csv`` of a run (or the run's folder), one that ``medplug split`` wrote, or any table with a
    column ``sample`` and a column ``split``. Rows are matched by name; those that no name fits by the hash of the picture
    (column ``pixels``), then by the file name without folders and extension, where that is unique.

    Raises:
        DataError: no such file, columns or parts, or a row that fits no sample.
    """
    path = Path(path)
    path = path / "split.csv" if path.is_dir() else path
    rows = _read(path)
    found, stretched, unknown = _match(rows, index, keys)
    lost = {s.name for s in index.skipped}
    missing = [name for name, part, _ in unknown if part and name not in lost]
    if missing:
        shown = ", ".join(missing[:_NAMED])
        raise DataError(
            f"{path}: {len(missing)} of {len(rows)} samples are not in the data, such as {shown} (the data have names such "
            f"as {index.samples[0]}); correct the names, or leave these rows out"
        )
    part = np.full(len(index), "", "<U10")
    for row, (_, value, _) in found.items():
        part[row] = value
    return part, _notes(path, rows, found, stretched, unknown, index, keys)


Row = tuple[str, str, str]
"""Name, part, and the beginning of the picture's hash, which may be empty."""


def _notes(
    path: Path,
    rows: Sequence[Row],
    found: dict[int, Row],
    stretched: int,
    unknown: Sequence[Row],
    index: Index,
    keys: Sequence[str],
) -> list[str]:
    notes = []
    others = len(index) - len(found)
    if others:
        example = next(name for row, name in enumerate(index.samples) if row not in found)
        notes.append(f"{path.name} does not name {images(others)} of the data, which take no part (such as {example})")
    gone = sum(bool(part) for _, part, _ in unknown)
    if gone:
        notes.append(f"{gone} samples of {path.name} take no part, since they were left out of the data")
    if stretched:
        notes.append(f"{stretched} of {len(rows)} rows of {path.name} were matched by their picture or file name alone")
    changed = sum(bool(key) and not keys[row].startswith(key) for row, (_, _, key) in found.items())
    if changed:
        notes.append(f"{images(changed)} had other pixels when {path.name} was written")
    return notes


def _match(rows: Sequence[Row], index: Index, keys: Sequence[str]) -> tuple[dict[int, Row], int, list[Row]]:
    """The row of the file for each sample, how many were not found by their name, and the rows that fit none."""
    row_of = {name: row for row, name in enumerate(index.samples)}
    found = {row_of[row[0]]: row for row in rows if row[0] in row_of}
    left = [row for row in rows if row[0] not in row_of]
    if not left:
        return found, 0, []
    by_key: dict[str, list[int]] = {}
    by_stem: dict[str, list[int]] = {}
    for row, name in enumerate(index.samples):
        by_key.setdefault(keys[row][:HASH_LENGTH], []).append(row)
        by_stem.setdefault(_stem(name), []).append(row)
    stems = [_stem(name) for name, _, _ in left]
    unknown = []
    for entry, stem in zip(left, stems, strict=True):
        same = [row for row in by_key.get(entry[2], ()) if row not in found] if entry[2] else []
        if not same and stems.count(stem) == 1 and len(by_stem.get(stem, ())) == 1:
            same = [row for row in by_stem[stem] if row not in found]
        if same:
            found[same[0]] = entry
        else:
            unknown.append(entry)
    return found, len(left) - len(unknown), unknown


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem


def _read(path: Path) -> list[Row]:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"split.file: {path}: {error.strerror}") from None
    text = _decoded(raw)
    first = text.split("\n", 1)[0]
    separator = max((",", ";", "\t"), key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    header = [cell.strip().lower() for cell in next(reader, [])]
    sample, part = (_column(header, names, path) for names in (_SAMPLE, _PART))
    pixels = header.index("pixels") if "pixels" in header else None
    rows: dict[str, Row] = {}
    for cells in reader:
        if not any(cells):
            continue
        if len(cells) <= max(sample, part):
            raise DataError(f"{path}, line {reader.line_num}: {len(cells)} cells are too few")
        name, value = cells[sample].strip(), cells[part].strip().lower()
        if value not in _PARTS:
            raise DataError(
                f"{path}, line {reader.line_num}: {cells[part]!r} is no part; write {', '.join(SPLITS)}, or nothing"
            )
        if name in rows and rows[name][1] != _PARTS[value]:
            raise DataError(f"{path}, line {reader.line_num}: {name} is named twice, in different parts")
        rows[name] = (name, _PARTS[value], cells[pixels].strip() if pixels is not None and len(cells) > pixels else "")
    if not any(part for _, part, _ in rows.values()):
        raise DataError(f"{path} puts no sample into any part")
    return list(rows.values())


def _decoded(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16")
    return raw.decode("utf-8-sig", errors="surrogateescape")  # names of files may be no UTF-8


def _column(header: Sequence[str], names: Sequence[str], path: Path) -> int:
    for name in names:
        if name in header:
            return header.index(name)
    raise DataError(f"{path}: there is no column {names[0]!r} (columns: {', '.join(header) or 'none'})")
