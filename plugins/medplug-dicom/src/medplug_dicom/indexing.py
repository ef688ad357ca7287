"""The way from DATA to an index: list, read headers, label, hide."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VR, tag_for_keyword

from medplug.plugins import DataError, Index
from medplug_dicom.building import Choices, build_index
from medplug_dicom.decoders import missing_decoder
from medplug_dicom.files import TABLES, Found, is_dicom, walk
from medplug_dicom.header import IDENTIFIERS, Unusable, read_header, silence
from medplug_dicom.layout import by_folders
from medplug_dicom.salt import user_hasher
from medplug_dicom.table import Columns, by_table, read_table
from medplug_dicom.values import Case, File, Labelled, Left

if TYPE_CHECKING:
    from medplug_dicom.reader import Dicom


_PERSONAL_VRS = frozenset({"PN", "UI", "DA", "DT", "TM"})  # names, unique identifiers, days, times
_PERSONAL = re.compile(
    r"^Patient(?!(Sex|Age|Position|Orientation)$)|^Other|^Institution|Physician|Operator|Person|Address|Telephone|Religious"
)
"""Attributes whose texts may name a person or a place, by their keywords; PS3.15 annex E lists them one by one."""


def make_index(reader: Dicom, source: str, labelled: bool = True) -> Index:
    """What :meth:`Dicom.index` and, not ``labelled``, :meth:`Dicom.unlabelled` return and raise."""
    silence()
    root, path = _places(source)
    only = path if path is not None and not _is_table(path) else None
    if only and labelled:
        raise DataError(
            f"{source}: a single DICOM file, without labels to learn from. Pass a folder of class folders or a table of "
            "labels; a finished run takes single files: medplug predict RUN FILE"
        )
    attribute = _label_attribute(reader) if labelled else ()
    files, left = list_files(root, [only.name] if only else None, attribute)
    if not files:
        raise DataError(f"{source}: no DICOM image that can be read: {_reasons(left) or 'the folder is empty'}")
    if path and not only:
        left = [one for one in left if one.name != path.name]
        asked = Columns(*(
            name or "" for name in (reader.image_column, reader.label_column, reader.split_column, reader.group_column)
        ))  # fmt: skip
        found = by_table(read_table(path), files, asked, labelled)
    elif not labelled:
        found = Labelled([Case(file) for file in files], labelled=False)
    elif attribute:
        found = _by_attribute(source, files, attribute[0])
    else:
        found = by_folders(source, files, _hint(left))
    _check(source, found)
    choices = Choices(reader.frames, reader.series, reader.site)
    return build_index(root, found, [*left, *found.left], files, choices, user_hasher())


def list_files(root: Path, names: Sequence[str] | None, further: tuple[str, ...]) -> tuple[list[File], list[Left]]:
    """Images below a folder with their headers, and all other files with the reason why they are none.

    Args:
        root: the folder.
        names: look at these files alone.
        further: attributes to read beside those that are always read.
    """
    files, left = [], []
    for found in walk(root) if names is None else map(Found, names):
        if found.problem:
            left.append(Left(found.name, found.problem, found.lost))
            continue
        header = read_header(root / found.name, further)
        if isinstance(header, Unusable):
            left.append(Left(found.name, header.reason, header.lost))
            continue
        lacking = missing_decoder(header.syntax, header.bits)
        if lacking:
            left.append(Left(found.name, lacking, lost=True))
        else:
            files.append(File(found.name, header))
    return files, left


def _places(source: str) -> tuple[Path, Path | None]:
    """The folder to search, and the file that DATA is, if it is one."""
    path = Path(os.path.abspath(source))
    try:
        if path.is_dir():
            return path, None
        if not path.exists():
            raise DataError(f"{source}: no such file or folder")
        if not (_is_table(path) or is_dicom(path)):
            raise DataError(f"{source}: neither a folder, nor a DICOM file, nor a table ({', '.join(TABLES)})")
    except (OSError, ValueError) as error:
        raise DataError(f"{source}: cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    return path.parent, path


def _is_table(path: Path) -> bool:
    return path.name.lower().endswith(TABLES) and not is_dicom(path)


def _label_attribute(reader: Dicom) -> tuple[str, ...]:
    keyword = reader.label_attribute
    if keyword is None:
        return ()
    if tag_for_keyword(keyword) is None:
        raise DataError(
            f"reader.label_attribute: DICOM has no attribute {keyword!r}; keywords look like BodyPartExamined"
        )
    if keyword in IDENTIFIERS or dictionary_VR(keyword) in _PERSONAL_VRS or _PERSONAL.search(keyword):
        raise DataError(f"reader.label_attribute: {keyword} may tell who the patient is and cannot be a label")
    return (keyword,)


def _by_attribute(source: str, files: Sequence[File], keyword: str) -> Labelled:
    cases = [Case(file, file.header[keyword]) for file in files if file.header[keyword]]
    left = [Left(file.name, f"its header has no {keyword}", lost=True) for file in files if not file.header[keyword]]
    if not cases:
        raise DataError(f"{source}: no file has the attribute {keyword}")
    return Labelled(cases, left, [f"labels from the attribute {keyword}"])


def _reasons(left: Sequence[Left]) -> str:
    """The commonest reasons why files take no part, in words."""
    counts = Counter(one.reason for one in left)
    return "; ".join(f"{reason} ({n})" for reason, n in counts.most_common(4))


def _hint(left: Sequence[Left]) -> str:
    tables = [one.name for one in left if one.name.lower().endswith(TABLES) and "/" not in one.name]
    if tables:
        return f"to take the labels from a table, pass the file as DATA ({len(tables)} lie in the folder)"
    return "labels may also come from a table beside the files, or with --set reader.label_attribute=…"


def _check(source: str, found: Labelled) -> None:
    if not found.cases:
        raise DataError(f"{source}: no file has a label: {_reasons(found.left)}")
    if found.labelled and not found.columns and len({case.label for case in found.cases}) < 2:
        raise DataError(f"{source}: all {len(found.cases)} files have the same label; at least two classes are needed")
