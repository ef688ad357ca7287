"""Reader ``isic2019``: the training set of the ISIC 2019 challenge."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from medplug.plugins import About, DataError, Index, Skipped, component, param
from medplug_datasets.files import count, files_below
from medplug_datasets.layout import Row, beside, find_below, root_of
from medplug_datasets.published import Card, Published, images_by_name
from medplug_datasets.tables import columns_of, read_table

_TRUTH = re.compile(r"ISIC_2019_Training_GroundTruth\.csv", re.IGNORECASE)
_METADATA = re.compile(r"ISIC_2019_Training_Metadata\.csv", re.IGNORECASE)
_INPUT = re.compile(r"ISIC_2019_Training_Input", re.IGNORECASE)
_ID = re.compile(r"ISIC_(\d{7})(_downsampled)?")
_COUNTS = {"MEL": 4522, "NV": 12875, "BCC": 3323, "AK": 867, "BKL": 2624, "DF": 239, "VASC": 253, "SCC": 628}
_SOURCES = {"HAM": "HAM10000", "BCN": "BCN20000", "MSK": "MSK"}
_NO_LABEL = "none of the eight classes (UNK)"


@component
class Isic2019(Published):
    """ISIC 2019: 25,331 dermatoscopic images of eight skin lesions: ``isic2019:FOLDER``.

    The folder holds ``ISIC_2019_Training_GroundTruth.csv``, ``ISIC_2019_Training_Metadata.csv`` and the images in
    ``ISIC_2019_Training_Input`` (or in a folder of the same name within it, as Kaggle's copy has it). Samples come in
    the order of the table. The column ``UNK``, always 0, is no class. The challenge's test images are not read.

    Many lesions were photographed several times: ``lesion_id`` of the metadata is a group, where it is told (not for
    2,084 images); ``lesions="none"`` ignores it, as the published experiment did. Patients are not told. ``source``
    is HAM10000 (Vienna, Queensland), BCN20000 (Barcelona) or MSK (New York), from the lesion's id or the image's
    number; classes, sizes and sources go together, so that a network can learn the source instead of the lesion.

    Example:
        >>> import tempfile
        >>> from medplug_datasets.tiny import make
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     index = Isic2019().index(make("isic2019", folder))
        >>> index.classes
        ('melanoma', 'melanocytic nevus', 'benign keratosis', 'squamous cell carcinoma')
        >>> index.samples[2], str(index.groups["lesion_id"][2]), str(index.metadata[index.site][2])
        ('ISIC_2019_Training_Input/ISIC_0024306.jpg', 'HAM_0000550', 'HAM10000')
    """

    lesions: Literal["from_metadata", "none"] = param(
        "images of one lesion belong together, or not", default="from_metadata"
    )
    examples = ({"lesions": "none"}, {"names": "published", "pixels": "pillow"})

    card = Card(
        about=About(
            title="ISIC 2019",
            licence="CC BY-NC 4.0",
            citation="Tschandl, Rosendahl, Kittler, Scientific Data 5 (2018) 180161; Codella et al., arXiv 1710.05006 "
            "(2017); Combalia et al., arXiv 1908.02288 (2019)",
            url="https://challenge.isic-archive.com/data/#2019",
        ),
        classes={
            "MEL": "melanoma",
            "NV": "melanocytic nevus",
            "BCC": "basal cell carcinoma",
            "AK": "actinic keratosis",
            "BKL": "benign keratosis",
            "DF": "dermatofibroma",
            "VASC": "vascular lesion",
            "SCC": "squamous cell carcinoma",
        },
        expected="ISIC_2019_Training_GroundTruth.csv, ISIC_2019_Training_Metadata.csv and the folder "
        "ISIC_2019_Training_Input",
    )

    def recognises(self, root: Path) -> bool:
        """The table of the training set, with its columns, and the folder of its images."""
        tables = find_below(root, _TRUTH)
        return bool(tables and _inputs(root)) and {"image", *self.card.classes} <= set(columns_of(tables[0]))

    def index(self, source: str) -> Index:
        """The images in the order of the table; rows without an image are told as lost.

        Raises:
            DataError: no table, no images, or a row that has not exactly one class.
        """
        root = root_of(source)
        tables = [path for path in find_below(root, _TRUTH) if path.is_file()]
        if not tables:
            raise self.card.missing(source)
        table = read_table(tables[0], ("image", *self.card.classes))
        images, skipped, notes = _images(root, tables[0])
        facts, more = _metadata(root)
        rows, lost = self._rows(tables[0], table, images)
        if not rows:
            raise DataError(
                f"{source}: {count(len(table), 'row')} in {tables[0].name}, but none of its images is there"
            )
        notes += more + self.compare(Counter(row.label for row in rows), _COUNTS)
        known = {row.name for row in rows}
        used = [
            p.relative_to(root).as_posix() for p in (tables[0], *find_below(root, _METADATA)[:1], *_inputs(root)[:1])
        ]
        skipped += beside(root, used) if _inputs(root) else []
        strangers = [Skipped(name, f"not in {tables[0].name}") for name in images.values() if name not in known]
        names = [_stem(row) for row in rows]
        columns = {key: [facts.get(name, {}).get(key, "") for name in names] for key in (*_COLUMNS, "patient_id")}
        groups, told = self._groups(names, columns, bool(facts))
        return self.to_index(
            root,
            rows,
            [*skipped, *strangers, *lost],
            [*notes, *told],
            groups=groups,
            metadata=_columns(names, columns, bool(facts)),
        )

    def _rows(self, path: Path, table: list[dict[str, str]], images: dict[str, str]) -> tuple[list[Row], list[Skipped]]:
        rows, lost, seen = [], [], set()
        for number, cells in enumerate(table, start=2):
            name = cells["image"]
            label = self._label(path, number, cells)
            file = images.get(name, "")
            if not label:
                lost.append(Skipped(file or name, _NO_LABEL))
            elif not file:
                lost.append(Skipped(name, f"in {path.name}, but its image is not there", lost=True))
            elif name in seen:
                lost.append(Skipped(f"row {number}: {name}", "the table names this image twice", lost=True))
            else:
                seen.add(name)
                rows.append(Row(file, "", file.rpartition("/")[2], label))
        return rows, lost

    def _label(self, path: Path, number: int, cells: dict[str, str]) -> str:
        labels = [name for name in self.card.classes if _is_one(cells[name])]
        if len(labels) == 1:
            return labels[0]
        if not labels and _is_one(cells.get("UNK", "0")):
            return ""
        raise DataError(f"{path}, row {number} ({cells['image']}): {len(labels)} classes are 1, expected is one")

    def _groups(
        self, names: Sequence[str], columns: dict[str, list[str]], told: bool
    ) -> tuple[dict[str, Sequence[str]], list[str]]:
        groups: dict[str, Sequence[str]] = {}
        notes = []
        if any(columns["patient_id"]):  # not in the challenge's table, but in later exports of the archive
            groups["patient_id"] = columns["patient_id"]
            notes.append(f"{count(len({*columns['patient_id']} - {''}), 'patient')} from the metadata")
        else:
            notes.append("patients are not told: several lesions of one person may lie in different parts of a split")
        if self.lesions == "from_metadata" and told:
            groups["lesion_id"] = columns["lesion_id"]
            known = [lesion for lesion in columns["lesion_id"] if lesion]
            notes.append(
                f"{count(len(set(known)), 'lesion')} from the metadata; {count(len(names) - len(known), 'image')} tell none"
            )
        stems = [name.removesuffix("_downsampled") for name in names]
        often = Counter(stems)
        twins = sum(n - 1 for n in often.values())
        if twins:  # an image that is there once has no group: it would pass for one that is independent of all others
            groups["photograph"] = [stem if often[stem] > 1 else "" for stem in stems]
            notes.append(f"{count(twins, 'photograph')} in full and in reduced size (_downsampled), kept together")
        return groups, notes


_COLUMNS = ("lesion_id", "age_approx", "sex", "anatom_site_general")


def _images(root: Path, table: Path) -> tuple[dict[str, str], list[Skipped], list[str]]:
    """Images by their id; they are looked for in the folder of the training input, else beside the table."""
    inputs = _inputs(root)
    home = inputs[0] if inputs else table.parent
    prefix = home.relative_to(root).as_posix()
    prefix = "" if prefix == "." else f"{prefix}/"
    notes = (
        [] if inputs else [f"no folder ISIC_2019_Training_Input; images are looked for below {prefix or 'the folder'}"]
    )
    names, skipped = [], []
    for file in files_below(home, prefix):
        if file.problem:
            skipped.append(Skipped(file.name, file.problem, file.lost))
        else:
            names.append(file.name)
    images = images_by_name(names)
    kept = set(images.values())
    skipped += [Skipped(name, "another file of this name is read") for name in names if name not in kept]
    return images, skipped, notes


def _inputs(root: Path) -> list[Path]:
    return [path for path in find_below(root, _INPUT) if path.is_dir()]


def _metadata(root: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    tables = [path for path in find_below(root, _METADATA) if path.is_file()]
    if not tables:
        return {}, ["no ISIC_2019_Training_Metadata.csv here: lesions, age, sex and site of the body are not known"]
    return {row["image"]: row for row in read_table(tables[0], ("image", *_COLUMNS))}, []


def _columns(names: Sequence[str], columns: dict[str, list[str]], told: bool) -> dict[str, np.ndarray]:
    source = np.array([source_of(n, lesion) for n, lesion in zip(names, columns["lesion_id"], strict=True)])
    if not told:
        return {"source": source}
    ages = [_number(cell) for cell in columns["age_approx"]]
    texts = {name: np.array(columns[name], dtype=str) for name in ("sex", "anatom_site_general")}
    return {"age_approx": np.array(ages), **texts, "source": source}


def source_of(image: str, lesion: str) -> str:
    """The collection that an image comes from, by its lesion's id, else by its number; empty where neither tells.

    >>> source_of("ISIC_0000002", "MSK4_0010967"), source_of("ISIC_0024306", ""), source_of("ISIC_0073254", "")
    ('MSK', 'HAM10000', 'BCN20000')
    """
    if lesion[:3] in _SOURCES:
        return _SOURCES[lesion[:3]]
    match = _ID.fullmatch(image)
    if not match:
        return ""
    number = int(match[1])
    if number < 24306:
        return "MSK"
    return "HAM10000" if number <= 34320 else "BCN20000" if 53453 <= number <= 73254 else ""


def _stem(row: Row) -> str:
    return row.file.rpartition(".")[0]


def _is_one(cell: str) -> bool:
    return _number(cell) == 1


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")
