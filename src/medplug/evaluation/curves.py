"""Points of ROC curves and counts of decisions, for the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medplug.errors import DataError, UsageError
from medplug.values import Predictions


@dataclass(frozen=True)
class RocCurve:
    """One class against the rest.

    Attributes:
        false_positive_rate, true_positive_rate: ``[P]`` float64, from (0, 0) to (1, 1).
        thresholds: ``[P]`` float64, the probability from which a sample counts as positive; the first is infinite.
        positives, negatives: samples with a known label.
    """

    false_positive_rate: np.ndarray
    true_positive_rate: np.ndarray
    thresholds: np.ndarray
    positives: int
    negatives: int


def roc_curves(predictions: Predictions) -> dict[str, RocCurve | None]:
    """The ROC curve of each class, None where it has no positive or no negative sample."""
    from sklearn.metrics import roc_curve

    targets = _targets(predictions)
    curves: dict[str, RocCurve | None] = {}
    for c, name in enumerate(predictions.classes):
        known = ~np.isnan(targets[:, c])
        truth = targets[known, c] >= 0.5
        positives, negatives = int(truth.sum()), int((~truth).sum())
        if positives == 0 or negatives == 0:
            curves[name] = None
            continue
        fpr, tpr, thresholds = roc_curve(truth, predictions.probabilities[known, c])
        curves[name] = RocCurve(fpr, tpr, thresholds, positives, negatives)
    return curves


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Counts ``[K, K]`` int64 of a multi-class task: rows are the true classes, columns the largest probability."""
    from sklearn.metrics import confusion_matrix as count

    if predictions.task != "multiclass":
        raise UsageError("a confusion matrix is for multi-class tasks; see label_decisions for multi-label ones")
    targets = _targets(predictions)
    k = len(predictions.classes)
    return count(targets.argmax(1), predictions.probabilities.argmax(1), labels=np.arange(k)).astype(np.int64)


def label_decisions(predictions: Predictions, thresholds: np.ndarray | None = None) -> np.ndarray:
    """Counts ``[K, 4]`` int64 per label: true positives, false positives, false negatives, true negatives.

    A label is present from its threshold on (``[K]``, by default 0.5); samples with an unknown label do not count.
    """
    targets = _targets(predictions)
    limits = np.full(len(predictions.classes), 0.5) if thresholds is None else np.asarray(thresholds, np.float64)
    present = predictions.probabilities >= limits
    truth, known = targets >= 0.5, ~np.isnan(targets)
    cells = (truth & present, ~truth & present, truth & ~present, ~truth & ~present)
    return np.stack([(cell & known).sum(0) for cell in cells], axis=1).astype(np.int64)


def _targets(predictions: Predictions) -> np.ndarray:
    if predictions.targets is None:
        raise DataError("these predictions have no labels: curves and counts need them")
    return np.asarray(predictions.targets, np.float32)
