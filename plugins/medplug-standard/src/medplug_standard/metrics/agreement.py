"""Agreement of decisions with labels beyond chance."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from medplug.plugins import component, param
from medplug_standard.metrics.bases import CountMetric
from medplug_standard.metrics.decisions import Counts, is_multiclass, plain, ratio, weights


class _Table(NamedTuple):
    """What is needed of a confusion matrix: its total of some cost, and its margins with an axis K last."""

    cost: np.ndarray
    truth: np.ndarray
    chosen: np.ndarray


def _classes(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The true and the chosen class of each sample, ``[N]``."""
    return targets.argmax(1), probabilities.argmax(1)


def _table(truth: np.ndarray, chosen: np.ndarray, cost: np.ndarray, weight: np.ndarray) -> _Table:
    """Weighted sums over the samples; ``cost`` ``[K, K]`` is that of each cell of the confusion matrix."""
    one_hot = np.eye(len(cost))
    return _Table(weight @ cost[truth, chosen], weight @ one_hot[truth], weight @ one_hot[chosen])


@component
class Mcc(CountMetric):
    """Matthews' correlation coefficient: that of labels and decisions, 0 for chance and 1 for agreement.

    Multi-class: R_K, one figure for all classes (Gorodkin 2004). Multi-label, and wherever ``thresholds`` are given:
    of each label.
    """

    bounds = (-1.0, 1.0)
    undefined = "all samples have the same label, or all get the same decision"

    def figure(self, found: Counts) -> np.ndarray:
        """The correlation of a table of four counts."""
        tp, fp, fn, tn = found
        sides = (np.sqrt(tp + fp) * np.sqrt(tp + fn)) * (np.sqrt(tn + fp) * np.sqrt(tn + fn))
        return ratio(tp * tn - fp * fn, sides)

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float in multi-class tasks, ``[K]`` in multi-label tasks and wherever ``thresholds`` are given."""
        if not is_multiclass(targets, probabilities, thresholds):
            return super().__call__(targets, probabilities, sample_weight, thresholds)
        right = np.eye(targets.shape[1])
        found = _table(*_classes(targets, probabilities), right, weights(targets, sample_weight))
        covariance, spread_chosen, spread_truth = self._moments(found)
        return plain(ratio(covariance, np.sqrt(spread_chosen) * np.sqrt(spread_truth)))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N]`` in multi-class tasks, else ``[N, K]``."""
        if not is_multiclass(targets, probabilities, thresholds):
            return super().influence(targets, probabilities, thresholds)
        truth, chosen = _classes(targets, probabilities)
        found = _table(truth, chosen, np.eye(targets.shape[1]), np.ones(len(targets)))
        covariance, spread_chosen, spread_truth = self._moments(found)
        if not (spread_chosen > 0 and spread_truth > 0):
            return np.full(len(targets), np.nan)
        total, root = found.truth.sum(), np.sqrt(spread_chosen * spread_truth)
        by_covariance = (truth == chosen) * total + found.cost - found.chosen[truth] - found.truth[chosen]
        by_spreads = (total - found.chosen[chosen]) / spread_chosen + (total - found.truth[truth]) / spread_truth
        return (by_covariance - covariance * by_spreads) / root

    @staticmethod
    def _moments(found: _Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Covariance of labels and decisions, and the variances of decisions and labels, times total squared."""
        total = found.truth.sum(-1)
        covariance = found.cost * total - (found.truth * found.chosen).sum(-1)
        spreads = (total**2 - (side**2).sum(-1) for side in (found.chosen, found.truth))
        # Rounding of weights that are no integers must not make a spread of nothing positive.
        chosen, truth = (np.where(spread > 1e-12 * total**2, spread, 0) for spread in spreads)
        return covariance, chosen, truth


@component
class CohenKappa(CountMetric):
    """Cohen's kappa: the agreement of decisions and labels beyond what their frequencies give by chance.

    ``weights`` say what a confusion costs: ``none`` the same for all, ``linear`` and ``quadratic`` the distance of the
    classes in their order and its square, for ordered classes such as grades (Cohen 1968; quadratic is the usual
    figure for grades of retinopathy). Multi-class: a float. Multi-label, and wherever ``thresholds`` are given: of
    each label, where all weights agree.
    """

    bounds = (-1.0, 1.0)
    undefined = "all samples have the same label and get it as their decision, so that chance agrees too"
    examples = ({"weights": "quadratic"}, {"weights": "linear"})
    weights: Literal["none", "linear", "quadratic"] = param(
        "what a confusion costs: the same for all, the distance of the classes, or its square", default="none"
    )

    def figure(self, found: Counts) -> np.ndarray:
        """The kappa of a table of four counts."""
        tp, fp, fn, tn = found
        return ratio(2 * (tp * tn - fp * fn), (tp + fp) * (fp + tn) + (tp + fn) * (fn + tn))

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """A float in multi-class tasks, ``[K]`` in multi-label tasks and wherever ``thresholds`` are given."""
        if not is_multiclass(targets, probabilities, thresholds):
            return super().__call__(targets, probabilities, sample_weight, thresholds)
        cost = self._cost(targets.shape[1])
        found = _table(*_classes(targets, probabilities), cost, weights(targets, sample_weight))
        by_chance = ((found.truth @ cost) * found.chosen).sum(-1)
        return plain(1 - ratio(found.cost * found.truth.sum(-1), by_chance))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N]`` in multi-class tasks, else ``[N, K]``."""
        if not is_multiclass(targets, probabilities, thresholds):
            return super().influence(targets, probabilities, thresholds)
        truth, chosen = _classes(targets, probabilities)
        cost = self._cost(targets.shape[1])
        found = _table(truth, chosen, cost, np.ones(len(targets)))
        of_chosen = found.truth @ cost
        by_chance, total = of_chosen @ found.chosen, found.truth.sum()
        if by_chance == 0:
            return np.full(len(targets), np.nan)
        by_observed = cost[truth, chosen] * total + found.cost
        by_expected = (cost @ found.chosen)[truth] + of_chosen[chosen]
        return -(by_observed - found.cost * total / by_chance * by_expected) / by_chance

    def _cost(self, k: int) -> np.ndarray:
        distance = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
        return distance ** {"none": 0, "linear": 1, "quadratic": 2}[self.weights] * (distance > 0)
