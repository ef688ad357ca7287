"""Labels and given splits from folders: ``CLASS/…``, ``SPLIT/CLASS/…`` or ``CLASS/SPLIT/…``, perhaps in one more folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from medplug.plugins import DataError
from medplug_dicom.names import LEAST, Identifiers
from medplug_dicom.values import Case, File, Labelled, Left

SPLITS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
"""Words for the parts of a given split, in lower case."""

_LOOKED_AT = 50  # files of a folder


def by_folders(source: str, files: Sequence[File], hint: str) -> Labelled:
    """Cases labelled by the folders that they lie in; files in no class folder are left.

    Args:
        source: DATA as typed, for messages.
        files: with readable headers.
        hint: what else to do where there are no class folders.

    Raises:
        DataError: no two classes, or folders that are patients rather than classes.
    """
    depth = _shell(files)
    parts = [(file, file.name.split("/")[depth:-1]) for file in files]
    given = {p[0] for _, p in parts if p and p[0].lower() in SPLITS}
    others = {p[0] for _, p in parts if p} - given
    outside = bool(given) and any(len(p) > 1 for _, p in parts if p and p[0] in given)
    if outside and others:
        raise DataError(
            f"{source}: folders of a given split ({', '.join(sorted(given))}) and {len(others)} other folders with images "
            "beside them, so that it is not clear which are the classes; move the one kind elsewhere"
        )
    named = [p for _, p in parts if p and p[0] not in given]
    inside = not outside and all(len(p) > 1 and p[1].lower() in SPLITS for p in named)
    cases, left = [], []
    for file, p in parts:
        if len(p) <= outside:
            left.append(Left(file.name, "not in a class folder", lost=True))
        elif not outside and p[0] in given:
            left.append(Left(file.name, "in a folder named like a split, without class folders", lost=True))
        elif outside:
            cases.append(Case(file, p[1], SPLITS[p[0].lower()]))
        else:
            cases.append(Case(file, p[0], SPLITS[p[1].lower()] if inside else ""))
    _check(source, cases, hint)
    notes = [f"the class folders are one folder further down than {source}"] if depth else []
    if outside or inside:
        words = Counter(case.split for case in cases)
        told = ", ".join(f"{part} ({count})" for part, count in sorted(words.items()))
        notes.append(f"given splits, from the names of folders; files of {told}")
    return Labelled(cases, left, notes)


def _shell(files: Sequence[File]) -> int:
    """1 where one folder holds everything and is neither a class nor a split, as archives often unpack; else 0."""
    tops = {file.name.split("/")[0] for file in files}
    alone = len(tops) == 1 and all(file.name.count("/") > 1 for file in files)
    return int(alone and next(iter(tops)).lower() not in SPLITS)


def _check(source: str, cases: Sequence[Case], hint: str) -> None:
    advice = f"expected is a folder for each class, at least two; {hint}"
    if not cases:
        raise DataError(f"{source}: DICOM files but no class folders; {advice}")
    by_class: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_class[case.label].append(case)
    patients = _named_by_patient(by_class)
    if patients:
        raise DataError(
            f"{source}: {patients} of {len(by_class)} folders are named by the patient, study or day whose files they hold, "
            f"so that they are no classes; {advice}"
        )
    if len(by_class) < 2:
        raise DataError(f"{source}: only one class folder; {advice}")


def _named_by_patient(by_class: Mapping[str, Sequence[Case]]) -> int:
    """How many folders bear an identifier of each of their files.

    A single word of a person's name counts only where that holds of every folder: ``normal`` may be part of a
    volunteer's name as well.
    """
    strong = sum(_bears(name, cases, words=False) for name, cases in by_class.items())
    weak = sum(_bears(name, cases, words=True) for name, cases in by_class.items())
    return weak if weak == len(by_class) else strong


def _bears(label: str, cases: Sequence[Case], words: bool) -> bool:
    headers = [case.file.header for case in cases[:_LOOKED_AT]]
    if words and len({header["PatientID"] or header["PatientName"] for header in headers}) > 1:
        return False
    return all(
        Identifiers(text for text in header.identifiers(words) if len(text) >= LEAST).parts_in([label])
        for header in headers
    )
