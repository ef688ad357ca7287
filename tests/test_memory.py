"""Labels of any form, and images in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from medplug.errors import DataError
from medplug.memory import as_image, check_depth, targets_of

NAN = np.nan


@pytest.mark.parametrize(
    ("labels", "classes", "targets"),
    [
        (["b", "a", "b"], ("a", "b"), [[0, 1], [1, 0], [0, 1]]),
        (np.array(["b", "a"]), ("a", "b"), [[0, 1], [1, 0]]),
        (np.array([b"b", b"a"]), ("a", "b"), [[0, 1], [1, 0]]),
        ([10, 9, 10], ("9", "10"), [[0, 1], [1, 0], [0, 1]]),
        ([1.0, 0.0, NAN], ("0", "1"), [[0, 1], [1, 0], [NAN, NAN]]),
        (np.array([[1], [0]]), ("0", "1"), [[0, 1], [1, 0]]),
        ([True, False], ("False", "True"), [[0, 1], [1, 0]]),
        (["a", None, "", "b"], ("a", "b"), [[1, 0], [NAN, NAN], [NAN, NAN], [0, 1]]),
        ((np.int64(3), np.int64(4)), ("3", "4"), [[1, 0], [0, 1]]),
        ([[0, 1], [1, 0]], ("0", "1"), [[0, 1], [1, 0]]),
        ([np.array([0, 1]), np.array([1, 0])], ("0", "1"), [[0, 1], [1, 0]]),
        (np.array([[True, False], [False, True]]), ("0", "1"), [[1, 0], [0, 1]]),
    ],
)
def test_one_class_for_each_sample(labels: Any, classes: tuple[str, ...], targets: list[list[float]]) -> None:
    found, names, task = targets_of(labels)
    assert (names, task) == (classes, "multiclass")
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(targets, np.float32))


@pytest.mark.parametrize(
    ("labels", "classes", "targets"),
    [
        (np.array([[1, 1], [0, NAN], [0, 0]]), ("0", "1"), [[1, 1], [0, NAN], [0, 0]]),
        (np.array([[1, 0], [0, NAN]]), ("0", "1"), [[1, 0], [0, NAN]]),  # one-hot but for what is unknown
        ([[0.2, 0.8], [1, 0]], ("0", "1"), [[0.2, 0.8], [1, 0]]),  # soft
        ([["x", "y"], [], ["y"]], ("x", "y"), [[1, 1], [0, 0], [0, 1]]),
        ([{"x"}, {"y", "x"}], ("x", "y"), [[1, 0], [1, 1]]),
    ],
)
def test_any_number_of_labels(labels: Any, classes: tuple[str, ...], targets: list[list[float]]) -> None:
    found, names, task = targets_of(labels)
    assert (names, task) == (classes, "multilabel")
    np.testing.assert_array_equal(found, np.array(targets, np.float32))


def test_classes_give_the_order_and_the_names() -> None:
    assert targets_of(["x", "y"], ["z", "y", "x"])[0].tolist() == [[0, 0, 1], [0, 1, 0]]
    assert targets_of([2, 0], ["a", "b", "c"])[0].tolist() == [[0, 0, 1], [1, 0, 0]]  # numbers count
    assert targets_of([5, 7], [7, 5])[0].tolist() == [[0, 1], [1, 0]]  # unless they are the classes themselves
    assert targets_of([[1, 0], [0, 1]], ["a", "b"])[1] == ("a", "b")
    assert targets_of([["y"], ["x", "y"]], ["x", "y", "z"])[0].tolist() == [[0, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize(
    ("labels", "classes", "message"),
    [
        ([0.5, 1], None, "the label 0.5 is no class"),
        (["a", "c"], ["a", "b"], "the label 'c' is not among the classes a, b"),
        ([0, 2], ["a", "b"], "the label 2 is not among the classes"),
        ([["c"]], ["a"], "the label 'c' is not among the classes a"),
        ([[1, 0]], ["a"], "1 classes, but the labels have 2 columns"),
        ([[1, 2], [0, 1]], None, "must lie between 0 and 1, or be NaN for unknown; got 2"),
        ([["1", 2], ["x", 1]], None, "must hold 0 and 1"),
        (np.zeros((2, 2, 2)), None, r"labels must be \[N\]"),
    ],
)
def test_labels_that_are_none(labels: Any, classes: list[str] | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        targets_of(labels, classes)


# ---------------------------------------------------------------- images


@pytest.mark.parametrize(
    ("shape", "spatial", "expected"),
    [
        ((4, 5), 2, (4, 5, 1)),
        ((4, 5, 3), 2, (4, 5, 3)),
        ((3, 4, 5), 2, (4, 5, 3)),
        ((1, 4, 5), 2, (4, 5, 1)),
        ((7, 4, 5), 2, (7, 4, 5, 1)),
        ((7, 4, 5), 3, (7, 4, 5, 1)),
        ((3, 4, 5), 3, (3, 4, 5, 1)),
        ((3, 7, 4, 5), 3, (7, 4, 5, 3)),
        ((7, 4, 5, 3), 3, (7, 4, 5, 3)),
    ],
)
def test_axes(shape: tuple[int, ...], spatial: int, expected: tuple[int, ...]) -> None:
    image = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    found = as_image(image, spatial)
    assert found.shape == expected
    assert sorted(found.ravel().tolist()) == sorted(image.ravel().tolist())


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (np.array([[0, 255]], np.uint8), np.array([[0, 255]], np.uint8)),
        (np.array([[0, 65535]], np.uint16), np.array([[0, 65535]], np.uint16)),
        (np.array([[0, 255]]), np.array([[0, 255]], np.uint8)),
        (np.array([[0, 0.5]]), np.array([[0, 0.5]], np.float32)),
        (np.array([[False, True]]), np.array([[0, 255]], np.uint8)),
        ([[0, 7]], np.array([[0, 7]], np.uint8)),
    ],
)
def test_values(image: Any, expected: np.ndarray) -> None:
    found = as_image(image)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found[..., 0], expected)


@pytest.mark.parametrize(
    "image", [np.array([[0, 256]]), np.array([[0, 1.5]]), np.array([[-1, 0.5]]), np.array([[NAN, 1]])]
)
def test_a_range_is_never_guessed(image: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"wanted are uint8, uint16 over its whole range, or floats from 0 to 1"):
        as_image(image)


@pytest.mark.parametrize("image", [np.zeros(3), "text", np.zeros((0, 3)), np.array([["a"]]), 7])
def test_what_is_no_image(image: Any) -> None:
    with pytest.raises(DataError, match="an image must be an array of numbers"):
        as_image(image)


def test_an_image_of_pillow_follows_the_rules_of_files() -> None:
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50])
    assert as_image(palette)[0, 0].tolist() == [200, 100, 50]


def test_uint16_that_is_not_filled_is_refused() -> None:
    check_depth([np.array([[9, 40000]], np.uint16), np.array([[1, 2]], np.uint16)])  # one bright image is enough
    check_depth([np.array([[9]], np.uint8)])
    with pytest.raises(DataError, match="reach 3000, not 65535.*if it is 0 to 4095, hand over images / 4095"):
        check_depth([np.array([[9, 3000]], np.uint16)])
