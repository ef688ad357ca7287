"""Reader ``rfmid``: findings in fundus photographs, three tables with their folders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from medplug.plugins import About, DataError, Index, Skipped, component, param
from medplug_datasets.files import files_below, folders_in, some
from medplug_datasets.layout import beside, find_below, root_of
from medplug_datasets.published import Card, Published, images_by_name
from medplug_datasets.rfmid_words import FINDINGS, RISK, TRAINING_COUNTS
from medplug_datasets.tables import columns_of, read_table

_TABLE = re.compile(r"(?:[a-c]\. ?)?RFMiD_(Training|Validation|Testing)_Labels\.csv", re.IGNORECASE)
_FOLDER = re.compile(r"(?:[a-c]\. ?)?(Training|Validation|Evaluation|Testing|Test)(?:[_ ]?Set)?", re.IGNORECASE)
_PART = {"training": "train", "validation": "validation", "evaluation": "validation", "testing": "test", "test": "test"}
_IMAGES = {"train": 1920, "validation": 640, "test": 640}


@dataclass(frozen=True)
class _Part:
    """A table with its images by id, both relative to the root."""

    name: str
    table: Path
    rows: list[dict[str, str]]
    images: dict[str, str]


@component
class Rfmid(Published):
    """RFMiD: 3,200 fundus photographs with any number of findings: ``rfmid:FOLDER``.

    The folder holds three tables with a folder of images each, as in ``Training_Set/Training/1.png`` beside
    ``Training_Set/RFMiD_Training_Labels.csv``, then ``Evaluation_Set/Validation`` and ``Test_Set/Test``: the official
    split. The full set has 45 findings; that of the RIADD challenge has 28, of which OTHER sums up the rare ones. The
    published experiment read the training part alone (``parts="training"``) and had the summary ``Disease_Risk`` (is
    anything abnormal?) for one more label (``labels="all"``); ``labels="risk"`` makes it the only question.

    Many findings are rare: five training images show ST. Patients and eyes are not told. Three cameras took the
    images, which differ in size.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = Rfmid().index(make("rfmid", folder))
        >>> index.task, index.classes[:2], len(index)
        ('multilabel', ('diabetic retinopathy', 'age-related macular degeneration'), 15)
        >>> index.samples[2], index.label_text(2), str(index.splits[2])
        ('Training_Set/Training_Set/Training/3.png', 'diabetic retinopathy+media haze', 'train')
    """

    labels: Literal["findings", "risk", "all"] = param(
        "the findings; the summary alone, as normal and abnormal; or the summary as one more label", default="findings"
    )
    parts: Literal["all", "training"] = param("all parts, or the training part alone", default="all")
    split: Literal["official", "none"] = param("keep the official parts apart, or pool them", default="official")
    examples = ({"labels": "all", "parts": "training", "names": "published"}, {"labels": "risk", "split": "none"})

    card = Card(
        about=About(
            title="RFMiD",
            licence="CC BY 4.0",
            citation="Pachade et al., Data 6 (2021) 14",
            url="https://ieee-dataport.org/open-access/retinal-fundus-multi-disease-image-dataset-rfmid",
        ),
        classes=FINDINGS,
        expected="RFMiD_Training_Labels.csv with the folder Training (and, if there, RFMiD_Validation_Labels.csv with "
        "Validation, RFMiD_Testing_Labels.csv with Test), perhaps within Training_Set, Evaluation_Set, Test_Set",
    )

    def recognises(self, root: Path) -> bool:
        """The training table with its first columns, and a folder for its images."""
        tables = _tables(root)
        if "train" not in tables or columns_of(tables["train"])[:4] != ["ID", RISK, "DR", "ARMD"]:
            return False
        return any(_part_of(path) == "train" and path.is_dir() for path in find_below(root, _FOLDER, 4))

    def index(self, source: str) -> Index:
        """The images of all parts, in the order of the tables.

        Raises:
            DataError: no training table, none of its images, or a cell that is neither 0 nor 1.
        """
        root = root_of(source)
        tables = _tables(root)
        if not tables:
            raise self.card.missing(source)
        folders, skipped = _folders(root, tables)
        wanted = [name for name in _IMAGES if name in tables and (self.parts == "all" or name == "train")]
        parts = [_read(root, name, tables[name], folders.get(name, {})) for name in wanted]
        if not any(part.images for part in parts):
            raise DataError(f"{source}: tables of {some(wanted)}, but no folder with their images beside them. "
                            f"Expected: {self.card.expected}")  # fmt: skip
        columns, notes = _columns(parts)
        rows, lost = _rows(parts)
        notes += self._counts(parts, rows)
        left = [name for name in _IMAGES if name in tables and name not in wanted]
        if left:
            notes.append(f"not read: the parts {some(left)} (reader.parts=training)")
        notes.append("patients are not told: both eyes of one person may lie in different parts of a split")
        return self._made(root, columns, rows, [*skipped, *lost, *_strangers(parts, rows)], notes)

    def _made(
        self,
        root: Path,
        columns: Sequence[str],
        rows: Sequence[tuple[_Part, dict[str, str], str]],
        skipped: Sequence[Skipped],
        notes: Sequence[str],
    ) -> Index:
        if not rows:
            raise DataError(f"{root}: none of the images that the tables name is there")
        names = [RISK] if self.labels == "risk" else [n for n in columns if self.labels == "all" or n != RISK]
        targets = np.array([[_cell(part, row, name) for name in names] for part, row, _ in rows], np.float32)
        classes = tuple(FINDINGS.get(name, name) if self.names == "plain" else name for name in names)
        if self.labels == "risk":
            targets, classes = np.column_stack([1 - targets[:, 0], targets[:, 0]]), ("normal", "abnormal")
        given = self.split == "official" and len({part.name for part, *_ in rows}) > 1
        return Index(
            samples=tuple(name for *_, name in rows),
            uris=tuple(str(root / name) for *_, name in rows),
            targets=targets,
            classes=classes,
            task="multiclass" if self.labels == "risk" else "multilabel",
            splits=np.array([part.name for part, *_ in rows]) if given else None,
            skipped=tuple(skipped),
            notes=tuple(notes),
            about=self.card.about,
        )

    def _counts(self, parts: Sequence[_Part], rows: Sequence[tuple[_Part, dict[str, str], str]]) -> list[str]:
        found: dict[str, int] = {}
        wanted: dict[str, int] = {}
        for part in parts:
            found[part.name] = sum(p is part for p, *_ in rows)
            wanted[part.name] = _IMAGES[part.name]
        notes = self.compare(found, wanted)
        training = [row for part, row, _ in rows if part.name == "train"]
        labels = {name: n for name, n in TRAINING_COUNTS.items() if training and name in training[0]}
        positives = {name: sum(row[name] in ("1", "1.0") for row in training) for name in labels}
        wrong = {name: n for name, n in labels.items() if positives[name] != n}
        if wrong and len(training) == _IMAGES["train"]:  # a part of the set has other counts anyway
            notes += self.compare(positives, wrong)
        return notes


def _tables(root: Path) -> dict[str, Path]:
    """The nearest table of each part."""
    found: dict[str, Path] = {}
    for path in find_below(root, _TABLE):
        match = _TABLE.fullmatch(path.name)
        if match and path.is_file():
            found.setdefault(_PART[match[1].lower()], path)
    return found


def _part_of(path: Path) -> str:
    match = _FOLDER.fullmatch(path.name)
    return _PART[match[1].lower()] if match else ""


def _folders(root: Path, tables: Mapping[str, Path]) -> tuple[dict[str, dict[str, str]], list[Skipped]]:
    """The images of each part, by id; folders of images without a table, and second copies, are not read."""
    found: dict[str, dict[str, str]] = {}
    skipped = []
    seen = [path.relative_to(root).as_posix() for path in tables.values()]
    for path in find_below(root, _FOLDER, 4):
        part, prefix = _part_of(path), f"{path.relative_to(root).as_posix()}/"
        if not path.is_dir() or any(_FOLDER.fullmatch(name) for name in folders_in(path)):
            continue  # the images lie deeper
        files = list(files_below(path, prefix))
        names = [file.name for file in files if not file.problem]
        if not names:
            continue
        seen.append(prefix)
        if part not in tables:
            skipped.append(Skipped(prefix, "images without a table of labels, not read"))
        elif part in found:
            skipped.append(Skipped(prefix, "a second folder of this part, not read"))
        else:
            found[part] = images_by_name(names)
            skipped += [Skipped(file.name, file.problem, file.lost) for file in files if file.problem]
    return found, [*beside(root, seen), *skipped]


def _read(root: Path, name: str, table: Path, images: dict[str, str]) -> _Part:
    rows = read_table(table, ("ID", RISK))
    return _Part(name, table.relative_to(root), rows, images)


def _columns(parts: Sequence[_Part]) -> tuple[list[str], list[str]]:
    """The labels of all tables, in the order of the first; those that a table lacks are unknown there."""
    columns: list[str] = []
    for part in parts:
        columns += [name for name in (part.rows[0] if part.rows else {}) if name not in (*columns, "ID")]
    notes = []
    for part in parts:
        absent = [name for name in columns if part.rows and name not in part.rows[0]]
        if absent:
            notes.append(f"{part.table}: no column {some(absent, 4)}; these labels are unknown in the {part.name} part")
    return columns, notes


def _rows(parts: Sequence[_Part]) -> tuple[list[tuple[_Part, dict[str, str], str]], list[Skipped]]:
    rows, lost = [], []
    for part in parts:
        seen = set()
        for number, row in enumerate(part.rows, start=2):
            name = part.images.get(row["ID"], "")
            if not name:
                reason = f"in {part.table}, but its image is not there"
                lost.append(Skipped(f"row {number}: {row['ID']}", reason, lost=True))
            elif name in seen:
                lost.append(Skipped(f"row {number}: {name}", f"named twice in {part.table}", lost=True))
            else:
                seen.add(name)
                rows.append((part, row, name))
    return rows, lost


def _strangers(parts: Sequence[_Part], rows: Sequence[tuple[_Part, dict[str, str], str]]) -> list[Skipped]:
    known = {name for *_, name in rows}
    return [
        Skipped(name, f"not in {part.table}") for part in parts for name in part.images.values() if name not in known
    ]


def _cell(part: _Part, row: dict[str, str], name: str) -> float:
    text = row.get(name, "")
    if text in ("0", "0.0", "1", "1.0"):
        return float(text)
    if not text:
        return float("nan")
    raise DataError(f"{part.table}, ID {row['ID']}, column {name}: {text!r} is neither 0 nor 1")
