"""A split that is given back: matched to the samples, told where it does not fit, known by its hash."""

import csv
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from split_helpers import index_of, keys_of, members, split_of

from medplug.config.settings import SplitSettings
from medplug.data.split import make_split, parts_from_file, split_hash
from medplug.errors import DataError
from medplug.runs.folder import write_split
from medplug.values import SPLITS, Skipped


@pytest.fixture
def index():
    return index_of([0, 1] * 30, [i // 2 for i in range(60)])


def written(path, index, split):
    write_split(path, index, split, keys_of(index))
    return path


def table(path, rows, header="sample,split"):
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return path


def halves(index):
    """Rows of a hand-made table: 40, 10 and 10 samples."""
    parts = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
    return [f"{name},{part}" for name, part in zip(index.samples, parts, strict=True)]


def test_a_split_is_given_back_as_it_was(index, tmp_path):
    split = split_of(index, seed=7)
    path = written(tmp_path / "split.csv", index, split)
    order = np.random.default_rng(0).permutation(60)
    other = index.take(order)
    again = split_of(other, file=str(path), seed=99)
    assert members(index, split) == members(other, again)
    assert again.notes == ()
    assert members(index, split_of(index, file=str(tmp_path))) == members(index, split)  # a run's folder


def test_a_split_of_data_that_bring_another_one_comes_from_the_file(index, tmp_path):
    path = table(tmp_path / "mine.csv", halves(index))
    given = replace(index, splits=np.array((["test"] * 30) + ["train"] * 30))
    assert members(given, split_of(given, file=str(path))) == members(index, split_of(index, file=str(path)))


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("sample,split", "{name},{part}"),
        ("FILE;Part", "{name};{part}"),
        ("age\tset\tfilename", "40\t{part}\t{name}"),
        ("sample,split,pixels", "{name},{part},"),
    ],
)
def test_hand_made_tables(index, tmp_path, header, line):
    words = {"train": "Training", "validation": "val", "test": "TEST"}
    rows = [row.split(",") for row in halves(index)]
    path = table(tmp_path / "mine.csv", [line.format(name=name, part=words[part]) for name, part in rows], header)
    split = split_of(index, file=str(path), groups="none")
    assert [len(split.part(part)) for part in SPLITS] == [40, 10, 10]
    assert split.notes == ()


def test_samples_that_are_not_in_the_data_are_named(index, tmp_path):
    path = table(tmp_path / "mine.csv", [*halves(index), "gone.png,test", "lost.png,train"])
    with pytest.raises(DataError, match=r"2 of 62 samples are not in the data, such as gone.png, lost.png"):
        split_of(index, file=str(path))


def test_samples_that_the_file_does_not_name_take_no_part(index, tmp_path):
    path = table(tmp_path / "mine.csv", halves(index)[2:])
    split = split_of(index, file=str(path))
    assert len(split.train) == 38
    assert split.notes[0] == "mine.csv does not name 2 images of the data, which take no part (such as s000000)"


def test_rows_of_samples_that_the_checks_left_out_are_told(index, tmp_path):
    """An unreadable image, say; another run of the same data may find it sound."""
    path = table(tmp_path / "mine.csv", halves(index))
    fewer = index.leave_out([Skipped("s000003", "cannot be read")])
    split = split_of(fewer, file=str(path))
    assert len(split.train) == 39
    assert split.notes[0] == "1 samples of mine.csv take no part, since they were left out of the data"


def test_torn_groups_are_told_and_kept_as_the_file_has_them(index, tmp_path):
    rows = halves(index)
    rows[0] = "s000000,test"
    split = split_of(index, file=str(table(tmp_path / "mine.csv", rows)))
    assert 0 in split.test
    assert 1 in split.train
    [note] = split.notes
    assert note.startswith("1 patients (or other groups) or pictures that look the same are in more than one part")


def test_a_part_that_the_file_lacks_is_carved_in_whole_groups(index, tmp_path):
    rows = [row.replace("validation", "train") for row in halves(index)]
    split = split_of(index, file=str(table(tmp_path / "mine.csv", rows)))
    assert split.test.tolist() == list(range(50, 60))
    assert 5 <= len(split.validation) <= 7
    assert set((split.validation // 2).tolist()).isdisjoint((split.train // 2).tolist())
    assert split.notes == ("the file names no validation part; it is carved from training",)


def test_moved_images_are_found_by_their_pixels_and_renamed_ones_by_their_file_name(index, tmp_path):
    split = split_of(index)
    path = written(tmp_path / "split.csv", index, split)
    salted = replace(index, samples=tuple(hashlib.sha256(name.encode()).hexdigest() for name in index.samples))
    again = make_split(salted, np.arange(60), keys_of(index), SplitSettings(file=str(path)), 0)
    assert all(np.array_equal(again.part(part), split.part(part)) for part in SPLITS)
    assert again.notes == ("60 of 60 rows of split.csv were matched by their picture or file name alone",)
    moved = replace(index, samples=tuple(f"folder/{name}.png" for name in index.samples))
    by_name = make_split(moved, np.arange(60), ["other"] * 60, SplitSettings(file=str(path)), 0)
    assert all(np.array_equal(by_name.part(part), split.part(part)) for part in SPLITS)
    assert by_name.notes[-1] == "60 images had other pixels when split.csv was written"


def test_a_file_name_that_fits_two_samples_fits_none(index, tmp_path):
    two = replace(index, samples=("a/x.png", "b/x.png", *index.samples[2:]))
    path = table(tmp_path / "mine.csv", ["x.png,train", *halves(two)[1:]])
    with pytest.raises(DataError, match="1 of 60 samples are not in the data, such as x.png"):
        parts_from_file(path, two, [""] * 60)


@pytest.mark.parametrize(
    ("rows", "header", "words"),
    [
        (["a,train"], "sample,part of", "no column 'split'"),
        (["a,train"], "what,split", "no column 'sample'"),
        (["s000000,3"], "sample,split", "line 2: '3' is no part; write train, validation, test, or nothing"),
        (["s000000,train", "s000000,test"], "sample,split", "line 3: s000000 is named twice, in different parts"),
        (["s000000"], "sample,split", "line 2: 1 cells are too few"),
        (["s000000,", "s000001,"], "sample,split", "puts no sample into any part"),
    ],
)
def test_tables_that_cannot_be_used(index, tmp_path, rows, header, words):
    with pytest.raises(DataError, match=words):
        split_of(index, file=str(table(tmp_path / "mine.csv", rows, header)))


def test_a_file_that_is_not_there(index, tmp_path):
    with pytest.raises(DataError, match="No such file"):
        split_of(index, file=str(tmp_path / "none.csv"))


def test_the_hash_goes_by_pixels_and_parts_alone(index, tmp_path):
    split = split_of(index)
    parts, keys = split.names(60), keys_of(index)
    by_hand = hashlib.sha256("\n".join(sorted(f"{k[:16]} {p}" for k, p in zip(keys, parts, strict=True))).encode())
    assert split_hash(keys, parts) == by_hand.hexdigest()
    order = np.random.default_rng(1).permutation(60)
    assert split_hash([keys[i] for i in order], [parts[i] for i in order]) == by_hand.hexdigest()
    assert split_hash(keys, ["", *parts[1:]]) == split_hash(keys[1:], parts[1:])
    swapped = ["test" if part == "train" else part for part in parts]
    assert split_hash(keys, swapped) != by_hand.hexdigest()
    with written(tmp_path / "split.csv", index, split).open(newline="") as stream:  # what the file holds is enough
        rows = list(csv.DictReader(stream))
    assert split_hash([row["pixels"] for row in rows], [row["split"] for row in rows]) == by_hand.hexdigest()
