"""From cases to an index: which slices and frames, safe names, targets, notes."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medplug.plugins import Index, Skipped
from medplug_dicom import columns
from medplug_dicom.columns import count
from medplug_dicom.header import Header, numbers
from medplug_dicom.names import Identifiers, folders_that_tell, safe_name
from medplug_dicom.salt import Hasher
from medplug_dicom.values import Case, File, Labelled, Left


@dataclass(frozen=True)
class Choices:
    """The reader's parameters that say what becomes of slices, frames and sites."""

    frames: str
    series: str
    site: str


def build_index(
    root: Path, found: Labelled, left: Sequence[Left], known: Iterable[File], choices: Choices, hasher: Hasher
) -> Index:
    """The index of cases.

    Args:
        root: folder to which names are relative.
        found: the cases, and what their labels are.
        left: what takes no part, under true names.
        known: all files with headers, whose identifiers no name of a file without one may hold.
        choices: of the reader.
        hasher: of the user.
    """
    notes = list(found.notes)
    cases = _middle_slices(found.cases, notes) if choices.series == "middle" else list(found.cases)
    classes = _classes(cases, found)
    if classes and not found.columns:
        order = {name: i for i, name in enumerate(classes)}
        cases.sort(key=lambda case: (order[case.label], case.file.name))
    else:
        cases.sort(key=lambda case: case.file.name)
    _note_frames(cases, choices.frames, notes)
    _note_burnt_in(cases, notes)
    names, skipped = _safe(cases, left, known, hasher, notes)
    rows = [(case, name, n) for case, name in zip(cases, names, strict=True) for n in _frames(case, choices.frames)]
    of_row = [case for case, _, _ in rows]
    metadata, site = columns.metadata([case.file.header for case in of_row], choices.site, hasher, notes)
    targets = _targets([case.label for case in of_row], classes, found)
    several = bool(found.columns) and not (np.isfinite(targets).all() and (targets.sum(1) == 1).all())
    return Index(
        samples=tuple(_frame_name(name, case, frame) for case, name, frame in rows),
        uris=tuple(_uri(root, case, frame) for case, _, frame in rows),
        targets=targets,
        classes=classes,
        task="multilabel" if several or not classes else "multiclass",
        groups=columns.groups(of_row, hasher, notes),
        metadata=metadata,
        splits=np.array([case.split for case in of_row]) if any(case.split for case in of_row) else None,
        skipped=skipped,
        notes=tuple(notes),
        site=site,
    )


def _classes(cases: Sequence[Case], found: Labelled) -> tuple[str, ...]:
    """The label columns, or the labels that there are: numbers by size, anything else as strings."""
    if found.columns or not found.labelled:
        return found.columns
    labels = {case.label for case in cases}
    return tuple(sorted(labels, key=(lambda label: (int(label), label)) if all(map(str.isdecimal, labels)) else None))


def _targets(labels: Sequence[str], classes: tuple[str, ...], found: Labelled) -> np.ndarray:
    if not found.labelled:
        return np.zeros((len(labels), 0), np.float32)
    if found.columns:
        return np.array([[float(cell) for cell in label.split(" ")] for label in labels], np.float32)
    number = {name: i for i, name in enumerate(classes)}
    return np.eye(len(classes), dtype=np.float32)[[number[label] for label in labels]]


# ---------------------------------------------------------------- slices and frames


def _middle_slices(cases: Sequence[Case], notes: list[str]) -> list[Case]:
    """Of each series with one label the slice in the middle; a file without a series stands for itself."""
    series: defaultdict[tuple[str, str, str], list[Case]] = defaultdict(list)
    for case in cases:
        series[case.file.header["SeriesInstanceUID"] or case.file.name, case.label, case.split].append(case)
    chosen = []
    for members in series.values():
        ordered = sorted(members, key=lambda case: (*_place(case.file.header), case.file.name))
        chosen.append(ordered[(len(ordered) - 1) // 2])
    notes.append(
        f"of {len(series)} series the middle slice is taken; {len(cases) - len(chosen)} other slices are left out"
    )
    return chosen


def _place(header: Header) -> tuple[float, float]:
    """Where a slice lies along the normal of its series, mm, and its number: the first that tells decides."""
    position, turned = numbers(header["ImagePositionPatient"]), numbers(header["ImageOrientationPatient"])
    number = numbers(header["InstanceNumber"])
    there = len(position) == 3 and len(turned) == 6
    along = float(np.dot(np.cross(turned[:3], turned[3:]), position)) if there else 0.0
    return round(along, 3), number[0] if number else 0.0


def _frames(case: Case, wanted: str) -> Iterable[int]:
    frames = case.file.header.frames
    if wanted == "each":
        return range(1, frames + 1)
    return [1 if wanted == "first" else middle_frame(frames)]


def middle_frame(frames: int) -> int:
    """The frame in the middle, from 1; of an even number the earlier one.

    >>> middle_frame(1), middle_frame(4), middle_frame(5)
    (1, 2, 3)
    """
    return (frames + 1) // 2


def _frame_name(name: str, case: Case, frame: int) -> str:
    frames = case.file.header.frames
    return f"{name}#{frame:0{len(str(frames))}d}" if frames > 1 else name


def _uri(root: Path, case: Case, frame: int) -> str:
    path = str(root / case.file.name)
    return f"{path}#{frame}" if case.file.header.frames > 1 else path


def _note_frames(cases: Sequence[Case], wanted: str, notes: list[str]) -> None:
    several = [case.file.header.frames for case in cases if case.file.header.frames > 1]
    if several:
        what = "each frame is a sample" if wanted == "each" else f"the {wanted} frame of each is taken"
        notes.append(f"{count(len(several), 'file')} with several frames, {sum(several)} in all: {what}")


def _note_burnt_in(cases: Sequence[Case], notes: list[str]) -> None:
    burnt = sum(case.file.header["BurnedInAnnotation"].upper() == "YES" for case in cases)
    if burnt:
        notes.append(
            f"{count(burnt, 'file')} with text burnt into the picture, as the header says: it may name the patient, and the "
            "report shows pictures"
        )


# ---------------------------------------------------------------- names


def _safe(
    cases: Sequence[Case], left: Sequence[Left], known: Iterable[File], hasher: Hasher, notes: list[str]
) -> tuple[list[str], tuple[Skipped, ...]]:
    """Names of cases, by the identifiers of their own headers, and of what is left out, by those of all headers.

    A folder that holds an identifier of one of its files has a hash for all of them: headers of secondary captures are
    often blank. A file that names no patient is looked at with the identifiers of its whole folder.
    """
    beside: defaultdict[str, list[str]] = defaultdict(list)
    for file in known:
        beside[os.path.dirname(file.name)] += file.header.identifiers()
    own = {
        case.file.name: Identifiers(
            case.file.header.identifiers()
            if case.file.header["PatientName"] and case.file.header["PatientID"]
            else [*case.file.header.identifiers(), *beside[os.path.dirname(case.file.name)]]
        )
        for case in cases
    }
    folders = {folder for case in cases for folder in folders_that_tell(case.file.name, own[case.file.name])}
    names = [safe_name(case.file.name, own[case.file.name], hasher, folders) for case in cases]
    everyone = Identifiers({text for file in known for text in file.header.identifiers()} if left else ())
    skipped = tuple(Skipped(safe_name(one.name, everyone, hasher), one.reason, one.lost) for one in left)
    changed = sum(a.file.name != b for a, b in zip(cases, names, strict=True))
    changed += sum(a.name != b.name for a, b in zip(left, skipped, strict=True))
    if changed:
        notes.append(
            f"{changed} of {len(cases) + len(left)} paths hold a patient's name, number or date, or a UID: these parts are "
            "hashes in the names of samples (python -m medplug_dicom DATA lists which file is which)"
        )
    return names, skipped
