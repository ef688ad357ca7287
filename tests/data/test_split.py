"""Splits: nobody on both sides, classes in their shares, the order of files irrelevant, AUCMEDI's to the sample."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medplug.config.settings import SplitSettings
from medplug.data.split import aucmedi_split, group_of, make_split, shared_units
from medplug.errors import DataError
from medplug.values import SPLITS, Index

# Class counts of the paper's tasks, and the first ten digits of the md5 of the int64 indices train|validation|test,
# computed with AUCMEDI's own sampling_split (fractions 0.7, 0.1, 0.2; seed 341).
FINGERPRINTS = {
    "endoscopy_lower_gi": ((1009, 9, 391), (670, 1265, 409), "4d6f31f26a"),
    "endoscopy_upper_gi": ((999, 764, 932), (2656, 1839, 559), "fe151f5f96"),
    "xray_pneumonia": ((1583, 4273), (2216, 1500, 1069), "085c5a9ed6"),
    "ultrasound_breast": ((891, 421, 266), (942, 1294, 54), "cb5bca8027"),
    "ct_covid19": ((5705, 9979, 4001), (7048, 15632, 14127), "8727297c6b"),
    "mri_brain_tumor": ((1621, 1645, 2000, 1757), (365, 200, 2596), "ef1ebb09c7"),
    "histopathology_idc": ((198738, 78786), (192976, 268828, 56525), "c117534c18"),
}


def index_of(labels, groups=None, splits=None, multilabel=False):
    n = len(labels)
    targets = (
        np.asarray(labels, np.float32) if multilabel else np.eye(max(labels) + 1, dtype=np.float32)[np.asarray(labels)]
    )
    names = tuple(f"s{i:06d}" for i in range(n))
    return Index(
        names, names, targets, tuple(f"c{k}" for k in range(targets.shape[1])), "multilabel" if multilabel else "multiclass",
        groups={} if groups is None else {"patient": np.asarray(groups).astype(str)},
        splits=None if splits is None else np.asarray(splits),
    )  # fmt: skip


def split_of(index, identical=None, seed=0, **options):
    identical = np.arange(len(index)) if identical is None else np.asarray(identical)
    return make_split(index, identical, SplitSettings(**options), seed)


@pytest.mark.parametrize("task", FINGERPRINTS)
def test_the_paper_split_is_aucmedis_to_the_sample(task):
    counts, first, digits = FINGERPRINTS[task]
    index = index_of(np.repeat(np.arange(len(counts)), counts))
    parts = aucmedi_split(index, np.array([0.7, 0.1, 0.2]), 341)
    assert tuple(int(p[0]) for p in parts) == first
    assert hashlib.md5(np.concatenate(parts).astype(np.int64).tobytes()).hexdigest().startswith(digits)


def test_the_paper_split_of_a_multilabel_task_has_its_sizes(rng):
    index = index_of(rng.random((1920, 29)) < 0.1, multilabel=True)
    assert [len(p) for p in aucmedi_split(index, np.array([0.7, 0.1, 0.2]), 341)] == [1344, 192, 384]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_group_and_no_picture_is_ever_torn_apart(data):
    n = data.draw(st.integers(30, 120))
    labels = [0, 1, *data.draw(st.lists(st.integers(0, 2), min_size=n - 2, max_size=n - 2))]
    groups = data.draw(st.lists(st.integers(0, n // 3), min_size=n, max_size=n))
    identical = data.draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    index = index_of(labels, groups)
    try:
        split = split_of(index, identical, seed=data.draw(st.integers(0, 5)))
    except DataError:
        return  # one chain of groups and pictures can hold nearly all samples
    assert set(shared_units(index, split, np.asarray(identical)).values()) == {0}
    everyone = np.concatenate([split.part(p) for p in SPLITS])
    assert sorted(everyone.tolist()) == list(range(n))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=40, max_size=300), st.integers(0, 9))
def test_without_groups_every_class_is_within_one_sample_of_its_share(labels, seed):
    index = index_of([0] * 10 + [1] * 10 + labels)
    split = split_of(index, seed=seed)
    for part, share in zip(SPLITS, (0.7, 0.1, 0.2), strict=True):
        counts = index.take(split.part(part)).class_counts()[:, 0]
        assert np.abs(counts - share * index.class_counts()[:, 0]).max() <= 1 + 1e-6


def test_multilabel_shares_are_close(rng):
    index = index_of(rng.random((1000, 6)) < np.array([0.5, 0.3, 0.1, 0.05, 0.02, 0.2]), multilabel=True)
    split = split_of(index)
    for part, share in zip(SPLITS, (0.7, 0.1, 0.2), strict=True):
        counts = index.take(split.part(part)).class_counts()[:, 0]
        assert np.abs(counts - share * index.class_counts()[:, 0]).max() <= 4


def test_the_order_of_the_files_changes_nothing(rng):
    index = index_of(rng.integers(0, 3, 200), rng.integers(0, 60, 200))
    order = rng.permutation(200)
    shuffled = index.take(order)
    a, b = split_of(index), split_of(shuffled)
    for part in SPLITS:
        assert {index.samples[i] for i in a.part(part)} == {shuffled.samples[i] for i in b.part(part)}


def test_the_seed_decides_and_the_settings_own_seed_wins(rng):
    index = index_of(rng.integers(0, 3, 200))
    assert split_of(index, seed=1).test.tolist() != split_of(index, seed=2).test.tolist()
    own = make_split(index, np.arange(200), SplitSettings(seed=1), seed=2)
    assert own.test.tolist() == split_of(index, seed=1).test.tolist()


def test_a_class_of_one_goes_to_training():
    split = split_of(index_of([0] * 50 + [1] * 50 + [2]))
    assert 100 in split.train


def test_groups_can_be_ignored():
    index = index_of([0, 1] * 50, [i // 10 for i in range(100)])
    torn = split_of(index, groups="none")
    assert shared_units(index, torn, np.arange(100))["patient"] > 0


GIVEN = ["train"] * 60 + ["validation"] * 20 + ["test"] * 20


def test_a_given_split_is_kept():
    index = index_of([0, 1] * 50, splits=GIVEN)
    split = split_of(index)
    assert (split.train.tolist(), split.test.tolist()) == (list(range(60)), list(range(80, 100)))
    assert split.notes == ()


def test_training_images_that_share_a_patient_or_a_picture_with_the_test_part_are_left_out():
    groups = [f"p{i}" for i in range(100)]
    groups[3] = groups[85]
    identical = np.arange(100)
    identical[7] = identical[90]
    identical[61] = identical[10]
    index = index_of([0, 1] * 50, groups, GIVEN)
    split = split_of(index, identical)
    assert split.test.tolist() == list(range(80, 100))
    assert split.validation.tolist() == list(range(60, 80))
    assert sorted(set(range(60)) - set(split.train.tolist())) == [3, 7, 10]
    assert [note.split()[0] for note in split.notes] == ["2", "1"]


def test_a_missing_validation_part_is_carved_from_training():
    index = index_of([0, 1] * 50, [i // 4 for i in range(100)], ["train"] * 80 + ["test"] * 20)
    split = split_of(index)
    assert split.test.tolist() == list(range(80, 100))
    assert 8 <= len(split.validation) <= 12
    assert shared_units(index, split, np.arange(100)) == {"patient": 0, "identical pictures": 0}
    assert "no validation part" in split.notes[0]


def test_pool_splits_anew():
    index = index_of([0, 1] * 50, splits=GIVEN)
    assert split_of(index, given="pool").test.tolist() == split_of(replace(index, splits=None)).test.tolist()


@pytest.mark.parametrize(
    ("index", "options", "words"),
    [
        (index_of([0, 1, 0]), {}, "would be empty"),
        (index_of([0, 1] * 20, [0] * 40), {}, "would be empty"),
        (index_of([0, 1] * 20), {"test": 0.5}, "must be 1, got 1.3"),
        (index_of([0, 1] * 20, splits=["test"] * 40), {}, "no training samples"),
        (index_of([0, 1] * 20, splits=["train"] * 20 + ["test"] * 20), {"method": "aucmedi"}, "split.given=pool"),
        (
            index_of([0] * 10 + [1] * 10, splits=["train"] * 10 + ["validation"] * 5 + ["test"] * 5),
            {},
            "fewer than two classes",
        ),
    ],
)
def test_impossible_splits_are_told(index, options, words):
    with pytest.raises(DataError, match=words):
        split_of(index, **options)


def test_groups_are_joined_across_columns():
    index = index_of([0, 1, 0, 1, 0])
    index = replace(
        index, groups={"patient": np.array(["a", "a", "b", "", ""]), "site": np.array(["", "x", "x", "y", ""])}
    )
    groups = group_of(index)
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 3
