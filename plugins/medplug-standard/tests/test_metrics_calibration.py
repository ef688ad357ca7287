"""Metrics of probabilities against scikit-learn, SciPy, plain loops and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from metric_helpers import sample, smooth
from scipy.optimize import brentq, minimize
from scipy.special import expit, logit
from sklearn import metrics as sk

from medplug_standard.metrics.ece import Ece, TopLabelEce
from medplug_standard.metrics.probabilities import Brier, LogLoss
from medplug_standard.metrics.recalibration import CalibrationIntercept, CalibrationSlope

NAN = float("nan")


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_labels_like_scikit_learn(weighted: bool) -> None:
    targets, probabilities, weights = sample("multilabel", 51, unknown=0.2)
    probabilities[:5] = np.eye(4)[[0, 1, 2, 3, 0]]  # certain, rightly or wrongly
    w = weights if weighted else np.ones(60)
    for c in range(4):
        there = ~np.isnan(targets[:, c])
        y, p, given = targets[there, c] > 0.5, probabilities[there, c], w[there]
        expected = sk.log_loss(y, p, sample_weight=given)
        np.testing.assert_allclose(LogLoss()(targets, probabilities, w)[c], expected, rtol=1e-9)
        expected = sk.brier_score_loss(y, p, sample_weight=given)
        np.testing.assert_allclose(Brier()(targets, probabilities, w)[c], expected, rtol=1e-12)


@pytest.mark.parametrize("k", [2, 4])
def test_scores_of_classes_like_scikit_learn(k: int) -> None:
    targets, probabilities, weights = sample("multiclass", 52, k=k)
    truth = targets.argmax(1)
    expected = sk.log_loss(truth, probabilities, sample_weight=weights, labels=range(k))
    assert isinstance(LogLoss()(targets, probabilities), float)
    np.testing.assert_allclose(LogLoss()(targets, probabilities, weights), expected, rtol=1e-12)
    half = np.full(k, 0.5)
    np.testing.assert_allclose(LogLoss()(targets, probabilities, weights, half), expected, rtol=1e-12)
    squares = ((probabilities - targets) ** 2).sum(1)
    expected = (weights * squares).sum() / weights.sum()
    np.testing.assert_allclose(Brier()(targets, probabilities, weights).sum(), expected, rtol=1e-12)


# ---------------------------------------------------------------- expected calibration error


def loops(predicted: np.ndarray, happened: np.ndarray, bins: list[np.ndarray]) -> float:
    """Naeini et al.'s formula."""
    happened = happened.astype(float)
    return sum(len(b) / len(predicted) * abs(happened[b].mean() - predicted[b].mean()) for b in bins if len(b))


@pytest.mark.parametrize("bins", [1, 5, 20])
def test_ece_in_bins_of_equal_mass(bins: int) -> None:
    targets, probabilities = smooth("multiclass", 53, 100)
    for c in range(3):
        split = np.array_split(probabilities[:, c].argsort(), bins)
        expected = loops(probabilities[:, c], targets[:, c], split)
        np.testing.assert_allclose(Ece(bins=bins)(targets, probabilities)[c], expected, rtol=1e-9)


@pytest.mark.parametrize("make", [sample, smooth])
def test_ece_in_bins_of_equal_width(make: Any) -> None:
    targets, probabilities = make("multilabel", 54, n=100, unknown=0.1)[:2]
    metric = Ece(bins=5, binning="equal_width")
    for c in range(targets.shape[1]):
        there = ~np.isnan(targets[:, c])
        y, p = targets[there, c], probabilities[there, c]
        number = np.minimum((p * 5 + 1e-9).astype(int), 4)
        expected = loops(p, y, [np.flatnonzero(number == b) for b in range(5)])
        np.testing.assert_allclose(metric(targets, probabilities)[c], expected, rtol=1e-9)


def test_ece_of_the_largest_probability() -> None:
    targets, probabilities = smooth("multiclass", 55, 120)
    top, right = probabilities.max(1), probabilities.argmax(1) == targets.argmax(1)
    expected = loops(top, right, np.array_split(top.argsort(), 10))
    assert TopLabelEce()(targets, probabilities) == pytest.approx(expected, rel=1e-9)


def test_equal_predictions_stay_in_one_bin() -> None:
    # Runs of 2, 5 and 3 in two bins: the middle of the second, 4.5 of 10, lies in the first bin.
    probabilities = np.repeat([0.1, 0.4, 0.9], [2, 5, 3])[:, None]
    targets = np.array([0, 0, 1, 1, 1, 0, 0, 1, 1, 1], np.float32)[:, None]
    expected = (abs(3 - 2.2) + abs(3 - 2.7)) / 10
    np.testing.assert_allclose(Ece(bins=2)(targets, probabilities), [expected])
    np.testing.assert_allclose(Ece(bins=2)(targets[::-1], probabilities[::-1]), [expected])


def test_the_interval_of_an_ece_is_wide_enough_for_perfect_calibration() -> None:
    """Where the error has its kink, the influence overstates rather than understates its spread."""
    rng = np.random.default_rng(4)
    probabilities = rng.beta(1, 2, (150, 200))
    values, spreads = [], []
    for _ in range(2):
        targets = drawn_from(probabilities, rng)
        values.append(Ece()(targets, probabilities))
        spreads.append(np.sqrt((Ece().influence(targets, probabilities) ** 2).sum(0)))
    deviation = np.std(np.subtract(*values)) / np.sqrt(2)
    assert 1 < np.mean(spreads) / deviation < 2


def drawn_from(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (rng.random(probabilities.shape) < probabilities).astype(np.float32)


def test_null_is_the_mean_error_of_perfect_calibration() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.beta(1, 3, (157, 2))
    draws = np.array([Ece()(drawn_from(probabilities, rng), probabilities) for _ in range(600)])
    beside = Ece().companion(drawn_from(probabilities, rng), probabilities, None)
    np.testing.assert_allclose(beside["null"], draws.mean(0), rtol=0.04)


def test_p_is_uniform_for_perfect_calibration_and_small_for_bad() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.beta(1, 2, (200, 60))
    p = Ece().companion(drawn_from(probabilities, rng), probabilities, None)["p"]
    assert p.shape == (60,)
    assert abs(p.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 60)
    assert (p < 0.05).mean() < 0.15
    extreme = expit(3 * logit(probabilities))
    beside = Ece().companion(drawn_from(probabilities, rng), extreme, None)
    assert beside["p"].max() < 0.05
    assert np.all(beside["null"] < Ece()(drawn_from(probabilities, rng), extreme))


def test_companion_is_the_same_each_time_and_a_float_for_one_figure() -> None:
    targets, probabilities = smooth("multiclass", 56, 80)
    first, second = (TopLabelEce().companion(targets, probabilities, None) for _ in range(2))
    assert first == second
    assert set(first) == {"null", "p"}
    assert all(isinstance(value, float) for value in first.values())
    unknown = Ece().companion(np.array([[NAN], [NAN]], np.float32), np.array([[0.1], [0.2]]), None)
    assert np.isnan(unknown["null"]).all()


# ---------------------------------------------------------------- slope and intercept


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_slope_and_intercept_like_scipy(task: str, weighted: bool) -> None:
    targets, probabilities = smooth(task, 57, 150, unknown=0.1)
    weights = np.random.default_rng(0).random(150) if weighted else np.ones(150)
    slopes, intercepts = (m(targets, probabilities, weights) for m in (CalibrationSlope(), CalibrationIntercept()))
    for c in range(3):
        there = ~np.isnan(targets[:, c])
        y, x, w = targets[there, c].astype(float), logit(probabilities[there, c]), weights[there]

        def loss(ab: np.ndarray, y: np.ndarray = y, x: np.ndarray = x, w: np.ndarray = w) -> float:
            eta = ab[0] + ab[1] * x
            return float((w * (np.logaddexp(0, eta) - y * eta)).sum())

        fit = minimize(loss, [0.0, 1.0], method="BFGS", options={"gtol": 1e-9})
        np.testing.assert_allclose(slopes[c], fit.x[1], rtol=1e-5)
        root = brentq(lambda a, y=y, x=x, w=w: (w * (y - expit(a + x))).sum(), -20, 20, xtol=1e-12)
        np.testing.assert_allclose(intercepts[c], root, rtol=1e-9, atol=1e-10)


def test_slope_and_intercept_find_what_was_done_to_the_odds() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(-1, 1.5, (200_000, 1))
    targets = (rng.random(truth.shape) < expit(truth)).astype(np.float32)
    np.testing.assert_allclose(CalibrationSlope()(targets, expit(2 * truth + 1)), 0.5, atol=0.01)
    np.testing.assert_allclose(CalibrationIntercept()(targets, expit(truth - 0.7)), 0.7, atol=0.02)
    np.testing.assert_allclose(CalibrationSlope()(targets, expit(truth)), 1, atol=0.02)


def test_slope_is_undefined_where_predictions_separate() -> None:
    targets = np.array([[0], [0], [1], [1]], np.float32)
    for scores in ([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.2, 0.4], [0.4, 0.3, 0.2, 0.1], [0.5] * 4, [0, 0, 1, 1]):
        assert np.isnan(CalibrationSlope()(targets, np.array(scores, float)[:, None]))
        assert np.isfinite(CalibrationIntercept()(targets, np.array(scores, float)[:, None]))
    crossed = np.array([0.1, 0.3, 0.2, 0.4])[:, None]
    assert np.isfinite(CalibrationSlope()(targets, crossed))
    assert np.isnan(CalibrationSlope()(targets, crossed, np.array([1, 0, 1, 1])))  # without the one that crosses


@pytest.mark.parametrize("certain", [1e-30, 1e-3])
def test_newton_comes_home_from_far_away(certain: float) -> None:
    """All predictions at one extreme and wrong half of the time: the intercept is far from where the fit begins."""
    targets = np.array([[0], [1]] * 20, np.float32)
    probabilities = np.full((40, 1), certain)
    expected = -logit(max(certain, 1e-7))
    np.testing.assert_allclose(CalibrationIntercept()(targets, probabilities), expected, rtol=1e-9)
    # Nearly separated: one sample of 40 crosses, by a hair.
    odds = np.concatenate([np.linspace(-9, -1, 20), np.linspace(1, 9, 20)])
    happened = (odds > 0).astype(np.float32)
    odds[19], odds[20] = 1e-3, -1e-3
    slope = CalibrationSlope()(happened[:, None], expit(odds)[:, None])
    eta = odds * slope[0]
    assert slope > 0
    np.testing.assert_allclose(((happened - expit(eta)) * odds).sum(), 0, atol=1e-6)
