"""The parts of the probes for shortcuts."""

from __future__ import annotations

import numpy as np
import pytest

from medplug.runs.faithfulness.images import choose_rows
from medplug.runs.faithfulness.probes import CONDITIONS, _clusters, _left, _Seen, coarse_maps, evidence, kept_parts
from medplug.values import Predictions


@pytest.mark.parametrize("shape", [(100, 100), (60, 80), (40, 40, 40)])
def test_half_of_the_area_is_hidden_and_a_tenth_along_each_side_is_kept(shape):
    kept = kept_parts(shape)
    assert tuple(kept) == CONDITIONS
    assert kept["plain"].all()
    assert not kept["hidden"].any()
    assert kept["centre_hidden"].mean() == pytest.approx(0.5, abs=0.03)
    assert kept["border_only"].mean() == pytest.approx(1 - 0.8 ** len(shape))
    middle = tuple(edge // 2 for edge in shape)
    assert not kept["centre_hidden"][middle]
    assert kept["centre_hidden"][(0,) * len(shape)]


def test_evidence_is_positive_sums_to_one_and_is_averaged_not_sampled(rng):
    raw = rng.normal(size=(3, 64, 64)).astype(np.float32)
    raw[2] = -1
    found = evidence(raw, (64, 64))
    blocks = np.maximum(raw, 0).reshape(3, 32, 2, 32, 2).mean((2, 4))
    np.testing.assert_allclose(found[:2], blocks[:2] / blocks[:2].sum((1, 2), keepdims=True), rtol=1e-5)
    assert found[2].sum() == 0
    assert evidence(raw[:, :7, :7], (64, 64)).shape == (
        3,
        32,
        32,
    )  # coarse maps are made finer, so that all can be averaged


def test_coarse_maps_keep_the_evidence(rng):
    maps = rng.random((4, 32, 32))
    found = coarse_maps(maps)
    assert found.shape == (4, 64)
    np.testing.assert_allclose(found[:, 0], maps[:, :4, :4].sum((1, 2)))
    np.testing.assert_allclose(found.sum(1), maps.sum((1, 2)))


def seen(maps):
    n = len(maps)
    return _Seen(np.arange(n), {"plain": np.ones((n, 2))}, maps, np.zeros((n, 8, 8, 1), np.uint8))


def test_two_kinds_of_maps_are_two_clusters_and_one_kind_is_one(rng):
    y, x = np.mgrid[:32, :32]

    def blobs(count, row, column):
        places = np.array([row, column]) + rng.normal(0, 1, (count, 2))
        maps = np.stack([np.exp(-((y - a) ** 2 + (x - b) ** 2) / 30) for a, b in places])
        return maps / maps.sum((1, 2), keepdims=True)

    both = np.concatenate([blobs(20, 8, 8), blobs(30, 24, 20), np.zeros((2, 32, 32))])
    found = _clusters(seen(both), 0)
    assert [set(members.tolist()) for members in found] == [set(range(20, 50)), set(range(20))]
    noise = rng.random((40, 32, 32))
    assert [len(members) for members in _clusters(seen(noise / noise.sum((1, 2), keepdims=True)), 0)] == [40]
    assert _clusters(seen(np.zeros((3, 32, 32))), 0) == []


class Higher:
    higher_is_better = True


class Lower:
    higher_is_better = False


@pytest.mark.parametrize(
    ("whole", "part", "nothing", "metric", "expected"),
    [
        (0.9, 0.7, 0.5, Higher, 0.5),
        (0.2, 0.5, 1.0, Lower, 0.625),
        (0.4, 0.6, 0.5, Higher, None),
        (0.9, None, 0.5, Higher, None),
    ],
)
def test_what_is_left_is_a_share_of_the_gain_over_nothing(whole, part, nothing, metric, expected):
    values = {"plain": whole, "border_only": part, "hidden": nothing}
    figures = {name: {"m": {"value": value}} for name, value in values.items()}
    assert _left(figures, "border_only", "m", metric()) == (None if expected is None else pytest.approx(expected))


def predictions(order):
    labels = np.array([0] * 12 + [1] * 5 + [2] * 3)[order]
    names = tuple(f"image{i:02d}" for i in order)
    return Predictions(names, np.eye(3)[labels], np.eye(3, dtype=np.float32)[labels], ("a", "b", "c"), "multiclass")


def test_images_are_drawn_from_all_classes_alike_whatever_their_order(rng):
    plain, order = predictions(np.arange(20)), rng.permutation(20)
    mixed = predictions(order)
    chosen = [
        {p.samples[row] for row in choose_rows(p, p.probabilities.argmax(1), 9, 5, ["image11"])} for p in (plain, mixed)
    ]
    assert chosen[0] == chosen[1]
    assert "image11" in chosen[0]
    of_class = [sum(name in chosen[0] for name in plain.samples[a:b]) for a, b in ((0, 12), (12, 17), (17, 20))]
    assert of_class == [3, 3, 3]
    assert len(choose_rows(plain, plain.probabilities.argmax(1), 100, 5)) == 20
    others = choose_rows(plain, plain.probabilities.argmax(1), 9, 6, ["image11"])
    assert {plain.samples[row] for row in others} != chosen[0]
