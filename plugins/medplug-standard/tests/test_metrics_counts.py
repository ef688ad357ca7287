"""Metrics of decisions against scikit-learn, a published confusion matrix and worked examples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from metric_helpers import ISIC, sample, smooth
from sklearn import metrics as sk

from medplug_standard.metrics.accuracy import AccuracyOvr
from medplug_standard.metrics.agreement import CohenKappa, Mcc
from medplug_standard.metrics.multilabel import (
    CoverageError,
    HammingLoss,
    Jaccard,
    LabelRankingAveragePrecision,
    RankingLoss,
)
from medplug_standard.metrics.ordinal import AdjacentAccuracy, MeanAbsoluteError
from medplug_standard.metrics.rates import F1, FBeta, Npv, Precision, Sensitivity, Specificity

NAN = float("nan")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_rates_like_scikit_learn(beta: float, weighted: bool) -> None:
    targets, probabilities, weights = sample("multilabel", 31, unknown=0.2)
    w = weights if weighted else None
    for c in range(targets.shape[1]):
        there = ~np.isnan(targets[:, c])
        y, d = targets[there, c] > 0.5, probabilities[there, c] >= 0.5
        given = None if w is None else w[there]
        expected = {
            FBeta(beta=beta): sk.fbeta_score(y, d, beta=beta, sample_weight=given),
            Precision(): sk.precision_score(y, d, sample_weight=given),
            Npv(): sk.precision_score(~y, ~d, sample_weight=given),
            Mcc(): sk.matthews_corrcoef(y, d, sample_weight=given),
            CohenKappa(): sk.cohen_kappa_score(y, d, sample_weight=given),
            CohenKappa(weights="quadratic"): sk.cohen_kappa_score(y, d, sample_weight=given),
            HammingLoss(): sk.zero_one_loss(y, d, sample_weight=given),
        }
        for metric, value in expected.items():
            np.testing.assert_allclose(metric(targets, probabilities, w)[c], value, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_pooled_rates_like_scikit_learn(weighted: bool) -> None:
    targets, probabilities, weights = sample("multilabel", 32)
    w = weights if weighted else None
    y, d = targets > 0.5, probabilities >= 0.5
    args: dict[str, Any] = {"average": "micro", "sample_weight": w}
    for metric, value in (
        (F1(), sk.f1_score(y, d, **args)),
        (Precision(), sk.precision_score(y, d, **args)),
        (Sensitivity(), sk.recall_score(y, d, **args)),
        (Specificity(), sk.recall_score(~y, ~d, **args)),
    ):
        np.testing.assert_allclose(metric.micro(targets, probabilities, w), value, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("k", [2, 5])
def test_agreement_of_classes_like_scikit_learn(k: int, weighted: bool) -> None:
    targets, probabilities, weights = sample("multiclass", 33, k=k, n=80)
    w = weights if weighted else None
    truth, chosen = targets.argmax(1), probabilities.argmax(1)
    expected = sk.matthews_corrcoef(truth, chosen, sample_weight=w)
    np.testing.assert_allclose(Mcc()(targets, probabilities, w), expected, rtol=1e-12)
    for name, theirs in (("none", None), ("linear", "linear"), ("quadratic", "quadratic")):
        expected = sk.cohen_kappa_score(truth, chosen, weights=theirs, sample_weight=w)
        np.testing.assert_allclose(CohenKappa(weights=name)(targets, probabilities, w), expected, rtol=1e-12)


def test_agreement_is_undefined_where_nothing_varies() -> None:
    targets, probabilities, _ = sample("multiclass", 34, k=3, n=20)
    same = np.tile([0.2, 0.7, 0.1], (20, 1))
    assert np.isnan(Mcc()(targets, same))
    assert CohenKappa()(targets, same) == pytest.approx(0, abs=1e-12)
    of_one = np.eye(3, dtype=np.float32)[np.ones(20, int)]
    assert np.isnan(Mcc()(of_one, probabilities))
    assert np.isnan(CohenKappa()(of_one, same))
    assert np.isnan(Mcc()(of_one, same, np.full(20, 0.1)))  # sums of 0.1 are not whole


def test_agreement_in_a_published_confusion_matrix() -> None:
    truth, chosen = (np.repeat(index.ravel(), ISIC.ravel()) for index in np.indices(ISIC.shape))
    arrays = np.eye(8, dtype=np.float32)[truth], 0.6 * np.eye(8)[chosen] + 0.05
    assert CohenKappa()(*arrays) == pytest.approx(0.5944, abs=5e-5)
    assert AccuracyOvr()(*arrays).mean() == pytest.approx(0.927, abs=5e-4)
    np.testing.assert_allclose(Precision()(*arrays)[[0, 7]], [102 / 282, 45 / 68])
    np.testing.assert_allclose(Npv()(*arrays)[0], 1 - 71 / (5066 - 282))
    np.testing.assert_array_equal(Precision().trials(*arrays, None)[[0, 7]], [282, 68])
    # The standard error of kappa by Fleiss, Cohen and Everitt (1969), whose formula has the table's shares alone.
    p = ISIC / ISIC.sum()
    rows, columns = p.sum(1), p.sum(0)
    by_chance, right = rows @ columns, np.trace(p)
    a = (np.diag(p) * ((1 - by_chance) - (rows + columns) * (1 - right)) ** 2).sum()
    off = p * (columns[:, None] + rows[None, :]) ** 2
    b = (1 - right) ** 2 * (off.sum() - np.trace(off))
    c = (right * by_chance - 2 * by_chance + right) ** 2
    variance = (a + b - c) / (5066 * (1 - by_chance) ** 4)
    assert (CohenKappa().influence(*arrays) ** 2).sum() == pytest.approx(variance, rel=1e-9)


def test_ordered_classes() -> None:
    targets = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 3]]
    probabilities = 0.6 * np.eye(4)[[0, 2, 0, 3, 0]] + 0.1  # off by 0 1 2 0 3
    assert MeanAbsoluteError()(targets, probabilities) == pytest.approx(6 / 5)
    assert AdjacentAccuracy()(targets, probabilities) == pytest.approx(3 / 5)
    assert AdjacentAccuracy(within=2)(targets, probabilities, np.array([1, 1, 3, 1, 2])) == pytest.approx(6 / 8)
    assert AdjacentAccuracy().trials(targets, probabilities, None) == 5
    targets, probabilities, weights = sample("multiclass", 35)
    expected = sk.mean_absolute_error(targets.argmax(1), probabilities.argmax(1), sample_weight=weights)
    np.testing.assert_allclose(MeanAbsoluteError()(targets, probabilities, weights), expected)


# ---------------------------------------------------------------- several labels


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [sample, smooth])
def test_rankings_of_labels_like_scikit_learn(make: Any, weighted: bool) -> None:
    targets, probabilities = make("multilabel", 36, n=70, k=5)[:2]
    some = (targets > 0.5).any(1)
    both = some & (targets < 0.5).any(1)
    assert some.sum() < 70  # samples without any label are left out here, and no mistake there
    w = np.random.default_rng(0).random(70) if weighted else None
    for metric, theirs, rows in (
        (LabelRankingAveragePrecision(), sk.label_ranking_average_precision_score, some),
        (CoverageError(), sk.coverage_error, some),
        (RankingLoss(), sk.label_ranking_loss, both),
    ):
        expected = theirs(targets[rows], probabilities[rows], sample_weight=None if w is None else w[rows])
        np.testing.assert_allclose(metric(targets, probabilities, w), expected, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_overlap_of_labels_like_scikit_learn(weighted: bool) -> None:
    targets, probabilities, weights = sample("multilabel", 37, n=100)
    probabilities = probabilities / 1.5
    w, chosen = weights if weighted else None, probabilities >= 0.5
    assert (~(targets > 0.5).any(1) & ~chosen.any(1)).any()
    expected = sk.jaccard_score(targets > 0.5, chosen, average="samples", zero_division=1, sample_weight=w)
    np.testing.assert_allclose(Jaccard()(targets, probabilities, w), expected, rtol=1e-12)
    expected = sk.hamming_loss(targets > 0.5, chosen, sample_weight=w)
    np.testing.assert_allclose(HammingLoss()(targets, probabilities, w).mean(), expected, rtol=1e-12)


def test_labels_that_are_unknown_take_no_part_in_a_ranking() -> None:
    targets = np.array([[1, NAN, 0, 1], [NAN, NAN, NAN, NAN], [0, 0, NAN, 0]], np.float32)
    probabilities = np.array([[0.6, 0.9, 0.7, 0.8], [0.5, 0.1, 0.2, 0.9], [0.4, 0.1, 0.9, 0.2]])
    # Of the first sample labels 3 (.8, true), 2 (.7), 0 (.6, true) are known; the others have nothing to rank.
    assert LabelRankingAveragePrecision()(targets, probabilities) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert CoverageError()(targets, probabilities) == 3
    assert RankingLoss()(targets, probabilities) == pytest.approx(1 / 2)
    # 2/3 of the first sample's known labels overlap, and the third has none and gets none.
    assert Jaccard()(targets, probabilities) == pytest.approx((2 / 3 + 1) / 2)
    # Label by label, with the two samples whose second label is unknown: wrong are the last of none, the third of one.
    np.testing.assert_allclose(HammingLoss()(targets, probabilities), [0, 0, 1, 0])
