"""Reader ``dicom``: DICOM files with labels from folders, a table or the files themselves."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

import numpy as np

from medplug.plugins import ImageError, Index, ParameterError, component, load_image, param
from medplug_dicom import files

_FRAME = re.compile(r"(?s)(.+)#(\d{1,9})")


@component
class Dicom:
    """DICOM files, recognised by their content (``DICM`` at byte 128); extensions do not matter.

    Labels come from folders (``DATA/CLASS/…``, with a given split ``DATA/SPLIT/CLASS/…`` or ``DATA/CLASS/SPLIT/…``),
    from a table beside the files (DATA is the table; one of its columns holds paths, file names, SOPInstanceUIDs,
    SeriesInstanceUIDs, StudyInstanceUIDs, PatientIDs or AccessionNumbers), or from an attribute of the files
    (``label_attribute``). Of several label columns, each of 0 and 1, a row with exactly one 1 everywhere makes a
    multi-class task, anything else a multi-label one, with empty cells and -1 for unknown.

    A sample is an image: a file, or each frame of a file with several (``frames``), or one slice of each series
    (``series``). Greys go through rescaling (or the modality table) and then, by default, through the file's own table of
    values of interest, else its first window, else from the least to the greatest value of the image; with at most 8
    bits stored from the least to the greatest value of those bits. MONOCHROME1 is inverted, padding is black, palettes
    and YBR become RGB. Images are ``[H, W, 1]`` or ``[H, W, 3]``, uint8 where at most 8 bits are stored, else uint16, and
    neither turned nor brought to square pixels.

    Patients stay unknown: groups ``patient`` and ``study`` are hashes with a salt that never leaves the user's own
    folder (``$MEDPLUG_SALT_FILE``), and so is each part of a sample's name that holds a name, number, date or UID of
    its file. Ages from 90 on are 90.

    Example:
        >>> import tempfile
        >>> from medplug_dicom.example import write_example
        >>> folder = tempfile.TemporaryDirectory()
        >>> reader = Dicom(window="40,400")
        >>> index = reader.index(write_example(folder.name))
        >>> index.samples[:2], index.classes, sorted(index.groups)
        (('clear/0.dcm', 'clear/1.dcm'), ('clear', 'lesion'), ['patient', 'study'])
        >>> image = reader.load(index.uris[0])
        >>> image.shape, image.dtype.name
        ((32, 32, 1), 'uint16')
        >>> folder.cleanup()
    """

    loads_files = True
    examples = ({"window": "40,400", "frames": "middle"}, {"window": "range", "series": "middle"})

    window: str = param(
        "grey values to show: file (the file's own table or window), range (least to greatest of the image), none (all that "
        "the bits can hold), or CENTER,WIDTH as in 40,400",
        default="file",
    )
    frames: Literal["each", "middle", "first"] = param("which frames of files with several", default="each")
    series: Literal["each", "middle"] = param("which slices of each series", default="each")
    site: Literal["institution", "scanner", "none"] = param(
        "column that tells where an image comes from: the hashed InstitutionName, or maker and model",
        default="institution",
    )
    label_attribute: str | None = param(
        "attribute that is the label, by its keyword, as in BodyPartExamined; left out, folders or a table tell it",
        default=None,
    )
    image_column: str | None = param("column that names files, UIDs or patients; left out, guessed", default=None)
    label_column: str | None = param("label column, or several of 0 and 1 with commas; left out, guessed", default=None)
    split_column: str | None = param("column of train, validation, test; left out, guessed", default=None)
    group_column: str | None = param("column of the table that is a further group, hashed as well", default=None)

    def __post_init__(self) -> None:
        from medplug_dicom.display import parse_window

        try:
            parse_window(self.window)
        except ValueError:
            raise ParameterError(
                f"window must be file, range, none, or CENTER,WIDTH with a width of at least 1, got {self.window!r}"
            ) from None

    def can_read(self, source: str) -> float:
        """0.95 for a DICOM file, and for a folder or table most of whose first few dozens of files are, else 0."""
        try:
            path = Path(source)
            if not source:
                return 0.0
            if path.is_file():
                if files.is_dicom(path):
                    return 0.95
                return self._sure(path.parent) if path.name.lower().endswith(files.TABLES) else 0.0
            return self._sure(path) if path.is_dir() else 0.0
        except (OSError, ValueError):
            return 0.0

    def index(self, source: str) -> Index:
        """The samples.

        Raises:
            DataError: nothing there, no DICOM images, no labels, folders that are patients rather than classes, or a
                table that does not fit the files.
        """
        from medplug_dicom.indexing import make_index

        return make_index(self, source)

    def unlabelled(self, source: str) -> Index:
        """The images of a folder, a file or a table's rows, for prediction: no label is needed, and none is read.

        Raises:
            DataError: nothing there, no DICOM images, or a table that does not fit the files.
        """
        from medplug_dicom.indexing import make_index

        return make_index(self, source, labelled=False)

    def load(self, uri: str) -> np.ndarray:
        """One image, ``[H, W, C]`` uint8 or uint16.

        A path without a frame means the one that ``frames`` says (``each``: the middle one). Image files that are no
        DICOM are read as :func:`medplug.plugins.load_image` does.

        Raises:
            ImageError: damaged, truncated, not an image, of a kind that is not read, or without a decoder for it.
        """
        from medplug_dicom.building import middle_frame
        from medplug_dicom.display import shown
        from medplug_dicom.picture import read_picture
        from medplug_dicom.pixels import decoded

        path, frame = self._parsed(uri)
        if self._is_other(path):
            return load_image(path)
        picture = read_picture(path)
        if frame is None:
            frame = 1 if self.frames == "first" else middle_frame(picture.frames)
        return shown(decoded(path, picture, frame), picture, self.window, frame)

    def facts(self, uri: str) -> dict[str, str | int | float]:
        """How the file is stored: nothing that tells who the patient is. Empty where it cannot be read."""
        from medplug_dicom.decoders import syntax_name
        from medplug_dicom.picture import read_picture

        path, _ = self._parsed(uri)
        try:
            picture = read_picture(path)
            size = os.path.getsize(path)
        except (ImageError, OSError):
            return {}
        suffix = os.path.splitext(path)[1].lower()
        return {
            "format": "DICOM",
            "extension": suffix if suffix[1:].isalpha() else "",  # a UID has dots as well
            "bytes": size,
            "transfer_syntax": syntax_name(picture.syntax),
            "photometric": picture.photometric,
            "modality": picture.modality,
            "width": picture.columns,
            "height": picture.rows,
            "frames": picture.frames,
            "bits": picture.bits,
            "signed": int(picture.signed),
        }

    def _sure(self, folder: Path) -> float:
        return 0.95 if files.share_of_dicom(folder) >= 0.5 else 0.0

    def _parsed(self, uri: str) -> tuple[str, int | None]:
        match = _FRAME.fullmatch(uri)
        if match and not os.path.exists(uri):
            return match[1], int(match[2])
        return uri, None

    def _is_other(self, path: str) -> bool:
        """Whether a file is an image of another kind, as its name says and its content does not deny."""
        suffix = os.path.splitext(path)[1].lower()
        if suffix in ("", *files.SUFFIXES) or not suffix[1:].isalpha():
            return False
        try:
            return not files.is_dicom(path)
        except (OSError, ValueError) as error:
            raise ImageError(f"cannot be opened: {getattr(error, 'strerror', None) or 'no such path'}") from None
