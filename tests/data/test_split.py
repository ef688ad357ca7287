"""Splits: nobody on both sides, labels in their shares, names and order irrelevant, AUCMEDI's to the sample."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_helpers import SHARES, deviations, index_of, keys_of, members, split_of, splits_of

from medplug.config.settings import SplitSettings
from medplug.data.split import aucmedi_split, group_of, make_split, shared_units
from medplug.errors import DataError, UsageError
from medplug.values import SPLITS

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


# ---------------------------------------------------------------- AUCMEDI's


@pytest.mark.parametrize("task", FINGERPRINTS)
def test_the_paper_split_is_aucmedis_to_the_sample(task):
    counts, first, digits = FINGERPRINTS[task]
    index = index_of(np.repeat(np.arange(len(counts)), counts))
    parts = aucmedi_split(index, np.array(SHARES), 341)
    assert tuple(int(p[0]) for p in parts) == first
    assert hashlib.md5(np.concatenate(parts).astype(np.int64).tobytes()).hexdigest().startswith(digits)
    split = split_of(index, seed=341, method="aucmedi", groups="none")
    assert all(np.array_equal(split.part(name), part) for name, part in zip(SPLITS, parts, strict=True))


def test_the_paper_split_of_a_multilabel_task_has_its_sizes(rng):
    index = index_of(rng.random((1920, 29)) < 0.1, multilabel=True)
    assert [len(p) for p in aucmedi_split(index, np.array(SHARES), 341)] == [1344, 192, 384]


# ---------------------------------------------------------------- properties


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_group_and_no_picture_is_ever_torn_apart(data):
    n = data.draw(st.integers(30, 120))
    labels = [0, 1, *data.draw(st.lists(st.integers(0, 2), min_size=n - 2, max_size=n - 2))]
    groups = data.draw(st.lists(st.integers(0, n // 3), min_size=n, max_size=n))
    alike = data.draw(st.lists(st.integers(0, n), min_size=n, max_size=n))
    index = index_of(labels, groups)
    try:
        splits = splits_of(index, alike, data.draw(st.integers(0, 5)), folds=data.draw(st.sampled_from([0, 2, 3])))
    except DataError:
        return  # one chain of groups and pictures can hold nearly all samples
    for split in splits:
        assert set(shared_units(index, split, np.asarray(alike)).values()) == {0}
        everyone = np.concatenate([split.part(p) for p in SPLITS])
        assert sorted(everyone.tolist()) == list(range(n))
    if len(splits) > 1:
        assert sorted(np.concatenate([split.test for split in splits]).tolist()) == list(range(n))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=40, max_size=300), st.integers(0, 9), st.sampled_from([0, 2, 3, 5, 7]))
def test_without_groups_every_class_is_within_one_sample_of_its_share(labels, seed, folds):
    index = index_of([0] * 10 + [1] * 10 + labels)
    for split in splits_of(index, seed=seed, folds=folds):
        test = 1 / folds if folds else SHARES[2]
        assert np.abs(deviations(index, split, (0, 0, test))[2]).max() < 1
        if not folds:
            assert np.abs(deviations(index, split)).max() < 1
        assert abs(len(split.test) - test * len(index)) < 2


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=40, max_size=120), st.integers(0, 9), st.permutations(range(40)))
def test_neither_the_order_of_listing_nor_the_names_change_anything(labels, seed, order):
    n = len(labels) + 20
    index = index_of([0] * 10 + [1] * 10 + labels, [i % 37 for i in range(n)])
    keys = keys_of(index)
    rows = np.array([*order, *range(40, n)])
    other = replace(index.take(rows), samples=tuple(f"{i}.png" for i in range(n)))
    for folds in (0, 3):
        options = SplitSettings(folds=folds)
        one = make_split(index, np.arange(n), keys, options, seed)
        two = make_split(other, np.arange(n), [keys[row] for row in rows], options, seed)
        for part in SPLITS:
            assert sorted(one.part(part).tolist()) == sorted(rows[two.part(part)].tolist())


def test_names_decide_between_samples_with_the_same_pixels(rng):
    """Where copies are not kept together (``checks.duplicates=ignore``) the draw still has one result."""
    index = index_of(rng.integers(0, 2, 60))
    order = rng.permutation(60)
    one = make_split(index, np.arange(60), ["same"] * 60, SplitSettings(), 0)
    two = make_split(index.take(order), np.arange(60), ["same"] * 60, SplitSettings(), 0)
    assert members(index, one) == members(index.take(order), two)


def test_the_seed_decides_and_the_settings_own_seed_wins(rng):
    index = index_of(rng.integers(0, 3, 200))
    assert members(index, split_of(index, seed=1)) == members(index, split_of(index, seed=1))
    assert split_of(index, seed=1).test.tolist() != split_of(index, seed=2).test.tolist()
    own = make_split(index, np.arange(200), keys_of(index), SplitSettings(seed=1), seed=2)
    assert own.test.tolist() == split_of(index, seed=1).test.tolist()


def test_a_sample_less_moves_few_others(rng):
    """Places in the draw are hashes of single pictures, not numbers out of a row."""
    index = index_of(rng.integers(0, 2, 1000))
    one, two = split_of(index), split_of(index.take(np.arange(1000) != 500))
    before, after = (dict(zip(i.samples, s.names(len(i)), strict=True)) for i, s in ((index, one), (index.take(np.arange(1000) != 500), two)))  # fmt: skip
    assert sum(before[name] != part for name, part in after.items()) < 10


# ---------------------------------------------------------------- stratification beside independent implementations


def weighted(index, parts, shares):
    """Squares of deviations over what is expected: of every label, and of the sizes."""
    content = np.column_stack([index.targets, np.ones(len(index))])
    expected = np.outer(shares, content.sum(0))
    found = np.stack([content[part].sum(0) for part in parts])
    return float(((found - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("shares", [SHARES, (0.2,) * 5])
def test_multi_label_shares_are_as_good_as_iterative_stratifications(rng, shares):
    """PyPI's ``iterative-stratification`` knows no groups and draws by the order of the rows; on single images, where it
    can be compared, labels and sizes come out as near to their shares, and the worst one nearer."""
    from iterstrat.ml_stratifiers import IterativeStratification

    for trial, chances in enumerate(([0.5, 0.3, 0.1, 0.05, 0.02, 0.2], [0.47, 0.26, 0.13, 0.06, 0.05, 0.04, 0.03])):
        labels = rng.random((1000, len(chances))) < chances
        index = index_of(labels, multilabel=True)
        theirs = IterativeStratification(labels, np.array(shares), np.random.RandomState(trial))
        their_parts = [np.flatnonzero(theirs == p) for p in range(len(shares))]
        if len(shares) == 3:
            split = split_of(index)
            our_parts = [split.part(part) for part in SPLITS]
        else:
            our_parts = [split.test for split in splits_of(index, folds=len(shares))]
        assert weighted(index, our_parts, shares) <= weighted(index, their_parts, shares) + 0.01


def test_groups_are_spread_at_least_as_evenly_as_by_stratified_group_k_fold(rng):
    from sklearn.model_selection import StratifiedGroupKFold

    sizes = rng.dirichlet(np.ones(60) * 1.5)
    groups = rng.choice(60, 3000, p=sizes)
    labels = (rng.random(3000) < rng.beta(1.2, 2.8, 60)[groups]).astype(int)
    index = index_of(labels, groups)
    ours = [split.test for split in splits_of(index, folds=5)]
    theirs = [test for _, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)]
    assert weighted(index, ours, [0.2] * 5) < weighted(index, theirs, [0.2] * 5) / 10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 12), st.sampled_from([0, 4]))
def test_multi_label_counts_stay_within_their_bound(seed, labels, folds):
    """The stated bound: two samples and 2 % of the label."""
    rng = np.random.default_rng(seed)
    index = index_of(rng.random((400, labels)) < rng.uniform(0.02, 0.5, labels), multilabel=True)
    for split in splits_of(index, folds=folds):
        off = np.abs(deviations(index, split, (0, 0, 0.25))[2:] if folds else deviations(index, split))
        assert (off <= 2 + 0.02 * index.class_counts()[:, 0]).all()


def test_known_negatives_of_labels_with_gaps_are_spread_too(rng):
    """A label that is mostly unknown, mostly positive where known: its few negatives must not gather in one part."""
    targets = np.full((400, 2), np.nan, np.float32)
    targets[:, 0] = rng.random(400) < 0.5
    targets[:60, 1] = 1
    targets[:20, 1] = 0
    index = index_of(targets, multilabel=True)
    negatives = [int((index.targets[split_of(index).part(part), 1] == 0).sum()) for part in SPLITS]
    assert np.abs(np.array(negatives) - np.array(SHARES) * 20).max() <= 1


# ---------------------------------------------------------------- small classes


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [1, 0, 0]), (2, [1, 0, 1]), (3, [2, 0, 1]), (4, [2, 1, 1]), (5, [3, 1, 1]), (9, [6, 1, 2])]
)  # fmt: skip
def test_small_classes_reach_every_part_where_they_can(count, expected):
    """Nine ileum images beside 1009 and 391 others, and fewer still: worked by hand."""
    index = index_of([0] * 1009 + [1] * count + [2] * 391)
    split = split_of(index)
    assert [int(index.take(split.part(part)).class_counts()[1, 0]) for part in SPLITS] == expected
    missing = [part for part, n in zip(SPLITS, expected, strict=True) if n == 0]
    assert [note.split()[1] for note in split.notes] == missing


def test_what_cannot_be_estimated_is_told():
    split = split_of(index_of([0] * 50 + [1] * 50 + [2]))
    assert 100 in split.train
    assert split.notes == (
        "no validation image of 'c2': no threshold and no calibration can be chosen for it",
        "no test image of 'c2': the test figures of it stay undefined",
    )


def test_many_tiny_classes_leave_no_part_empty():
    index = index_of(np.repeat(np.arange(100), 3))
    split = split_of(index)
    counts = index.take(split.train).class_counts()[:, 0]
    assert counts.min() >= 2
    assert len(split.validation) >= 15
    assert len(split.test) >= 60


def test_three_groups_are_one_for_each_part_and_that_is_told():
    index = index_of([0, 1] * 30, [i // 20 for i in range(60)])
    split = split_of(index)
    assert sorted(len(split.part(part)) for part in SPLITS) == [20, 20, 20]
    assert "train 33% (wanted 70%)" in split.notes[0]


# ---------------------------------------------------------------- groups


def test_groups_can_be_ignored():
    index = index_of([0, 1] * 50, [i // 10 for i in range(100)])
    torn = split_of(index, groups="none")
    assert shared_units(index, torn, np.arange(100))["patient"] > 0


def test_guessed_groups_can_be_ignored_alone():
    index = index_of([0, 1] * 50, [i // 10 for i in range(100)])
    guessed = replace(index, guessed=("patient",))
    alike = np.arange(100)
    assert shared_units(guessed, split_of(guessed), alike)["patient"] == 0
    assert shared_units(guessed, split_of(guessed, groups="given"), alike)["patient"] > 0
    assert shared_units(index, split_of(index, groups="given"), alike)["patient"] == 0
    assert group_of(guessed, "given") is None
    assert len(set(group_of(guessed).tolist())) == 10


def test_groups_are_joined_across_columns():
    index = index_of([0, 1, 0, 1, 0])
    index = replace(
        index, groups={"patient": np.array(["a", "a", "b", "", ""]), "site": np.array(["", "x", "x", "y", ""])}
    )
    groups = group_of(index)
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups.tolist())) == 3


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
    with pytest.raises((DataError, UsageError), match=words):
        split_of(index, **options)
