"""Reader ``idc``: patches of breast slides with and without invasive ductal carcinoma."""

from __future__ import annotations

import os
import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Literal

from medplug.plugins import About, DataError, Index, component, param
from medplug_datasets.files import count, folders_in, some
from medplug_datasets.layout import Home, Layout, Row, collect, is_whole, places_in, root_of
from medplug_datasets.published import Card, Published

_NAME = re.compile(r"(\d+)_idx\d+_x(\d+)_y(\d+)_class([01])\.png")
_PATIENT = re.compile(r"\d{3,}")
_THROUGH = ("IDC_regular_ps50_idx5",)
_COUNTS = {"0": 198738, "1": 78786}
_PATIENTS = 279
_MERGED = Layout(_COUNTS, _NAME)
_WRONG_CLASS = "the folder names one class, the file name the other"


@component
class Idc(Published):
    """Breast histopathology: 277,524 patches of 50 pixels from 279 patients' folders: ``idc:FOLDER``.

    The folder holds one folder for each patient, with ``0`` (no carcinoma) and ``1`` (invasive ductal carcinoma) in
    it, as in ``IDC_regular_ps50_idx5/10253/0/10253_idx5_x1001_y1001_class0.png``. Kaggle's archive holds everything
    twice, at its top and in ``IDC_regular_ps50_idx5``: the second copy is not entered. Two folders ``0`` and ``1``
    with the patches of all patients, as the published experiment made them, are read, too.

    The patient stands in each file name. Patches of one slide look alike and often touch, so that a split by patches
    tests on what was trained on; ``patients="none"`` does it nevertheless, as the published experiment did.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = Idc().index(make("idc", folder))
        >>> index.classes, len(index)
        (('no carcinoma', 'invasive ductal carcinoma'), 8)
        >>> index.samples[0], str(index.groups["patient"][0])
        ('IDC_regular_ps50_idx5/10253/0/10253_idx5_x1001_y1001_class0.png', '10253')
    """

    patients: Literal["from_names", "none"] = param("patients from the file names, or none", default="from_names")
    examples = ({"patients": "none"}, {"names": "published", "pixels": "pillow"})

    card = Card(
        about=About(
            title="Breast Histopathology Images (IDC)",
            licence="CC0 as the Kaggle copy says",
            citation="Cruz-Roa et al., Proc. SPIE 9041 (2014) 904103; Janowczyk and Madabhushi, Journal of Pathology "
            "Informatics 7 (2016) 29",
            url="https://www.kaggle.com/datasets/paultimothymooney/breast-histopathology-images",
        ),
        classes={"0": "no carcinoma", "1": "invasive ductal carcinoma"},
        expected="a folder for each patient, perhaps within IDC_regular_ps50_idx5, each with 0 and 1 and files like "
        "10253_idx5_x1001_y1001_class0.png; or two folders 0 and 1 with all of them",
    )

    def recognises(self, root: Path) -> bool:
        """279 folders of patients with files of the right names, or two folders with all patches."""
        home = _find(root)
        if home is None:
            return False
        if home.layout is _MERGED:
            return is_whole(home)
        patients = {folder.partition("/")[0] for folder in home.folders}
        return len(patients) == _PATIENTS and all(_looks_right(home.path / folder) for folder in home.folders[:6])

    def index(self, source: str) -> Index:
        """The patches, by class and file name.

        Raises:
            DataError: the folders are not there, or hold no patches.
        """
        root = root_of(source)
        home = _find(root)
        if home is None:
            raise self.card.missing(source)
        rows, skipped = collect(home, [(f, f.rpartition("/")[2], "") for f in home.folders], _problem)
        if not rows:
            raise DataError(f"{home.path}: the folders {some(home.folders)} hold no image")
        rows = sorted(rows, key=lambda row: (row.label, row.file, row.name))
        patients = [_patient(row) for row in rows]
        notes = self.compare(Counter(row.label for row in rows), _COUNTS)
        notes += self._notes(rows, patients)
        groups = {} if self.patients == "none" else {"patient": patients}
        return self.to_index(root, rows, skipped, notes, groups)

    def _notes(self, rows: list[Row], patients: list[str]) -> list[str]:
        if self.patients == "none":
            return []
        known = len({*patients} - {""})
        wanted = f" (published {_PATIENTS})" if self.expected == "published" and known != _PATIENTS else ""
        notes = [f"{count(known, 'patient')} from the file names{wanted}"]
        unnamed = [row.name for row, patient in zip(rows, patients, strict=True) if not patient]
        if unnamed:
            notes.append(f"{count(len(unnamed), 'file name')} tell no patient: {some(unnamed, 3)}")
        return notes


def _find(root: Path) -> Home | None:
    for place in places_in(root, _THROUGH):
        prefix = place.relative_to(root).as_posix()
        prefix = "" if prefix == "." else f"{prefix}/"
        names = folders_in(place)
        patients = sorted(name for name in names if _PATIENT.fullmatch(name))
        layout = Layout({f"{patient}/{label}": 0 for patient in patients for label in _COUNTS}, _NAME, least=1)
        there = layout.there(place) if patients else []
        if there:
            return Home(root, prefix, layout, tuple(there))
        if names >= set(_COUNTS):
            return Home(root, prefix, _MERGED, tuple(_COUNTS))
    return None


def _looks_right(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return all(_NAME.fullmatch(entry.name) for entry in islice(entries, 5))


def _problem(row: Row) -> str:
    match = _NAME.fullmatch(row.file)
    return _WRONG_CLASS if match and match[4] != row.label else ""


def _patient(row: Row) -> str:
    """From the file name, else from the patient's folder, else empty."""
    match = _NAME.fullmatch(row.file)
    return match[1] if match else row.folder.rpartition("/")[0]
