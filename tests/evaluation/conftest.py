"""Small metrics that keep the contract, and predictions made by hand."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medplug.values import Predictions

sys.path.insert(0, str(Path(__file__).parent))  # the helper module beside the tests


class Ranking:
    """Area under the ROC curve of each class, by ranks: NumPy only, weights and ties included."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "the ranking needs positive and negative samples"

    def __call__(
        self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None
    ) -> np.ndarray:
        n, k = targets.shape
        weight = np.ones(n) if sample_weight is None else sample_weight
        values = np.full(k, np.nan)
        for c in range(k):
            known = ~np.isnan(targets[:, c])
            score, truth, w = probabilities[known, c], targets[known, c] >= 0.5, weight[known]
            order = np.argsort(score)
            score, positive, negative = score[order], (w * truth)[order], (w * ~truth)[order]
            starts = np.flatnonzero(np.r_[True, score[1:] != score[:-1]]) if len(score) else np.zeros(0, int)
            if not positive.sum() or not negative.sum():
                continue
            positive, negative = np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)
            below = np.cumsum(negative) - negative / 2
            values[c] = (positive * below).sum() / (positive.sum() * negative.sum())
        return values


class Hits:
    """The share of samples whose largest probability is their class."""

    tasks = ("multiclass",)
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no samples"

    def __call__(self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None) -> float:
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight
        right = targets.argmax(1) == probabilities.argmax(1)
        return float((weight * right).sum() / weight.sum()) if weight.sum() else float("nan")


class Recall:
    """The share of each class's samples that are found; argmax, or thresholds."""

    tasks = ("multiclass", "multilabel")
    higher_is_better = True
    bounds = (0.0, 1.0)
    undefined = "there are no positive samples"

    def __call__(
        self, targets: Any, probabilities: Any, sample_weight: Any = None, thresholds: Any = None
    ) -> np.ndarray:
        n, k = targets.shape
        weight = np.ones(n) if sample_weight is None else sample_weight
        largest = probabilities.argmax(1)[:, None] == np.arange(k)
        found = largest if thresholds is None else probabilities >= thresholds
        truth = weight[:, None] * (targets >= 0.5)
        with np.errstate(invalid="ignore"):
            return (truth * found).sum(0) / truth.sum(0)


@pytest.fixture
def metrics() -> dict[str, Any]:
    return {"ranking": Ranking(), "hits": Hits(), "recall": Recall()}


def make(n: int = 120, k: int = 3, *, seed: int = 0, groups: int = 0, strength: float = 1.0) -> Predictions:
    """Multi-class predictions that are better than chance; ``groups`` names that many groups."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    logits = rng.normal(size=(n, k)) + strength * np.eye(k)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return Predictions(
        samples=tuple(f"{labels[i]}/{i}.png" for i in range(n)),
        probabilities=probabilities,
        targets=np.eye(k, dtype=np.float32)[labels],
        classes=tuple(f"class {c}" for c in range(k)),
        task="multiclass",
        groups=np.array([f"patient {g}" for g in rng.permutation(n) % groups]) if groups else None,
    )


@pytest.fixture(name="make")
def _make() -> Callable[..., Predictions]:
    return make
