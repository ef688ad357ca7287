"""Metrics of rankings against scikit-learn, DeLong's formula pair by pair, and worked examples."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from metric_helpers import sample, smooth
from sklearn import metrics as sk

from medplug_standard.metrics.average_precision import AveragePrecision
from medplug_standard.metrics.operating import SensitivityAtSpecificity, SpecificityAtSensitivity
from medplug_standard.metrics.roc_auc import PartialAuc, RocAuc, RocAucOvo


def columns(seed: int, make: Any = sample) -> Any:
    """The whole arrays and, class by class, what is known of it with random weights."""
    targets, probabilities = make("multilabel", seed, n=90, unknown=0.2)[:2]
    weights = np.random.default_rng(seed).random(90)
    weights[:20] = 0
    parts = []
    for c in range(targets.shape[1]):
        there = ~np.isnan(targets[:, c])
        parts.append((targets[there, c] > 0.5, probabilities[there, c], weights[there]))
    return (targets, probabilities, weights), parts


@pytest.mark.parametrize("make", [sample, smooth])
def test_average_precision_like_scikit_learn(make: Any) -> None:
    arrays, parts = columns(41, make)
    expected = [sk.average_precision_score(y, p, sample_weight=w) for y, p, w in parts]
    np.testing.assert_allclose(AveragePrecision()(*arrays), expected, rtol=1e-12)
    unweighted = [sk.average_precision_score(y, p) for y, p, _ in parts]
    np.testing.assert_allclose(AveragePrecision()(*arrays[:2]), unweighted, rtol=1e-12)


@pytest.mark.parametrize("make", [sample, smooth])
def test_pooled_rankings_like_scikit_learn(make: Any) -> None:
    targets, probabilities = make("multilabel", 42, n=60)[:2]
    weights = np.random.default_rng(0).random(60)
    for metric, theirs in ((RocAuc(), sk.roc_auc_score), (AveragePrecision(), sk.average_precision_score)):
        expected = theirs(targets > 0.5, probabilities, average="micro", sample_weight=weights)
        np.testing.assert_allclose(metric.micro(targets, probabilities, weights), expected, rtol=1e-12)


@pytest.mark.parametrize("limit", [0.07, 0.1, 0.5, 0.93])
@pytest.mark.parametrize("make", [sample, smooth])
def test_partial_area_like_scikit_learn(make: Any, limit: float) -> None:
    arrays, parts = columns(43, make)
    expected = [sk.roc_auc_score(y, p, sample_weight=w, max_fpr=limit) for y, p, w in parts]
    np.testing.assert_allclose(PartialAuc(limit=limit)(*arrays), expected, rtol=1e-10)
    # High sensitivity is, of the exchanged question, a low rate of false alarms.
    expected = [sk.roc_auc_score(~y, -p, sample_weight=w, max_fpr=limit) for y, p, w in parts]
    high = PartialAuc(region="min_sensitivity", limit=1 - limit)
    np.testing.assert_allclose(high(*arrays), expected, rtol=1e-10)


def test_partial_area_by_hand() -> None:
    # Falling scores: + - + -: the curve is (0, .5) (.5, .5) (.5, 1) (1, 1); above sensitivity .75 it is .25 * .5.
    targets = np.array([[1], [0], [1], [0]], np.float32)
    probabilities = np.array([[0.9], [0.8], [0.7], [0.6]])
    part, chance, perfect = 0.25 * 0.5, 0.25**2 / 2, 0.25
    got = PartialAuc(region="min_sensitivity", limit=0.75)(targets, probabilities)
    np.testing.assert_allclose(got, (1 + (part - chance) / (perfect - chance)) / 2)


@pytest.mark.parametrize("level", [0.0, 0.5, 0.8, 0.9, 1.0])
@pytest.mark.parametrize("make", [sample, smooth])
def test_levels_like_scikit_learn(make: Any, level: float) -> None:
    arrays, parts = columns(44, make)
    curves = [sk.roc_curve(y, p, sample_weight=w, drop_intermediate=False)[:2] for y, p, w in parts]
    best = [max(t for f, t in zip(*c, strict=True) if 1 - f >= level - 1e-9) for c in curves]
    np.testing.assert_allclose(SensitivityAtSpecificity(level=level)(*arrays), best, rtol=1e-12)
    best = [max(1 - f for f, t in zip(*c, strict=True) if t >= level - 1e-9) for c in curves]
    np.testing.assert_allclose(SpecificityAtSensitivity(level=level)(*arrays), best, rtol=1e-12, atol=1e-12)


def test_level_is_kept_where_rounding_is_near() -> None:
    targets = np.array([[1]] * 3 + [[0]] * 10, np.float32)
    probabilities = np.array([[0.9], [0.8], [0.3]] + [[0.85]] + [[0.1]] * 9)
    got = SensitivityAtSpecificity(level=0.9)(targets, probabilities)  # one alarm in ten is allowed
    np.testing.assert_array_equal(got, [1])
    np.testing.assert_allclose(SensitivityAtSpecificity(level=0.91)(targets, probabilities), [1 / 3])


# ---------------------------------------------------------------- DeLong


def delong(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """AUC and its variance from all pairs, as printed by DeLong, DeLong and Clarke-Pearson (1988)."""
    won = (ours[:, None] > theirs) + 0.5 * (ours[:, None] == theirs)
    return won.mean(), won.mean(1).var(ddof=1) / len(ours) + won.mean(0).var(ddof=1) / len(theirs)


@pytest.mark.parametrize("make", [sample, smooth])
def test_influence_of_an_area_has_delongs_variance(make: Any) -> None:
    (targets, probabilities, _), parts = columns(45, make)
    rows = RocAuc().influence(targets, probabilities)
    for c, (y, p, _) in enumerate(parts):
        auc, variance = delong(p[y], p[~y])
        np.testing.assert_allclose(RocAuc()(targets, probabilities)[c], auc)
        np.testing.assert_allclose((rows[:, c] ** 2).sum(), variance, rtol=1e-12)


def test_two_areas_covary_as_delong_says() -> None:
    targets, probabilities = smooth("multilabel", 46, 80, k=2)
    targets[:, 1] = targets[:, 0]  # two scores of the same label
    y = targets[:, 0] > 0.5
    won = [p[y][:, None] > p[~y] for p in probabilities.T]
    covariance = np.cov([x.mean(1) for x in won])[0, 1] / y.sum() + np.cov([x.mean(0) for x in won])[0, 1] / (~y).sum()
    rows = RocAuc().influence(targets, probabilities)
    np.testing.assert_allclose(rows[:, 0] @ rows[:, 1], covariance, rtol=1e-10)


def test_influence_of_an_area_with_a_single_positive_is_unknown() -> None:
    targets = np.array([[1], [0], [0], [np.nan]], np.float32)
    rows = RocAuc().influence(targets, np.array([[0.5], [0.6], [0.1], [0.2]]))
    np.testing.assert_array_equal(np.isnan(rows[:, 0]), [True, True, True, False])


@pytest.mark.parametrize("make", [sample, smooth])
def test_area_over_pairs_of_classes_like_scikit_learn(make: Any) -> None:
    targets, probabilities = make("multiclass", 47, n=90)[:2]
    truth = targets.argmax(1)
    expected = sk.roc_auc_score(truth, probabilities, multi_class="ovo", average="macro")
    np.testing.assert_allclose(RocAucOvo()(targets, probabilities), expected, rtol=1e-12)
    # A class that does not occur leaves out its pairs.
    kept = truth != 1
    classes = [c for c in range(targets.shape[1]) if c != 1]
    areas = [delong(probabilities[truth == i, i], probabilities[truth == j, i])[0] for i, j in permutations(classes, 2)]
    np.testing.assert_allclose(RocAucOvo()(targets[kept], probabilities[kept]), np.mean(areas), rtol=1e-12)
    np.testing.assert_allclose(RocAucOvo()(targets, probabilities, kept.astype(float)), np.mean(areas), rtol=1e-12)


def test_area_over_pairs_of_two_classes_is_the_area() -> None:
    targets, probabilities = smooth("multiclass", 48, 70, k=2)
    expected = RocAuc()(targets, probabilities)
    np.testing.assert_allclose(RocAucOvo()(targets, probabilities), expected[0], rtol=1e-12)
    rows = RocAuc().influence(targets, probabilities)[:, 0]
    np.testing.assert_allclose(RocAucOvo().influence(targets, probabilities), rows, rtol=1e-9)


def test_average_precision_of_one_kind_is_undefined() -> None:
    """Without negatives every answer is perfect, which says nothing of the model."""
    targets, probabilities = np.array([[1.0], [1], [1], [0]]), np.array([[0.1], [0.5], [0.9], [0.3]])
    assert np.isnan(AveragePrecision()(targets[:3], probabilities[:3])).all()
    assert np.isnan(AveragePrecision()(targets, probabilities, np.array([1.0, 2, 1, 0]))).all()
    assert np.isnan(AveragePrecision().influence(targets[:3], probabilities[:3])).all()
    assert AveragePrecision()(targets, probabilities) == pytest.approx([(1 + 1 + 3 / 4) / 3])
