from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import auc, roc_auc_score

from medplug.errors import DataError, UsageError
from medplug.evaluation.curves import confusion_matrix, label_decisions, roc_curves
from medplug.values import Predictions


def test_area_under_the_points_is_the_auc(make: Any) -> None:
    predictions = make()
    for c, curve in enumerate(roc_curves(predictions).values()):
        truth = predictions.targets[:, c]
        assert curve is not None
        assert auc(curve.false_positive_rate, curve.true_positive_rate) == pytest.approx(
            roc_auc_score(truth, predictions.probabilities[:, c])
        )
        assert (curve.positives, curve.negatives) == (truth.sum(), (1 - truth).sum())


def test_points_by_hand_without_the_unknown() -> None:
    targets = np.array([[1, 1], [0, 1], [1, 1], [np.nan, 1]], np.float32)
    probabilities = np.array([[0.9, 0.5], [0.6, 0.5], [0.3, 0.5], [0.7, 0.5]])
    curves = roc_curves(Predictions(tuple("abcd"), probabilities, targets, ("x", "y"), "multilabel"))
    assert curves["y"] is None
    assert curves["x"] is not None
    np.testing.assert_array_equal(curves["x"].false_positive_rate, [0, 0, 1, 1])
    np.testing.assert_array_equal(curves["x"].true_positive_rate, [0, 0.5, 0.5, 1])
    np.testing.assert_array_equal(curves["x"].thresholds, [np.inf, 0.9, 0.6, 0.3])


def test_confusion_by_hand(make: Any) -> None:
    targets = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 1]]
    probabilities = np.eye(3)[[0, 1, 1, 2, 0]]
    predictions = Predictions(tuple("abcde"), probabilities, targets, ("x", "y", "z"), "multiclass")
    np.testing.assert_array_equal(confusion_matrix(predictions), [[1, 1, 0], [1, 1, 1], [0, 0, 0]])
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
