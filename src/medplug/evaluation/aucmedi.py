"""Figures in the layout of AUCMEDI's ``metrics.performance.csv``, for scripts that read that file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medplug.errors import DataError
from medplug.evaluation.tidy import write_table
from medplug.values import Predictions

COLUMNS = ("metric", "score", "class")


def write_aucmedi(path: str | Path, predictions: Predictions) -> Path:
    """Write :func:`aucmedi_layout`; undefined scores are empty cells."""
    write_table(Path(path), COLUMNS, list(aucmedi_layout(predictions)))
    return Path(path)


def aucmedi_layout(predictions: Predictions) -> list[tuple[str, float | None, str]]:
    """``metric``, ``score`` and ``class`` of each class against the rest; a score that is 0 / 0 is None.

    A sample is positive for its most probable class (multi-class) or for every class from 0.5 on (multi-label);
    samples with an unknown label do not count. ``Accuracy`` is that of the class against the rest, so that its mean over
    classes is ``accuracy_ovr`` and not the share of samples that are right.

    Raises:
        DataError: there are no labels.
    """
    if predictions.targets is None:
        raise DataError("these predictions have no labels: metrics need them")
    probabilities = np.asarray(predictions.probabilities, np.float64)
    if predictions.task == "multiclass":
        decided = probabilities.argmax(1)[:, None] == np.arange(len(predictions.classes))
    else:
        decided = probabilities >= 0.5
    rows: list[tuple[str, float | None, str]] = []
    for c, name in enumerate(predictions.classes):
        known = ~np.isnan(predictions.targets[:, c])
        truth, present = predictions.targets[known, c] >= 0.5, decided[known, c]
        scores = _scores(truth, present) | {"AUC": _auc(truth, probabilities[known, c])}
        rows += [(metric, score, name) for metric, score in scores.items()]
    return rows


def _scores(truth: np.ndarray, present: np.ndarray) -> dict[str, float | None]:
    tp, tn = int((truth & present).sum()), int((~truth & ~present).sum())
    fp, fn = int((~truth & present).sum()), int((truth & ~present).sum())
    return {
        "TP": tp, "TN": tn, "FP": fp, "FN": fn,
        "Sensitivity": _ratio(tp, tp + fn),
        "Specificity": _ratio(tn, tn + fp),
        "Precision": _ratio(tp, tp + fp),
        "FPR": _ratio(fp, fp + tn),
        "FNR": _ratio(fn, fn + tp),
        "FDR": _ratio(fp, fp + tp),
        "Accuracy": _ratio(tp + tn, tp + tn + fp + fn),
        "F1": _ratio(2 * tp, 2 * tp + fp + fn),
    }  # fmt: skip


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _auc(truth: np.ndarray, scores: np.ndarray) -> float | None:
    """The area under the ROC curve by ranks, ties counting half (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    above = rankdata(scores)[truth].sum() - positives * (positives + 1) / 2
    return float(above / (positives * negatives))
