"""Reader ``json``: labels of images as JSON, in AUCMEDI's forms or as records."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medplug.plugins import DataError, component
from medplug_standard.readers.tablefile import Table
from medplug_standard.readers.tabular import Tabular

_LEGEND = "legend"
_IMAGE, _LABEL = "image", "label"


@component
class Json(Tabular):
    r"""A JSON file of labels; the images lie beside it or below, and are found as the reader ``csv`` finds them.

    Understood are ``{NAME: CLASS, …}`` and ``{NAME: [0, 1, …], …}`` (both with an optional ``"legend": [CLASS, …]``, the
    forms of AUCMEDI, Mayer et al.), ``{NAME: [CLASS, …], …}`` (multi-label), ``{NAME: {COLUMN: VALUE, …}, …}``, and a list of
    records ``[{COLUMN: VALUE, …}, …]``. A legend gives the classes in their order: the 0 and 1 of a list stand in that
    order, and whole numbers count the legend from 0. ``null`` is unknown. What ``csv`` says of columns holds here too;
    where NAMES are keys, their column is called ``image``, and that of their classes ``label``.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> from PIL import Image
        >>> with TemporaryDirectory() as data:
        ...     for name in ("a", "b", "c"):
        ...         Image.new("L", (8, 8)).save(f"{data}/{name}.png")
        ...     labels = {"legend": ["normal", "cyst"], "a": 1, "b": 0, "c": 1}
        ...     _ = Path(data, "labels.json").write_text(json.dumps(labels))
        ...     index = Json().index(f"{data}/labels.json")
        >>> index.classes, [index.label_text(row) for row in range(3)]
        (('normal', 'cyst'), ['cyst', 'normal', 'cyst'])
    """

    def __post_init__(self) -> None:
        self.check_pixels()

    def can_read(self, source: str) -> float:
        """0.8 for a file named ``.json``, else 0."""
        try:
            return 0.8 if os.path.splitext(source)[1].lower() == ".json" and Path(source).is_file() else 0.0
        except (OSError, ValueError):
            return 0.0

    def table(self, path: Path) -> Table:
        """The labels as a table: one record per image."""
        content = _parsed(path)
        if isinstance(content, Mapping):
            content = dict(content)
            legend = _checked_legend(path, content.pop(_LEGEND, None))
            found = _from_mapping(path, content, legend, self.label_separator)
        elif isinstance(content, list) and all(isinstance(row, Mapping) for row in content):
            found = _Content(list(content), "a list of records")
        else:
            raise DataError(f"{path}: expected is an object of names and classes, or a list of records")
        if not found.records:
            raise DataError(f"{path}: names no image")
        names = list(dict.fromkeys(str(name) for row in found.records for name in row))
        separator = self.label_separator
        columns = {name: [_text(path, row.get(name), separator) for row in found.records] for name in names}
        numbers = list(range(1, len(found.records) + 1))
        return Table(columns, numbers, (f"the file: {found.told}",), found.classes, found.labels, "record")


@dataclass(frozen=True)
class _Content:
    """What the file holds: records by column, a note, and the columns of labels and the classes that it declares."""

    records: Sequence[Mapping[str, Any]]
    told: str
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8-sig"), object_pairs_hook=lambda pairs: _unique(path, pairs))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}") from None
    except (UnicodeError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON that can be read: {error}") from None


def _unique(path: Path, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path}: {twice!r} is named twice in one object, so that one value would be lost")
    return found


def _checked_legend(path: Path, legend: Any) -> tuple[str, ...]:
    if legend is None:
        return ()
    names = [str(name) for name in legend] if isinstance(legend, list) else []
    if not names or len(set(names)) < len(names):
        raise DataError(f"{path}: the legend must be a list of different class names")
    return tuple(names)


def _from_mapping(path: Path, content: Mapping[str, Any], legend: tuple[str, ...], separator: str) -> _Content:
    """The content of an object whose keys name the images."""
    kinds = {name: _kind(value) for name, value in content.items() if value is not None}
    found = set(kinds.values())
    if len(found) > 1:
        examples = {kind: name for name, kind in kinds.items()}
        told = ", ".join(f"{name!r} has {kind}" for kind, name in sorted(examples.items()))
        raise DataError(f"{path}: values of different kinds: {told}")
    kind = found.pop() if found else "a class"
    if kind == "a record":
        records = [{_IMAGE: name, **(value or {})} for name, value in content.items()]
        return _Content(records, "names with records", (), legend)
    if kind == "a list of 0 and 1":
        return _one_hot(path, content, legend)
    if kind == "a list of classes" and not separator:
        raise DataError(f"{path}: names with lists of classes need reader.label_separator, to tell these apart")
    values = [value for value in content.values() if value is not None]
    in_legend = all(str(value) in legend for value in values)
    if legend and not in_legend and all(isinstance(v, int) and 0 <= v < len(legend) for v in values):
        content = {name: None if value is None else legend[value] for name, value in content.items()}
    records = [{_IMAGE: name, _LABEL: value} for name, value in content.items()]
    return _Content(records, _told(f"names with {kind}", legend), (_LABEL,), legend)


def _told(what: str, legend: tuple[str, ...]) -> str:
    return f"{what}, the classes in the order of the legend" if legend else what


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a record"
    if isinstance(value, list):
        numbers = all(v is None or v in (0, 1) for v in value)
        return "a list of 0 and 1" if value and numbers else "a list of classes"
    return "a class"


def _one_hot(path: Path, content: Mapping[str, Any], legend: tuple[str, ...]) -> _Content:
    width = len(legend) or max(len(value) for value in content.values() if value is not None)
    names = legend or tuple(map(str, range(width)))
    if _IMAGE in names:
        raise DataError(f"{path}: a class cannot be called {_IMAGE!r} here; rename it in the legend")
    records = []
    for name, value in content.items():
        if value is not None and len(value) != width:
            raise DataError(f"{path}: {name!r} has {len(value)} values, expected are {width}, one for each class")
        records.append({_IMAGE: name, **dict(zip(names, value or [None] * width, strict=True))})
    return _Content(records, _told("names with lists of 0 and 1", legend), names)


def _text(path: Path, value: Any, separator: str) -> str:
    """A value as the cell of a table."""
    if value is None or value != value:  # noqa: PLR0124 - NaN differs from itself
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, list):
        parts = [str(part) for part in value if part is not None]
        if not separator or any(separator in part for part in parts):
            raise DataError(
                f"{path}: {value!r} cannot be written with {separator!r} between: set reader.label_separator"
            )
        return separator.join(parts)
    if isinstance(value, Mapping):
        raise DataError(f"{path}: {value!r} is a record within a record; expected are texts and numbers")
    return str(value).strip()
