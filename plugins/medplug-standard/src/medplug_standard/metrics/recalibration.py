"""Calibration slope and intercept: logistic regression of what happened on the log odds that were predicted.

References: Cox, Two further applications of a model for binary regression, 1958; Van Calster et al., Calibration: the
Achilles heel of predictive analytics, 2019. Probabilities are clipped to [1e-7, 1 - 1e-7], which float32 can tell from
0 and 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from medplug.plugins import component
from medplug_standard.metrics.bases import BOTH
from medplug_standard.metrics.decisions import in_blocks, weights

_EDGE = 1e-7
_STEPS, _HALVINGS = 100, 60
_DONE = 1e-7  # of a step of Newton's method: what is left after it is about the square
_SURE = 1.0  # steps that move no log odds further than this need no look at the likelihood


class _Model(NamedTuple):
    """Logistic regression of one class over the n samples whose label is known, with D coefficients.

    Attributes:
        rows: ``[n]``, of the samples.
        happened: ``[n]`` float64, 0 or 1.
        inputs: ``[n, D]``.
        offset: ``[n]``, added to the log odds.
        start: ``[D]``, where the fit begins.
    """

    rows: np.ndarray
    happened: np.ndarray
    inputs: np.ndarray
    offset: np.ndarray
    start: np.ndarray


class _Recalibration(ABC):
    """Of each class against the rest, with an interval from the sandwich estimate of its variance."""

    tasks = BOTH
    bounds = (-math.inf, math.inf)
    interval = "normal"
    variance = "sandwich"
    vectorised = True

    @abstractmethod
    def model(self, rows: np.ndarray, happened: np.ndarray, odds: np.ndarray) -> _Model:
        """What is fitted; the last coefficient is the figure."""

    @abstractmethod
    def defined(self, happened: np.ndarray, odds: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Whether a fit exists, ``[...]`` for weights ``[..., n]``."""

    def __call__(
        self,
        targets: np.ndarray,
        probabilities: np.ndarray,
        sample_weight: np.ndarray | None = None,
        thresholds: np.ndarray | None = None,
    ) -> np.ndarray:
        """``[K]``, or ``[R, K]`` for R weightings, from arrays ``[N, K]``; thresholds play no part."""
        weight = weights(targets, sample_weight)
        models = [self._model(t, p) for t, p in zip(targets.T, probabilities.T, strict=True)]
        if weight.ndim > 1:  # the fit without weights is near all of them
            models = [model._replace(start=self._fit(model, np.ones(len(model.rows)))[0]) for model in models]

        def figures(some: np.ndarray) -> np.ndarray:
            fits = (self._fit(model, some.take(model.rows, axis=-1)) for model in models)
            return np.stack([np.where(found, fit[..., -1], np.nan) for fit, found in fits], axis=-1)

        return in_blocks(weight, figures)

    def influence(
        self, targets: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray | None = None
    ) -> np.ndarray:
        """``[N, K]``: the inverse of the information times the score of each sample."""
        found = np.zeros(targets.shape)
        for k in range(targets.shape[1]):
            model = self._model(targets[:, k], probabilities[:, k])
            fit, defined = self._fit(model, np.ones(len(model.rows)))
            p = _sigmoid(model.inputs @ fit + model.offset)
            information = (model.inputs.T * (p * (1 - p))) @ model.inputs
            scores = model.inputs * (model.happened - p)[:, None]
            found[model.rows, k] = np.linalg.solve(information, scores.T)[-1] if defined else np.nan
        return found

    def _model(self, target: np.ndarray, probability: np.ndarray) -> _Model:
        rows = np.flatnonzero(~np.isnan(target))
        clipped = np.clip(probability[rows], _EDGE, 1 - _EDGE)
        return self.model(rows, (target[rows] >= 0.5).astype(np.float64), np.log(clipped) - np.log1p(-clipped))

    def _fit(self, model: _Model, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients ``[..., D]`` for weights ``[..., n]``, and whether they exist; the start where they do not."""
        odds = model.inputs[:, -1] if model.inputs.shape[1] > 1 else model.offset
        defined = self.defined(model.happened, odds, weight)
        fit = np.broadcast_to(model.start, (*defined.shape, len(model.start))).copy()
        for _ in range(_STEPS if defined.any() else 0):
            step = np.where(defined[..., None], _newton_step(model, weight, fit), 0)
            moved = np.abs(step @ model.inputs.T).max(-1)
            if moved.max() > _SURE:
                step = _shortened(model, weight, fit, step)
            fit += step
            if moved.max() < _DONE:
                break
        return fit, defined


def _newton_step(model: _Model, weight: np.ndarray, fit: np.ndarray) -> np.ndarray:
    d = len(model.start)
    p = _sigmoid(fit @ model.inputs.T + model.offset)
    scores = (weight * (model.happened - p)) @ model.inputs
    squares = (model.inputs[:, :, None] * model.inputs[:, None, :]).reshape(-1, d * d)
    information = ((weight * p * (1 - p)) @ squares).reshape(*fit.shape, d)
    # Weights of nothing give no information: those fits are undefined, and their steps are not taken.
    empty = np.linalg.det(information) <= 0
    information = np.where(empty[..., None, None], np.eye(d), information)
    return np.linalg.solve(information, scores[..., None])[..., 0]


def _shortened(model: _Model, weight: np.ndarray, fit: np.ndarray, step: np.ndarray) -> np.ndarray:
    """The step, halved until the likelihood does not fall: it is concave, so that Newton's method then converges."""
    before = _log_likelihood(model, weight, fit)
    for _ in range(_HALVINGS):
        falls = _log_likelihood(model, weight, fit + step) < before - 1e-12 * np.abs(before)
        if not falls.any():
            break
        step = np.where(falls[..., None], step / 2, step)
    return step


def _log_likelihood(model: _Model, weight: np.ndarray, fit: np.ndarray) -> np.ndarray:
    odds = fit @ model.inputs.T + model.offset
    return (weight * (model.happened * odds - np.logaddexp(0, odds))).sum(-1)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # 1 / inf is 0, as it should be
        return 1 / (1 + np.exp(-x))


@component
class CalibrationIntercept(_Recalibration):
    """Calibration in the large of each class: what must be added to the log odds to get its frequency right.

    The ``a`` of ``log odds = a + logit p``, the slope being 1: 0 is right, above 0 the class occurs more often than
    predicted.
    """

    higher_is_better = False
    ideal = 0.0
    average = False
    undefined = "the class has no samples, or all samples belong to it"

    def model(self, rows: np.ndarray, happened: np.ndarray, odds: np.ndarray) -> _Model:
        """A constant beside the predicted log odds."""
        return _Model(rows, happened, np.ones((len(rows), 1)), odds, np.zeros(1))

    def defined(self, happened: np.ndarray, odds: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Whether both labels occur."""
        return (weight @ happened > 0) & (weight @ (1 - happened) > 0)


@component
class CalibrationSlope(_Recalibration):
    """Calibration slope of each class: the ``b`` of ``log odds = a + b logit p``.

    1 is right; below 1 predictions are too extreme, above 1 too timid. Undefined where the log odds separate the class
    from the others, for then every larger slope fits better.
    """

    higher_is_better = True
    ideal = 1.0
    undefined = "the class or its complement has no samples, or the predictions separate the two without a mistake"

    def model(self, rows: np.ndarray, happened: np.ndarray, odds: np.ndarray) -> _Model:
        """A constant and the predicted log odds."""
        share = np.clip(happened.mean() if len(rows) else 0.5, _EDGE, 1 - _EDGE)
        start = np.array([np.log(share / (1 - share)), 0.0])
        return _Model(rows, happened, np.stack([np.ones(len(rows)), odds], axis=-1), np.zeros(len(rows)), start)

    def defined(self, happened: np.ndarray, odds: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Whether both labels occur, and no cut through the log odds parts them, ties included."""
        extremes = []
        for side in (happened > 0, happened == 0):
            there = (weight > 0) & side
            extremes += [np.where(there, odds, np.inf).min(-1, initial=np.inf)]
            extremes += [np.where(there, odds, -np.inf).max(-1, initial=-np.inf)]
        ours_low, ours_high, theirs_low, theirs_high = extremes
        return (ours_low < theirs_high) & (theirs_low < ours_high)
