"""What a split may claim, whatever its settings promised."""

from dataclasses import replace

import numpy as np
import pytest
from split_helpers import index_of

from medplug.data.split import independence, proof_line, shared_units
from medplug.runs.independence import other_data_independence, split_independence
from medplug.values import Split

NINE = np.arange(9)
SPLIT = Split(np.arange(3), np.arange(3, 6), np.arange(6, 9))
SITES = np.array(["A", "A", "B", "B", "B", "B", "C", "C", "C"])


def with_groups(*patients, **more):
    return index_of([0, 1, 0] * 3, patients or None, **more)


def level(index, alike=NINE):
    return independence(index, SPLIT, np.asarray(alike)).level


def test_without_groups_the_level_is_image():
    assert level(with_groups()) == "image"


def test_groups_that_the_data_name():
    index = with_groups(1, 1, 2, 3, 3, 4, 5, 5, 6)
    assert level(index) == "group (given)"
    assert level(replace(index, guessed=("patient",))) == "group (guessed)"


def test_a_group_on_both_sides_is_no_group_level():
    assert level(with_groups(1, 1, 2, 3, 3, 4, 5, 5, 1)) == "image"


def test_training_and_validation_are_one_side():
    """The test part must know nothing of either; a patient in both of them spoils no test figure."""
    index = with_groups(1, 1, 2, 1, 3, 4, 5, 5, 6)
    assert level(index) == "group (given)"
    assert shared_units(index, SPLIT, NINE) == {"patient": 1, "duplicate clusters": 0}


def test_a_picture_on_both_sides_is_no_group_level():
    alike = [0, 1, 2, 3, 4, 5, 6, 7, 0]
    found = split_independence(with_groups(1, 1, 2, 3, 3, 4, 5, 5, 6), SPLIT, np.array(alike))
    assert found["level"] == "image"
    assert found["text"].startswith("1 duplicate clusters lie on both sides")


def test_groups_of_half_of_the_samples_say_nothing_of_the_whole():
    found = split_independence(with_groups(1, "", 2, "", 3, "", 5, "", 6), SPLIT, NINE)
    assert found["level"] == "image"
    assert found["text"].startswith("4 of 9 images have no group and were set apart one by one.")


@pytest.mark.parametrize(
    ("sites", "expected"),
    [
        (SITES, "site"),
        (np.array([*SITES[:8], "B"]), "image"),  # B on both sides
        (np.array([*SITES[:8], ""]), "image"),  # one site is not known
        (np.array(["", *SITES[1:]]), "image"),
    ],
)
def test_sites(sites, expected):
    assert level(with_groups(metadata={"hospital": sites}, site="hospital")) == expected


def test_sites_may_be_a_group_column_and_must_not_tear_groups():
    index = replace(with_groups(1, 1, 2, 3, 3, 4, 5, 5, 6), metadata={"hospital": SITES}, site="hospital")
    assert level(index) == "site"
    assert level(replace(index, groups={"hospital": SITES}, metadata={})) == "site"
    torn = replace(index, groups={"patient": np.array([1, 1, 2, 3, 3, 4, 5, 5, 1]).astype(str)})
    assert level(torn) == "image"


def test_one_site_for_all_is_no_site_level():
    assert level(with_groups(metadata={"hospital": np.full(9, "A")}, site="hospital")) == "image"


def test_samples_in_no_part_do_not_count():
    sites = np.array([*SITES[:2], "C", *SITES[3:]])
    index = with_groups(metadata={"hospital": sites}, site="hospital")
    without = Split(np.arange(2), np.arange(3, 6), np.arange(6, 9))
    assert independence(index, without, NINE).level == "site"


def test_the_proof_counts_what_is_shared():
    index = with_groups(1, 1, 2, 3, 1, 4, 5, 2, 1)
    shared = shared_units(index, SPLIT, np.array([0, 1, 2, 3, 4, 5, 6, 0, 5]))
    assert shared == {"patient": 2, "duplicate clusters": 2}
    assert proof_line(shared) == "2 groups (patient), 2 duplicate clusters"
    assert (
        proof_line({"patient": 0, "lesion": 0, "duplicate clusters": 1})
        == "0 groups (patient, lesion), 1 duplicate cluster"
    )
    assert proof_line({"duplicate clusters": 0}) == "0 duplicate clusters"


def test_other_data_are_of_other_sites_only_where_both_are_known():
    trained = with_groups(metadata={"hospital": SITES}, site="hospital")
    others = with_groups(metadata={"clinic": np.full(9, "C")}, site="clinic")  # C was only tested
    assert other_data_independence(trained, SPLIT, others)["level"] == "site"
    same = replace(others, metadata={"clinic": np.full(9, "A")})
    found = other_data_independence(trained, SPLIT, same)
    assert found["level"] == "unknown"
    assert "1 of their 1 sites (A)" in found["text"]
    for unknown in (replace(others, site=""), replace(others, metadata={"clinic": np.array(["D"] * 8 + [""])})):
        assert other_data_independence(trained, SPLIT, unknown)["level"] == "unknown"
