"""Names of columns that give away what a table means."""

from __future__ import annotations

import re

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

SITE_NAMES = (
    "site",
    "site_id",
    "hospital",
    "hospital_id",
    "center",
    "center_id",
    "centre",
    "centre_id",
    "clinic",
    "institution",
    "institute",
    "acquisition_site",
    "scanner",
    "scanner_id",
    "scanner_model",
    "device",
    "device_id",
    "machine",
    "camera",
    "manufacturer",
    "vendor",
)
"""Columns taken by their name for where a sample comes from, the first that is there."""

ANATOMY = re.compile(
    r"\b(head|neck|face|facial|scalp|ear|eye|oral|trunk|torso|chest|abdomen|back|breast|arm|forearm|hand|finger|palm|leg|"
    r"thigh|knee|foot|toe|sole|extremity|extremities|genital|shoulder|hip|lung|lobe|brain|liver|colon|skin|left|right|"
    r"l|r|upper|lower|anterior|posterior|lateral)\b",
    re.IGNORECASE,
)
"""A ``site`` whose values speak of these is a place of the body, not a hospital."""


def normalised(name: str) -> str:
    """A column's name in lower case with underscores: ``class label``, ``ClassLabel`` -> ``class_label``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^0-9a-z]+", "_", spaced.lower()).strip("_")
