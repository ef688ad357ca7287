"""Columns of an index from headers: groups as salted hashes, and metadata that tells of no person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from medplug_dicom.header import Header, describe
from medplug_dicom.names import normalised
from medplug_dicom.salt import Hasher
from medplug_dicom.values import Case

_PLACEHOLDERS = frozenset(
    ["anonymous", "anonymized", "anonymised", "anon", "anonym", "unknown", "none", "null", "na", "removed", "patientid"]
)
"""What stands for a patient where all were made nameless, normalised; zeros alone do as well."""


def groups(cases: Sequence[Case], hasher: Hasher, notes: list[str]) -> dict[str, np.ndarray]:
    """Patient and study of each sample, and a column of the table, as salted hashes ``[N]``; empty where unknown."""
    patients = [_patient(case.file.header) for case in cases]
    studies = [_study(case) for case in cases]
    if len(set(patients)) == 1 and patients[0] and len(set(studies)) > 2:
        notes.append("all files have the same PatientID, which is taken for a placeholder: the groups are the studies")
        patients = [""] * len(cases)
    of_study: defaultdict[str, set[str]] = defaultdict(set)
    for patient, study in zip(patients, studies, strict=True):
        of_study[study].add(patient)
    shared = {study for study, found in of_study.items() if study and len(found - {""}) > 1}
    if shared:
        notes.append(f"{count(len(shared), 'study UID')} of several patients: not used as groups")
        studies = ["" if study in shared else study for study in studies]
    missing = sum(not patient for patient in patients)
    if missing:
        notes.append(f"{missing} of {len(cases)} images name no patient; their study is all that keeps them together")
    columns = {"patient": patients, "study": studies, "group": [case.group for case in cases]}
    hashed = {name: np.array([hasher(name, v) for v in values], dtype=str) for name, values in columns.items()}
    return {name: column for name, column in hashed.items() if (column != "").any()}


def _patient(header: Header) -> str:
    for value in (header["PatientID"], header["PatientName"]):
        plain = normalised(value)
        if plain.strip("0") and plain not in _PLACEHOLDERS:
            return value
    return ""


def _study(case: Case) -> str:
    """The study; without one the series, and of a file with several frames the file itself."""
    header = case.file.header
    return header["StudyInstanceUID"] or header["SeriesInstanceUID"] or (case.file.name if header.frames > 1 else "")


def metadata(
    headers: Sequence[Header], site: str, hasher: Hasher, notes: list[str]
) -> tuple[dict[str, np.ndarray], str]:
    """Columns of texts ``[N]`` that are not empty throughout, and the name of the column of sites (empty: none)."""
    described = [describe(header) for header in headers]
    columns = {name: [one[name] for one in described] for name in (described[0] if described else ())}
    place = _places(hasher).get(site)
    if place is not None:
        columns["site"] = [place(header) for header in headers]
        if not any(columns["site"]):
            word = "InstitutionName" if site == "institution" else "Manufacturer"
            notes.append(f"no file has the attribute {word}, so that no site is known")
    found = {name: np.array(values, dtype=str) for name, values in columns.items() if any(values)}
    return found, "site" if "site" in found else ""


def _places(hasher: Hasher) -> dict[str, Callable[[Header], str]]:
    return {
        "institution": lambda header: hasher("institution", normalised(header["InstitutionName"])),
        "scanner": lambda header: f"{header['Manufacturer']} {header['ManufacturerModelName']}".strip(),
    }


def count(n: int, noun: str) -> str:
    """A number and its noun.

    >>> count(1, "file"), count(2, "file")
    ('1 file', '2 files')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
