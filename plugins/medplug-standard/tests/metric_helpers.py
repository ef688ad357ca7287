"""Data for the tests of metrics, and the list of all of them."""

from __future__ import annotations

import numpy as np

from medplug_standard.metrics.accuracy import Accuracy, AccuracyOvr, BalancedAccuracy
from medplug_standard.metrics.agreement import CohenKappa, Mcc
from medplug_standard.metrics.average_precision import AveragePrecision
from medplug_standard.metrics.ece import Ece, TopLabelEce
from medplug_standard.metrics.multilabel import (
    CoverageError,
    HammingLoss,
    Jaccard,
    LabelRankingAveragePrecision,
    RankingLoss,
)
from medplug_standard.metrics.operating import SensitivityAtSpecificity, SpecificityAtSensitivity
from medplug_standard.metrics.ordinal import AdjacentAccuracy, MeanAbsoluteError
from medplug_standard.metrics.probabilities import Brier, LogLoss
from medplug_standard.metrics.rates import F1, FBeta, Npv, Precision, Sensitivity, Specificity
from medplug_standard.metrics.recalibration import CalibrationIntercept, CalibrationSlope
from medplug_standard.metrics.roc_auc import PartialAuc, RocAuc, RocAucOvo

EVERY = [
    Accuracy(), AccuracyOvr(), BalancedAccuracy(), F1(), FBeta(), FBeta(beta=0.5), Precision(), Sensitivity(),
    Specificity(), Npv(), Mcc(), CohenKappa(), CohenKappa(weights="linear"), CohenKappa(weights="quadratic"),
    MeanAbsoluteError(), AdjacentAccuracy(), RocAuc(), RocAucOvo(), PartialAuc(), PartialAuc(limit=0.45),
    PartialAuc(region="min_sensitivity", limit=0.7), AveragePrecision(), SensitivityAtSpecificity(),
    SpecificityAtSensitivity(level=0.8), LogLoss(), Brier(), Ece(), Ece(bins=4, binning="equal_width"), TopLabelEce(),
    CalibrationSlope(), CalibrationIntercept(), HammingLoss(), Jaccard(), LabelRankingAveragePrecision(),
    CoverageError(), RankingLoss(),
]  # fmt: skip
CASES = [(metric, task) for metric in EVERY for task in metric.tasks]
IDS = [f"{metric}-{task}" for metric, task in CASES]
# Mayer et al., dermatoscopy (ISIC 2019): truth in rows, AK BCC BKL DF MEL NV SCC VASC.
ISIC = np.array(
    [
        [102, 29, 16, 1, 6, 2, 17, 0],
        [54, 489, 36, 8, 20, 7, 49, 2],
        [48, 32, 327, 6, 38, 43, 30, 1],
        [0, 3, 1, 38, 1, 3, 2, 0],
        [40, 37, 84, 10, 593, 117, 20, 4],
        [20, 83, 177, 28, 318, 1916, 16, 16],
        [18, 27, 4, 0, 1, 1, 74, 0],
        [0, 2, 0, 1, 0, 1, 2, 45],
    ]
)


def sample(task: str, seed: int, n: int = 60, k: int = 4, unknown: float = 0.0) -> tuple[np.ndarray, ...]:
    """Targets, probabilities with ties, weights of which some are 0."""
    rng = np.random.default_rng(seed)
    weights = rng.choice([0.0, 0.5, 1.0, 2.0], n)
    if task == "multiclass":
        probabilities = rng.integers(1, 5, (n, k)).astype(float)
        probabilities /= probabilities.sum(1, keepdims=True)
        return np.eye(k, dtype=np.float32)[rng.integers(0, k, n)], probabilities, weights
    targets = (rng.random((n, k)) < 0.4).astype(np.float32)
    targets[rng.random((n, k)) < unknown] = np.nan
    return targets, np.round(rng.random((n, k)), 1), weights


def smooth(task: str, seed: int, n: int, k: int = 3, unknown: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Targets and probabilities without ties that know something of each other."""
    rng = np.random.default_rng(seed)
    if task == "multiclass":
        targets = np.eye(k)[rng.choice(k, n, p=np.arange(1, k + 1) / (k * (k + 1) / 2))]
        odds = np.exp(rng.normal(0, 1.2, (n, k)) + 1.5 * targets)
        return targets.astype(np.float32), odds / odds.sum(1, keepdims=True)
    targets = (rng.random((n, k)) < 0.35).astype(np.float32)
    odds = np.exp(rng.normal(-0.5, 1.2, (n, k)) + 1.5 * targets)
    targets[rng.random((n, k)) < unknown] = np.nan
    return targets, odds / (1 + odds)
