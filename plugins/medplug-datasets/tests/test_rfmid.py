"""RFMiD: three tables with three folders, in the forms in which they are handed out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from medplug.plugins import DataError
from medplug_datasets.rfmid import Rfmid
from medplug_datasets.rfmid_words import FINDINGS, TRAINING_COUNTS
from medplug_datasets.tiny import make, picture

TRAINING = Path("Training_Set/Training_Set/RFMiD_Training_Labels.csv")


def flat(folder: Path, columns: str = "ID,Disease_Risk,DR,ARMD,MH") -> Path:
    """The challenge's training part: Training/ beside the table."""
    (folder / "RFMiD_Training_Labels.csv").parent.mkdir(parents=True, exist_ok=True)
    rows = ["1,1,1,0,0", "2,0,0,0,0", "3,1,0,1,1"]
    (folder / "RFMiD_Training_Labels.csv").write_text("\n".join([columns, *rows]) + "\n")
    for number in (1, 2, 3):
        picture(folder / "Training" / f"{number}.png", number)
    return folder


def test_three_parts_are_the_official_split(tmp_path: Path) -> None:
    index = Rfmid().index(make("rfmid", tmp_path))
    assert Counter(index.splits.tolist()) == {"train": 5, "validation": 5, "test": 5}
    part = dict(zip(index.samples, index.splits.tolist(), strict=True))
    assert part["Evaluation_Set/Evaluation_Set/Validation/1.png"] == "validation"
    assert part["Test_Set/Test_Set/Test/1.png"] == "test"  # the same id is another image in each part
    assert Rfmid(split="none").index(str(tmp_path)).splits is None
    assert not index.skipped


def test_the_summary_is_no_finding_unless_wanted(tmp_path: Path) -> None:
    source = make("rfmid", tmp_path)
    index = Rfmid(names="published").index(source)
    assert index.classes == ("DR", "ARMD", "MH", "DN", "MYA")
    np.testing.assert_array_equal(
        index.targets[:5],
        [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0]],
    )
    everything = Rfmid(names="published", labels="all", parts="training").index(source)
    assert everything.classes == ("Disease_Risk", "DR", "ARMD", "MH", "DN", "MYA")
    np.testing.assert_array_equal(everything.targets[:, 0], [0, 1, 1, 1, 1])
    assert everything.splits is None
    assert "not read: the parts validation, test (reader.parts=training)" in everything.notes
    risk = Rfmid(labels="risk").index(source)
    assert (risk.task, risk.classes) == ("multiclass", ("normal", "abnormal"))
    assert [risk.label_text(i) for i in range(3)] == ["normal", "abnormal", "abnormal"]


@pytest.mark.parametrize(
    "moves",
    [
        {},
        {"Training_Set/Training_Set": "1/Training_Set"},  # an empty Training_Set stays behind
        {"Training_Set/Training_Set/Training": "1. Original Images/a. Training Set", str(TRAINING): "2. Groundtruths/a. RFMiD_Training_Labels.csv"},
    ],
)  # fmt: skip
def test_the_places_in_which_copies_have_them(moves: dict[str, str], tmp_path: Path) -> None:
    make("rfmid", tmp_path)
    for old, new in moves.items():
        (tmp_path / new).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / old).rename(tmp_path / new)
    index = Rfmid().index(str(tmp_path))
    assert Counter(index.splits.tolist()) == {"train": 5, "validation": 5, "test": 5}


def test_the_training_part_alone(tmp_path: Path) -> None:
    index = Rfmid().index(str(flat(tmp_path)))
    assert len(index) == 3
    assert index.splits is None
    assert index.classes == (FINDINGS["DR"], FINDINGS["ARMD"], FINDINGS["MH"])


def test_the_challenges_evaluation_images_have_no_labels(tmp_path: Path) -> None:
    flat(tmp_path)
    picture(tmp_path / "Evaluation" / "1.png", 9)
    index = Rfmid().index(str(tmp_path))
    assert [(s.name, s.reason) for s in index.skipped] == [
        ("Evaluation/", "images without a table of labels, not read")
    ]


def test_missing_and_surplus_images(tmp_path: Path) -> None:
    flat(tmp_path)
    (tmp_path / "Training" / "2.png").unlink()
    picture(tmp_path / "Training" / "77.png", 7)
    (tmp_path / "notes.md").write_text("mine")
    index = Rfmid().index(str(tmp_path))
    assert {(s.name, s.reason, s.lost) for s in index.skipped} == {
        ("row 3: 2", "in RFMiD_Training_Labels.csv, but its image is not there", True),
        ("Training/77.png", "not in RFMiD_Training_Labels.csv", False),
        ("notes.md", "not an image by its extension (.md)", False),
    }
    (tmp_path / "Training").rename(tmp_path / "pictures")
    with pytest.raises(DataError, match="but no folder with their images"):
        Rfmid().index(str(tmp_path))


def test_tables_with_other_labels_leave_them_unknown(tmp_path: Path) -> None:
    make("rfmid", tmp_path)
    path = tmp_path / "Test_Set/Test_Set/RFMiD_Testing_Labels.csv"
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")  # without MYA
    index = Rfmid(names="published").index(str(tmp_path))
    column = index.targets[:, index.classes.index("MYA")]
    assert np.isnan(column[index.splits == "test"]).all()
    assert not np.isnan(column[index.splits != "test"]).any()
    assert any("no column MYA; these labels are unknown in the test part" in note for note in index.notes)


def test_a_cell_that_is_neither_0_nor_1_is_named(tmp_path: Path) -> None:
    flat(tmp_path)
    path = tmp_path / "RFMiD_Training_Labels.csv"
    path.write_text(path.read_text().replace("3,1,0,1,1", "3,1,0,2,1"))
    with pytest.raises(DataError, match=r"RFMiD_Training_Labels.csv, ID 3, column ARMD: '2' is neither 0 nor 1"):
        Rfmid().index(str(tmp_path))
    path.write_text(path.read_text().replace("Disease_Risk", "Risk"))
    with pytest.raises(DataError, match="no column 'Disease_Risk'"):
        Rfmid().index(str(tmp_path))


def test_counts_of_a_whole_training_part_are_compared(tmp_path: Path) -> None:
    """1,920 rows with the published number of each of the 29 labels."""
    names = list(TRAINING_COUNTS)
    lines = [",".join(("ID", *names))]
    for row in range(1920):
        lines.append(",".join((str(row + 1), *(str(int(row < TRAINING_COUNTS[name])) for name in names))))
        path = tmp_path / "Training" / f"{row + 1}.png"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    table = tmp_path / "RFMiD_Training_Labels.csv"
    table.write_text("\n".join(lines) + "\n")
    index = Rfmid(labels="all", parts="training", names="published").index(str(tmp_path))
    assert index.task == "multilabel"
    assert len(index.classes) == 29
    assert [note for note in index.notes if "counts" in note] == ["the counts are the published ones (1,920 images)"]
    lines[1] = lines[1].replace("1,1,1", "1,0,1", 1)
    table.write_text("\n".join(lines) + "\n")
    notes = Rfmid(parts="training").index(str(tmp_path)).notes
    assert any("Disease_Risk 1,518 (published 1,519)" in note for note in notes)
    assert not any("published" in note for note in Rfmid(parts="training", expected="none").index(str(tmp_path)).notes)


def test_it_is_recognised_by_its_table_and_folder(tmp_path: Path) -> None:
    assert Rfmid().can_read(make("rfmid", tmp_path / "a")) == 0.97
    assert Rfmid().can_read(str(flat(tmp_path / "b"))) == 0.97
    assert Rfmid().can_read(str(flat(tmp_path / "c", columns="ID,Risk,DR,ARMD,MH"))) == 0
    (tmp_path / "b" / "Training").rename(tmp_path / "b" / "images")
    assert Rfmid().can_read(str(tmp_path / "b")) == 0


def test_every_abbreviation_has_words_of_its_own() -> None:
    assert len(set(FINDINGS.values())) == len(FINDINGS) == 47  # the summary, 45 findings, the challenge's OTHER
    assert set(TRAINING_COUNTS) <= set(FINDINGS)
