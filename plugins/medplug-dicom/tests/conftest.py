"""A salt of the tests' own: nothing is written into the home of whoever runs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medplug_dicom.example import write_dicom

Write = Callable[..., Path]


@pytest.fixture(autouse=True, scope="session")
def salt(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("salt") / "salt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_SALT_FILE", str(path))
        yield path


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write("a/1.dcm", pixels, Modality="CT")`` below ``tmp_path``; UIDs are numbered so that each file has its own."""
    written = 0

    def call(name: str, pixels: Any = None, **attributes: Any) -> Path:
        nonlocal written
        written += 1
        values = np.arange(16, dtype=np.uint16).reshape(4, 4) + written if pixels is None else np.asarray(pixels)
        uids = {
            "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.1.{written}",
            "SeriesInstanceUID": f"1.2.826.0.1.3680043.8.498.2.{written}",
            "StudyInstanceUID": f"1.2.826.0.1.3680043.8.498.3.{written}",
        }
        return write_dicom(tmp_path / name, values, **{**uids, **attributes})

    return call
