"""The checks on real sets, whose faults are known (where ``MEDPLUG_DATA`` names them)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import medplug

pytestmark = [pytest.mark.slow, pytest.mark.skipif("MEDPLUG_DATA" not in os.environ, reason="needs MEDPLUG_DATA")]

Look = Callable[..., Any]


@pytest.fixture(scope="module")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    """What the checks find in a set by its name, each looked at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDPLUG_CACHE", str(tmp_path_factory.mktemp("cache")))

        @cache
        def checked(name: str) -> Any:
            return medplug.check(Path(os.environ["MEDPLUG_DATA"], name), settings={"data.threads": "2"})

        yield checked


def found(checked: Any, check: str) -> list[Any]:
    return [f for f in checked.report.findings if f.check == check]


def one(checked: Any, check: str) -> Any:
    [finding] = found(checked, check)
    return finding


def counted(checked: Any) -> tuple[int, int, int, int]:
    """(groups, surplus, across classes, across parts) of byte-identical files, which here are the pixel-identical ones."""
    details = one(checked, "duplicates").details
    assert details["bytes"] == details["pixels"]
    return tuple(details["bytes"][k] for k in ("groups", "surplus", "across_classes", "across_parts"))  # type: ignore[return-value]


def plain_pairs(checked: Any) -> list[dict[str, Any]]:
    """Pairs whose thumbnails correlate as they are, believed or not."""
    pairs = [p for check in ("near", "near_outlines") for f in found(checked, check) for p in f.details.get("list", ())]
    return [p for p in pairs if p["symmetry"] == ""]


def test_ultrasound(look: Look) -> None:
    """One picture under two labels; 75 near pairs of 120 images, 5 of them across classes."""
    checked = look("ultrasound")
    assert counted(checked) == (1, 1, 1, 0)
    assert set(one(checked, "conflicts").names) == {"benign/benign (433).jpg", "malignant/malignant (145).jpg"}
    pairs = plain_pairs(checked)
    assert len(pairs) == one(checked, "near").details["pairs"] == 75
    assert len({p[side] for p in pairs for side in ("first", "second")}) == 120
    apart = {frozenset((p["first"], p["second"])) for p in pairs if p["labels_differ"]}
    assert apart == {
        frozenset(pair)
        for pair in (
            ("benign/benign (433).jpg", "malignant/malignant (145).jpg"),
            ("benign/benign (42).jpg", "malignant/malignant (51).jpg"),
            ("benign/benign (131).jpg", "malignant/malignant (51).jpg"),
            ("benign/benign (399).jpg", "malignant/malignant (93).jpg"),
            ("benign/benign (437).jpg", "normal/normal (34).jpg"),
        )
    }
    assert one(checked, "near_classes").level == "warning"
    assert one(checked, "shortcut").level == "ok"  # encodings were drawn, not chosen by class
    assert checked.exit_code == 0


def test_xray(look: Look) -> None:
    """Four copies within patients and parts; 13 patients in training and test."""
    checked = look("xray/labels.csv")
    assert counted(checked) == (4, 4, 0, 0)
    assert len(plain_pairs(checked)) == one(checked, "near").details["pairs"] == 4
    torn = one(checked, "given_split")
    assert torn.details["shared"] == {"train/test": 13}
    assert torn.details["column"] == "patient"
    assert "aetiology" in {name for name, d in one(checked, "leaks").details.items() if d["leaks"]}
    assert not found(checked, "near_parts")


def test_xray_as_folders_shows_the_same_patients_by_their_file_names(look: Look) -> None:
    torn = one(look("xray"), "given_split")
    assert torn.details["shared"] == {"train/test": 13}
    assert one(look("xray"), "groups").level == "note"


def test_mri(look: Look) -> None:
    """49 groups of byte-identical files, 31 across the parts; the hidden copy is skipped; the file mode leaks."""
    checked = look("mri")
    assert counted(checked) == (49, 66, 0, 31)  # 67 with the one in the hidden folder
    assert any("hidden folder" in f.text and ".ipynb_checkpoints" in f.text for f in found(checked, "skipped"))
    pairs = plain_pairs(checked)
    assert len(pairs) == 159
    assert not any(p["labels_differ"] for p in pairs)
    parts = dict(zip(checked.index.samples, checked.index.splits.tolist(), strict=True))
    assert sum(parts[p["first"]] != parts[p["second"]] for p in pairs) == 68
    shortcut = one(checked, "shortcut")
    assert shortcut.level == "warning"
    assert "strongest: mode" in shortcut.text
    assert shortcut.details["auc"]["value"] == pytest.approx(0.66, abs=0.03)


def test_mri_has_mirrored_copies_one_of_them_under_another_label(look: Look) -> None:
    near = one(look("mri"), "near").details
    assert near["mirrored_or_turned"] == 196
    [pair] = [p for p in near["list"] if p["labels_differ"]]
    assert (pair["first"], pair["second"], pair["symmetry"]) == (
        "Training/meningioma/Tr-me_0942.jpg", "Training/pituitary/Tr-pi_0515.jpg", "mirrored",
    )  # fmt: skip


def test_ct(look: Look) -> None:
    """No copies; the original names and formats give the label away, and the sizes of the files tell of their sources."""
    checked = look("ct/labels.csv")
    assert one(checked, "duplicates").level == "ok"
    assert not plain_pairs(checked)
    leaks = one(checked, "leaks")
    assert leaks.level == "warning"
    assert {name for name, d in leaks.details.items() if d["leaks"]} == {"original_file", "original_format"}
    assert leaks.details["original_file"]["pure"] == {"value": ".jpg", "class": "CT_NonCOVID", "images": 202}
    folders = look("ct")
    assert one(folders, "averages").details["auc"]["value"] > 0.7


def test_dermatoscopy(look: Look) -> None:
    """follow_up is only said of naevi; where a lesion lies tells something and is no leak."""
    checked = look("dermatoscopy/labels.csv")
    assert one(checked, "duplicates").level == "ok"
    assert not plain_pairs(checked)
    columns = one(checked, "leaks").details
    assert {name for name, d in columns.items() if d["leaks"]} == {"dx_type"}
    assert columns["dx_type"]["pure"] == {"value": "follow_up", "class": "nv", "images": 100}
    assert "localization" in one(checked, "metadata").text


def test_retina(look: Look) -> None:
    """Six pairs correlate, between patients mostly, and only by the disc that all fundi are."""
    checked = look("retina/labels.csv")
    pairs = plain_pairs(checked)
    assert len(pairs) == 6
    patient = dict(zip(checked.index.samples, checked.index.groups["patient_id"].tolist(), strict=True))
    assert sum(patient[p["first"]] != patient[p["second"]] for p in pairs) == 5
    assert one(checked, "near").details["pairs"] == 0
    assert one(checked, "near_outlines").details["pairs"] == 10
    assert {name for name, d in one(checked, "leaks").details.items() if d["leaks"]} == {"keywords"}


def test_microscopy(look: Look) -> None:
    """The same cell twice, one cell nearly so, and a class of one."""
    checked = look("microscopy/labels.csv")
    assert counted(checked) == (1, 1, 0, 0)
    assert one(checked, "duplicates").details["clusters"] == [["112.png", "139.png"]]
    assert len(plain_pairs(checked)) == 2
    [small] = found(checked, "classes")
    assert "class '5' has one image" in small.text
    assert np.unique(checked.report.alike).size == 298
