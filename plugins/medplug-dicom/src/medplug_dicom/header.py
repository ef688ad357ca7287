"""The header of a DICOM file: what an index needs of it, read without its pixels."""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement

from medplug_dicom.files import SUFFIXES, has_magic
from medplug_dicom.names import date_texts, id_texts, person_texts

_DATES = ("PatientBirthDate", "StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
IDENTIFIERS = frozenset({*_DATES, *_NUMBERS, *UIDS, "PatientName", "OtherPatientNames"})
"""Attributes that tell who a patient is or when they came; they stay in memory."""

_OTHERS = (
    "SOPClassUID", "Modality", "BodyPartExamined", "ViewPosition", "ImageLaterality", "Laterality", "Manufacturer",
    "ManufacturerModelName", "InstitutionName", "PatientSex", "PatientAge", "SliceThickness", "PixelSpacing",
    "ImagerPixelSpacing", "BurnedInAnnotation", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient",
    "NumberOfFrames", "Rows", "Columns", "BitsStored", "SpecificCharacterSet",
)  # fmt: skip
_SHORT = {"Rows", "Columns", "BitsStored"}  # unsigned numbers of 16 bits; all others are texts
_TAGS = {keyword: tag_for_keyword(keyword) or 0 for keyword in (*sorted(IDENTIFIERS), *_OTHERS)}
NO_DICOM = "no DICOM file (DICM is missing at byte 128)"
_AT_ONCE = 65536  # bytes; few headers are longer
_DIRECTORY = "1.2.840.10008.1.3.10"
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_NO_IMAGES = frozenset(
    [
        "SR",
        "PR",
        "KO",
        "DOC",
        "REG",
        "FID",
        "RTSTRUCT",
        "RTPLAN",
        "RTRECORD",
        "PLAN",
        "ECG",
        "HD",
        "EPS",
        "RESP",
        "AU",
        "RWV",
        "ASMT",
        "SMR",
        "STAIN",
        "IO",
        "POS",
    ]
)  # modalities of documents, curves and plans
_MOST_FRAMES = 1_000_000
_OLDEST = 90  # years; who is older is rare enough to be recognised by it (45 CFR 164.514(b)(2))


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of one file. Texts are stripped; what is missing is empty.

    Attributes:
        values: attributes by keyword, as texts; several values with a backslash between, as DICOM writes them.
        syntax: UID of the transfer syntax.
    """

    values: dict[str, str]
    syntax: str

    def __getitem__(self, keyword: str) -> str:
        return self.values.get(keyword, "")

    @property
    def frames(self) -> int:
        """How many images the file holds."""
        number = self["NumberOfFrames"]
        return max(1, int(number)) if number.isdecimal() else 1

    @property
    def bits(self) -> int:
        """Bits stored of each sample; 0 where the file does not say."""
        return int(self["BitsStored"] or 0)

    def identifiers(self, words: bool = True) -> list[str]:
        """Every text of this header that tells who the patient is, in the ways in which paths write it.

        Without ``words`` a person's name counts as a whole only.
        """
        texts = [self[keyword] for keyword in UIDS]
        for keyword in _NUMBERS[:3]:
            texts += [text for value in self[keyword].split("\\") for text in id_texts(value)]
        if len(self["StudyID"]) > 3:  # mostly a running number, which would hide the names of all slices
            texts.append(self["StudyID"])
        for keyword in ("PatientName", "OtherPatientNames"):
            texts += [text for value in self[keyword].split("\\") for text in person_texts(value, words)]
        return texts + [text for keyword in _DATES for text in date_texts(self[keyword])]


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why a file is no image; quotes nothing from it. ``lost``: it was meant to be one."""

    reason: str
    lost: bool = False


def silence() -> None:
    """Keep pydicom's warnings from screen and logs: they quote paths and values, which may name a patient.

    What they warn about is either harmless to an image or ends in an error of this package.
    """
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    wanted = r"(pydicom|medplug_dicom)\b"
    if not any(f[0] == "ignore" and getattr(f[3], "pattern", "") == wanted for f in warnings.filters):
        warnings.filterwarnings("ignore", module=wanted)


def read_header(path: Path, further: Iterable[str] = ()) -> Header | Unusable:
    """The header of a file; ``further`` are attributes that are wanted too, by keyword."""
    wanted = {keyword: tag_for_keyword(keyword) or 0 for keyword in further} | _TAGS
    try:
        with path.open("rb") as stream:
            start = stream.read(_AT_ONCE)
            if not has_magic(start[:132]):
                named = path.suffix.lower() in SUFFIXES
                return Unusable(NO_DICOM + (", though named like one" if named else ""), lost=named)
            return _checked(_dataset(stream, start, list(wanted.values())), wanted)
    except FileNotFoundError:
        return Unusable("the file does not exist", lost=True)
    except OSError as error:
        return Unusable(f"cannot be opened: {error.strerror}", lost=True)
    except Exception:  # pydicom raises nearly anything on damaged headers, with values in the message
        return Unusable("its header is damaged or cut short", lost=True)


def _dataset(stream: BinaryIO, start: bytes, tags: list[int]) -> Dataset:
    """All before the pixels: from the first bytes of the file, which is twice as fast, where they hold it."""
    memory = io.BytesIO(start)
    try:
        dataset = dcmread(memory, stop_before_pixels=True, specific_tags=tags)
        if len(start) < _AT_ONCE or memory.tell() < len(start):
            return dataset
    except Exception:  # cut in the midst of an element, or damaged: the whole file tells which
        if len(start) < _AT_ONCE:
            raise
    stream.seek(0)
    return dcmread(stream, stop_before_pixels=True, specific_tags=tags)


def _checked(dataset: Dataset, wanted: dict[str, int]) -> Header | Unusable:
    meta = dataset.file_meta
    syntax = str(meta.get("TransferSyntaxUID") or "")
    if str(meta.get("MediaStorageSOPClassUID") or "") == _DIRECTORY:
        return Unusable("a DICOMDIR, which lists files and holds no image")
    if not syntax:
        return Unusable("its header names no transfer syntax, so that its bytes cannot be understood", lost=True)
    values = {keyword: _text(dataset, keyword, tag) for keyword, tag in wanted.items()}
    header = Header({keyword: value for keyword, value in values.items() if value}, syntax)
    if not header.values:
        return Unusable("its header is damaged or cut short", lost=True)
    if not (header["Rows"] and header["Columns"]):
        if header["Modality"] in _NO_IMAGES:
            return Unusable(f"holds no image ({header['Modality']})")
        return Unusable("its header tells of no rows and columns of pixels; it may be cut short", lost=True)
    if header.frames > _MOST_FRAMES:
        return Unusable(f"its header claims {header.frames:,} frames", lost=True)
    if header["SOPClassUID"] in _SEGMENTATIONS or header["Modality"] == "SEG":
        return Unusable("a segmentation (SEG), which marks an image and is none")
    return header


def _text(dataset: Dataset, keyword: str, tag: int) -> str:
    """One attribute as text; plain ASCII goes past pydicom's conversion, which would take a third of all time."""
    try:
        element = dataset.get_item(tag)
        if element is None or element.value is None:
            return ""
        raw = element.value
        if isinstance(element, RawDataElement) and isinstance(raw, bytes):
            if keyword in _SHORT:
                return str(int.from_bytes(raw[:2], "little" if element.is_little_endian else "big"))
            if raw.isascii() and b"\x1b" not in raw:  # an escape begins another alphabet
                return raw.decode("ascii").strip(" \0\r\n\t")
        value = dataset[tag].value
        several = isinstance(value, MutableSequence)
        return "\\".join(str(one).strip() for one in value) if several else str(value).strip(" \0")
    except Exception:  # a value that is not what its type promises; for an index it counts as missing
        return ""


# ---------------------------------------------------------------- what may be told


def describe(header: Header) -> dict[str, str]:
    """Columns of metadata that do not tell who the patient is, as texts; empty where something is missing."""
    spacing = numbers(header["PixelSpacing"] or header["ImagerPixelSpacing"])
    thickness = numbers(header["SliceThickness"])
    return {
        "modality": header["Modality"],
        "body_part": header["BodyPartExamined"],
        "view": header["ViewPosition"],
        "laterality": header["ImageLaterality"] or header["Laterality"],
        "manufacturer": header["Manufacturer"],
        "model": header["ManufacturerModelName"],
        "sex": header["PatientSex"],
        "age": years(header["PatientAge"]),
        "slice_thickness_mm": f"{thickness[0]:g}" if thickness else "",
        "pixel_spacing_mm": f"{spacing[0]:g}" if spacing else "",
    }


def years(age: str) -> str:
    """An age (``045Y``, ``018M``, ``003W``, ``010D``) in years, at most 90; empty where it is none.

    >>> years("045Y"), years("018M"), years("102Y"), years("")
    ('45', '1.5', '90', '')
    """
    number, unit = age[:-1], age[-1:].upper()
    parts = {"Y": 1, "M": 12, "W": 365.25 / 7, "D": 365.25}
    if unit not in parts or not number.isdecimal():
        return ""
    return f"{min(round(int(number) / parts[unit], 2), _OLDEST):g}"


def numbers(text: str) -> list[float]:
    r"""The numbers of a text such as ``0.5\0.5``; empty where one of them is none, or not finite."""
    try:
        found = [float(part) for part in text.split("\\")] if text else []
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) else []
