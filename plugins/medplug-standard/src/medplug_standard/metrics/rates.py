"""Figures of one class against the rest, at its operating point."""

from __future__ import annotations

import numpy as np

from medplug.plugins import component, param
from medplug_standard.metrics.bases import Rate
from medplug_standard.metrics.decisions import Counts, members, ratio


class _FBeta(Rate):
    """``(1 + b²) TP / ((1 + b²) TP + FP + b² FN)``."""

    undefined = "the class has no samples, so that no prediction could earn anything but 0"
    beta: float

    def figure(self, found: Counts) -> np.ndarray:
        """The formula; undefined without positives."""
        square = self.beta**2
        twice = (1 + square) * found.tp
        occurs = np.real(found.tp + found.fn) > 0
        return np.where(occurs, ratio(twice, twice + found.fp + square * found.fn), np.nan)


@component
class FBeta(_FBeta):
    """F-beta of each class: the harmonic mean of precision and sensitivity, the latter counting ``beta`` times.

    Reference: van Rijsbergen, Information Retrieval, 1979.
    """

    beta: float = param("how many times as much sensitivity counts as precision", default=2.0, gt=0, le=100)


@component
class F1(_FBeta):
    """F1 of each class: ``2 TP / (2 TP + FP + FN)``, the harmonic mean of precision and sensitivity."""

    beta = 1.0


class _Share(Rate):
    """TP or TN as a share of the cells named in ``among``, with Wilson's interval."""

    interval = "wilson"
    hits: str
    others: str

    def figure(self, found: Counts) -> np.ndarray:
        """Hits over hits and others."""
        hits = getattr(found, self.hits)
        return ratio(hits, hits + getattr(found, self.others))

    def trials(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[K]``: of how many samples the figure is a share; where it hangs on decisions, as they fell here."""
        cells = members(targets, probabilities, thresholds)
        return (getattr(cells, self.hits) | getattr(cells, self.others)).sum(0).astype(np.float64)


@component
class Sensitivity(_Share):
    """Sensitivity (recall) of each class: ``TP / (TP + FN)``, the share of its samples that are found."""

    hits, others = "tp", "fn"
    undefined = "the class has no samples"
    reading = "recognises {one} in {value} of cases"


@component
class Specificity(_Share):
    """Specificity of each class: ``TN / (TN + FP)``, the share of the other samples that are left alone."""

    hits, others = "tn", "fp"
    undefined = "there are no samples outside the class"


@component
class Precision(_Share):
    """Precision (positive predictive value) of each class: ``TP / (TP + FP)``, at the prevalence of these samples."""

    hits, others = "tp", "fp"
    undefined = "the class is never predicted"


@component
class Npv(_Share):
    """Negative predictive value of each class: ``TN / (TN + FN)``, at the prevalence of these samples."""

    hits, others = "tn", "fn"
    undefined = "the class is predicted for every sample"
