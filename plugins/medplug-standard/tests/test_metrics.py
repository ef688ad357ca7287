"""Metrics against scikit-learn, a published confusion matrix, worked examples and properties."""

import time
import warnings
from typing import Any

import numpy as np
import pytest
from metric_helpers import ISIC, sample
from sklearn import metrics as sk

from medplug_standard.metrics.accuracy import Accuracy, AccuracyOvr, BalancedAccuracy
from medplug_standard.metrics.rates import F1, Sensitivity, Specificity
from medplug_standard.metrics.roc_auc import RocAuc

NAN = float("nan")
EVERY = [Accuracy(), BalancedAccuracy(), AccuracyOvr(), F1(), Sensitivity(), Specificity(), RocAuc()]
TASKS = ["multiclass", "multilabel"]


def decisions(task: str, probabilities: np.ndarray) -> np.ndarray:
    if task == "multilabel":
        return probabilities >= 0.5
    return np.eye(probabilities.shape[1], dtype=bool)[probabilities.argmax(1)]


def reference(metric: Any, y: np.ndarray, p: np.ndarray, d: np.ndarray, w: np.ndarray) -> float:
    """One class by scikit-learn, with vectors."""
    if isinstance(metric, RocAuc):
        return float(sk.roc_auc_score(y, p, sample_weight=w))
    if isinstance(metric, AccuracyOvr):
        return float(sk.accuracy_score(y, d, sample_weight=w))
    if isinstance(metric, F1):
        return float(sk.f1_score(y, d, sample_weight=w))
    if isinstance(metric, BalancedAccuracy):
        return float(sk.balanced_accuracy_score(y, d, sample_weight=w))
    return float(sk.recall_score(y, d, sample_weight=w, pos_label=int(isinstance(metric, Sensitivity))))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("metric", EVERY[1:], ids=str)
def test_labels_like_scikit_learn(metric: Any, seed: int, weighted: bool) -> None:
    targets, probabilities, weights = sample("multilabel", seed, unknown=0.2)
    got = metric(targets, probabilities, weights if weighted else None)
    for c in range(targets.shape[1]):
        known = ~np.isnan(targets[:, c])
        y, p = targets[known, c] > 0.5, probabilities[known, c]
        expected = reference(metric, y, p, p >= 0.5, weights[known] if weighted else np.ones(known.sum()))
        np.testing.assert_allclose(got[c], expected, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", [AccuracyOvr(), F1(), Sensitivity(), Specificity(), RocAuc()], ids=str)
def test_classes_like_scikit_learn(metric: Any, weighted: bool) -> None:
    targets, probabilities, weights = sample("multiclass", 5)
    chosen = decisions("multiclass", probabilities)
    got = metric(targets, probabilities, weights if weighted else None)
    for c in range(targets.shape[1]):
        w = weights if weighted else np.ones(len(targets))
        expected = reference(metric, targets[:, c] > 0.5, probabilities[:, c], chosen[:, c], w)
        np.testing.assert_allclose(got[c], expected, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_accuracies_like_scikit_learn(weighted: bool) -> None:
    targets, probabilities, weights = sample("multiclass", 6)
    w = weights if weighted else None
    truth, chosen = targets.argmax(1), probabilities.argmax(1)
    np.testing.assert_allclose(Accuracy()(targets, probabilities, w), sk.accuracy_score(truth, chosen, sample_weight=w))
    expected = sk.balanced_accuracy_score(truth, chosen, sample_weight=w)
    np.testing.assert_allclose(BalancedAccuracy()(targets, probabilities, w), expected)
    targets, probabilities, _ = sample("multilabel", 7)
    expected = sk.accuracy_score(targets > 0.5, probabilities >= 0.5, sample_weight=w)
    np.testing.assert_allclose(Accuracy()(targets, probabilities, w), expected)


def test_published_confusion_matrix() -> None:
    truth, chosen = (np.repeat(index.ravel(), ISIC.ravel()) for index in np.indices(ISIC.shape))
    targets = np.eye(8, dtype=np.float32)[truth]
    probabilities = 0.6 * np.eye(8)[chosen] + 0.05
    assert len(targets) == 5066
    assert Accuracy()(targets, probabilities) == pytest.approx(0.7075, abs=5e-5)
    assert BalancedAccuracy()(targets, probabilities) == pytest.approx(0.7017, abs=5e-5)
    assert AccuracyOvr()(targets, probabilities).mean() == pytest.approx(0.9269, abs=5e-5)
    assert F1()(targets, probabilities).mean() == pytest.approx(0.6144, abs=5e-5)
    np.testing.assert_allclose(Sensitivity()(targets, probabilities)[[0, 5]], [0.5896, 0.7444], atol=5e-5)
    np.testing.assert_allclose(Specificity()(targets, probabilities)[[0, 5]], [0.9632, 0.9302], atol=5e-5)
    # The same from one row per cell of the matrix, weighted with its count.
    truth, chosen = np.divmod(np.arange(64), 8)
    cells = np.eye(8, dtype=np.float32)[truth], 0.6 * np.eye(8)[chosen] + 0.05, ISIC.ravel()
    assert Accuracy()(*cells) == pytest.approx(Accuracy()(targets, probabilities))


def test_auc_by_hand() -> None:
    # Positives .9 .4, negatives .4 .1 .8: pairs won 1 1 1, 1/2 1 0 of 6.
    targets = np.array([[1], [1], [0], [0], [0]], np.float32)
    probabilities = np.array([[0.9], [0.4], [0.4], [0.1], [0.8]])
    np.testing.assert_allclose(RocAuc()(targets, probabilities), [4.5 / 6])
    # Without the negative at .8, and the one at .1 twice: 1 1 1, 1/2 1 1 of 6.
    np.testing.assert_allclose(RocAuc()(targets, probabilities, np.array([1, 1, 1, 2, 0])), [5.5 / 6])


@pytest.mark.parametrize("metric", EVERY, ids=str)
def test_undefined_is_nan(metric: Any) -> None:
    absent = np.eye(3, dtype=np.float32)[[0, 0, 1, 1]]  # no sample of class 2
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.2, 0.7, 0.1], [0.3, 0.1, 0.6]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = metric(absent, probabilities)
        weightless = metric(absent, probabilities, np.zeros(4))
        nothing = metric(absent[:0], probabilities[:0])
        single = metric(absent[:1], probabilities[:1])
    assert np.isnan(np.atleast_1d(weightless)).all()
    assert np.isnan(np.atleast_1d(nothing)).all()
    assert np.shape(weightless) == np.shape(got)
    per_class = {"F1": [1, NAN, NAN], "Sensitivity": [1, NAN, NAN], "Specificity": [NAN, 1, 1], "RocAuc": [NAN] * 3}
    expected = per_class.get(type(metric).__name__, 1.0)
    np.testing.assert_array_equal(single, np.broadcast_to(expected, np.shape(single)))
    if isinstance(metric, (F1, Sensitivity, RocAuc)):
        np.testing.assert_array_equal(np.isnan(got), [False, False, True])


def test_a_label_that_nobody_knows() -> None:
    targets = np.array([[1, NAN], [0, NAN], [1, NAN]], np.float32)
    probabilities = np.array([[0.9, 0.3], [0.2, 0.3], [0.1, 0.8]])
    for metric in (F1(), AccuracyOvr(), BalancedAccuracy(), RocAuc(), Sensitivity(), Specificity()):
        np.testing.assert_array_equal(np.isnan(metric(targets, probabilities)), [False, True])
    assert np.isnan(Accuracy()(targets, probabilities))
    partly = np.array([[1, 0], [0, NAN], [1, 1]], np.float32)
    assert Accuracy()(partly, probabilities) == 0.5  # of the two samples whose labels are all known


def test_thresholds_decide_label_by_label() -> None:
    targets = np.array([[1, 0], [1, 1], [0, 1], [0, 0]], np.float32)
    probabilities = np.array([[0.3, 0.3], [0.2, 0.7], [0.1, 0.6], [0.4, 0.65]])
    at_half = Sensitivity()(targets, probabilities)
    moved = Sensitivity()(targets, probabilities, None, np.array([0.2, 0.65]))
    np.testing.assert_array_equal(at_half, [0, 1])
    np.testing.assert_array_equal(moved, [1, 0.5])
    assert Accuracy()(targets, probabilities, None, np.array([0.2, 0.5])) == 0.75
    np.testing.assert_array_equal(BalancedAccuracy()(targets, probabilities, None, np.array([0.2, 0.5])), [0.75, 0.75])


def test_thresholds_overrule_the_largest_probability() -> None:
    targets = np.array([[1, 0], [0, 1]], np.float32)
    probabilities = np.array([[0.45, 0.55], [0.45, 0.55]])  # without thresholds: the second class
    np.testing.assert_array_equal(Sensitivity()(targets, probabilities), [0, 1])
    np.testing.assert_array_equal(Sensitivity()(targets, probabilities, None, np.array([0.4, 0.5])), [1, 1])
    assert np.shape(BalancedAccuracy()(targets, probabilities, None, np.array([0.4, 0.5]))) == (2,)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("metric", EVERY, ids=str)
def test_order_does_not_matter_and_inputs_stay(metric: Any, task: str) -> None:
    arrays = sample(task, 8, unknown=0.1)
    copies = [a.copy() for a in arrays]
    for array in arrays:
        array.flags.writeable = False
    order = np.random.default_rng(0).permutation(len(arrays[0]))
    got = metric(*arrays)
    np.testing.assert_allclose(got, metric(*(a[order] for a in arrays)), rtol=1e-12)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
    low, high = metric.bounds
    assert np.all((np.asarray(got) >= low) & (np.asarray(got) <= high))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("metric", EVERY, ids=str)
def test_a_weight_is_a_repetition(metric: Any, task: str) -> None:
    targets, probabilities, _ = sample(task, 9, unknown=0.1)
    times = np.random.default_rng(1).integers(0, 4, len(targets))
    repeated = metric(np.repeat(targets, times, 0), np.repeat(probabilities, times, 0))
    np.testing.assert_allclose(metric(targets, probabilities, times), repeated, rtol=1e-12)
    np.testing.assert_allclose(metric(targets, probabilities, 0.3 * times), repeated, rtol=1e-12)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("metric", EVERY, ids=str)
def test_right_is_one_and_better_is_higher(metric: Any, task: str) -> None:
    targets, _, _ = sample(task, 10)
    noise = np.random.default_rng(2).random(targets.shape)

    def predict(strength: float) -> np.ndarray:
        mixed = strength * targets + (1 - strength) * noise
        return mixed / mixed.sum(1, keepdims=True) if task == "multiclass" else mixed

    scores = [np.mean(metric(targets, predict(strength))) for strength in (0.0, 0.4, 1.0)]
    assert scores[0] < scores[1] < scores[2] == 1


def test_auc_does_not_depend_on_the_scale_of_scores() -> None:
    targets, probabilities, weights = sample("multilabel", 11)
    got = RocAuc()(targets, probabilities, weights)
    np.testing.assert_array_equal(got, RocAuc()(targets, probabilities**3, weights))
    np.testing.assert_allclose(RocAuc()(targets, -probabilities, weights), 1 - got)


def test_auc_is_fast_enough_for_a_bootstrap() -> None:
    targets, probabilities, weights = sample("multilabel", 12, n=500, k=8)
    spent = []
    for _ in range(20):
        started = time.process_time()  # not the wall: other processes may share the cores
        RocAuc()(targets, probabilities, weights)
        spent.append(time.process_time() - started)
    assert min(spent) / 8 < 0.3e-3
