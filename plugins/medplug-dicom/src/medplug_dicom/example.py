"""A few small DICOM files with labels, for examples and tests: drawn, of nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

_CT = "1.2.840.10008.5.1.4.1.1.2"
_ROOT = "1.2.826.0.1.3680043.8.498"  # pydicom's, which anybody may use


def write_dicom(path: str | Path, pixels: np.ndarray, **attributes: Any) -> Path:
    """Write an uncompressed DICOM file.

    Args:
        path: of the file; its folder is made.
        pixels: ``[H, W]`` or ``[F, H, W]`` of greys, ``[H, W, 3]`` of RGB; uint8, uint16 or int16.
        attributes: by keyword, added to or in place of the defaults; None leaves one out.
    """
    colour = pixels.ndim == 3 and pixels.shape[-1] == 3 and "NumberOfFrames" not in attributes
    bits = 8 * pixels.dtype.itemsize
    values: dict[str, Any] = {
        "SOPClassUID": _CT,
        "SOPInstanceUID": f"{_ROOT}.1",
        "SeriesInstanceUID": f"{_ROOT}.2",
        "StudyInstanceUID": f"{_ROOT}.3",
        "PatientID": "",
        "PatientName": "",
        "Modality": "CT",
        "Rows": pixels.shape[-3 if colour else -2],
        "Columns": pixels.shape[-2 if colour else -1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": attributes.get("BitsStored", bits) - 1,
    }
    if colour:
        values["PlanarConfiguration"] = 0
    elif pixels.ndim == 3:
        values["NumberOfFrames"] = len(pixels)
    dataset = Dataset()
    for keyword, value in {**values, **attributes}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    raw = pixels.tobytes()
    dataset.add_new("PixelData", "OW" if bits > 8 else "OB", raw + b"\0" * (len(raw) % 2))
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", _CT)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", f"{_ROOT}.1")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return Path(path)


def write_example(folder: str | Path, images: int = 3) -> str:
    """Two class folders with slices of a drawn phantom of 32 x 32 pixels, one patient each; returns the folder.

    Values are Hounsfield units; those of ``lesion`` have a brighter disc.
    """
    y, x = np.mgrid[:32, :32]
    for number, label in enumerate(("clear", "lesion")):
        for image in range(images):
            noise = np.random.default_rng([number, image]).normal(0, 20, (32, 32))
            disc = np.hypot(y - 12 - image % 9, x - 16) < 5
            pixels = np.where(np.hypot(y - 16, x - 16) < 14, 40 + 200 * number * disc, -1000) + noise
            patient = f"{number + 1}{image:04d}"
            write_dicom(
                Path(folder, label, f"{image}.dcm"),
                (np.clip(pixels, -1024, 2000) + 1024).astype(np.uint16),
                BitsStored=12,
                RescaleSlope="1",
                RescaleIntercept="-1024",
                PatientID=f"EXAMPLE-{patient}",
                SOPInstanceUID=f"{_ROOT}.1.{patient}",
                SeriesInstanceUID=f"{_ROOT}.2.{patient}",
                StudyInstanceUID=f"{_ROOT}.3.{patient}",
            )
    return str(folder)
