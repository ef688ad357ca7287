"""Small classes and torn groups, in words."""

import numpy as np
import pytest
from checks_helpers import found, index_of, look, one
from scipy.stats import beta

from medplug.values import Index


def sizes(*counts, **more):
    labels = [k for k, n in enumerate(counts) for _ in range(n)]
    return index_of(labels, tuple("abcdef"[: len(counts)]), **more)


def words(index):
    return {f.details.get("class", ""): f.text for f in found(look(index)[2], "classes")}


def test_large_classes_are_fine():
    assert words(sizes(12, 15)) == {"": "every class has at least 12 independent images"}


def test_the_smaller_a_class_the_less_can_be_estimated():
    text = words(sizes(30, 9, 4, 2, 1, 0))
    assert "class 'b' has only 9 images;" in text["b"]
    assert "5-fold cross-validation" in text["c"]
    assert "too few for training, validation and test" in text["d"]
    assert "class 'e' has one image: it can be trained on or tested, not both" in text["e"]
    assert "class 'f' has no image" in text["f"]
    assert "a" not in text


@pytest.mark.parametrize("count", [2, 4, 9])
def test_the_bound_is_clopper_and_pearsons(count):
    lower = beta(count, 1).ppf(0.025)
    assert f"only be known to exceed {lower:.0%}" in words(sizes(30, count))["b"]


def test_patients_count_and_not_their_images():
    """20 images of 3 patients."""
    patient = np.array([f"p{i}" for i in range(30)] + [f"q{i % 3}" for i in range(20)])
    text = words(sizes(30, 20, groups={"patient": patient}))["b"]
    assert "20 images of only 3 groups" in text
    assert f"{beta(3, 1).ppf(0.025):.0%}" in text


def test_a_site_is_no_patient():
    site = np.array(["here", "there"] * 20)
    assert words(sizes(20, 20, groups={"hospital": site}, site="hospital"))[""].startswith(
        "every class has at least 20"
    )


def test_a_label_that_all_have_tells_nothing():
    names = tuple(map(str, range(30)))
    targets = np.column_stack([np.ones(30), np.arange(30) % 2]).astype(np.float32)
    targets[0, 0] = np.nan
    index = Index(names, names, targets, ("all", "some"), "multilabel")
    assert "no sample that is known to be without it" in words(index)["all"]


def test_torn_groups_are_counted_by_parts():
    patient = np.array(["p1", "p1", "p2", "p2", "p3", "p3", "", ""] + [f"x{i}" for i in range(32)])
    splits = np.array(["train", "test", "train", "validation", "train", "train", "train", "test"] + ["train"] * 32)
    report = look(sizes(20, 20, groups={"patient": patient}, splits=splits))[2]
    finding = one(report, "given_split")
    assert finding.level == "warning"
    assert finding.details["shared"] == {"train/validation": 1, "train/test": 1}
    assert finding.details["groups"] == ["p1", "p2"]
    assert (
        "tears 2 groups of 'patient' apart (1 in train and validation and 1 in train and test): p1, p2" in finding.text
    )
    assert finding.names == ("a/0.png", "a/1.png", "a/2.png", "a/3.png")
    assert one(report, "groups").text == "groups 'patient' (given): 35, of up to 2 images"


def test_a_given_split_that_respects_groups_is_silent():
    patient = np.array([f"p{i // 2}" for i in range(40)])
    splits = np.array([("train", "test")[(i // 2) % 2] for i in range(40)])
    assert not found(look(sizes(20, 20, groups={"patient": patient}, splits=splits))[2], "given_split")


def test_guessed_groups_are_notes_and_missing_ones_too():
    name = np.array([f"n{i // 2}" for i in range(40)])
    report = look(sizes(20, 20, groups={"file name": name}, guessed=("file name",)))[2]
    assert one(report, "groups").level == "note"
    assert "(guessed)" in one(report, "groups").text
    assert "no groups are known" in one(look(sizes(20, 20))[2], "groups").text
