"""Reader ``chest_xray``: Kermany's chest X-rays of children, with and without pneumonia."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from medplug.plugins import About, Index, Skipped, component, param
from medplug_datasets.files import count, some
from medplug_datasets.layout import Layout, Row, collect
from medplug_datasets.published import Card, ClassFolders

_PERSON = re.compile(r"(person\d+)_(bacteria|virus)_\d+")
_SCAN = re.compile(r"((?:NORMAL2-)?IM-\d+)-\d+(?:-\d+)?")
_NUMBERED = re.compile(r"(BACTERIA|VIRUS|NORMAL)-(\d+)-\d+")
_NAME = re.compile(rf"(?:{_PERSON.pattern}|{_SCAN.pattern}|{_NUMBERED.pattern})\.jpe?g")
_PARTS = {"train": "train", "val": "validation", "test": "test"}
_PNEUMONIA, _AETIOLOGY = ("NORMAL", "PNEUMONIA"), ("NORMAL", "bacteria", "virus")
_KAGGLE = {"train/NORMAL": 1341, "train/PNEUMONIA": 3875, "val/NORMAL": 8, "val/PNEUMONIA": 8}
_MENDELEY = {"train/NORMAL": 1349, "train/PNEUMONIA": 3883}
_ENOUGH = 100  # images of a validation part
_TEST = {"test/NORMAL": 234, "test/PNEUMONIA": 390}


@component
class ChestXray(ClassFolders):
    """Kermany's chest X-rays: 5,856 images of children, normal or with pneumonia: ``chest_xray:FOLDER``.

    The folder holds ``train/``, ``test/`` and, in Kaggle's copy, ``val/``, each with ``NORMAL`` and ``PNEUMONIA``;
    ``split="none"`` pools them, as the published experiment did. Kaggle's ``val/`` has 16 images, too few to choose
    weights with: a ``val/`` of fewer than 100 joins training, from which a larger part is carved.

    Persons come from the names: ``person1_bacteria_2``, ``IM-0115-0001``, ``NORMAL2-IM-0385-0001`` and, in Mendeley's
    third version, ``BACTERIA-7422-0001``. 170 of the numbers occur in both train and test. Whether they are the same
    children is not told, so that they are taken for the same; ``patients="per_folder"`` keeps numbers of different
    parts apart. The column ``aetiology`` says bacteria or virus; ``labels="aetiology"`` makes it the label.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = ChestXray().index(make("chest_xray", folder))
        >>> index.classes, len(index), sorted(set(index.splits.tolist()))
        (('normal', 'pneumonia'), 12, ['test', 'train'])
        >>> [p for p, s in zip(index.groups["patient"].tolist(), index.splits) if s == "test"]
        ['IM-0001', 'NORMAL2-IM-0007', 'person1', 'person78']
    """

    split: Literal["official", "none"] = param("keep train and test apart, or pool all parts", default="official")
    validation: Literal["auto", "pooled", "official"] = param(
        "the images of val/: joined to training (pooled), a part of their own (official), or by their number: fewer "
        "than 100 join training (auto)",
        default="auto",
    )
    patients: Literal["from_names", "per_folder", "none"] = param(
        "persons from the file names, the same number in two parts being one person or two; or none",
        default="from_names",
    )
    labels: Literal["pneumonia", "aetiology"] = param(
        "normal and pneumonia, or normal, bacterial and viral pneumonia", default="pneumonia"
    )
    examples = (
        {"split": "none", "patients": "none"},
        {"validation": "official", "patients": "per_folder"},
        {"labels": "aetiology"},
    )

    layouts = (
        Layout({**_KAGGLE, **_TEST}, _NAME),
        Layout({**_MENDELEY, **_TEST}, _NAME),
        Layout({"NORMAL": 1583, "PNEUMONIA": 4273}, _NAME),
    )
    through = ("chest_xray", "CellData/chest_xray")
    card = Card(
        about=About(
            title="Chest X-Ray Images (Kermany)",
            licence="CC BY 4.0",
            citation="Kermany et al., Cell 172 (2018) 1122-1131, doi 10.17632/rscbjbr9sj",
            url="https://data.mendeley.com/datasets/rscbjbr9sj",
        ),
        classes={
            "NORMAL": "normal",
            "PNEUMONIA": "pneumonia",
            "bacteria": "bacterial pneumonia",
            "virus": "viral pneumonia",
        },
        expected="the folders train, test and perhaps val, each with NORMAL and PNEUMONIA",
    )

    def index(self, source: str) -> Index:
        """The images, by class and name.

        Raises:
            DataError: the folders are not there, or hold no images.
        """
        home = self.home(source)
        places = []
        for folder in home.folders:
            part, _, label = folder.rpartition("/")
            places.append((folder, label, _PARTS.get(part, "") if self.split == "official" else ""))
        rows, skipped = collect(home, places)
        rows, notes = self._with_validation(rows)
        notes = self.compare_folders(home, rows) + notes
        if self.labels == "aetiology":
            rows, more = _by_aetiology(rows)
            skipped += more
        rows = self.ordered(home, rows, skipped)
        notes += self._notes(rows)
        causes = [_aetiology(row) for row in rows]
        return self.to_index(
            home.root,
            rows,
            skipped,
            notes,
            groups={} if self.patients == "none" else {"patient": self._persons(rows)},
            classes=_AETIOLOGY if self.labels == "aetiology" else _PNEUMONIA,
            metadata={} if self.labels == "aetiology" or not any(causes) else {"aetiology": causes},
        )

    def _with_validation(self, rows: list[Row]) -> tuple[list[Row], list[str]]:
        """What becomes of the given validation part."""
        given = sum(row.split == "validation" for row in rows)
        if not given or self.validation == "official" or (self.validation == "auto" and given >= _ENOUGH):
            return rows, []
        pooled = [replace(row, split="train") if row.split == "validation" else row for row in rows]
        return pooled, [
            f"{count(given, 'image')} of val/ joined to training (reader.validation=official keeps them apart)"
        ]

    def _persons(self, rows: Sequence[Row]) -> list[str]:
        names = [_person(row) for row in rows]
        if self.patients == "per_folder":
            parts = [row.folder.rpartition("/")[0] for row in rows]
            return [f"{part}/{name}".lstrip("/") if name else "" for part, name in zip(parts, names, strict=True)]
        return names

    def _notes(self, rows: Sequence[Row]) -> list[str]:
        notes = []
        if any(row.split for row in rows):
            words = dict.fromkeys(f"{row.folder.rpartition('/')[0]} -> {row.split}" for row in rows)
            notes.append(f"given split: {some(sorted(words))} (reader.split=none pools them)")
        if self.patients == "none":
            return notes
        persons = self._persons(rows)
        unnamed = [row.name for row, person in zip(rows, persons, strict=True) if not person]
        notes.append(f"{count(len({*persons} - {''}), 'person')} from the file names ({self.patients})")
        if unnamed:
            notes.append(f"{count(len(unnamed), 'file name')} tell no person: {some(unnamed, 3)}")
        parts: dict[str, set[str]] = {}
        for row, person in zip(rows, persons, strict=True):
            if person and row.split:
                parts.setdefault(person, set()).add(row.split)
        shared = sorted(person for person, where in parts.items() if len(where) > 1)
        if shared:
            notes.append(
                f"{count(len(shared), 'number')} of persons occur in more than one given part ({some(shared, 3)}); they are "
                "taken for the same child, reader.patients=per_folder takes them for different ones"
            )
        return notes


def _stem(row: Row) -> str:
    return row.file.rpartition(".")[0]


def _person(row: Row) -> str:
    """The person of a file name: ``person1``, ``IM-0115``, ``NORMAL2-IM-0385``, ``7422``; empty if none is told."""
    for pattern in (_PERSON, _SCAN):
        if match := pattern.fullmatch(_stem(row)):
            return match[1]
    match = _NUMBERED.fullmatch(_stem(row))
    return match[2] if match else ""


def _aetiology(row: Row) -> str:
    """``bacteria``, ``virus``, or empty."""
    if match := _PERSON.fullmatch(_stem(row)):
        return match[2]
    match = _NUMBERED.fullmatch(_stem(row))
    return {"BACTERIA": "bacteria", "VIRUS": "virus"}.get(match[1], "") if match else ""


def _by_aetiology(rows: Sequence[Row]) -> tuple[list[Row], list[Skipped]]:
    """Pneumonia divided by its cause; images whose names do not tell it are left out."""
    kept, skipped = [], []
    for row in rows:
        label = row.label if row.label == "NORMAL" else _aetiology(row)
        if label:
            kept.append(replace(row, label=label))
        else:
            skipped.append(Skipped(row.name, "pneumonia whose cause the file name does not tell", lost=True))
    return kept, skipped
