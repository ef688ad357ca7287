from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from medplug.config.settings import RenderingSettings
from medplug.errors import DataError
from medplug.explain.select import select_examples
from medplug.values import Predictions

DEFAULT = RenderingSettings()


def predictions(n: int = 40, k: int = 4, *, multilabel: bool = False, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, k)) < 0.3) if multilabel else np.eye(k)[rng.integers(0, k, n)]
    return Predictions(
        tuple(f"image {i:03}" for i in range(n)),
        rng.random((n, k)),
        targets.astype(np.float32),
        tuple("abcdefgh"[:k]),
        "multilabel" if multilabel else "multiclass",
    )


@pytest.mark.parametrize("multilabel", [False, True])
def test_each_class_gets_an_image_that_carries_it(multilabel: bool) -> None:
    p = predictions(multilabel=multilabel)
    chosen = select_examples(p, DEFAULT, seed=3)
    assert [e.shown_for for e in chosen] == [0, 1, 2, 3]
    assert all(p.targets[e.row, e.shown_for] == 1 for e in chosen)
    assert len({e.row for e in chosen}) == 4  # no image twice while others are left


def test_the_explained_class() -> None:
    p = predictions()
    for e in select_examples(p, DEFAULT, seed=0):
        assert e.explained == p.probabilities[e.row].argmax()
    for e in select_examples(p, RenderingSettings(explained="label"), seed=0):
        assert e.explained == e.shown_for
    assert any(e.explained != e.shown_for for e in select_examples(p, DEFAULT, seed=0))
    assert all(e.explained == e.shown_for for e in select_examples(predictions(multilabel=True), DEFAULT, seed=0))


def test_absent_and_unknown_labels_get_none() -> None:
    p = predictions(multilabel=True)
    targets = p.targets.copy()
    targets[:, 1], targets[:, 2] = 0, np.nan
    chosen = select_examples(dataclasses.replace(p, targets=targets), DEFAULT, seed=0)
    assert [e.shown_for for e in chosen] == [0, 3]
    with pytest.raises(DataError, match="no labels"):
        select_examples(dataclasses.replace(p, targets=None), DEFAULT, seed=0)


def test_number_of_images() -> None:
    p = predictions()
    chosen = select_examples(p, RenderingSettings(images=3), seed=0)
    assert [e.shown_for for e in chosen] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert len({e.row for e in chosen}) == 12
    counts = p.targets.sum(0)
    everything = select_examples(p, RenderingSettings(images=100), seed=0)
    assert [sum(e.shown_for == c for e in everything) for c in range(4)] == counts.tolist()


def test_one_image_with_every_label_serves_all_of_them() -> None:
    p = Predictions(("only",), np.full((1, 3), 0.5), np.ones((1, 3), np.float32), tuple("abc"), "multilabel")
    assert [(e.row, e.shown_for) for e in select_examples(p, DEFAULT, seed=0)] == [(0, 0), (0, 1), (0, 2)]


def test_every_label_of_images_from_the_whole_split() -> None:
    settings = RenderingSettings(every_label=True, images=2)
    chosen = select_examples(predictions(multilabel=True), settings, seed=0)
    assert [e.explained for e in chosen] == [0, 1, 2, 3] * 2
    assert len({e.row for e in chosen}) == 2
    assert len(select_examples(predictions(), settings, seed=0)) == 8  # it is for multi-label tasks only


def test_order_of_the_samples_does_not_matter_but_the_seed_does() -> None:
    p = predictions()
    rows = np.random.default_rng(5).permutation(40)
    turned = Predictions(tuple(p.samples[i] for i in rows), p.probabilities[rows], p.targets[rows], p.classes, p.task)

    def names(source: Predictions, seed: int) -> list[Any]:
        return [source.samples[e.row] for e in select_examples(source, DEFAULT, seed=seed)]

    assert names(p, 1) == names(p, 1) == names(turned, 1)
    assert len({tuple(names(p, seed)) for seed in range(20)}) > 15
