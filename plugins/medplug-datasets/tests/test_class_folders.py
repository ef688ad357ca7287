"""The sets that are class folders: brain MRI, HUST-19, the landmarks of HyperKvasir."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from medplug.plugins import DataError
from medplug_datasets.brain_mri import BrainMri
from medplug_datasets.hust19_ct import Hust19Ct
from medplug_datasets.hyperkvasir import HyperKvasirLower, HyperKvasirUpper
from medplug_datasets.layout import Layout
from medplug_datasets.tiny import make, picture, pictures


def touch(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def smaller(layout: Layout) -> Layout:
    """The layout with a fiftieth of its files."""
    return replace(layout, folders={name: n // 50 for name, n in layout.folders.items()})


# ---------------------------------------------------------------- brain MRI


def test_a_checkpoint_in_a_hidden_folder_is_no_sample_and_no_class(tmp_path: Path) -> None:
    source = Path(make("brain_mri", tmp_path))
    picture(source / "Testing/meningioma/.ipynb_checkpoints/Te-me_0010-checkpoint.jpg", 3)
    index = BrainMri().index(str(source))
    assert len(index) == 12
    [hidden] = index.skipped
    assert (hidden.name, hidden.reason) == ("Testing/meningioma/.ipynb_checkpoints/", "hidden folder")


def test_training_and_testing_are_a_given_split(tmp_path: Path) -> None:
    source = make("brain_mri", tmp_path)
    index = BrainMri().index(source)
    for name, part in zip(index.samples, index.splits.tolist(), strict=True):
        assert part == {"Training": "train", "Testing": "test"}[name.partition("/")[0]]
    pooled = BrainMri(split="none", names="published").index(source)
    assert pooled.splits is None
    assert pooled.classes == ("glioma", "meningioma", "notumor", "pituitary")
    published = [
        n for c in pooled.classes for n in sorted([p.name for p in tmp_path.rglob("*.jpg") if p.parent.name == c])
    ]
    assert [name.rpartition("/")[2] for name in pooled.samples] == published  # "Te-…" before "Tr-…"


def test_both_parts_merged_are_read(tmp_path: Path) -> None:
    for name in ("glioma", "meningioma", "notumor", "pituitary"):
        pictures(tmp_path / name, [f"Te-{name[:2]}_0010.jpg", f"Tr-{name[:2]}_0010.jpg"])
    index = BrainMri().index(str(tmp_path))
    assert len(index) == 8
    assert index.splits is None
    [told] = [note for note in index.notes if "counts" in note]
    assert "glioma 2 (published 1,621)" in told


def test_brain_mri_is_recognised_by_its_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [sum(layout.folders.values()) for layout in BrainMri.layouts] == [7023, 7023]
    monkeypatch.setattr(BrainMri, "layouts", tuple(map(smaller, BrainMri.layouts)))
    for folder, n in BrainMri.layouts[0].folders.items():
        part, _, name = folder.partition("/")
        touch(tmp_path / folder, [f"{part[:2]}-{name[:2]}_{i:04d}.jpg" for i in range(n)])
    assert BrainMri().can_read(str(tmp_path)) == 0.97
    assert any(note.startswith("the counts are the published ones") for note in BrainMri().index(str(tmp_path)).notes)
    (tmp_path / "Testing" / "glioma" / "Te-gl_9999.jpg").touch()
    assert BrainMri().can_read(str(tmp_path)) == 0


# ---------------------------------------------------------------- HUST-19


def test_capital_letters_tell_the_classes_and_their_order(tmp_path: Path) -> None:
    index = Hust19Ct(names="published").index(make("hust19_ct", tmp_path))
    assert index.classes == ("NiCT", "nCT", "pCT")
    assert index.samples[0] == "NiCT/NiCT1.jpg"
    pictures(tmp_path / "wrong" / "NCT", ["1.jpg"])
    pictures(tmp_path / "wrong" / "PCT", ["1.jpg"])
    with pytest.raises(DataError, match="capital letters count"):
        Hust19Ct().index(str(tmp_path / "wrong"))


def test_the_lungs_cut_out_are_another_set(tmp_path: Path) -> None:
    """Kaggle's copy has the slices twice; the experiment read the original ones."""
    make("hust19_ct", tmp_path)
    for name in ("NiCT", "nCT", "pCT"):
        pictures(tmp_path / "Preprocessed CT scans" / name, ["1.jpg"])
    index = Hust19Ct().index(str(tmp_path))
    assert len(index) == 6
    assert all(name.startswith("Original CT Scans/") for name in index.samples)
    [other] = index.skipped
    assert (other.name, other.reason) == ("Preprocessed CT scans/", "a second copy of the data set, not read")
    assert len(Hust19Ct().index(str(tmp_path / "Preprocessed CT scans"))) == 3


def test_hust19_is_recognised_by_its_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(Hust19Ct.layouts[0].folders.values()) == 19685
    monkeypatch.setattr(Hust19Ct, "layouts", tuple(map(smaller, Hust19Ct.layouts)))
    for name, n in Hust19Ct.layouts[0].folders.items():
        touch(tmp_path / "Original CT Scans" / name, [f"{name}{i}.jpg" for i in range(1, n + 1)])
    assert Hust19Ct().can_read(str(tmp_path)) == 0.97
    (tmp_path / "Original CT Scans" / "pCT" / "pCT1.jpg").unlink()
    assert Hust19Ct().can_read(str(tmp_path)) == 0


# ---------------------------------------------------------------- HyperKvasir


@pytest.mark.parametrize("start", ["", "labeled-images", "labeled-images/lower-gi-tract", "labeled-images/lower-gi-tract/anatomical-landmarks"])  # fmt: skip
def test_any_folder_above_the_landmarks_will_do(start: str, tmp_path: Path) -> None:
    source = Path(make("hyperkvasir_lower", tmp_path)) / start
    index = HyperKvasirLower().index(str(source))
    assert index.class_counts()[:, 0].tolist() == [4, 3, 4]
    assert index.splits.tolist().count("test") == 5  # found above the folder, too
    assert {s.reason for s in index.skipped} <= {"no part of this data set, not read"}
    assert "polyps" not in index.classes


def test_the_official_folds(tmp_path: Path) -> None:
    source = make("hyperkvasir_upper", tmp_path)
    one, two = HyperKvasirUpper(test_fold=1).index(source), HyperKvasirUpper(test_fold=0).index(source)
    assert one.splits.tolist() == ["train", "test"] * 6
    assert two.splits.tolist() == ["test", "train"] * 6
    assert HyperKvasirUpper(split="none").index(source).splits is None
    lines = (tmp_path / "2_fold_split.csv").read_text().splitlines()
    (tmp_path / "2_fold_split.csv").write_text("\n".join(line for line in lines if "pylorus" not in line))
    partly = HyperKvasirUpper().index(source)
    assert "4 images not in 2_fold_split.csv, used for training" in partly.notes
    assert set(partly.splits[:4].tolist()) == {"train"}
    (tmp_path / "2_fold_split.csv").rename(tmp_path / "other.csv")
    without = HyperKvasirUpper().index(source)
    assert without.splits is None
    assert any("no 2_fold_split.csv here" in note and "github.com/simula" in note for note in without.notes)


def test_folds_with_other_columns_are_an_error(tmp_path: Path) -> None:
    source = make("hyperkvasir_upper", tmp_path)
    (tmp_path / "2_fold_split.csv").write_text("file;class;fold\na.jpg;pylorus;0\n")
    with pytest.raises(DataError, match=r"2_fold_split\.csv: no column 'file-name' \(columns: file, class, fold\)"):
        HyperKvasirUpper().index(source)
    assert len(HyperKvasirUpper(split="none").index(source)) == 12


def test_the_class_of_nine_can_be_dropped(tmp_path: Path) -> None:
    source = make("hyperkvasir_lower", tmp_path)
    index = HyperKvasirLower(ileum="drop", names="published").index(source)
    assert index.classes == ("cecum", "retroflex-rectum")
    assert "ileum 3 (published 9)" in next(note for note in index.notes if "counts" in note)


@pytest.mark.parametrize(
    ("reader", "counts"),
    [
        (HyperKvasirLower(), {"cecum": 1009, "ileum": 9, "retroflex-rectum": 391}),
        (HyperKvasirUpper(), {"pylorus": 999, "retroflex-stomach": 764, "z-line": 932}),
    ],
)
def test_landmarks_are_recognised_where_they_are_alone(
    reader: HyperKvasirLower | HyperKvasirUpper, counts: dict[str, int], tmp_path: Path
) -> None:
    home = tmp_path / reader.tract / "anatomical-landmarks"
    for name, n in counts.items():
        touch(home / name, [f"{i:08x}-0000-4000-8000-{n:012x}.jpg" for i in range(n)])
    for folder in (home, home.parent):
        assert reader.can_read(str(folder)) == 0.97
    other = HyperKvasirUpper() if isinstance(reader, HyperKvasirLower) else HyperKvasirLower()
    assert other.can_read(str(home)) == 0
    (home / next(iter(counts)) / "mine.jpg").touch()
    assert reader.can_read(str(home)) == 0
    (home / next(iter(counts)) / "mine.jpg").unlink()
    (home / next(iter(counts)) / "notes.txt").touch()
    assert reader.can_read(str(home)) == 0.97
    (home / next(iter(counts)) / f"{0:08x}-0000-4000-8000-{counts[next(iter(counts))]:012x}.jpg").unlink()
    assert reader.can_read(str(home)) == 0


# ---------------------------------------------------------------- files


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and names that are no text")
def test_links_and_odd_names(tmp_path: Path) -> None:
    source = Path(make("brain_mri", tmp_path / "data"))
    pictures(tmp_path / "elsewhere", ["Tr-no_0099.jpg"])
    (source / "Training" / "notumor" / "more").symlink_to(tmp_path / "elsewhere")
    (source / "Training" / "notumor" / "loop.jpg").symlink_to(source / "Training" / "notumor" / "loop.jpg")
    (source / "Training" / "glioma" / "deeper").mkdir()
    picture(source / "Training" / "glioma" / "deeper" / "Tr-gl_0500.jpg", 9)
    try:
        Path(f"{source}/Training/glioma/Tr-gl_\udcff.jpg").touch()
    except OSError:
        pytest.skip("this file system has no such names")
    index = BrainMri().index(str(source))
    assert "Training/glioma/deeper/Tr-gl_0500.jpg" in index.samples
    reasons = {s.name: (s.reason, s.lost) for s in index.skipped}
    assert reasons["Training/notumor/more/"] == ("a link to a folder, not followed", False)
    assert Counter(reason for reason, lost in reasons.values() if lost) == {"its name is not valid UTF-8": 1}


@pytest.mark.skipif(sys.platform == "win32", reason="needs permissions of POSIX")
def test_a_folder_that_cannot_be_opened_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    source = Path(make("brain_mri", tmp_path))
    real = os.scandir

    def refusing(path: str | Path = ".") -> object:
        if str(path).endswith("Training/notumor"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    index = BrainMri().index(str(source))
    [lost] = [s for s in index.skipped if s.lost]
    assert (lost.name, lost.reason) == ("Training/notumor", "cannot be opened: Permission denied")
