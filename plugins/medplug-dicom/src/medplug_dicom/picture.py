"""What the header says about how pixels are stored and shown: sizes, lookup tables, windows; frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.datadict import tag_for_keyword

from medplug.plugins import ImageError
from medplug_dicom.files import SUFFIXES, is_dicom
from medplug_dicom.header import NO_DICOM, silence

_PALETTE = tuple(
    f"{segmented}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for segmented, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))
)
_NEEDED = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept",
    "ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "Modality", *_PALETTE,
)  # fmt: skip
_TAGS = [tag_for_keyword(keyword) or 0 for keyword in _NEEDED]
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class Table:
    """A lookup table, PS3.3 C.11.1.1 and C.7.6.3.1.5.

    Attributes:
        entries: ``[N]``, or ``[N, 3]`` of a palette; uint8 or uint16.
        first: the value that the first entry stands for; values below take it, values beyond the last entry that one.
        bits: of each entry.
    """

    entries: np.ndarray
    first: int
    bits: int

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The entries of whole numbers of any shape."""
        return self.entries[np.clip(np.round(values).astype(np.int64) - self.first, 0, len(self.entries) - 1)]


@dataclass(frozen=True, slots=True)
class Window:
    """A range of grey values to show, PS3.3 C.11.2.1.2 and C.11.2.1.3.

    Attributes:
        center, width: in the units that rescaling leads to (Hounsfield units in CT).
        function: ``LINEAR``, ``LINEAR_EXACT`` or ``SIGMOID``.
    """

    center: float
    width: float
    function: str = "LINEAR"

    @property
    def valid(self) -> bool:
        """Whether the formula is defined: a linear window has a width of at least 1, the others of more than 0."""
        least = self.width >= 1 if self.function == "LINEAR" else self.width > 0
        return least and math.isfinite(self.center) and math.isfinite(self.width)


@dataclass(frozen=True, slots=True)
class Grey:
    """How the stored values of a grey frame become values to show.

    Attributes:
        slope, intercept: of the rescaling.
        modality: a table in its place.
        voi: the table of values of interest, if there is one.
        window: the first one that is valid, if there is one.
    """

    slope: float = 1.0
    intercept: float = 0.0
    modality: Table | None = None
    voi: Table | None = None
    window: Window | None = None


@dataclass(frozen=True)
class Picture:
    """How a file stores and shows its pixels.

    Attributes:
        syntax: UID of the transfer syntax.
        bits: stored of each sample; those allocated where the file does not say.
        signed: whether stored values may be negative.
        palette: of PALETTE COLOR.
        padding: least and greatest stored value that stand for "no image here".
        greys: one for all frames, or one for each.
        pixels_at: where in the file the element of the pixels begins, bytes; 0 in a deflated file.
    """

    syntax: str
    rows: int
    columns: int
    frames: int
    samples: int
    photometric: str
    allocated: int
    bits: int
    signed: bool
    modality: str
    palette: Table | None = None
    padding: tuple[int, int] | None = None
    greys: tuple[Grey, ...] = field(default=(Grey(),))
    pixels_at: int = 0

    def grey(self, frame: int) -> Grey:
        """That of a frame, counted from 1."""
        return self.greys[min(frame, len(self.greys)) - 1]


def read_picture(path: str | Path) -> Picture:
    """What the header of a file says of its pixels.

    Raises:
        ImageError: the file cannot be opened, is no DICOM file, or its header is damaged or speaks of no image.
    """
    silence()
    try:
        status = Path(path).stat()
        return _cached(str(path), status.st_size, status.st_mtime_ns)
    except FileNotFoundError:
        raise ImageError("the file does not exist") from None
    except ValueError:
        raise ImageError("its name is no path") from None
    except OSError as error:
        raise ImageError(f"cannot be opened: {error.strerror}") from None


@lru_cache(maxsize=16)  # each frame of a file asks, and hundreds of functional groups take a while to read
def _cached(path: str, size: int, changed: int) -> Picture:
    if not is_dicom(path):
        named = f", though named {suffix}" if (suffix := Path(path).suffix.lower()) in SUFFIXES else ""
        raise ImageError(NO_DICOM + named)
    try:
        with open(path, "rb") as stream:
            dataset = dcmread(stream, stop_before_pixels=True, specific_tags=_TAGS)
            return _picture(dataset, stream.tell())
    except (ImageError, OSError):
        raise
    except Exception:  # pydicom raises nearly anything on damaged headers, with values in the message
        raise ImageError("its header is damaged or cut short") from None


def _picture(dataset: Dataset, pixels_at: int) -> Picture:
    syntax = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if not syntax:
        raise ImageError("its header names no transfer syntax, so that its bytes cannot be understood")
    if not (dataset.get("Rows") and dataset.get("Columns")):
        kind = f" ({dataset.Modality})" if dataset.get("Modality") else ""
        raise ImageError(f"its header tells of no rows and columns of pixels{kind}")
    allocated = int(dataset.get("BitsAllocated") or 8)
    photometric = str(dataset.get("PhotometricInterpretation") or "")
    return Picture(
        syntax=syntax,
        rows=int(dataset.Rows),
        columns=int(dataset.Columns),
        frames=max(1, int(dataset.get("NumberOfFrames") or 1)),
        samples=int(dataset.get("SamplesPerPixel") or 1),
        photometric=photometric,
        allocated=allocated,
        bits=int(dataset.get("BitsStored") or allocated),
        signed=bool(dataset.get("PixelRepresentation")),
        modality=str(dataset.get("Modality") or ""),
        palette=_palette(dataset) if photometric == "PALETTE COLOR" else None,
        padding=_padding(dataset),
        greys=tuple(_greys(dataset)) if photometric.startswith("MONOCHROME") else (Grey(),),
        pixels_at=0 if syntax == _DEFLATED else pixels_at,
    )


_DEFLATED = "1.2.840.10008.1.2.1.99"


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    value = dataset.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = sorted((value, limit if isinstance(limit, int) else value))
    return ends[0], ends[1]


# ---------------------------------------------------------------- greys, frame by frame


def _greys(dataset: Dataset) -> Iterator[Grey]:
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or ())
    each = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    for group in each or [Dataset()]:
        places = [group, *shared[:1]]
        scaling = _nearest(places, "PixelValueTransformationSequence", dataset)
        shown = _nearest(places, "FrameVOILUTSequence", dataset)
        slope, intercept = _numbers(scaling, "RescaleSlope"), _numbers(scaling, "RescaleIntercept")
        yield Grey(
            slope=slope[0] if slope and slope[0] else 1.0,
            intercept=intercept[0] if intercept else 0.0,
            modality=_first_table(dataset, "ModalityLUTSequence"),
            voi=_first_table(dataset, "VOILUTSequence"),
            window=_window(shown),
        )


def _nearest(places: Sequence[Dataset], keyword: str, dataset: Dataset) -> Dataset:
    """The item of a functional group: of the frame, of all frames, or the data set itself, as in older files."""
    for place in places:
        items = place.get(keyword)
        if items:
            return items[0]
    return dataset


def _window(dataset: Dataset) -> Window | None:
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    pairs = zip(_numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth"), strict=False)
    windows = (Window(center, width, function if function in _FUNCTIONS else "LINEAR") for center, width in pairs)
    return next((window for window in windows if window.valid), None)


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The numbers of an attribute; none where it is missing or holds something else."""
    try:
        value = dataset.get(keyword)
        if value is None or value == "":
            return []
        return [float(one) for one in (value if hasattr(value, "__iter__") else [value])]
    except (ValueError, TypeError):
        return []


# ---------------------------------------------------------------- tables


def _first_table(dataset: Dataset, keyword: str) -> Table | None:
    items = dataset.get(keyword)
    if not items:
        return None
    item = items[0]
    count, first, bits = _descriptor(item.LUTDescriptor)
    return Table(_entries(item["LUTData"].value, count, dataset), first, bits)


def _palette(dataset: Dataset) -> Table:
    """Red, green and blue side by side. Entries of 16 bits that never pass 255 are 8 bits written wide."""
    count, first, bits = _descriptor(dataset.RedPaletteColorLookupTableDescriptor)
    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        from pydicom.pixels.processing import apply_color_lut

        entries = apply_color_lut(np.arange(first, first + count, dtype=np.int64), dataset)[:, :3]
    else:
        raw = (dataset[f"{colour}PaletteColorLookupTableData"].value for colour in ("Red", "Green", "Blue"))
        columns = [_entries(one, count, dataset) for one in raw]
        if len({len(column) for column in columns}) > 1:
            raise ImageError("its palette has colours of different length")
        entries = np.stack(columns, axis=1)
    wide = entries.max(initial=0) > 255
    return Table(entries.astype(np.uint16 if wide else np.uint8), first, 16 if wide else min(bits, 8))


def _descriptor(values: Sequence[int]) -> tuple[int, int, int]:
    """Number of entries (0 means 65536), first value, bits of an entry."""
    count, first, bits = (int(value) for value in values)
    return count or 65536, first, bits


def _entries(data: Any, count: int, dataset: Dataset) -> np.ndarray:
    """The entries of a table, which come as numbers, or as bytes of one or two each."""
    if isinstance(data, bytes):
        if len(data) < 2 * count:
            found = np.frombuffer(data, np.uint8)
        else:
            little = dataset.original_encoding[1] is not False
            found = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if little else ">u2").astype(np.uint16)
    else:
        found = np.atleast_1d(np.asarray(data, np.int64)).astype(np.uint16)
    if len(found) < count:
        raise ImageError(f"a lookup table of {count} entries has only {len(found)}")
    return found[:count]
