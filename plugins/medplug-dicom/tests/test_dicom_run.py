"""From DICOM files to a trained, applied and explained network, and no trace of a patient in what was written."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_PLUGIN = """
from medplug.plugins import Component, hookimpl

@hookimpl
def medplug_components():
    yield Component("architecture", "tiny_net", "medplug.testing.fakes:TinyNet", "two convolutions and a linear head")
"""
_TINY = {
    "architecture.use": "tiny_net",
    "architecture.channels": "3",
    "data.size": "16",
    "data.threads": "2",
    "augment.use": "horizontal_flip",
    "training.epochs": "1",
    "training.frozen_epochs": "0",
    "training.batch_size": "8",
    "evaluation.resamples": "50",
    "reader.window": "40,400",
}
_SECRETS = ("mrn77", "hopper", "20240131", "1.2.826", "westside")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    pytest.importorskip("medplug_standard")  # the recipe, its losses and metrics
    from medplug.cli.main import main
    from medplug.plugins.registry import registry

    plugin = tmp_path / "tiny.py"
    plugin.write_text(_PLUGIN)
    monkeypatch.setenv("MEDPLUG_CACHE", str(tmp_path / "cache"))

    def call(*words: object) -> str:
        capsys.readouterr()
        code = main([*map(str, words), "--plugin", str(plugin)])
        shown = capsys.readouterr()
        assert code == 0, shown.err
        return shown.out + shown.err

    yield call
    registry(refresh=True)


def _patients(write: Callable[..., Path], folder: str, count: int) -> None:
    """Two classes that differ in brightness, two images of each patient, in files named by the patient's number."""
    for label, level in (("clear", 0), ("lesion", 150)):
        for number in range(count):
            for image in range(2):
                patient = f"MRN77{label[0]}{number:03d}"
                pixels = np.random.default_rng([level, number, image]).integers(900, 1100, (20, 22)) + level
                write(
                    f"{folder}/{label}/{patient}/{image}.dcm", pixels.astype(np.uint16), BitsStored=12, RescaleSlope="1",
                    RescaleIntercept="-1024", PatientID=patient.upper(), PatientName="Hopper^Grace", StudyDate="20240131",
                    StudyInstanceUID=f"1.2.826.0.1.3680043.8.498.7.{level + 1}{number:03d}", InstitutionName="Westside",
                    PatientSex="F", PatientAge="045Y",
                )  # fmt: skip


@pytest.mark.slow
def test_a_run_on_dicom_files(write: Callable[..., Path], cli: Any, tmp_path: Path) -> None:
    _patients(write, "data", 10)
    (tmp_path / "data" / "lesion" / "hopper_broken.dcm").write_bytes(b"no image")
    out = tmp_path / "run"
    settings = [word for key, value in _TINY.items() for word in ("--set", f"{key}={value}")]
    told = cli("run", tmp_path / "data", "--out", out, *settings)

    split = _rows(out / "split.csv")
    assert len(split) == 40
    parts: dict[str, set[str]] = {}
    for row in split:
        parts.setdefault(row["group:patient"], set()).add(row["split"])
        assert row["metadata:age"] == "45"
    assert len(parts) == 20
    assert all(len(found) == 1 for found in parts.values()), "a patient is in two parts"
    [skipped] = json.loads((out / "checks.json").read_text("utf-8"))["skipped"]
    assert "though named like one" in skipped["reason"]

    new = write(
        "new/MRN77new/scan.dcm", np.full((20, 22), 1150, np.uint16), PatientID="MRN77NEW", PatientName="Hopper^Grace"
    )
    write("new/two", np.full((2, 20, 22), 1000, np.uint16), PatientID="x-9999")
    cli("predict", out, new, "--out", tmp_path / "one.csv")
    assert len(_rows(tmp_path / "one.csv")) == 1
    told += cli("predict", out, tmp_path / "new", "--out", out / "new.csv")
    assert len(_rows(out / "new.csv")) == 3  # an image, and two frames
    told += cli("explain", out, tmp_path / "new", "--out", out / "maps")
    assert list((out / "maps").glob("*.png"))

    written = {path.relative_to(out): path for path in out.rglob("*") if path.is_file()}
    assert Path("report.html") in written
    for name, path in written.items():
        content = (str(name) + path.read_bytes().decode("latin-1")).lower()
        assert not [secret for secret in _SECRETS if secret in content], f"{name} tells who the patient is"
    assert not [secret for secret in _SECRETS if secret in told.lower()]
