"""Calibration maps: fitted on validation predictions with SciPy or scikit-learn, applied with NumPy alone.

The maps start from probabilities, because predictions of other tools have nothing else. In multi-class tasks ``log p``
are logits up to a constant per sample, which temperature scaling does not see; vector scaling scales ``log p`` itself.
Multi-class probabilities are clipped to at least 1e-12, those of labels to [1e-7, 1 - 1e-7], because sigmoids of float32
come no closer to 1.

References: Guo et al., On calibration of modern neural networks, 2017 (temperature and vector scaling); Platt 1999
(vector scaling of labels); Zadrozny and Elkan 2002 (isotonic regression, one class against the rest).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from medplug.errors import ParameterError
from medplug.evaluation.fitted import cases, counted, fitted_on, labels
from medplug.values import Predictions, Task

LEAST, LEAST_FLEXIBLE = 50, 300  # cases below which the fit does more harm than good (simulated)
_LOWEST = 1e-12
_EDGE = 1e-7
_TEMPERATURES = (0.05, 20.0)
_SCALES, _BIASES = (0.0, 10.0), (-100.0, 100.0)
_NAMES = {"temperature": "temperature scaling", "vector": "vector scaling", "isotonic": "isotonic regression"}

Method = Literal["auto", "none", "temperature", "vector", "isotonic"]


@dataclass(frozen=True)
class CalibrationFit:
    """A map from the probabilities of a network to calibrated ones.

    Attributes:
        method: ``"none"``, ``"temperature"``, ``"vector"`` or ``"isotonic"``.
        task: as in an index.
        classes: K names.
        parameters: ``{"temperature": T}``; ``{"scale": [K], "bias": [K]}``; or ``{"x": [K][...], "y": [K][...]}``, the
            knots of each class between which isotonic regression is linear.
        fitted_on: ``{"part", "n", "unit", "units"}``: samples, and whether these or groups of them are the cases.
        skipped: why nothing was fitted, as a sentence; None where something was, or nothing was wanted.
    """

    method: str
    task: Task
    classes: tuple[str, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fitted_on: Mapping[str, Any] = field(default_factory=dict)
    skipped: str | None = None

    def apply(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities ``[N, K]`` float64; rows of multi-class tasks sum to 1.

        Vector scaling and isotonic regression may change which class is the most probable; a temperature never does.
        """
        p = np.array(probabilities, np.float64)
        if p.ndim != 2 or p.shape[1] != len(self.classes):
            raise ValueError(f"probabilities must be [N, {len(self.classes)}], got {list(p.shape)}")
        if self.method == "none" or not len(p):
            return p
        if self.method == "isotonic":
            knots = zip(self.parameters["x"], self.parameters["y"], strict=True)
            p = np.stack([np.interp(p[:, c], x, y) for c, (x, y) in enumerate(knots)], axis=1)
            return p / p.sum(1, keepdims=True) if self.task == "multiclass" else p
        z = logits(p, self.task)
        if self.method == "temperature":
            return from_logits(z / self.parameters["temperature"], self.task)
        return from_logits(z * np.array(self.parameters["scale"]) + np.array(self.parameters["bias"]), self.task)

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which :meth:`from_json` makes an equal map to the last bit."""
        return {
            "method": self.method,
            "parameters": dict(self.parameters),
            "fitted_on": dict(self.fitted_on),
            "skipped": self.skipped,
            "task": self.task,
            "classes": list(self.classes),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> CalibrationFit:
        """The inverse of :meth:`to_json`.

        Raises:
            KeyError, TypeError, ValueError: the values are not such a map.
        """
        fit = cls(
            str(values["method"]),
            values["task"],
            tuple(values["classes"]),
            dict(values["parameters"]),
            dict(values["fitted_on"]),
            values["skipped"],
        )
        k = len(fit.classes)
        if fit.method == "temperature":
            right = float(fit.parameters["temperature"]) > 0
        elif fit.method == "vector":
            right = all(np.array(fit.parameters[key], np.float64).shape == (k,) for key in ("scale", "bias"))
        elif fit.method == "isotonic":
            x, y = fit.parameters["x"], fit.parameters["y"]
            right = len(x) == len(y) == k and all(len(a) == len(b) > 0 for a, b in zip(x, y, strict=True))
        else:
            right = fit.method == "none"
        if not right:
            raise ValueError(f"calibration of the kind {fit.method!r} does not have such parameters for {k} classes")
        return fit


def logits(probabilities: np.ndarray, task: Task) -> np.ndarray:
    """``log p``, or ``log(p / (1 - p))`` in multi-label tasks, of clipped probabilities ``[N, K]``."""
    if task == "multiclass":
        return np.log(np.clip(probabilities, _LOWEST, 1))
    return log_odds(probabilities)


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """``log(p / (1 - p))`` of probabilities clipped to [1e-7, 1 - 1e-7], of any shape."""
    clipped = np.clip(probabilities, _EDGE, 1 - _EDGE)
    return np.log(clipped) - np.log1p(-clipped)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))`` without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def from_logits(z: np.ndarray, task: Task) -> np.ndarray:
    """Softmax over the classes, or the sigmoid of each label."""
    if task == "multilabel":
        return sigmoid(z)
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def fit_calibration(validation: Predictions, method: Method = "auto") -> CalibrationFit:
    """Fit a calibration map on validation predictions.

    Args:
        validation: with targets; unknown labels (NaN) do not count.
        method: ``"auto"`` and ``"temperature"`` are temperature scaling, one number, for labels as for classes. It is
            skipped below 50 cases. ``"vector"`` (a scale and a bias for each class) and ``"isotonic"`` need 300 cases, and each class
            positive and negative ones; with less they are skipped, and nothing else is fitted in their place.
            Cases are groups where samples share them.

    Raises:
        ParameterError: no such method.
        DataError: no labels.
    """
    if method not in ("auto", "none", *_NAMES):
        raise ParameterError(f"calibration must be auto, none, {', '.join(_NAMES)}, got {method!r}")
    known, drawn = cases(validation)
    whole = (validation.task, validation.classes)
    if method == "none":
        return CalibrationFit("none", *whole, fitted_on=fitted_on(drawn))
    method = "temperature" if method == "auto" else method
    least = LEAST if method == "temperature" else LEAST_FLEXIBLE
    if drawn.count < least:
        hint = "" if method == "temperature" else "; temperature scaling needs fewer"
        found: str | dict[str, Any] = (
            f"{_NAMES[method]} needs at least {least} {drawn.word} with labels, the validation part has "
            f"{counted(drawn)}{hint}."
        )
    else:
        p, y = np.asarray(validation.probabilities, np.float64)[known], labels(validation)[known]
        found = _FITS[method](p, y, validation.task, validation.classes)
    if isinstance(found, str):
        return CalibrationFit("none", *whole, fitted_on=fitted_on(drawn), skipped=found)
    return CalibrationFit(method, *whole, parameters=found, fitted_on=fitted_on(drawn))


def negative_log_likelihood(z: np.ndarray, y: np.ndarray, task: Task) -> tuple[float, np.ndarray]:
    """The mean over samples of ``-log p`` of the labels, summed over labels, and its gradient by the logits ``[N, K]``.

    Unknown labels (NaN) add nothing.
    """
    known = ~np.isnan(y)
    y = np.where(known, y, 0)
    if task == "multiclass":
        top = z.max(1, keepdims=True)
        total = top + np.log(np.exp(z - top).sum(1, keepdims=True))
        losses, gradient = y * (total - z), np.exp(z - total) * y.sum(1, keepdims=True) - y
    else:
        losses, gradient = known * (np.logaddexp(0, z) - y * z), known * (sigmoid(z) - y)
    return float(losses.sum() / len(z)), gradient / len(z)


def _temperature(p: np.ndarray, y: np.ndarray, task: Task, classes: tuple[str, ...]) -> dict[str, Any] | str:
    from scipy.optimize import minimize_scalar

    z = logits(p, task)
    if _faultless(z, y, task):  # the smaller, the better
        return "no temperature is best: the validation part is classified without a mistake."
    low, high = np.log(_TEMPERATURES)
    # The likelihood has one optimum in 1 / T, hence one in log T.
    best = minimize_scalar(
        lambda t: negative_log_likelihood(z * np.exp(-t), y, task)[0],
        bounds=(low, high), method="bounded", options={"xatol": 1e-9, "maxiter": 500},
    )  # fmt: skip
    if high - best.x < 1e-3:
        return "no temperature is best: on the validation part the probabilities do not follow the labels."
    if best.x - low < 1e-3:
        return f"no temperature above {_TEMPERATURES[0]:g} is best: the validation part is almost without a mistake."
    return {"temperature": float(np.exp(best.x))}


def _faultless(z: np.ndarray, y: np.ndarray, task: Task) -> bool:
    """Whether every known label is on the right side."""
    if task == "multiclass":
        rival = np.where(y >= 0.5, -np.inf, z).max(1)
        return bool((np.where(y >= 0.5, z, -np.inf).max(1) > rival).all())
    return bool(((z * np.where(y >= 0.5, 1, -1) > 0) | np.isnan(y)).all())


def _vector(p: np.ndarray, y: np.ndarray, task: Task, classes: tuple[str, ...]) -> dict[str, Any] | str:
    from scipy.optimize import minimize

    lacking = _one_sided(y, classes)
    if lacking:
        return f"vector scaling needs positive and negative samples of each class: {lacking}."
    z, k = logits(p, task), len(classes)

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = negative_log_likelihood(z * values[:k] + values[k:], y, task)
        return value, np.concatenate([(gradient * z).sum(0), gradient.sum(0)])

    start = np.concatenate([np.ones(k), np.zeros(k)])
    bounds = [_SCALES] * k + [_BIASES] * k
    best = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 2000, "ftol": 1e-13, "gtol": 1e-8}
    )
    limits = np.abs(np.concatenate([best.x[:k] / _SCALES[1], best.x[k:] / _BIASES[1]]))
    if limits.max() > 0.999 or best.nit >= 2000:
        return "no scales and biases are best: the validation part is classified almost without a mistake."
    return {"scale": best.x[:k].tolist(), "bias": best.x[k:].tolist()}


def _isotonic(p: np.ndarray, y: np.ndarray, task: Task, classes: tuple[str, ...]) -> dict[str, Any] | str:
    """Knots of each class; values stay 1 / (n + 2) away from 0 and 1, which n samples cannot vouch for."""
    from sklearn.isotonic import IsotonicRegression

    lacking = _one_sided(y, classes)
    if lacking:
        return f"isotonic regression needs positive and negative samples of each class: {lacking}."
    xs, ys = [], []
    for c in range(len(classes)):
        known = ~np.isnan(y[:, c])
        margin = 1 / (int(known.sum()) + 2)
        fit = IsotonicRegression(y_min=margin, y_max=1 - margin, out_of_bounds="clip")
        fit.fit(p[known, c], y[known, c] >= 0.5)
        xs.append(fit.X_thresholds_.tolist())
        ys.append(fit.y_thresholds_.tolist())
    return {"x": xs, "y": ys}


def _one_sided(y: np.ndarray, classes: tuple[str, ...]) -> str:
    """The classes without positives or without negatives, in words; empty where there are none."""
    some = np.asarray((y >= 0.5).any(0) & (y < 0.5).any(0))
    without = [name for name, there in zip(classes, some.tolist(), strict=True) if not there]
    return f"it has only one kind of {', '.join(without)}" if without else ""


_FITS = {"temperature": _temperature, "vector": _vector, "isotonic": _isotonic}
