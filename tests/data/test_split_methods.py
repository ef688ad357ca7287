"""Which samples are tested: given parts, folds, repeats, one site after the other, nested folds."""

from dataclasses import replace

import numpy as np
import pytest
from split_helpers import deviations, index_of, keys_of, members, split_of, splits_of

from medplug.config.settings import SplitSettings
from medplug.data.split import make_split, shared_units, split_choices, split_name
from medplug.errors import DataError, UsageError
from medplug.values import SPLITS

GIVEN = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20


@pytest.fixture
def index(rng):
    """Two hundred images of fifty patients in three classes, at three sites; some ages are not known."""
    patients = rng.integers(0, 50, 200)
    site = np.array(["A", "B", "C"])[patients % 3]
    age = np.where(np.arange(200) % 40 == 0, np.nan, 30.0 + 10 * (patients % 4))
    return index_of(rng.integers(0, 3, 200), patients, metadata={"site": site, "age": age}, site="site")


# ---------------------------------------------------------------- given


def test_a_given_split_is_kept():
    split = split_of(index_of([0, 1] * 50, splits=GIVEN))
    assert (split.train.tolist(), split.test.tolist()) == (list(range(60)), list(range(80, 100)))
    assert split.notes == ()


def test_training_images_that_share_a_patient_or_a_picture_with_the_test_part_are_left_out():
    groups = [f"p{i}" for i in range(100)]
    groups[3] = groups[85]
    alike = np.arange(100)
    alike[7] = alike[90]
    alike[61] = alike[10]
    split = split_of(index_of([0, 1] * 50, groups, GIVEN), alike)
    assert split.test.tolist() == list(range(80, 100))
    assert split.validation.tolist() == list(range(60, 80))
    assert sorted(set(range(60)) - set(split.train.tolist())) == [3, 7, 10]
    assert split.notes == (
        "2 given train images share a group or a picture with the given test part and are left out",
        "1 given train images share a group or a picture with the given validation part and are left out",
    )


def test_a_missing_validation_part_is_carved_from_training():
    index = index_of([0, 1] * 50, [i // 4 for i in range(100)], ["train"] * 80 + ["test"] * 20)
    split = split_of(index)
    assert split.test.tolist() == list(range(80, 100))
    assert 8 <= len(split.validation) <= 12
    assert shared_units(index, split, np.arange(100)) == {"patient": 0, "duplicate clusters": 0}
    assert split.notes == ("the data bring no validation part; it is carved from training",)


def test_both_missing_parts_are_carved_by_their_shares():
    split = split_of(index_of([0, 1] * 100, splits=["train"] * 200))
    assert [len(split.part(part)) for part in SPLITS] == [140, 20, 40]


def test_pool_splits_anew():
    index = index_of([0, 1] * 50, splits=GIVEN)
    assert split_of(index, given="pool").test.tolist() == split_of(replace(index, splits=None)).test.tolist()


def test_folds_within_the_given_training_part():
    index = index_of([0, 1] * 50, [i // 2 for i in range(100)], GIVEN)
    splits = splits_of(index, inner_folds=4)
    assert len(splits) == 4
    assert all(split.test.tolist() == list(range(80, 100)) for split in splits)
    assert sorted(np.concatenate([split.validation for split in splits]).tolist()) == list(range(80))
    assert "the given validation part is joined to training" in splits[0].notes[0]


def test_inner_folds_keep_training_images_that_share_groups_with_the_given_validation_part():
    """Both are training then, so that no group is torn; only what the test part shares is left out."""
    given = ["train"] * 40 + ["validation"] * 40 + ["test"] * 20
    patients = [f"p{i % 40}" for i in range(80)] + [f"q{i}" for i in range(19)] + ["p0"]
    splits = splits_of(index_of([0, 1] * 50, patients, given), inner_folds=4)
    rest = sorted(set(range(80)) - {0, 40})
    assert sorted(np.concatenate([split.validation for split in splits]).tolist()) == rest
    assert all(len(split.train) + len(split.validation) == 78 for split in splits)


# ---------------------------------------------------------------- folds


@pytest.mark.parametrize("groups", [None, "patients"])
@pytest.mark.parametrize("multilabel", [False, True])
def test_every_sample_is_tested_once(rng, groups, multilabel):
    labels = rng.random((200, 4)) < 0.3 if multilabel else rng.integers(0, 3, 200)
    index = index_of(labels, rng.integers(0, 60, 200) if groups else None, multilabel=multilabel)
    splits = splits_of(index, folds=5)
    assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(200))
    for split in splits:
        assert sorted(np.concatenate([split.part(part) for part in SPLITS]).tolist()) == list(range(200))
        assert 20 * (1 - 0.5) <= len(split.validation) <= 20 * (1 + 0.5)  # an eighth of 160, in whole groups
        assert np.abs(deviations(index, split, (0, 0, 0.2))[2]).max() <= 2
        assert not any(shared_units(index, split, np.arange(200)).values())


def test_one_fold_is_the_same_alone_and_among_all(index):
    splits = splits_of(index, folds=4, repeats=2, inner_folds=2)
    choices = split_choices(index, SplitSettings(folds=4, repeats=2, inner_folds=2))
    assert [(c.repeat, c.fold, c.inner_fold) for c in choices[:5]] == [(1, 1, 1), (1, 1, 2), (1, 2, 1), (1, 2, 2), (1, 3, 1)]  # fmt: skip
    assert len(choices) == len(splits) == 16
    for choice, split in zip(choices, splits, strict=True):
        assert members(index, make_split(index, np.arange(200), keys_of(index), choice, 0)) == members(index, split)


def test_repeats_draw_anew_and_each_tests_everyone_once(index):
    splits = splits_of(index, folds=3, repeats=3)
    tested = [[split.test.tolist() for split in splits[i : i + 3]] for i in (0, 3, 6)]
    assert all(sorted(sum(folds, [])) == list(range(200)) for folds in tested)
    assert len({str(folds) for folds in tested}) == 3
    assert [s.test.tolist() for s in splits_of(index, folds=3)] == tested[0]


def test_nested_folds_divide_what_is_not_tested(index):
    splits = splits_of(index, folds=3, inner_folds=4)
    for outer in range(3):
        inner = splits[4 * outer : 4 * outer + 4]
        assert len({tuple(split.test.tolist()) for split in inner}) == 1
        rest = sorted(set(range(200)) - set(inner[0].test.tolist()))
        assert sorted(np.concatenate([split.validation for split in inner]).tolist()) == rest
        assert not any(n for split in inner for n in shared_units(index, split, np.arange(200)).values())


def test_inner_folds_of_a_hold_out_set(index):
    splits = splits_of(index, inner_folds=3)
    assert len({tuple(split.test.tolist()) for split in splits}) == 1
    assert abs(len(splits[0].test) - 40) <= 4


# ---------------------------------------------------------------- one value after the other


def test_one_site_is_left_out_after_the_other(index):
    splits = splits_of(index, leave_out="site")
    sites = index.metadata["site"]
    assert [set(sites[split.test].tolist()) for split in splits] == [{"A"}, {"B"}, {"C"}]
    assert all(len(split.test) == (sites == name).sum() for name, split in zip("ABC", splits, strict=True))
    assert splits[1].notes == (f"the test part is {(sites == 'B').sum()} images with site B (fold 2 of 3)",)


def test_a_patient_at_two_sites_leaves_training(index):
    sites = index.metadata["site"].copy()
    patient = index.groups["patient"]
    moved = np.flatnonzero(sites == "A")[0]
    sites[moved] = "B"
    torn = replace(index, metadata={**index.metadata, "site": sites})
    split = splits_of(torn, leave_out="site=B")[0]
    others = np.flatnonzero((patient == patient[moved]) & (sites == "A"))
    assert len(others) > 0
    assert not set(others.tolist()) & {*split.train.tolist(), *split.validation.tolist(), *split.test.tolist()}
    assert split.notes[0].endswith("with site B")
    assert (
        split.notes[1] == f"{len(others)} train images share a group or a picture with the test part and are left out"
    )


def test_groups_and_numbers_can_be_left_out_and_gaps_take_no_part(index):
    ages = splits_of(index, leave_out="age")
    known = ~np.isnan(index.metadata["age"])
    assert [note.split(" with ")[1] for note in (split.notes[0] for split in ages)] == [
        f"age {age} (fold {i} of 4)" for i, age in enumerate((30, 40, 50, 60), start=1)
    ]
    assert sorted(np.concatenate([split.test for split in ages]).tolist()) == np.flatnonzero(known).tolist()
    assert "5 images without a value of age take no part" in ages[0].notes
    patients = splits_of(index, leave_out="patient")
    assert len(patients) == len(set(index.groups["patient"].tolist()))
    assert all(len(set(index.groups["patient"][split.test].tolist())) == 1 for split in patients)


def test_leave_out_site_means_the_column_of_sites(index):
    renamed = replace(index, metadata={"hospital": index.metadata["site"]}, site="hospital")
    by_name, by_word = splits_of(renamed, leave_out="hospital"), splits_of(renamed, leave_out="site")
    assert [members(index, s) for s in by_name] == [members(index, s) for s in by_word]


# ---------------------------------------------------------------- names and contradictions


def test_names_count_what_there_is_more_than_one_of(index):
    def names(**options):
        settings = SplitSettings(**options)
        return [split_name(index, choice) for choice in split_choices(index, settings)]

    assert names() == ["split"]
    assert names(folds=2) == ["fold-1", "fold-2"]
    assert names(leave_out="site", inner_folds=2)[-1] == "fold-3-inner-2"
    assert names(folds=10, repeats=2)[:2] == ["repeat-1-fold-01", "repeat-1-fold-02"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folds": 5, "leave_out": "site"}, "split.folds and split.leave_out exclude each other"),
        ({"folds": 5, "file": "x.csv"}, "split.file and split.folds exclude each other"),
        ({"folds": 1}, "split.folds must be 0"),
        ({"inner_folds": 1}, "split.inner_folds must be 0"),
        ({"folds": 5, "fold": 6}, "split.fold is 6, but there are only 5"),
        ({"fold": 2}, "split.fold is 2, but there is only 1"),
        ({"repeat": 2}, "split.repeat is 2, but there is only 1"),
        ({"folds": 2, "inner_fold": 2}, "split.inner_fold is 2, but there is only 1"),
        ({"leave_out": "sitee"}, "no column 'sitee'; did you mean 'site'"),
        ({"leave_out": "site=D"}, "column 'site' has no value 'D'"),
        ({"leave_out": "site", "fold": 4}, "split.fold is 4, but there are only 3"),
        ({"method": "aucmedi", "folds": 3}, "split.folds cannot go with split.method=aucmedi"),
        ({"method": "aucmedi", "inner_folds": 3}, "split.inner_folds cannot go with split.method=aucmedi"),
        ({"train": 0.6}, "must be 1, got 0.9"),
    ],
)
def test_settings_that_contradict_each_other(index, options, words):
    with pytest.raises(UsageError, match=words):
        split_of(index, **options)


def test_folds_of_data_with_a_given_split_need_pool():
    index = index_of([0, 1] * 50, splits=GIVEN)
    with pytest.raises(UsageError, match=r"split.given=pool to split anew, or take split.inner_folds"):
        split_of(index, folds=5)
    assert len(splits_of(index, folds=5, given="pool")) == 5


def test_repeats_of_given_parts_draw_nothing():
    with pytest.raises(DataError, match="nothing is drawn by lot"):
        split_of(index_of([0, 1] * 50, splits=GIVEN), repeats=2)


def test_one_value_alone_cannot_be_left_out():
    index = index_of([0, 1] * 50, metadata={"site": np.full(100, "A")}, site="site")
    with pytest.raises(UsageError, match="has 1 values; at least two"):
        split_of(index, leave_out="site")
