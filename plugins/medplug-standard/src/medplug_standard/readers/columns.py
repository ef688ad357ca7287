"""Which column of a table means what: named by the user, or guessed from names and cells."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from medplug.plugins import DataError
from medplug_standard.readers.filematch import Finder, Match, looks_like_mask
from medplug_standard.readers.files import SPLIT_NAMES, nearest_hint, some
from medplug_standard.readers.tablefile import Table, is_missing

LABEL_NAMES = [
    "label",
    "labels",
    "class",
    "classes",
    "class_label",
    "class_name",
    "class_id",
    "label_name",
    "dx",
    "diagnosis",
    "diagnoses",
    "target",
    "targets",
    "category",
    "categories",
    "finding",
    "findings",
    "finding_label",
    "finding_labels",
    "pathology",
    "disease",
    "condition",
    "grade",
    "severity",
    "level",
    "outcome",
    "y",
]
"""Columns taken for the label by their name, the first that is there; written in any case and with any separator."""

GROUP_NAMES = frozenset(
    [
        "patient",
        "patient_id",
        "patient_number",
        "patientid",
        "subject",
        "subject_id",
        "subjectid",
        "case",
        "case_id",
        "caseid",
        "lesion",
        "lesion_id",
        "lesionid",
        "source",
        "source_id",
        "study",
        "study_id",
        "study_uid",
        "study_instance_uid",
        "person",
        "person_id",
        "participant",
        "participant_id",
        "slide",
        "slide_id",
        "group",
        "group_id",
    ]
)
"""Columns taken for groups by their name."""

SPLIT_COLUMNS = ("split", "set", "partition", "subset", "fold", "phase")
"""Columns taken for a given split by their name, if every cell is one of ``SPLIT_NAMES`` or empty."""

NEVER_LABELS = re.compile(
    r"(^|_)(id|ids|type|types|format|mode|encoding|mime|extension|file|files|filename|name|path|url|uri|image|mask|"
    r"width|height|size|rows|columns|bytes|date|year|time|age|sex|gender|race|ethnicity|eye|side|laterality|"
    r"site|location|localization|localisation|anatom_site|body_part|view|view_position|position|projection|"
    r"scanner|device|machine|manufacturer|modality|dataset|hospital|center|centre|country|fold|split|set|"
    r"quality|index|number|count|keywords|comment|comments|notes|source|license|licence)$"
)
"""Columns never taken for a label by guess: what they hold describes the file, the patient or the recording.
``dx_type`` of HAM10000 (how the diagnosis was confirmed) is the classic: it nearly gives the class away."""

_POSITIVE = frozenset({"1", "1.0", "true", "yes"})
_NEGATIVE = frozenset({"0", "0.0", "false", "no"})
_UNSURE = frozenset({"-1", "-1.0"})  # CheXpert's "uncertain"
_PROBES = 300  # rows looked at to find the column of images


@dataclass(frozen=True)
class Roles:
    """The columns in use. ``notes`` says in words which and whether they were guessed."""

    image: str
    finder: Finder
    labels: tuple[str, ...]
    groups: tuple[str, ...] = ()
    split: str = ""
    notes: list[str] = field(default_factory=list)


def named(table: Table, text: str, parameter: str) -> tuple[str, ...]:
    """The columns that a parameter names: one name, or several with commas between.

    Raises:
        DataError: a column that is not there, with the nearest one and those that are.
    """
    if text in table.columns:
        return (text,)
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    for name in names:
        if name not in table.columns:
            hint = nearest_hint(name, table.columns)
            raise DataError(f"{parameter}: no column {name!r}{hint} (columns: {some(list(table.columns), 40)})")
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise DataError(f"{parameter}: column {repeated[0]!r} is named twice")
    return names


def normalised(name: str) -> str:
    """A column's name in lower case with underscores: ``class label``, ``ClassLabel`` -> ``class_label``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^0-9a-z]+", "_", spaced.lower()).strip("_")


# ---------------------------------------------------------------- images


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


def find_images(table: Table, places: list[Finder], column: str | None) -> tuple[str, Finder, str]:
    """The column of images, where they lie, and how they were matched, in words.

    A column scores by the share of its rows that lead to different files, so that a column of grades 1 to 5 does not
    pass for the files 001 to 005.

    Raises:
        DataError: no column leads to files, or two do, to different ones.
    """
    columns = [column] if column else list(table.columns)
    best = {name: _best_place(table, name, places) for name in columns}
    chosen = max(best.values(), key=lambda candidate: candidate.score)
    if chosen.score[0] == 0:
        raise DataError(_nothing_matches(table, columns, places))
    if not column:
        _check_rivals(chosen, best)
    rules = Counter(m.how for m in chosen.matches if m.how)
    return chosen.column, chosen.finder, ", ".join(rules)


def _best_place(table: Table, column: str, places: list[Finder]) -> _Candidate:
    cells = table.columns[column]
    step = max(1, len(cells) // _PROBES)
    probes = cells[::step]
    candidates = [_Candidate(column, place, tuple(map(place.find, probes))) for place in places]
    return max(candidates, key=lambda candidate: candidate.score)


def _check_rivals(chosen: _Candidate, best: dict[str, _Candidate]) -> None:
    mine = {chosen.finder.root / m.name for m in chosen.matches if m.name}
    for rival in best.values():
        files = {rival.finder.root / m.name for m in rival.matches if m.name and not looks_like_mask(m.name)}
        if len(files - mine) * 2 > len(mine) and "mask" not in normalised(rival.column):
            raise DataError(
                f"two columns name different image files: {chosen.column!r} and {rival.column!r}. A row must be one "
                "image: reshape the table to one row per image, or name the column to use: --set reader.image_column=…"
            )


def _nothing_matches(table: Table, columns: list[str], places: list[Finder]) -> str:
    where = some([f"{place.root} ({place.images} images)" for place in places], 4)
    if len(columns) == 1:
        tried = [repr(cell) for cell in table.columns[columns[0]][:3]]
        what = f"no cell of column {columns[0]!r} leads to a file; tried were {', '.join(tried)}"
    else:
        examples = [f"{name}: {table.columns[name][0]!r}" for name in columns]
        what = f"no column leads to image files; tried were {some(examples, 5)}"
    return f"{what}, as paths and as names without extension, in {where}; set reader.image_root or reader.image_column"


# ---------------------------------------------------------------- labels


def guess_labels(table: Table, taken: set[str]) -> tuple[tuple[str, ...], str]:
    """The label columns and why: by name, else the 0/1 columns, else the column with the fewest values.

    Raises:
        DataError: nothing looks like a label.
    """
    free = [name for name in table.columns if name not in taken]
    by_name = {normalised(name): name for name in reversed(free)}
    for name in LABEL_NAMES:
        if name in by_name and _distinct(table, by_name[name]) > 1:
            return (by_name[name],), "guessed by its name"
    allowed = [name for name in free if not NEVER_LABELS.search(normalised(name))]
    binary = [name for name in allowed if is_binary(table.columns[name])]
    if len(binary) > 1:
        return tuple(binary), "guessed, being the columns of 0 and 1"
    sizes = {name: _distinct(table, name) for name in allowed}
    usable = [name for name in allowed if 1 < sizes[name] <= max(2, min(50, len(table) // 4))]
    if not usable:
        raise DataError(
            "no column looks like a label; name it: --set reader.label_column=… (one name, or several with commas "
            f"between; columns: {some(list(table.columns), 40)})"
        )
    chosen = min(usable, key=lambda name: sizes[name])
    others = [name for name in usable if name != chosen]
    return (chosen,), "guessed by its few values" + (f"; others would be {some(others)}" if others else "")


def is_binary(cells: list[str]) -> bool:
    """Whether a column holds only 0 and 1 (or no and yes), -1 and gaps, and some 0: a constant 1 is no label."""
    values = {cell.lower() for cell in cells}
    return bool(values & _NEGATIVE) and all(truth(value) is not None for value in values)


def truth(cell: str) -> float | None:
    """1 or 0; NaN for an empty cell and for -1 (uncertain); None for anything else."""
    low = cell.lower()
    if low in _POSITIVE:
        return 1.0
    if low in _NEGATIVE:
        return 0.0
    return float("nan") if low in _UNSURE or is_missing(low) else None


def _distinct(table: Table, column: str) -> int:
    return len({cell for cell in table.columns[column] if not is_missing(cell)})


# ---------------------------------------------------------------- groups and splits


def guess_groups(table: Table, taken: set[str]) -> tuple[tuple[str, ...], list[str]]:
    """Columns named like groups. One value that holds over a third of the rows would leave nothing to split."""
    groups, notes = [], []
    for name in table.columns:
        if name in taken or normalised(name) not in GROUP_NAMES:
            continue
        counts = Counter(cell for cell in table.columns[name] if not is_missing(cell))
        if len(counts) < 3 or max(counts.values()) * 3 > len(table):
            notes.append(
                f"column {name!r} is not taken for a group: it has {len(counts)} values, the commonest in "
                f"{max(counts.values(), default=0)} of {len(table)} rows (reader.group_column={name} takes it)"
            )
        else:
            groups.append(name)
    return tuple(groups), notes


def guess_split(table: Table, taken: set[str]) -> str:
    """The column of a given split; empty if there is none."""
    by_name = {normalised(name): name for name in reversed(list(table.columns)) if name not in taken}
    for name in SPLIT_COLUMNS:
        if name in by_name:
            values = {cell.lower() for cell in table.columns[by_name[name]] if not is_missing(cell)}
            if values and values <= set(SPLIT_NAMES):
                return by_name[name]
    return ""


def splits_of(table: Table, column: str) -> list[str]:
    """The given split of each row.

    Raises:
        DataError: a cell that names no split.
    """
    parts = []
    for number, cell in zip(table.rows, table.columns[column], strict=True):
        if not is_missing(cell) and cell.lower() not in SPLIT_NAMES:
            raise DataError(
                f"column {column!r}, row {number}: {cell!r} names no split; known are {', '.join(SPLIT_NAMES)}"
            )
        parts.append("" if is_missing(cell) else SPLIT_NAMES[cell.lower()])
    return parts
