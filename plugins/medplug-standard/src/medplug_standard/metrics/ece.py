"""Expected calibration error, beside what chance alone would show."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import numpy as np

from medplug.plugins import component, param
from medplug_standard.metrics.bases import BOTH
from medplug_standard.metrics.decisions import in_blocks, plain, ratio, weights
from medplug_standard.metrics.ranking import cumulated

_ROUNDING = 1e-9
_DRAWS = 1000  # of labels from the probabilities; the null value is then known to about 1 % of itself
_CELLS = 2_000_000  # random numbers at once


class _Column(NamedTuple):
    """What is predicted and what happens, of one class or of all decisions, rising by prediction.

    Attributes:
        rows: ``[n]``, of the samples that are known.
        predicted: ``[n]`` probabilities.
        happened: ``[n]`` float64, 0 or 1.
    """

    rows: np.ndarray
    predicted: np.ndarray
    happened: np.ndarray


def _column(predicted: np.ndarray, happened: np.ndarray) -> _Column:
    """From ``[N]`` each; ``happened`` is NaN where unknown."""
    rows = np.flatnonzero(~np.isnan(happened))
    rows = rows[predicted[rows].argsort(kind="stable")]
    return _Column(rows, predicted[rows], (happened[rows] >= 0.5).astype(np.float64))


class _Ece(ABC):
    """``sum over bins of |sum of (what happened - what was predicted)| / n``, of columns that the subclass chooses.

    Intervals come from influence: a resample repeats samples and so has larger errors than its sample, and
    bootstrap intervals can leave out the very figure that they are of.
    """

    tasks = BOTH
    higher_is_better = False
    bounds = (0.0, 1.0)
    vectorised = True
    interval = "logit"
    variance = "fixed-bin"
    bins: int
    binning: Literal["equal_mass", "equal_width"]

    @abstractmethod
    def columns(self, targets: np.ndarray, probabilities: np.ndarray) -> list[_Column]:
        """One per value."""

    def shaped(self, values: np.ndarray) -> np.ndarray | float:
        """The values with their axis of columns last, as the metric gives them."""
        return values

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> float | np.ndarray:
        """The error, with an axis R before for R weightings; thresholds play no part."""
        columns = self.columns(targets, probabilities)
        weight = weights(targets, sample_weight)
        return self.shaped(in_blocks(weight, lambda some: np.stack([self._error(c, some) for c in columns], axis=-1)))

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N, K]``, or ``[N]`` for one figure: the derivative by the weight of each sample at fixed bins."""
        found = []
        for column in self.columns(targets, probabilities):
            rows, n = np.zeros(len(targets)), len(column.rows)
            gaps = column.happened - column.predicted
            sums = self._sums(column, gaps)
            if n:
                signs = np.sign(sums)[self._bin_of(column)]
                rows[column.rows] = (signs * gaps - np.abs(sums).sum() / n) / n
            found.append(rows)
        return np.asarray(self.shaped(np.stack(found, axis=-1)))

    def companion(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> dict[str, float | np.ndarray]:
        """``null``, the mean error that a perfectly calibrated model would show, and ``p``.

        Labels are drawn from the probabilities, as often as it takes to know ``null`` to about 1 %. ``p`` is the share
        of such draws (the data counted among them) whose error is at least that of the data: small where the model is
        not calibrated.
        """
        columns = self.columns(targets, probabilities)
        rng = np.random.default_rng(0)
        pairs = np.array([self._by_chance(column, rng) for column in columns]).reshape(len(columns), 2)
        return {"null": self.shaped(pairs[:, 0]), "p": self.shaped(pairs[:, 1])}

    def _error(self, column: _Column, weight: np.ndarray) -> np.ndarray:
        weight = weight.take(column.rows, axis=-1)
        gaps = cumulated(weight * (column.happened - column.predicted))
        cuts = self._cuts(column, cumulated(weight))
        sums = np.diff(np.take_along_axis(gaps, cuts, axis=-1), axis=-1)
        return np.minimum(ratio(np.abs(sums).sum(-1), weight.sum(-1)), 1)

    def _cuts(self, column: _Column, mass: np.ndarray) -> np.ndarray:
        """``[..., bins + 1]``: how many samples of the column lie before the start of each bin, and before the end.

        Equal mass: a run of equal predictions falls whole into the bin that its middle falls into, so that neither the
        order of samples nor the way in which weights repeat them matters.
        """
        n, inner = len(column.rows), np.arange(1, self.bins)
        if self.binning == "equal_width":
            cuts = np.searchsorted(column.predicted, inner / self.bins - _ROUNDING)
            return np.broadcast_to(np.concatenate([[0], cuts, [n]]), (*mass.shape[:-1], self.bins + 1))
        run_ends = np.append(np.flatnonzero(np.diff(column.predicted)) + 1, n) if n else np.zeros(1, int)
        run_starts = np.append(0, run_ends[:-1])
        flat = mass.reshape(-1, n + 1)
        cuts = np.empty((len(flat), self.bins + 1), int)
        cuts[:, 0], cuts[:, -1] = 0, n
        for row, sums in enumerate(flat):
            limits = sums[-1] * inner / self.bins
            run = np.minimum(sums[run_ends].searchsorted(limits), len(run_ends) - 1)  # the run that each limit is in
            starts, ends = run_starts[run], run_ends[run]
            before = (sums[starts] + sums[ends]) / 2 < limits - _ROUNDING * sums[-1]
            cuts[row, 1:-1] = np.where(before, ends, starts)
        return cuts.reshape(*mass.shape[:-1], self.bins + 1)

    def _bin_of(self, column: _Column) -> np.ndarray:
        """``[n]``: the bin of each sample, without weights."""
        n = len(column.rows)
        return np.repeat(np.arange(self.bins), np.diff(self._cuts(column, np.arange(n + 1.0))))

    def _sums(self, column: _Column, values: np.ndarray) -> np.ndarray:
        """``[bins]`` of values ``[n]``."""
        return np.bincount(self._bin_of(column), values, self.bins)

    def _by_chance(self, column: _Column, rng: np.random.Generator) -> tuple[float, float]:
        n = len(column.rows)
        if n == 0:
            return float("nan"), float("nan")
        cuts = self._cuts(column, np.arange(n + 1.0))
        expected = self._sums(column, column.predicted)
        observed = np.abs(self._sums(column, column.happened) - expected).sum()
        drawn = np.empty(0)
        while len(drawn) < _DRAWS:
            many = min(_DRAWS - len(drawn), max(1, _CELLS // n))
            labels = rng.random((many, n), np.float32) < column.predicted
            sums = np.diff(cumulated(labels).take(cuts, axis=-1), axis=-1)
            drawn = np.append(drawn, np.abs(sums - expected).sum(-1))
        as_large = np.count_nonzero(drawn >= observed - _ROUNDING * n)
        return float(drawn.mean() / n), (1 + as_large) / (1 + _DRAWS)


_BINS = "number of bins"
_BINNING = "equal_mass: as many samples in each bin (adaptive); equal_width: bins of one width from 0 to 1"


@component
class Ece(_Ece):
    """Expected calibration error of each class: how far predicted and observed frequencies lie apart, on average.

    Predictions are sorted into bins; the error is the mean over samples of the distance between the mean prediction
    and the share of the class in their bin (Naeini, Cooper and Hauskrecht 2015; class by class: Nixon et al. 2019).
    It is biased: read it beside its ``null``, what a perfectly calibrated model would show with as many samples.
    """

    undefined = "the label is known for no sample"
    bins: int = param(_BINS, default=10, ge=1, le=1000)
    binning: Literal["equal_mass", "equal_width"] = param(_BINNING, default="equal_mass")

    def columns(self, targets: np.ndarray, probabilities: np.ndarray) -> list[_Column]:
        """The classes."""
        return [_column(p, t) for p, t in zip(probabilities.T, targets.T, strict=True)]


@component
class TopLabelEce(_Ece):
    """Expected calibration error of the largest probability, against whether its class is right (Guo et al. 2017)."""

    tasks = ("multiclass",)
    undefined = "there are no samples"
    bins: int = param(_BINS, default=10, ge=1, le=1000)
    binning: Literal["equal_mass", "equal_width"] = param(_BINNING, default="equal_mass")

    def columns(self, targets: np.ndarray, probabilities: np.ndarray) -> list[_Column]:
        """All decisions as one column."""
        right = probabilities.argmax(1) == targets.argmax(1)
        return [_column(probabilities.max(1), right.astype(np.float64))]

    def shaped(self, values: np.ndarray) -> np.ndarray | float:
        """Without the axis of columns."""
        return plain(values[..., 0])
