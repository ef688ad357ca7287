"""Kermany's X-rays: persons in file names, three parts, and what some copies hold besides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medplug_datasets.chest_xray import ChestXray
from medplug_datasets.tiny import make, pictures


def column(index: Any, name: str, **where: str) -> dict[str, str]:
    return dict(zip(index.samples, {**index.groups, **index.metadata}[name].tolist(), strict=True))


def test_persons_are_read_from_each_kind_of_name(tmp_path: Path) -> None:
    names = {
        "person1_bacteria_1.jpeg": ("person1", "bacteria"),
        "person1345_virus_2321.jpeg": ("person1345", "virus"),
        "BACTERIA-7422-0001.jpeg": ("7422", "bacteria"),
        "VIRUS-3637528-0002.jpeg": ("3637528", "virus"),
    }
    normal = {
        "IM-0001-0001.jpeg": "IM-0001",
        "IM-0543-0001-0002.jpeg": "IM-0543",
        "NORMAL2-IM-1427-0001.jpeg": "NORMAL2-IM-1427",
        "NORMAL2-IM-0592-0001-0003.jpeg": "NORMAL2-IM-0592",
        "NORMAL-28501-0001.jpeg": "28501",
        "holiday.jpeg": "",
    }
    pictures(tmp_path / "PNEUMONIA", names)
    pictures(tmp_path / "NORMAL", normal)
    index = ChestXray().index(str(tmp_path))
    assert column(index, "patient") == {
        **{f"NORMAL/{name}": person for name, person in normal.items()},
        **{f"PNEUMONIA/{name}": person for name, (person, _) in names.items()},
    }
    assert column(index, "aetiology") == {
        **{f"NORMAL/{name}": "" for name in normal},
        **{f"PNEUMONIA/{name}": cause for name, (_, cause) in names.items()},
    }
    assert "1 file name tell no person: NORMAL/holiday.jpeg" in index.notes


def test_the_same_number_in_two_parts_is_one_person_unless_told_otherwise(tmp_path: Path) -> None:
    source = make("chest_xray", tmp_path)
    index = ChestXray().index(source)
    person = column(index, "patient")
    assert person["train/PNEUMONIA/person1_bacteria_1.jpeg"] == person["test/PNEUMONIA/person1_virus_6.jpeg"]
    [told] = [note for note in index.notes if "more than one given part" in note]
    assert told.startswith("1 number of persons occur in more than one given part (person1)")
    apart = ChestXray(patients="per_folder").index(source)
    person = column(apart, "patient")
    assert person["train/PNEUMONIA/person1_bacteria_1.jpeg"] == person["train/PNEUMONIA/person1_bacteria_2.jpeg"]
    assert person["train/PNEUMONIA/person1_bacteria_1.jpeg"] != person["test/PNEUMONIA/person1_virus_6.jpeg"]
    assert not any("more than one" in note for note in apart.notes)
    assert not ChestXray(patients="none").index(source).groups


def test_sixteen_images_do_not_choose_the_weights(tmp_path: Path) -> None:
    source = make("chest_xray", tmp_path)
    index = ChestXray().index(source)
    part = dict(zip(index.samples, index.splits.tolist(), strict=True))
    assert part["val/NORMAL/NORMAL2-IM-1427-0001.jpeg"] == "train"
    assert "2 images of val/ joined to training (reader.validation=official keeps them apart)" in index.notes
    kept = ChestXray(validation="official").index(source)
    assert sorted(set(kept.splits.tolist())) == ["test", "train", "validation"]
    assert ChestXray(split="none").index(source).splits is None


def test_a_validation_part_of_a_hundred_is_kept(tmp_path: Path) -> None:
    make("chest_xray", tmp_path)
    pictures(tmp_path / "chest_xray" / "val" / "NORMAL", [f"IM-{n:04d}-0001.jpeg" for n in range(2000, 2098)])
    counts = ChestXray().index(str(tmp_path)).splits.tolist().count("validation")
    assert counts == 100
    assert "validation" not in ChestXray(validation="pooled").index(str(tmp_path)).splits.tolist()


def test_second_copies_and_leftovers_are_not_entered(tmp_path: Path) -> None:
    """Kaggle's archive: chest_xray/ holds chest_xray/ and __MACOSX/ beside the parts."""
    source = Path(make("chest_xray", tmp_path))
    make("chest_xray", source)
    pictures(source / "__MACOSX" / "train" / "NORMAL", ["._IM-0115-0001.jpeg"])
    (source / "train" / "NORMAL" / ".DS_Store").write_text("")
    (source / "train" / "NORMAL" / "Thumbs.db").write_text("")
    index = ChestXray().index(str(source))
    assert len(index) == 12
    assert {(s.name, s.reason) for s in index.skipped} == {
        ("chest_xray/", "a second copy of the data set, not read"),
        ("__MACOSX/", "left behind by a system or an archive program"),
        ("train/NORMAL/.DS_Store", "hidden file"),
        ("train/NORMAL/Thumbs.db", "not an image by its extension (.db)"),
    }


def test_the_cause_can_be_the_label(tmp_path: Path) -> None:
    source = Path(make("chest_xray", tmp_path))
    pictures(source / "train" / "PNEUMONIA", ["unnamed.jpeg"])
    index = ChestXray(labels="aetiology").index(str(source))
    assert index.classes == ("normal", "bacterial pneumonia", "viral pneumonia")
    assert index.class_counts()[:, 0].tolist() == [6, 4, 2]
    assert "aetiology" not in index.metadata
    [lost] = [s for s in index.skipped if s.lost]
    assert lost.name == "train/PNEUMONIA/unnamed.jpeg"


def test_the_published_order_of_the_pooled_set(tmp_path: Path) -> None:
    """The experiment merged all parts: classes, then file names, as Python sorts them."""
    source = make("chest_xray", tmp_path)
    index = ChestXray(split="none", names="published").index(source)
    files = {c: sorted(p.name for p in Path(source).rglob(f"{c}/*.jpeg")) for c in ("NORMAL", "PNEUMONIA")}
    assert [name.rpartition("/")[2] for name in index.samples] == files["NORMAL"] + files["PNEUMONIA"]
    assert index.classes == ("NORMAL", "PNEUMONIA")
    np.testing.assert_array_equal(index.targets.argmax(1), [0] * 6 + [1] * 6)


@pytest.mark.parametrize("which", [0, 1, 2])
def test_each_published_layout_is_recognised_by_names_and_counts(
    which: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kaggle's, Mendeley's, and all parts merged; with a quarter of their files, and 8 as 2."""
    assert [sum(layout.folders.values()) for layout in ChestXray.layouts] == [5856, 5856, 5856]
    fewer = tuple(replace(x, folders={name: n // 4 for name, n in x.folders.items()}) for x in ChestXray.layouts)
    monkeypatch.setattr(ChestXray, "layouts", fewer)
    for folder, count in fewer[which].folders.items():
        (tmp_path / folder).mkdir(parents=True)
        for number in range(count):
            name = f"IM-{number:04d}-0001" if "NORMAL" in folder else f"person{number}_virus_{number}"
            (tmp_path / folder / f"{name}.jpeg").touch()
    assert ChestXray().can_read(str(tmp_path)) == 0.97
    index = ChestXray().index(str(tmp_path))
    assert f"the counts are the published ones ({sum(fewer[which].folders.values()):,} images)" in index.notes
    (tmp_path / folder / f"{name}.jpeg").unlink()
    assert ChestXray().can_read(str(tmp_path)) == 0
    (tmp_path / folder / "another.jpeg").touch()
    assert ChestXray().can_read(str(tmp_path)) == 0
