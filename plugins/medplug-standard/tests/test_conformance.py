"""Everything that this distribution offers keeps its contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.testing import plugin_tests


def picture(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 9, 3), 20 * number, np.uint8)).save(path)


def class_folders(folder: Path) -> str:
    for number, name in enumerate(("train/a/1.png", "train/a/2.jpg", "train/b/1.png", "test/a/3.png", "test/b/2.tif")):
        picture(folder / name, number)
    return str(folder)


def table(folder: Path) -> str:
    for number in range(4):
        picture(folder / "images" / f"{number:03d}.png", number)
    path = folder / "labels.csv"
    path.write_text("id,label,patient,age\n0,a,P1,3\n1,b,P2,\n2,a,P3,5\n3,b,P3,6\n")
    return str(path)


def labels_as_json(folder: Path) -> str:
    for number in range(4):
        picture(folder / f"{number:03d}.png", number)
    path = folder / "labels.json"
    path.write_text('{"000": "a", "001": "b", "002": "a", "003": null}')
    return str(path)


def arrays(folder: Path) -> str:
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.full((5, 8, 9), 20, np.uint8)
    path = folder / "set.npz"
    np.savez_compressed(path, images=images, labels=[0, 1, 0, 1, 1], patient_id=["a", "a", "b", "c", "c"])
    return str(path)


FIXTURES: dict[str, dict[str, Any]] = {
    "reader/folder": {"source": class_folders},
    "reader/csv": {"source": table},
    "reader/json": {"source": labels_as_json},
    "reader/arrays": {"source": arrays},
    "reader/phantoms": {"source": "12", "named_only": True},
}

# The gradient of the known model is the same wherever its pixels are bright, so that noise leaves it as it is there.
KNOWN = {"explainer/var_grad:finds_what_decides": "a variance shows where the gradient is unsteady, not what decides"}

TestStandard = plugin_tests("medplug-standard", expect_fail=KNOWN, fixtures=FIXTURES, draw=2)
# More drawn parameters; what has none drawn is tested above.
TestStandardWidely = pytest.mark.slow(
    plugin_tests(
        "medplug-standard", expect_fail=KNOWN, fixtures=FIXTURES, draw=4, kinds=("loss", "augmenter", "metric")
    )
)


def test_only_the_kinds_that_are_asked_for_are_tested() -> None:
    mark = next(m for m in TestStandardWidely.test_conformance.pytestmark if m.name == "parametrize")
    kinds = {case.id.partition("/")[0] for case in mark.args[1] if "/" in case.id}
    assert kinds == {"loss", "augmenter", "metric"}
