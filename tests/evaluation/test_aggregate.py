from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medplug.errors import UsageError
from medplug.evaluation.aggregate import by_group
from medplug.values import Predictions


def multiclass(groups: list[str], labels: list[int], probabilities: list[list[float]]) -> Predictions:
    k = len(probabilities[0])
    names = tuple(f"{i}.png" for i in range(len(groups)))
    targets = np.eye(k, dtype=np.float32)[labels]
    return Predictions(names, np.array(probabilities), targets, tuple("xyz"[:k]), "multiclass", np.array(groups))


def test_means_by_hand() -> None:
    found = by_group(multiclass(["b", "a", "b", ""], [1, 0, 1, 0], [[0.2, 0.8], [0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]))
    assert found.samples == ("b", "a", "3.png")
    np.testing.assert_allclose(found.probabilities, [[0.3, 0.7], [0.9, 0.1], [0.3, 0.7]])
    np.testing.assert_array_equal(found.targets, [[0, 1], [1, 0], [1, 0]])
    assert (found.groups, found.images, found.left_out) == (None, (2, 1, 1), ())


def test_largest_and_median_are_made_to_sum_to_one() -> None:
    predictions = multiclass(["a"] * 3, [0] * 3, [[1, 0, 0], [0, 1, 0], [0.6, 0.2, 0.2]])
    np.testing.assert_allclose(by_group(predictions, "max").probabilities, [[1 / 2.2, 1 / 2.2, 0.2 / 2.2]])
    np.testing.assert_allclose(by_group(predictions, "median").probabilities, [[0.75, 0.25, 0]])
    nothing = dataclasses.replace(predictions, probabilities=np.eye(3))
    np.testing.assert_allclose(by_group(nothing, "median").probabilities, [[1 / 3] * 3])
    with pytest.raises(UsageError, match="mean, max, median, not by 'least'"):
        by_group(predictions, "least")  # type: ignore[arg-type]


def test_groups_with_different_labels_are_left_out_by_name() -> None:
    found = by_group(multiclass(["p", "q", "p", "q"], [0, 1, 1, 1], [[0.5, 0.5]] * 4))
    assert found.samples == ("q",)
    (left,) = found.left_out
    assert (left.name, left.reason, left.lost) == ("p", "its 2 images have different labels: x, y", True)
    both = by_group(multiclass(["p", "p"], [0, 1], [[0.5, 0.5]] * 2))
    assert (both.samples, both.probabilities.shape, len(both.left_out)) == ((), (0, 2), 1)


def test_labels_present_in_any_image() -> None:
    nan = np.nan
    targets = np.array([[1, nan, 0, nan], [0, nan, 0, 1], [nan, nan, nan, 0]], np.float32)
    predictions = Predictions(
        tuple("abc"), np.full((3, 4), 0.2), targets, tuple("wxyz"), "multilabel", np.array(["p"] * 3)
    )
    np.testing.assert_array_equal(by_group(predictions).targets, [[1, nan, 0, 1]])
    assert by_group(dataclasses.replace(predictions, targets=None)).targets is None


def test_a_lone_image_named_like_a_group_stays_apart() -> None:
    predictions = multiclass(["1.png", "", "1.png"], [0, 0, 0], [[0.5, 0.5]] * 3)
    assert by_group(predictions).samples == ("1.png", "1.png (image)")


def test_unknown_labels_do_not_contradict() -> None:
    predictions = multiclass(["p", "p", "q"], [0, 0, 1], [[0.5, 0.5]] * 3)
    targets = predictions.targets.copy()
    targets[[1, 2]] = np.nan
    found = by_group(dataclasses.replace(predictions, targets=targets))
    np.testing.assert_array_equal(found.targets, [[1, 0], [np.nan, np.nan]])


@st.composite
def predictions(draw: Any) -> Predictions:
    n, k = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    task = draw(st.sampled_from(["multiclass", "multilabel"]))
    p = rng.random((n, k))
    groups = np.array([draw(st.sampled_from(["", "a", "b", "c"])) for _ in range(n)])
    if task == "multiclass":
        p /= p.sum(1, keepdims=True)
        of_group = {g: rng.integers(k) for g in ("", "a", "b", "c")}
        targets = np.eye(k)[[of_group[g] for g in groups]]
    else:
        targets = np.where(rng.random((n, k)) < 0.2, np.nan, rng.integers(0, 2, (n, k)))
    names = tuple(f"s{i}" for i in range(n))
    return Predictions(names, p, targets.astype(np.float32), tuple("wxyz"[:k]), task, groups)


@settings(max_examples=60, deadline=None)
@given(predictions(), st.sampled_from(["mean", "max", "median"]), st.randoms(use_true_random=False))
def test_properties(given: Predictions, how: Any, random: Any) -> None:
    """Every image counts once, order does not matter, figures stay within those of the images, twice is once."""
    found = by_group(given, how)
    assert sum(found.images) == len(given.samples)
    assert len(set(found.samples)) == len(found.samples)
    lone = np.flatnonzero(given.groups == "")
    assert len(found.samples) == len(set(given.groups.tolist()) - {""}) + len(lone)
    if given.task == "multiclass":
        np.testing.assert_allclose(found.probabilities.sum(1), 1)
    for row, name in enumerate(found.samples):
        own = [i for i, s in enumerate(given.samples) if (given.groups[i] or s) == name]
        assert found.images[row] == len(own)
        if given.task == "multilabel" or how == "mean":
            low, high = given.probabilities[own].min(0), given.probabilities[own].max(0)
            assert ((found.probabilities[row] >= low - 1e-12) & (found.probabilities[row] <= high + 1e-12)).all()
    order = list(range(len(given.samples)))
    random.shuffle(order)
    shuffled = by_group(
        dataclasses.replace(
            given,
            samples=tuple(given.samples[i] for i in order),
            probabilities=given.probabilities[order],
            targets=given.targets[order],
            groups=given.groups[order],
        ),
        how,
    )
    back = [shuffled.samples.index(name) for name in found.samples]
    np.testing.assert_allclose(shuffled.probabilities[back], found.probabilities)
    np.testing.assert_array_equal(shuffled.targets[back], found.targets)
    again = by_group(found, how)
    np.testing.assert_allclose(again.probabilities, found.probabilities)
