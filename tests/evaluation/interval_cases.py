"""Metrics by their definition, with the optional parts of the contract, and scores of two normal populations."""

from __future__ import annotations

from typing import Any

import numpy as np

from medplug.values import Predictions


def wins(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1, 1/2 or 0 for each pair of a positive (row) and a negative (column)."""
    difference = scores[truth][:, None] - scores[~truth][None, :]
    return (difference > 0) + 0.5 * (difference == 0)


class Area:
    """Area under the ROC curve and its influence, by the definition, pair by pair."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "positives or negatives are missing"
    interval = "logit"
    inverted_below = 0.4
    variance = "DeLong"

    def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> Any:
        return np.array([self._area(t, p, sample_weight) for t, p in zip(targets.T, probabilities.T, strict=True)])

    def _area(self, target: Any, scores: Any, weight: Any) -> float:
        truth = target >= 0.5
        if truth.all() or not truth.any():
            return float("nan")
        weight = np.ones(len(target)) if weight is None else weight
        pairs = weight[truth][:, None] * weight[~truth][None, :]
        return float((wins(scores, truth) * pairs).sum() / pairs.sum()) if pairs.sum() else float("nan")

    def influence(self, targets: Any, probabilities: Any, thresholds: Any = None) -> Any:
        columns = []
        for target, scores in zip(targets.T, probabilities.T, strict=True):
            truth, row = target >= 0.5, np.full(len(target), np.nan)
            m, n = truth.sum(), (~truth).sum()
            if m > 1 and n > 1:
                won = wins(scores, truth)
                row[truth] = (won.mean(1) - won.mean()) / np.sqrt(m * (m - 1))
                row[~truth] = (won.mean(0) - won.mean()) / np.sqrt(n * (n - 1))
            columns.append(row)
        return np.stack(columns, axis=1)


class Right:
    """The share of right decisions, with Wilson's interval."""

    tasks = ("multiclass",)
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples"
    interval = "wilson"

    def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> float:
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        return float(weight @ self._right(targets, probabilities) / weight.sum()) if weight.sum() else float("nan")

    def _right(self, targets: Any, probabilities: Any) -> Any:
        return (targets.argmax(1) == probabilities.argmax(1)).astype(float)

    def influence(self, targets: Any, probabilities: Any, thresholds: Any = None) -> Any:
        right = self._right(targets, probabilities)
        return (right - right.mean()) / len(right)

    def trials(self, targets: Any, probabilities: Any, thresholds: Any = None) -> float:
        return float(len(targets))


class Mean:
    """The mean probability of the first class: a statistic that SciPy can resample too."""

    tasks = ("multiclass",)
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples"
    vectorised = True

    def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> Any:
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        return weight @ probabilities[:, 0] ** 3 / weight.sum(-1)


def predictions(scores: np.ndarray, truth: np.ndarray, groups: np.ndarray | None = None) -> Predictions:
    p = 1 / (1 + np.exp(-scores))
    targets = np.eye(2, dtype=np.float32)[truth.astype(int)]
    samples = tuple(map(str, range(len(truth))))
    return Predictions(samples, np.stack([1 - p, p], 1), targets, ("no", "yes"), "multiclass", groups)


def drawn(m: int = 20, n: int = 60, seed: int = 0, distance: float = 1.2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.repeat([True, False], [m, n])
    return np.round(rng.normal(size=m + n) + distance * truth, 1), truth  # rounded: there are ties


def clustered(seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(20) % 3 == 0, 4)
    scores = np.repeat(rng.normal(size=20), 4) + rng.normal(size=80) + truth
    return predictions(scores, truth, np.repeat([f"patient {i}" for i in range(20)], 4))
