from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from sklearn.metrics import confusion_matrix as reference_confusion

from medplug.errors import DataError, UsageError
from medplug.evaluation.curves import POINTS, confusion_matrix, curves_analysis, label_decisions, operating_table
from medplug.evaluation.intervals import IntervalSettings, units
from medplug.evaluation.proportions import share
from medplug.values import Predictions

FEW = IntervalSettings(100)


def binormal(positives: int, negatives: int, area: float, seed: int, images: int = 1) -> Predictions:
    """Two classes with normal scores; each unit has ``images`` images that share half of their variance."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.r_[np.ones(positives), np.zeros(negatives)], images)
    shared = np.repeat(rng.normal(size=positives + negatives), images)
    own = rng.normal(size=len(truth))
    scores = own if images == 1 else np.sqrt(0.5) * (shared + own)
    p = norm.cdf((scores + np.sqrt(2) * norm.ppf(area) * truth) / 3)
    groups = None if images == 1 else np.repeat(np.arange(positives + negatives), images).astype(str)
    names = tuple(map(str, range(len(truth))))
    targets = np.stack([1 - truth, truth], 1).astype(np.float32)
    return Predictions(names, np.stack([1 - p, p], 1), targets, ("well", "ill"), "multiclass", groups)


def test_small_curves_are_those_of_scikit_learn(make: Any) -> None:
    predictions = make(60)
    found = curves_analysis(predictions, FEW)
    json.dumps(found, allow_nan=False)
    for c, name in enumerate(predictions.classes):
        truth, scores = predictions.targets[:, c], predictions.probabilities[:, c]
        curve = found["roc"][name]
        fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
        ours = set(zip(curve["fpr"], curve["tpr"], strict=True))
        theirs = {(round(x, 6), round(y, 6)) for x, y in zip(fpr.tolist(), tpr.tolist(), strict=True)}
        assert ours <= theirs
        assert auc(curve["fpr"], curve["tpr"]) == pytest.approx(auc(fpr, tpr), abs=1e-5)
        for x, y in theirs - ours:  # only points within a straight line are left out
            heights, widths = [b for a, b in ours if a == x], [a for a, b in ours if b == y]
            upright = bool(heights) and min(heights) < y < max(heights)
            assert upright or min(widths) < x < max(widths)
        curve = found["precision_recall"][name]
        precision, recall, _ = precision_recall_curve(truth, scores)
        best = [round(float(precision[np.isclose(recall, r, atol=1e-6)].max()), 6) for r in curve["recall"]]
        assert curve["precision"] == best
        steps = np.diff(curve["recall"], prepend=0) @ curve["precision"]
        assert steps == pytest.approx(average_precision_score(truth, scores), abs=1e-4)
        assert curve["prevalence"] == pytest.approx(truth.mean())


def test_long_curves_keep_their_shape() -> None:
    predictions = binormal(2000, 6000, 0.85, 0)
    found = curves_analysis(predictions, IntervalSettings(20))
    truth, scores = predictions.targets[:, 1], predictions.probabilities[:, 1]
    curve, fine = found["roc"]["ill"], roc_curve(truth, scores, drop_intermediate=False)
    assert len(curve["fpr"]) <= POINTS
    assert auc(curve["fpr"], curve["tpr"]) == pytest.approx(roc_auc_score(truth, scores), abs=5e-4)
    assert np.abs(np.interp(fine[0], curve["fpr"], curve["tpr"]) - fine[1])[fine[0] > 0.01].max() < 0.02
    curve = found["precision_recall"]["ill"]
    precision, recall, _ = precision_recall_curve(truth, scores)
    assert len(curve["recall"]) <= POINTS
    away = np.abs(np.interp(recall[:-1], curve["recall"], curve["precision"]) - precision[:-1])
    assert away[recall[:-1] > 0.1].max() < 0.01


def test_points_by_hand_without_the_unknown() -> None:
    targets = np.array([[1, 1], [0, 1], [1, 1], [np.nan, 1]], np.float32)
    probabilities = np.array([[0.9, 0.5], [0.6, 0.5], [0.3, 0.5], [0.7, 0.5]])
    predictions = Predictions(tuple("abcd"), probabilities, targets, ("x", "y"), "multilabel")
    found = curves_analysis(predictions, FEW)
    assert found["roc"]["y"] is None
    assert found["precision_recall"]["y"] is None
    assert (found["roc"]["x"]["fpr"], found["roc"]["x"]["tpr"]) == ([0, 0, 1, 1], [0, 0.5, 0.5, 1])
    assert found["precision_recall"]["x"]["recall"] == [0.5, 1]
    assert found["precision_recall"]["x"]["precision"] == [1, round(2 / 3, 6)]
    lone = dataclasses.replace(predictions, groups=np.array(["p"] * 4))
    band = curves_analysis(lone, FEW)["roc"]["x"]
    assert band["low"] == [None] * 4
    assert "at least two groups" in band["interval_reason"]
    with pytest.raises(DataError, match="no labels"):
        curves_analysis(dataclasses.replace(predictions, targets=None), FEW)


def test_bands_hold_the_curve_and_do_not_vanish_at_the_ends() -> None:
    found = curves_analysis(binormal(20, 60, 0.9, 1), FEW)
    for kind, across, up in (("roc", "fpr", "tpr"), ("precision_recall", "recall", "precision")):
        curve = {key: np.array(found[kind]["ill"][key]) for key in (across, up, "low", "high")}
        assert ((curve["low"] >= 0) & (curve["high"] <= 1)).all()
        upper = np.array([curve[up][curve[across] == x].max() for x in curve[across]])
        assert (curve["low"] <= upper + 1e-6).all()
        assert (curve["high"] >= upper - 1e-6).all()
    roc = found["roc"]["ill"]
    complete = [i for i, (x, y) in enumerate(zip(roc["fpr"], roc["tpr"], strict=True)) if y == 1 and x < 1]
    assert complete
    assert all(roc["low"][i] < 0.95 for i in complete)  # 20 of 20 positives do not prove a sensitivity of 1
    assert curves_analysis(binormal(20, 60, 0.9, 1), FEW) == found


def test_bands_are_as_wide_as_curves_vary() -> None:
    """The width agrees with the spread of the sensitivity over 300 data sets, with groups of images and without."""
    for images in (1, 5):
        heights, widths = [], []
        for seed in range(300):
            predictions = binormal(40, 80, 0.85, seed, images)
            truth, scores = predictions.targets[:, 1], predictions.probabilities[:, 1]
            heights.append(np.interp(0.2, *roc_curve(truth, scores)[:2]))
            if seed < 10:
                curve = curves_analysis(predictions, IntervalSettings(200))["roc"]["ill"]
                widths.append(np.interp(0.2, curve["fpr"], np.array(curve["high"]) - curve["low"]))
        assert np.mean(widths) / (2 * 1.96 * np.std(heights)) == pytest.approx(1.05, abs=0.2)


@pytest.mark.slow
def test_bands_cover() -> None:
    """Nominal 95 %: of 600, 93.5 % at a false positive rate of 0.02, 97.5 % at 0.1 and 98.3 % at 0.3; the bounds below leave room for chance."""
    rates = np.array([0.02, 0.1, 0.3])
    true = norm.sf(norm.isf(rates) - np.sqrt(2) * norm.ppf(0.85))
    hits = []
    for seed in range(400):
        curve = curves_analysis(binormal(40, 115, 0.85, seed), IntervalSettings(200, seed=seed))["roc"]["ill"]
        low, high = (np.interp(rates, curve["fpr"], curve[key]) for key in ("low", "high"))
        hits.append((low <= true) & (true <= high))
    assert (np.mean(hits, axis=0) >= [0.88, 0.94, 0.94]).all()


def test_operating_points_by_hand() -> None:
    targets = np.array([[1, 1], [0, np.nan], [1, np.nan], [0, 1]], np.float32)
    probabilities = np.array([[0.9, 0.5], [0.6, 0.2], [0.6, 0.1], [0.5, 1.0]])
    predictions = Predictions(tuple("abcd"), probabilities, targets, ("x", "y"), "multilabel")
    table = operating_table(predictions, np.array([0.7, 0.3]))
    json.dumps(table, allow_nan=False)
    counts = {key: value for key, value in table["x"].items() if key not in ("intervals", "method")}
    assert counts == {
        "threshold": [pytest.approx(0.95), 0.9, 0.7, 0.6, 0.5, 0.0],
        "true_positives": [0, 1, 1, 2, 2, 2],
        "false_positives": [0, 0, 0, 1, 2, 2],
        "positives": 2,
        "negatives": 2,
    }
    assert table["y"]["threshold"][0] > 1
    assert table["y"]["true_positives"] == [0, 1, 2, 2, 2]
    assert (table["y"]["positives"], table["y"]["negatives"]) == (2, 0)
    unknown = dataclasses.replace(predictions, targets=np.full_like(targets, np.nan))
    assert operating_table(unknown)["x"]["true_positives"] == [0, 0]


@pytest.mark.parametrize("groups", [None, 12, 80])
def test_intervals_of_operating_points_are_those_of_single_shares(groups: int | None) -> None:
    """Each of four rates at each threshold, with and without samples that share groups, against one share at a time."""
    rng = np.random.default_rng(5)
    targets = rng.integers(0, 2, (150, 1)).astype(np.float32)
    targets[rng.random(150) < 0.1] = np.nan
    p = np.round(expit(rng.normal(2 * np.nan_to_num(targets) - 1)), 2)  # with ties
    names = None if groups is None else np.array([f"g{i}" if i else "" for i in rng.integers(0, groups, 150)])
    predictions = Predictions(tuple(map(str, range(150))), p, targets, ("ill",), "multilabel", names)
    found = operating_table(predictions, confidence=0.9)["ill"]
    known = ~np.isnan(targets[:, 0])
    truth, codes = targets[known, 0] == 1, units(150, names).codes[known]
    for i, limit in enumerate(found["threshold"]):
        called = p[known, 0] >= limit
        shares = {
            "sensitivity": (truth, called), "specificity": (~truth, ~called), "ppv": (called, truth), "npv": (~called, ~truth),
        }  # fmt: skip
        for rate, (among, right) in shares.items():
            expected = share(right[among], codes[among], 0.9)
            ends = tuple(found["intervals"][rate][end][i] for end in ("low", "high"))
            if expected["value"] is None:
                assert ends == (None, None)
            else:
                assert ends == pytest.approx((expected["low"], expected["high"]), abs=1e-6)
    assert ("groups" in found["method"]) is (groups is not None)


def test_many_operating_points_leave_no_gap() -> None:
    predictions = binormal(100, 9900, 0.9, 2)
    table = operating_table(predictions)["ill"]
    limits = np.array(table["threshold"])
    assert len(limits) <= POINTS
    assert (np.diff(limits) < 0).all()
    called = predictions.probabilities[:, 1][:, None] >= limits
    truth = predictions.targets[:, 1] == 1
    assert table["true_positives"] == called[truth].sum(0).tolist()
    assert table["false_positives"] == called[~truth].sum(0).tolist()
    for counts, total in ((table["true_positives"], 100), (table["false_positives"], 9900)):
        assert np.diff(np.array(counts) / total).max() < 0.04


def test_confusion_by_hand(make: Any) -> None:
    targets = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 1]]
    probabilities = np.eye(3)[[0, 1, 1, 2, 0]]
    predictions = Predictions(tuple("abcde"), probabilities, targets, ("x", "y", "z"), "multiclass")
    np.testing.assert_array_equal(confusion_matrix(predictions), [[1, 1, 0], [1, 1, 1], [0, 0, 0]])
    other = make(80)
    expected = reference_confusion(other.targets.argmax(1), other.probabilities.argmax(1), labels=range(3))
    np.testing.assert_array_equal(confusion_matrix(other), expected)
    unknown = targets.copy()
    unknown[0] = np.nan
    assert confusion_matrix(dataclasses.replace(predictions, targets=unknown)).sum() == 4
    with pytest.raises(UsageError, match="label_decisions"):
        confusion_matrix(dataclasses.replace(predictions, task="multilabel"))
    with pytest.raises(DataError, match="no labels"):
        confusion_matrix(dataclasses.replace(predictions, targets=None))


def test_decisions_by_hand() -> None:
    targets = np.array([[1, 0], [1, np.nan], [0, 1], [0, 0]], np.float32)
    probabilities = np.array([[0.5, 0.9], [0.4, 0.9], [0.8, 0.2], [0.1, 0.1]])
    predictions = Predictions(tuple("abcd"), probabilities, targets, ("x", "y"), "multilabel")
    np.testing.assert_array_equal(label_decisions(predictions), [[1, 1, 1, 1], [0, 1, 1, 1]])
    np.testing.assert_array_equal(label_decisions(predictions, np.array([0.9, 0.15])), [[0, 0, 2, 2], [1, 1, 0, 1]])
