"""Which samples a training epoch draws, and how often: all once, or rare classes more often than common ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from medplug.config.settings import TrainingSettings
from medplug.errors import DataError
from medplug.values import Index

_POWER = {"square_root": 0.5, "balanced": 0.0}


@dataclass(frozen=True)
class Sampling:
    """How often each of n samples is drawn in an epoch of n draws.

    Attributes:
        expected: ``[n]`` float64 draws per epoch, which sum to n.
        strata: ``[n]`` int64: samples with the same labels have the same number.
    """

    expected: np.ndarray
    strata: np.ndarray

    def draw(self, seed: int) -> np.ndarray:
        """The n samples of an epoch, shuffled: ``[n]`` int64 in 0..n-1.

        Systematic sampling (Madow 1949) over the samples of each stratum in random order: a sample that is expected
        2.3 times comes two or three times, and each stratum as often as expected, to within one draw.
        """
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(self.expected))
        order = order[np.argsort(self.strata[order], kind="stable")]
        ends = np.cumsum(self.expected[order])
        ends[-1] = len(order)
        times = np.diff(np.floor(ends + rng.random()), prepend=0.0).astype(np.int64)
        return rng.permutation(np.repeat(order, times))

    def class_counts(self, targets: np.ndarray) -> np.ndarray:
        """``[K, 2]`` float32: known positives and negatives ``[n, K]`` as an epoch is expected to show them."""
        known, weights = ~np.isnan(targets), self.expected[:, None]
        positives = (np.where(known, targets, 0) * weights).sum(0)
        return np.stack([positives, (known * weights).sum(0) - positives], axis=1).astype(np.float32)


def make_sampling(settings: TrainingSettings, index: Index, rows: np.ndarray) -> Sampling | None:
    """The sampling of training rows, None where each is drawn once.

    ``balanced`` and ``square_root`` draw a class with a probability proportional to the power 0 or 1/2 of its number of
    samples, and then one of its samples (Kang et al., "Decoupling representation and classifier", ICLR 2020). In
    multi-label tasks a sample stands in each class that it has, and those without any label form one more class.

    Raises:
        DataError: the column of weights is not there or holds something else than weights.
    """
    if settings.sampling == "uniform":
        return None
    targets = np.nan_to_num(index.targets[rows], nan=0.0)
    if settings.sampling == "weighted":
        weights = column_of_weights(index, settings.sampling_column or "")[rows]
        if not weights.sum() > 0:
            raise DataError(f"all training samples have the weight 0 in column {settings.sampling_column!r}")
    else:
        weights = class_weights(targets, _POWER[settings.sampling])
    _, strata = np.unique(targets, axis=0, return_inverse=True)
    return Sampling(weights * (len(rows) / weights.sum()), strata.reshape(-1).astype(np.int64))


def class_weights(targets: np.ndarray, power: float) -> np.ndarray:
    """``[n]`` probabilities of samples with targets ``[n, K]``; class k is drawn in proportion to ``count[k] ** power``."""
    none = np.clip(1 - targets.sum(1, keepdims=True), 0, 1)  # 1 for a sample without any label
    members = np.concatenate([targets.astype(np.float64), none], axis=1)
    counts = members.sum(0)
    members, counts = members[:, counts > 0], counts[counts > 0]
    chance = counts**power
    return members @ (chance / chance.sum() / counts)


def column_of_weights(index: Index, column: str) -> np.ndarray:
    """A metadata column as weights ``[N]`` float64.

    Raises:
        DataError: there is no such column, or a value is no number from 0 on.
    """
    metadata: Mapping[str, Any] = index.metadata
    if column not in metadata:
        there = ", ".join(sorted(metadata)) or "none"
        raise DataError(f"training.sampling_column={column}: the data have no such column (columns: {there})")
    weights = np.array([_number(value) for value in np.asarray(metadata[column]).tolist()])
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"training.sampling_column={column}: {len(wrong)} of {len(weights)} samples have no weight, such as "
            f"{index.samples[row]} with {np.asarray(metadata[column])[row]!s}; weights are numbers from 0 on"
        )
    return weights


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
