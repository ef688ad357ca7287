"""Shrunk copies of real sets: counts as in their own tables, and what the copies are known to hold."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from medplug_datasets.brain_mri import BrainMri
from medplug_datasets.busi import Busi
from medplug_datasets.chest_xray import ChestXray

DATA = Path(os.environ.get("MEDPLUG_DATA", ""))
pytestmark = pytest.mark.skipif(not os.environ.get("MEDPLUG_DATA"), reason="MEDPLUG_DATA names no folder")


def table(name: str) -> dict[str, dict[str, str]]:
    with (DATA / name / "labels.csv").open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def test_xray() -> None:
    rows = table("xray")
    index = ChestXray(names="published", validation="official").index(str(DATA / "xray"))
    assert set(index.samples) == set(rows)
    for i, name in enumerate(index.samples):
        row = rows[name]
        assert index.label_text(i) == row["label"]
        assert index.splits[i] == {"train": "train", "val": "validation", "test": "test"}[row["split"]]
        assert index.groups["patient"][i] == row["patient"]
        assert index.metadata["aetiology"][i] == row["aetiology"]
    assert "569 persons from the file names (from_names)" in index.notes
    assert any(note.startswith("13 numbers of persons occur in more than one given part") for note in index.notes)
    assert any("train/NORMAL 170 (published 1,341)" in note for note in index.notes)
    assert ChestXray().load(index.uris[0]).shape == (224, 224, 3)


def test_mri() -> None:
    rows = table("mri")
    index = BrainMri(names="published").index(str(DATA / "mri"))
    assert set(index.samples) == set(rows)
    assert all(index.label_text(i) == rows[name]["label"] for i, name in enumerate(index.samples))
    assert Counter(index.splits.tolist()) == {"train": 755, "test": 175}
    assert [s.name for s in index.skipped if "hidden" in s.reason] == ["Testing/meningioma/.ipynb_checkpoints/"]
    assert any("Testing/glioma 43 (published 300)" in note for note in index.notes)
    modes = [BrainMri().facts(uri)["mode"] for uri in index.uris[:20]]
    assert modes == [rows[name]["mode"] for name in index.samples[:20]]


def test_ultrasound() -> None:
    rows = table("ultrasound")
    index = Busi().index(str(DATA / "ultrasound"))
    assert set(index.samples) == set(rows)
    assert all(index.label_text(i) == rows[name]["label"] for i, name in enumerate(index.samples))
    assert "the counts are the published ones (780 images)" in index.notes
    assert Busi().load(index.uris[-1]).shape == (256, 256, 3)


@pytest.mark.parametrize("reader", [Busi(), BrainMri(), ChestXray()])
def test_copies_that_were_shrunk_or_changed_stay_with_the_reader_of_any_folder(reader: Busi) -> None:
    for name in ("ultrasound", "mri", "xray", "ct"):
        assert reader.can_read(str(DATA / name)) == 0
