"""Everything that this distribution offers keeps its contract."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np
import pytest

import medplug_dicom.building
import medplug_dicom.columns
import medplug_dicom.header
import medplug_dicom.names
import medplug_dicom.reader
from medplug.testing import plugin_tests
from medplug_dicom.example import write_dicom, write_example


def source(folder: Path) -> str:
    write_example(folder)
    write_dicom(folder / "clear" / "film.dcm", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    (folder / "clear" / "damaged.dcm").write_bytes(b"no")
    return str(folder)


TestDicom = plugin_tests("medplug-dicom", fixtures={"reader/dicom": {"source": source}})


@pytest.mark.parametrize(
    "module",
    [medplug_dicom.building, medplug_dicom.columns, medplug_dicom.header, medplug_dicom.names, medplug_dicom.reader],
    ids=lambda module: module.__name__,
)
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0
